#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A current aws CLI (pip's, in a virtual environment of its own; SLIPWAY_AWS_VENV names one to keep) through AWS_ENDPOINT_URL_S3 and
# AWS_ENDPOINT_URL_CODEDEPLOY: 'aws deploy push' unmodified, in one piece and in parts, and 'aws s3'.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
venv=${SLIPWAY_AWS_VENV:-$T/venv}
if [ ! -x "$venv/bin/aws" ]; then
	python3 -m venv "$venv" >"$T/pip.log" 2>&1 || skip_all "this python3 makes no virtual environment"
	timeout 100 "$venv/bin/pip" install -q --no-compile --retries 1 --timeout 10 awscli boto3 >>"$T/pip.log" 2>&1 ||
		skip_all "pip reaches no index with awscli"
fi
endpoint || exit 1
aws() {
	env -i PATH=/usr/bin:/bin HOME="$T" AWS_ACCESS_KEY_ID="$key_id" AWS_SECRET_ACCESS_KEY="$secret" AWS_DEFAULT_REGION=us-east-1 \
		AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1 AWS_PAGER= AWS_CA_BUNDLE="$ca" PYTHONWARNINGS=ignore \
		AWS_ENDPOINT_URL_S3="$url" AWS_ENDPOINT_URL_CODEDEPLOY="$url" "$venv/bin/aws" "$@"
}
mkdir -p "$T/app/files"
printf 'version: 0.0\nos: linux\n' >"$T/app/appspec.yml"

exits 0 "create-application" aws deploy create-application --application-name shop
exits 0 "push" aws deploy push --application-name shop --s3-location s3://bundles/shop.zip --source "$T/app"
says "it prints the command that deploys it" "bucket=bundles,key=shop.zip,bundleType=zip,eTag=" "$T/out"
head -c 8000000 /dev/urandom >"$T/app/files/large"
exits 0 "push of more than 6 MiB, in parts" aws deploy push --application-name shop --s3-location s3://bundles/shop.zip --source "$T/app"
says "its ETag counts them" '-2,version=' "$T/out"
is "the object is the whole zip" 1 "$(aws s3 cp --quiet s3://bundles/shop.zip "$T/back.zip" &&
	python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(int(z.read("files/large") == open(sys.argv[2], "rb").read()))' \
		"$T/back.zip" "$T/app/files/large")"

exits 0 "s3 mb" aws s3 mb s3://tree
exits 0 "s3 sync up" aws s3 sync "$T/app" s3://tree/app
exits 0 "again" aws s3 sync "$T/app" s3://tree/app
is "... has nothing to do" "" "$(cat "$T/out")"
exits 0 "s3 ls" aws s3 ls s3://tree/app/
says "shows the folder" "PRE files/" "$T/out"
says "and the file" "appspec.yml" "$T/out"
exits 0 "s3 mv" aws s3 mv s3://tree/app/appspec.yml s3://tree/moved.yml
exits 0 "s3 sync down" aws s3 sync s3://tree "$T/down"
ok "brings the same" cmp "$T/app/files/large" "$T/down/app/files/large"
exits 0 "s3 mv of what is copied in parts" aws s3 mv s3://tree/app/files/large s3://elsewhere/large
ok "loses nothing" cmp "$T/app/files/large" <(aws s3 cp s3://elsewhere/large -)
exits 0 "s3 sync between buckets" aws s3 sync s3://elsewhere s3://tree
exits 0 "s3 rm" aws s3 rm --recursive s3://tree
exits 1 "then ls finds nothing" aws s3 ls s3://tree/app/

aws deploy create-application --application-name other >/dev/null
is "--query and --max-items" 1 "$(aws deploy list-applications --max-items 1 --query 'length(applications)')"
failed=0
aws deploy get-application --application-name none >"$T/out" 2>"$T/err" || failed=$?
ok "an error is one by its exit code" test $failed -ge 254
says "and its name" "ApplicationDoesNotExistException"
ends_well

# Its boto3, and what the tests of boto3 ask.
passes() { SLIPWAY_AWS_VENV=$venv bash "$top_srcdir/tests/e2e/$1" >"$T/sub" 2>&1 || { grep -v '^ok' "$T/sub"; return 1; }; }
ok "the management API by the current boto3" passes api-boto.sh
ok "S3 by the current boto3" passes s3-boto.sh
[ -z "${SLIPWAY_EXHAUST:-}" ] || ok "docs/endpoint.md, as written" passes docs-endpoint.sh
done_testing
