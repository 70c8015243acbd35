#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# S3 by boto3 (of SLIPWAY_AWS_VENV, or this machine's): lists, deletes, checksums, uploads in parts; kill -9 in the middle of one.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
python=
for candidate in ${SLIPWAY_AWS_VENV:+"$SLIPWAY_AWS_VENV/bin/python"} python3 /usr/bin/python3; do
	if "$candidate" -c 'import boto3' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || skip_all "boto3 is not installed"
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
endpoint || exit 1

boto() { timeout 100 "$python" "$top_srcdir/tests/e2e/s3-boto.py" "$url" "$ca" "$T/control/admin-credentials.json" "$@"; }
# checks STEP [FILE]: each line of the program is a check here.
checks() {
	local line status=0
	boto "$@" >"$T/out" 2>"$T/err" || status=$?
	while IFS= read -r line; do
		case $line in
		"ok "*) is "${line#ok }" good good ;;
		"not ok "*) is "${line#not ok }" good "$(grep -A2 -F -- "$line" "$T/out")" ;;
		esac
	done <"$T/out"
	is "step '$1' came to its end" 0 $status
	[ $status = 0 ] || sed 's/^/# /' "$T/err"
}
test_none() { [ "$("$1")" = 0 ]; }
test_begun() { [ -n "$(find "$T/control/bundles/tmp" -type f)" ] || gone "$client"; }
parts() { find "$T/control/bundles/parts" -type f | wc -l; }

checks all
ok "parts that nobody needs are removed" within 10 test_none parts
checks begin "$T/upload"
is "parts are on disk" 2 "$(parts)"
stop endpoint KILL
endpoint || exit 1
is "a SIGKILL loses no part" 2 "$(parts)"
# killed at several moments of the join: the object is there whole, or not at all and its parts are
for moment in 0 0.02 0.05 0.1 0.2; do
	boto complete "$T/upload" >/dev/null 2>&1 &
	client=$!
	within 30 test_begun || true
	read -r -t "$moment" <> <(:) || true
	stop endpoint KILL
	wait $client
	endpoint || exit 1
	[ "$(parts)" = 2 ] || break
done
checks complete "$T/upload"
ok "then its parts are removed" within 10 test_none parts
ends_well
done_testing
