#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bundle store: put, get, ranges, head, checksums, ceilings; the aws CLI; who may read.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
endpoint --set bundle_max_size=3G || exit 1

# s3 METHOD PATH [OPTION...]: signed; status and headers in $T/head, body in $T/body.
s3() {
	request "$@" --headers --sign "$key_id" "$secret" s3 >"$T/answer"
	sed '/^$/,$d' "$T/answer" >"$T/head"
	sed '1,/^$/d' "$T/answer" >"$T/body"
	head -n 1 "$T/head"
}
header() { sed -n "s/^$1: //p" "$T/head"; }
code() { sed -n 's/.*<Code>\([A-Za-z0-9]*\)<.*/\1/p' "$T/body"; }
stored() { find "$T/control/bundles/sha256" -type f | wc -l; }

# Put and get
printf 'hello bundle' >"$T/hello"
md5=$(md5sum <"$T/hello" | cut -d' ' -f1)
is "an object is stored" 200 "$(s3 PUT /bundles/app/hello.txt --body-file "$T/hello")"
is "its ETag is the MD5" "\"$md5\"" "$(header etag)"
version=$(header x-amz-version-id)
is "it has a version" 32 "${#version}"
is "the file is named by its SHA-256" "$(sha256sum <"$T/hello" | cut -d' ' -f1)" "$(find "$T/control/bundles/sha256" -type f -printf %f)"
is "it comes back" 200 "$(s3 GET /bundles/app/hello.txt)"
is "byte for byte" "hello bundle" "$(head -n 1 "$T/body")"
is "HEAD tells its size" "200 12" "$(s3 HEAD /bundles/app/hello.txt) $(header content-length)"
is "a missing object is 404" "404 NoSuchKey" "$(s3 GET /bundles/none) $(code)"
is "a new version replaces it" 200 "$(s3 PUT /bundles/app/hello.txt --body 'second')"
s3 GET /bundles/app/hello.txt >/dev/null
is "the newest is given" second "$(head -n 1 "$T/body")"
s3 GET "/bundles/app/hello.txt?versionId=$version" >/dev/null
is "the old one by its version" "hello bundle" "$(head -n 1 "$T/body")"
is "the same content is stored once" "200 2" "$(s3 PUT /bundles/copy --body-file "$T/hello") $(stored)"
is "a key may hold anything" 200 "$(s3 PUT '/bundles/a%20b%2Bc/%C3%A4%3D%26.tgz' --body odd)"
s3 GET '/bundles/a%20b%2Bc/%C3%A4%3D%26.tgz' >/dev/null
is "and is found again" odd "$(head -n 1 "$T/body")"
is "an empty object is one too" "200 0" "$(s3 PUT /bundles/empty) $(s3 HEAD /bundles/empty >/dev/null; header content-length)"

# Ranges
range() { s3 GET /bundles/copy --header "Range: bytes=$1" >"$T/status"; echo "$(cat "$T/status") $(header content-range) $(head -n 1 "$T/body")"; }
is "a range from the middle" "206 bytes 6-11/12 bundle" "$(range 6-11)"
is "a range to the end" "206 bytes 6-11/12 bundle" "$(range 6-)"
is "the last bytes" "206 bytes 9-11/12 dle" "$(range -3)"
is "more than there is" "206 bytes 6-11/12 bundle" "$(range 6-99999999999)"
is "beyond the end" "416 InvalidRange" "$(s3 GET /bundles/copy --header 'Range: bytes=12-') $(code)"
is "If-Match of another ETag" "412 PreconditionFailed" "$(s3 GET /bundles/copy --header 'If-Match: "0"') $(code)"
is "If-None-Match of this one" 304 "$(s3 GET /bundles/copy --header "If-None-Match: \"$md5\"")"
is "If-Range of another ETag gives it all" 200 "$(s3 GET /bundles/copy --header 'Range: bytes=6-' --header 'If-Range: "0"')"

