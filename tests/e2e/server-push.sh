#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The stock 'aws deploy push', which talks to S3 at its public name whatever --endpoint-url says: in a network of its own where that
# name is this machine. Needs root for the namespaces.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
[ -x /usr/bin/aws ] || skip_all "the aws CLI is not installed"
[ "$(id -u)" = 0 ] || skip_all "it needs root"
if [ -z "${IN_NAMESPACE-}" ]; then
	unshare -m -n true 2>/dev/null || skip_all "this machine makes no namespaces"
	[ -n "$(command -v ip)" ] || skip_all "the ip command is missing"
	trap - EXIT
	rm -rf "$T"
	IN_NAMESPACE=1 exec unshare -m -n --propagation private bash "$0"
fi
printf '127.0.0.1 localhost s3.us-east-1.amazonaws.com\n' >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts
ip link set lo up
start endpoint "$CONTROLD" serve --dir "$T/control" --listen 127.0.0.1:443 --name s3.us-east-1.amazonaws.com
url=$(line_of endpoint 's/.*listening on //p') || exit 1
ca=$T/control/ca/ca.pem
key_id=$(json_of access_key_id <"$T/control/admin-credentials.json")
secret=$(json_of secret_access_key <"$T/control/admin-credentials.json")
aws_push() {
	env -i PATH=/usr/bin:/bin HOME="$T" AWS_ACCESS_KEY_ID="$key_id" AWS_SECRET_ACCESS_KEY="$secret" AWS_DEFAULT_REGION=us-east-1 \
		AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1 AWS_PAGER= AWS_CA_BUNDLE="$ca" /usr/bin/aws deploy --endpoint-url "$url" "$@"
}
mkdir "$T/app" "$T/.aws"
printf '[default]\ns3 =\n  addressing_style = path\n' >"$T/.aws/config"
printf 'version: 0.0\nos: linux\n' >"$T/app/appspec.yml"
exits 0 "create-application" aws_push create-application --application-name app
exits 0 "push" aws_push push --application-name app --s3-location s3://bundles/app.zip --source "$T/app"
says "it prints the command that deploys it" "--s3-location bucket=bundles,key=app.zip,bundleType=zip,eTag=" "$T/out"
says "with the version that was stored" "version=" "$T/out"
is "the object is a zip with the AppSpec" 1 \
	"$(python3 -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).namelist().count("appspec.yml"))' "$(find "$T/control/bundles/sha256" -type f)")"
done_testing
