#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# S3 by boto3: lists, deletes, checksums, uploads in parts; kill -9 in the middle of one.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
. "$top_srcdir/tests/e2e/boto-lib.sh"
endpoint || exit 1

test_none() { [ "$("$1")" = 0 ]; }
test_begun() { [ -n "$(find "$T/control/bundles/tmp" -type f)" ] || gone "$client"; }
parts() { find "$T/control/bundles/parts" -type f | wc -l; }

checks s3-boto.py all
ok "parts that nobody needs are removed" within 10 test_none parts
checks s3-boto.py begin "$T/upload"
is "parts are on disk" 2 "$(parts)"
stop endpoint KILL
endpoint || exit 1
is "a SIGKILL loses no part" 2 "$(parts)"
# killed at several moments of the join: the object is there whole, or not at all and its parts are
for moment in 0 0.02 0.05 0.1 0.2; do
	boto s3-boto.py complete "$T/upload" >/dev/null 2>&1 &
	client=$!
	within 30 test_begun || true
	read -r -t "$moment" <> <(:) || true
	stop endpoint KILL
	wait $client
	endpoint || exit 1
	[ "$(parts)" = 2 ] || break
done
checks s3-boto.py complete "$T/upload"
ok "then its parts are removed" within 10 test_none parts
ends_well
done_testing