# Claims that do not hold
before=$(stored)
is "a wrong hash is refused" "400 XAmzContentSHA256Mismatch" "$(s3 PUT /bundles/bad --body one --send-body two) $(code)"
is "a wrong MD5 too" "400 BadDigest" "$(s3 PUT /bundles/bad --body one --header "Content-MD5: $(printf two | openssl md5 -binary | base64)") $(code)"
is "a right one not" 200 "$(s3 PUT /bundles/good --body one --header "Content-MD5: $(printf one | openssl md5 -binary | base64)")"
is "a wrong checksum is refused" "400 BadDigest" "$(s3 PUT /bundles/bad --body one --header 'x-amz-checksum-crc32: AAAAAA==') $(code)"
is "nothing of that is stored" "404 $((before + 1))" "$(s3 GET /bundles/bad) $(stored)"
is "nor left behind" "" "$(find "$T/control/bundles/tmp" -type f)"
is "a body need not be hashed before" 200 "$(s3 PUT /bundles/unsigned --body one --payload UNSIGNED-PAYLOAD)"
is "a copy asked for in the query is refused" "501 NotImplemented" "$(s3 PUT '/bundles/bad?x-amz-copy-source=%2Fbundles%2Fcopy') $(code)"
is "and makes nothing" 404 "$(s3 GET /bundles/bad)"
is "a lock asked for there too" "501 NotImplemented" "$(s3 PUT '/bundles/bad?X-Amz-Object-Lock-Mode=GOVERNANCE' --body x) $(code)"
is "an unsigned request is refused" 403 "$(status_of request PUT /bundles/x --body x)"
is "so is a wrong secret" "403 SignatureDoesNotMatch" \
	"$(request GET /bundles/copy --sign "$key_id" wrong s3 >"$T/body"; head -n 1 "$T/body") $(code)"
is "and an unknown key" "403 InvalidAccessKeyId" \
	"$(request GET /bundles/copy --sign SLIPNONE "$secret" s3 >"$T/body"; head -n 1 "$T/body") $(code)"
is "14 minutes are forgiven" 200 "$(s3 GET /bundles/copy --age 840)"
is "16 are not" "403 RequestTimeTooSkewed" "$(s3 GET /bundles/copy --age 960) $(code)"

# aws-chunked, as SDKs send it over TLS
chunked() { # CRC BODY...
	local crc=$1 out='' part
	shift
	for part in "$@"; do out+=$(printf '%x\r\n%s\r\n_' "${#part}" "$part"); out=${out%_}; done
	printf '%s0\r\nx-amz-checksum-crc32:%s\r\n\r\n' "$out" "$crc" >"$T/chunks"
}
put_chunked() { # LENGTH
	s3 PUT /bundles/chunked --body-file "$T/chunks" --payload STREAMING-UNSIGNED-PAYLOAD-TRAILER \
		--header "x-amz-decoded-content-length: $1" --header 'Content-Encoding: aws-chunked' --header 'x-amz-trailer: x-amz-checksum-crc32'
}
crc=$(python3 -c 'import base64, zlib; print(base64.b64encode(zlib.crc32(b"hello bundle").to_bytes(4, "big")).decode())')
chunked "$crc" "hello " "bundle"
is "a chunked upload is stored" 200 "$(put_chunked 12)"
is "without its frame" "\"$md5\"" "$(header etag)"
is "another length is refused" "400 IncompleteBody" "$(put_chunked 11) $(code)"
chunked AAAAAA== "hello bundle"
is "a wrong checksum in the trailer too" "400 BadDigest" "$(put_chunked 12) $(code)"
printf '5\r\nhello\r\nzz\r\n' >"$T/chunks"
is "and a frame that is none" "400 InvalidRequest" "$(put_chunked 5) $(code)"

# curl: 100-continue, chunked, and large
curl_s3() { curl -sS --cacert "$ca" --aws-sigv4 aws:amz:us-east-1:s3 --user "$key_id:$secret" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"; }
is "the body is asked for with 100" 1 "$(curl_s3 -v -H 'Expect: 100-continue' -T "$T/hello" "$url/bundles/continue" 2>&1 | grep -c '< HTTP/1.1 100')"
is "but not when it is refused anyway" "0 403" "$(curl -sSv --cacert "$ca" -H 'Expect: 100-continue' -T "$T/hello" "$url/bundles/continue" >"$T/out" 2>&1
	echo "$(grep -c '< HTTP/1.1 100' "$T/out") $(sed -n 's/.*< HTTP.1.1 \([0-9]*\).*/\1/p' "$T/out")")"
