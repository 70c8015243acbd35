#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Joining: tokens that are good, used, expired, unknown, bound to names or tags; renewal; names that are taken.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
endpoint || exit 1

# renewal NAME: is the host's certificate accepted?
renewal() { status_of request POST /slipway/v1/renew --cert "$T/$1.pem" --key "$T/$1.key" --body "$(renew_body "$1")"; }
renew_body() { python3 -c 'import json, sys; print(json.dumps({"Name": sys.argv[1], "Csr": sys.argv[2]}))' "$1" "$(new_csr "$T/$1.key")"; }
tags_of() { "$CONTROLD" host list --dir "$T/control" --json | python3 -c 'import json, sys
print(json.dumps({h["name"]: h for h in json.load(sys.stdin)}[sys.argv[1]]["tags"], sort_keys=True))' "$1"; }

# A good token
enroll web1 >"$T/answer"
is "a token and a CSR give a certificate" 200 "$(head -n 1 "$T/answer")"
tail -n +2 "$T/answer" >"$T/body"
is "the answer names the host as registered" web1 "$(json_of Name <"$T/body")"
is "the host's identifier is its ARN" arn:aws:codedeploy:us-east-1:000000000000:instance/web1 "$(json_of HostIdentifier <"$T/body")"
ok "the certificate chains to the CA" openssl verify -CAfile "$ca" -purpose sslclient "$T/web1.pem"
ok "it is for the key of the CSR" cmp <(openssl x509 -in "$T/web1.pem" -pubkey -noout) <(openssl pkey -in "$T/web1.key" -pubout)
is "its name is that of the host, not that of the CSR" "subject=CN = web1" "$(openssl x509 -in "$T/web1.pem" -noout -subject)"
is "it lives for 90 days" 0 "$(openssl x509 -in "$T/web1.pem" -noout -checkend $((89 * 86400)) >/dev/null; echo $?)"
is "and no longer" 1 "$(openssl x509 -in "$T/web1.pem" -noout -checkend $((91 * 86400)) >/dev/null; echo $?)"
is "the host may use it" 200 "$(renewal web1)"

# Tokens that are not good
once=$(token --name 'db*')
is "a token is for hosts of its pattern" 403 "$(enroll app1 "$once" | head -n 1)"
is "and lets those in" 200 "$(enroll db1 "$once" | head -n 1)"
enroll db2 "$once" >"$T/answer"
is "it is used up after that" 403 "$(head -n 1 "$T/answer")"
says "and the answer says so" "has been used already" "$T/answer"
is "a token that nobody made is refused" 403 "$(enroll web2 "slt$(printf '%032d' 0)" | head -n 1)"
late=$(token --ttl 1s)
ok "a token expires" within 20 sh -c "'$CONTROLD' token list --dir '$T/control' | grep -q expired"
enroll late1 "$late" >"$T/answer"
is "and is refused then" 403 "$(head -n 1 "$T/answer")"
says "with the time of its end" "the token expired at 20" "$T/answer"
gone=$(token)
id=$("$CONTROLD" token list --dir "$T/control" --json | json_of -1 id)
run_id() { "$CONTROLD" token delete "$id" --dir "$T/control"; }
ok "a token can be deleted" run_id
is "and is refused then" 403 "$(enroll web2 "$gone" | head -n 1)"
is "no token is stored as it is" "" "$(grep -a -l "$once" -r "$T/control")"
is "no token is logged" "" "$(grep -F "$once" "$T/endpoint.err")"

# The same host asks again: its answer was lost
lost=$(token)
is "a host that joined" 200 "$(enroll lost1 "$lost" | head -n 1)"
cp "$T/lost1.pem" "$T/lost1-first.pem"
is "may ask again with the same token and key" 200 "$(enroll lost1 "$lost" | head -n 1)"
is "for another certificate, which is good" "200 1" "$(renewal lost1) $(cmp -s "$T/lost1.pem" "$T/lost1-first.pem"; echo $?)"
is "not once it has shown that it has one" 403 "$(enroll lost1 "$lost" | head -n 1)"
lost=$(token)
enroll lost2 "$lost" >/dev/null
mv "$T/lost2.key" "$T/lost2-first.key"
is "not with another key" 403 "$(enroll lost2 "$lost" | head -n 1)"
mv "$T/lost2-first.key" "$T/lost2.key"
is "not with another token" 400 "$(enroll lost2 "$(token)" | head -n 1)"
ok "a host that is revoked" "$CONTROLD" host revoke lost2 --dir "$T/control"
is "does not get in that way" 403 "$(enroll lost2 "$lost" | head -n 1)"

# Tags
is "a host carries the tags of its token and its own" 200 \
	"$(enroll tag1 "$(token --tag role=web)" '{"Tags": [{"Key": "zone", "Value": "a"}]}' | head -n 1)"
is "both are listed" '{"role": "web", "zone": "a"}' "$(tags_of tag1)"
is "the token's tags cannot be changed" 403 \
	"$(enroll tag2 "$(token --tag role=web)" '{"Tags": [{"Key": "role", "Value": "db"}]}' | head -n 1)"
is "a token may forbid further tags" 403 \
	"$(enroll tag3 "$(token --fixed-tags --tag role=web)" '{"Tags": [{"Key": "zone", "Value": "a"}]}' | head -n 1)"
is "a group that does not exist is refused" 400 "$(enroll tag4 "$(token)" '{"Group": "no/such"}' | head -n 1)"

# Names
taken=$(token)
enroll web1 "$taken" >"$T/answer"
is "a name in use is refused" 400 "$(head -n 1 "$T/answer")"
says "and the answer says how to free it" "host revoke web1" "$T/answer"
is "the token was not spent by that" 200 "$(enroll web9 "$taken" | head -n 1)"
cp "$T/web1.pem" "$T/old.pem"
cp "$T/web1.key" "$T/old.key"
ok "a host can be revoked" "$CONTROLD" host revoke web1 --dir "$T/control"
revoked() { [ "$(renewal web1)" = 403 ]; }
ok "it is refused at its next request" within 20 revoked
is "its name is free again" 200 "$(enroll web1 | head -n 1)"
is "the new certificate is good" 200 "$(renewal web1)"
is "the old one stays refused" 403 \
	"$(status_of request POST /slipway/v1/renew --cert "$T/old.pem" --key "$T/old.key" --body "$(renew_body web1)")"

# Renewal
request POST /slipway/v1/renew --cert "$T/db1.pem" --key "$T/db1.key" --body "$(renew_body db1)" >"$T/answer"
tail -n +2 "$T/answer" | json_of Certificate >"$T/db1-new.pem"
is "the certificate before a renewal stays good" 200 "$(renewal db1)"
cp "$T/db1.key" "$T/db1-new.key"
is "the renewed one is good" 200 \
	"$(status_of request POST /slipway/v1/renew --cert "$T/db1-new.pem" --key "$T/db1.key" --body "$(renew_body db1)")"
is "a host cannot renew another's certificate" 403 \
	"$(status_of request POST /slipway/v1/renew --cert "$T/db1.pem" --key "$T/db1.key" --body "$(renew_body web1)")"
is "nobody renews without a certificate" 403 "$(status_of request POST /slipway/v1/renew --body "$(renew_body web1)")"

# Input that is no enrolment
is "a CSR that is none is refused" 400 \
	"$(request POST /slipway/v1/enroll --body "$(enroll_body "$(token)" new1 "no CSR")" | head -n 1)"
openssl genrsa -out "$T/weak.key" 1024 2>/dev/null
is "a weak key is refused" 400 \
	"$(request POST /slipway/v1/enroll --body "$(enroll_body "$(token)" new1 "$(new_csr "$T/weak.key")")" | head -n 1)"
is "a name that climbs is refused" 400 "$(enroll ../x "$(token)" 2>/dev/null | head -n 1)"
is "a body that is no JSON is refused" 400 "$(request POST /slipway/v1/enroll --body '{' | head -n 1)"
head -c 70000 /dev/zero | tr '\0' ' ' >"$T/big"
is "a body above the ceiling is refused" 413 "$(request POST /slipway/v1/enroll --body-file "$T/big" | head -n 1)"

# Guessing
is "an address that keeps guessing has to wait" 429 \
	"$(python3 "$top_srcdir/tests/e2e/server-peer.py" "$url" "$ca" guess "$(enroll_body sltGUESS guess "$(new_csr "$T/web1.key")")")"
ends_well
done_testing
