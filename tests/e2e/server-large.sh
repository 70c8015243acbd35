#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An object beyond 2 GiB, sparse so that it costs little: stored whole, read at its end, sparse on disk, never in memory.
# Under the sanitizers a smaller one: they look at each access, not at sizes.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
[ -n "$(command -v curl)" ] || skip_all "curl is missing"
endpoint || exit 1
curl_s3() { curl -sS --cacert "$ca" --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"; }

sanitizers=$(grep -c 'SANITIZERS 1' "$top_builddir/config.h")
mark=$(((sanitizers ? 64 : 2048) * 1048576))
size=$((mark + 1000))
truncate -s $((size - 8)) "$T/large"
printf 'the end.' >>"$T/large"
is "an object of more than $mark bytes is stored" 200 "$(curl_s3 -T "$T/large" -o /dev/null -w '%{http_code}' "$url/bundles/large")"
is "its size is known" $size "$(curl_s3 -I "$url/bundles/large" | tr -d '\r' | sed -n 's/^Content-Length: //p')"
is "it can be read beyond that" "the end." "$(curl_s3 -r $((size - 8))- "$url/bundles/large")"
is "the range is named in full" "bytes $((size - 8))-$((size - 1))/$size" \
	"$(curl_s3 -r $((size - 8))- -o /dev/null -D - "$url/bundles/large" | tr -d '\r' | sed -n 's/^Content-Range: //p')"
is "the file is whole" "$size" "$(find "$T/control/bundles/sha256" -type f -printf %s)"
ok "holes take no room" test "$(du -sk "$T/control/bundles" | cut -f1)" -lt 1000
peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/${started[endpoint]}/status")
if [ "$sanitizers" != 0 ]; then
	skip "it was never in memory" "the sanitizers need memory of their own"
else
	ok "it was never in memory (peak $peak kB)" test "$peak" -lt 40000
fi
ends_well
done_testing