curl_s3 -H 'Transfer-Encoding: chunked' -T - "$url/bundles/stream" <"$T/hello"
s3 GET /bundles/stream >/dev/null
is "a body of unknown length is stored" "hello bundle" "$(head -n 1 "$T/body")"
truncate -s 4G "$T/huge"
is "an object above the ceiling is refused" 400 "$(curl_s3 -o "$T/body" -w '%{http_code}' -H 'Expect: 100-continue' -T "$T/huge" "$url/bundles/huge")"
is "... by name" EntityTooLarge "$(code)"

# The aws CLI
if [ -x /usr/bin/aws ]; then
	ok "aws s3api put-object" aws_cli s3api put-object --bucket bundles --key cli.txt --body "$T/hello"
	ok "aws s3 cp down" aws_cli s3 cp s3://bundles/cli.txt "$T/back"
	ok "what comes back is the same" cmp "$T/hello" "$T/back"
	ok "aws s3 cp up" aws_cli s3 cp "$T/hello" s3://bundles/up.txt
	head -c 9000000 /dev/urandom >"$T/large"
	ok "aws s3 cp in parts" aws_cli s3 cp "$T/large" s3://bundles/large
	ok "aws s3 mv, which copies in parts" aws_cli s3 mv s3://bundles/large s3://bundles/elsewhere/large
	ok "and loses nothing" cmp "$T/large" <(aws_cli s3 cp s3://bundles/elsewhere/large -)
	ok "aws s3 sync between buckets" aws_cli s3 sync s3://bundles/elsewhere s3://bundles/synced
	ok "a link by aws s3 presign" cmp "$T/hello" <(curl -sS --cacert "$ca" "$(aws_cli s3 presign s3://bundles/cli.txt)")
	exits 254 "head-object of a missing key" aws_cli s3api head-object --bucket bundles --key none
else
	skip "the aws CLI" "it is not installed"
fi

# Hosts
is "a host enrols" 200 "$(enroll web1 | head -n 1)"
by_host() { request "$1" /bundles/copy --cert "$T/web1.pem" --key "$T/web1.key" --headers; }
is "a host may not read what it is not to install" 403 "$(status_of by_host GET)"
is "nor look at it" 403 "$(status_of by_host HEAD)"
is "nor write" 403 "$(status_of request PUT /bundles/x --cert "$T/web1.pem" --key "$T/web1.key" --body x)"
# as HOST METHOD PATH: by that host's certificate
as() { status_of request "$2" "$3" --cert "$T/$1.pem" --key "$T/$1.key"; }
is "a host with a tag enrols" 200 "$(enroll web2 "$(token --tag role=web)" | head -n 1)"
s3 PUT /bundles/app/revision.zip --body 'a revision' >/dev/null
role=arn:aws:iam::000000000000:role/any
admin CreateApplication '{"applicationName": "app"}' >/dev/null
admin CreateDeploymentGroup '{"applicationName": "app", "deploymentGroupName": "group", "serviceRoleArn": "'$role'",
	"onPremisesInstanceTagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}]}' >/dev/null
is "a revision is deployed to it" 200 "$(admin CreateDeployment '{"applicationName": "app", "deploymentGroupName": "group",
	"revision": {"revisionType": "S3", "s3Location": {"bucket": "bundles", "key": "app/revision.zip", "bundleType": "zip"}}}' | head -n 1)"
