#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The management API by boto3: every operation that is offered, faults, pages, the waiter, retries, each answer against botocore's model.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
. "$top_srcdir/tests/e2e/api-lib.sh"
. "$top_srcdir/tests/e2e/boto-lib.sh"
endpoint --set poll=1s || exit 1
for name in web1 web2 web3; do
	enroll "$name" "" "{\"Tags\": [{\"Key\": \"role\", \"Value\": \"$name\"}]}" >"$T/answer"
	is "$name is enrolled" 200 "$(head -n 1 "$T/answer")"
done
speaks web1
speaks web2 --fail Install
speaks web3 --hold Install "$T/go"
new_csr "$T/web1.key" >"$T/csr.pem"
checks api-boto.py all "$T" "$(token --uses 200)"

stop endpoint KILL
boto api-boto.py patient "$T/asked" >"$T/patient" 2>&1 &
client=$!
ok "a client asks an endpoint that is not there" within 20 test -e "$T/asked"
start endpoint "$CONTROLD" serve --dir "$T/control" --listen "${url#https://}"
line_of endpoint 's/.*listening on //p' >/dev/null
wait $client
is "a client outlives a restart of the endpoint" "ok a client that asks again gets its answer" "$(cat "$T/patient")"
for name in web1 web2 web3; do stop $name; done
ends_well
done_testing