is "then it may read that revision" "200 200" "$(as web2 GET /bundles/app/revision.zip) $(as web2 HEAD /bundles/app/revision.zip)"
s3 HEAD /bundles/app/revision.zip >/dev/null
needed=$(header x-amz-version-id)
is "a version that a deployment needs is not destroyed" "403 AccessDenied" "$(s3 DELETE "/bundles/app/revision.zip?versionId=$needed") $(code)"
is "but hidden from people" "204 404" "$(s3 DELETE /bundles/app/revision.zip) $(s3 GET /bundles/app/revision.zip)"
is "and not from its host" 200 "$(as web2 GET /bundles/app/revision.zip)"
s3 PUT /bundles/app/other --body other >/dev/null
other=$(header x-amz-version-id)
is "any other version is" "204 404" "$(s3 DELETE "/bundles/app/other?versionId=$other") $(s3 GET /bundles/app/other)"
is "a host lists nothing" 403 "$(as web2 GET '/bundles?list-type=2')"
is "nor deletes" 403 "$(as web2 DELETE /bundles/app/revision.zip)"
is "no other object" 403 "$(as web2 GET /bundles/copy)"
is "and no other host may" 403 "$(as web1 GET /bundles/app/revision.zip)"

# Signed chunks
python3 - "$key_id" "$secret" "$url" "$ca" >"$T/signed" <<'PY'
import hashlib, hmac, http.client, ssl, sys, time, urllib.parse
key_id, secret, url, ca = sys.argv[1:]
url = urllib.parse.urlsplit(url)
EMPTY = hashlib.sha256(b"").hexdigest()


def put(chunks, spoil):
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()

    def signature(text):
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers = {"host": url.netloc, "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-date": now,
               "x-amz-decoded-content-length": str(sum(map(len, chunks)))}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["PUT", "/bundles/signed", "", *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names,
                           headers["x-amz-content-sha256"]])
    seed = signature("\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()]))
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={seed}"
    body, last = b"", seed
    for chunk in [*chunks, b""]:
        last = signature("\n".join(["AWS4-HMAC-SHA256-PAYLOAD", now, scope, last, EMPTY, hashlib.sha256(chunk).hexdigest()]))
        body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), last.encode(), chunk.upper() if spoil else chunk)
    connection = http.client.HTTPSConnection(url.netloc, context=ssl.create_default_context(cafile=ca), timeout=30)
    connection.request("PUT", "/bundles/signed", body=body, headers=headers)
    return connection.getresponse().status


print(put([b"hello ", b"bundle"], False), put([b"hello ", b"bundle"], True))
PY
is "signed chunks are verified, changed ones refused" "200 403" "$(cat "$T/signed")"
s3 GET /bundles/signed >/dev/null
is "and joined" "hello bundle" "$(head -n 1 "$T/body")"

# What is not offered says so
is "access control lists" "501 NotImplemented" "$(s3 GET '/bundles/x?acl') $(code)"
is "lifecycle rules" "501 NotImplemented" "$(s3 PUT '/bundles?lifecycle' --body '<x/>') $(code)"
is "keys of the customer" "501 NotImplemented" "$(s3 PUT /bundles/x --body x --header 'x-amz-server-side-encryption-customer-algorithm: AES256') $(code)"
is "a bucket name that is none" "400 InvalidURI" "$(s3 GET /B/x) $(code)"
is "a path that climbs is a key like any other" "404 NoSuchKey" "$(s3 GET '/bundles/../../etc/passwd') $(code)"

# A restart, and one that nobody announced
is "what was answered ..." 200 "$(s3 PUT /bundles/answered --body kept)"
stop endpoint KILL
endpoint || exit 1
is "... outlives a SIGKILL" 200 "$(s3 GET /bundles/answered)"
stop endpoint
touch "$T/control/bundles/tmp/LEFTOVER"
endpoint || exit 1
is "everything is there after a restart" 200 "$(s3 GET /bundles/app/hello.txt)"
is "but the rests of uploads" "" "$(find "$T/control/bundles/tmp" -type f)"
rm "$T"/control/bundles/sha256/*/"$(sha256sum <"$T/hello" | cut -d' ' -f1)"
is "a lost file is an error, not an empty object" "500 InternalError" "$(s3 GET /bundles/copy) $(code)"
ends_well 'is not in the bundle store'
done_testing
