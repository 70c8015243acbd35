#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Revisions from S3, GitHub and the web, by the command line and by the daemon, with connections that break anywhere.
# SLIPWAY_EXHAUST=1: 100 cuts instead of 10, and 100 deployments by the daemon that are cut once.
. "${top_srcdir:?run it by make check}/tests/aws/lib.sh" || exit 1

start_fake
aws_settings "destination_root: $R/tree"
mkdir -p "$R/tree" "$P/s3/bucket" "$P/github/o/r" "$P/github/o/private" "$T/r/files"
user=arn:aws:iam::111122223333:user/CodeDeploy/host-1
read -r key secret <<<"$(fake user $user)"
on_premises() {
	printf '%s\n' 'region: us-east-1' "iam_user_arn: $user" "aws_access_key_id: $1" "aws_secret_access_key: '$2'" >"$R/etc/onpremises.yml"
	chmod 600 "$R/etc/onpremises.yml"
}
on_premises "$key" "$secret"

cuts=10
[ -z "${SLIPWAY_EXHAUST:-}" ] || cuts=100
cat >"$T/r/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: files
    destination: /srv/app
Y
revision() { # revision SEED BYTES: its archive at $T/new.tgz
	openssl enc -aes-128-ctr -K "$(printf %032d "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2" >"$T/r/files/data"
	echo "$1" >"$T/r/files/which"
	tar -C "$T/r" -czf "$T/new.tgz" appspec.yml files
}
slip() { timeout 100 "$SLIPWAY" --root "$R" "$@"; }
installed() { cmp -s "$R/tree/srv/app/data" "$T/r/files/data" && cmp -s "$R/tree/srv/app/which" "$T/r/files/which"; }
forget() { : >"$P/log"; }

# --- S3 by the command line -------------------------------------------------------------------------------------------
revision 1 200000
cp "$T/new.tgz" "$P/s3/bucket/a b+c.tgz"
exits 0 "deploy from S3" slip deploy "s3://bucket/a b+c.tgz"
ok "it is installed" installed
is "by one request" 1 "$(requests GetObject)"
before=$(cd "$R/tree" && find . -type f -exec sha256sum {} +)
revision 2 100000
cp "$T/new.tgz" "$P/s3/bucket/app.tgz@v7"
echo '"0123-2"' | tr -d '"' >"$P/s3/bucket/app.tgz@v7.etag"
exits 0 "plan of a version" slip plan 's3://bucket/app.tgz?versionId=v7'
says "tells its files" "/srv/app/data" "$T/out"
is "and touches nothing" "$before" "$(cd "$R/tree" && find . -type f -exec sha256sum {} +)"
exits 1 "another ETag than the one that is named" slip deploy 's3://bucket/app.tgz?versionId=v7&etag=0123-3'
says "is refused with both" 'its ETag is "0123-2", but the revision names 0123-3'
exits 0 "the right one, of an upload in parts" slip deploy 's3://bucket/app.tgz?versionId=v7&etag="0123-2"'
ok "it is installed" installed
echo 00000000000000000000000000000000 >"$P/s3/bucket/app.tgz@v7.etag"
exits 2 "bytes that are not those of an ETag that is an MD5" slip deploy 's3://bucket/app.tgz?versionId=v7'
says "are refused" "its MD5 is"
exits 1 "a key that is not there" slip deploy s3://bucket/none.tgz
says "is named" "s3://bucket/none.tgz: HTTP 404 NoSuchKey"
says "with the next step" "check bucket, key and region"
on_premises "$key" wrong-secret
exits 1 "a wrong secret" slip deploy s3://bucket/app.tgz
says "is told" "SignatureDoesNotMatch"
says "with the next step" "slipway doctor"
is "the secret is in no message" 0 "$(cat "$T/err" "$T/out" | grep -c wrong-secret)"
on_premises "$key" "$secret"
: >"$P/complaints"
hints() { grep -c -e 'check bucket' -e 'check the address' "$T/err"; }
printf 'aws: [\n' >"$R/etc/slipway/agent.yml"
slip plan s3://bucket/app.tgz >"$T/out" 2>"$T/err"
says "settings that are broken are named" "agent.yml"
is "and it is not said to be the address" 0 "$(hints)"
aws_settings "destination_root: $R/tree" "proxy_uri: 'http://deploy:s3cr3t/pw@proxy.example:3128'"
exits 2 "a proxy whose password is not encoded" slip plan s3://bucket/app.tgz
says "is told of" "the proxy's address in the settings is not valid"
is "without the password, nor as the address of the bundle" "0 0" "$(grep -c s3cr3t "$T/err") $(hints)"
aws_settings "destination_root: $R/tree"
forget
order GetObject "stall 1000"
"$SLIPWAY" --root "$R" plan 's3://bucket/app.tgz?versionId=v7' >"$T/out" 2>"$T/err" &
planning=$!
within 20 at_least 1 GetObject
kill -TERM $planning
wait $planning
says "who is interrupted is told that" "interrupted; nothing was touched"
is "and no more" 0 "$(hints)"

# --- cuts ---------------------------------------------------------------------------------------------------------------
revision 3 $((cuts * 300000 + 1000000))
cp "$T/new.tgz" "$P/s3/bucket/big.tgz"
size=$(stat -c %s "$T/new.tgz")
seed=$((RANDOM * 32768 + RANDOM))
echo "# seed $seed, $cuts cuts of $size bytes"
RANDOM=$((seed % 32768))
forget
for ((i = 0; i < cuts; i++)); do
	order GetObject "cut $((65536 + RANDOM * 7 % 234464))"
done
exits 0 "a bundle that is cut $cuts times" slip deploy s3://bucket/big.tgz
ok "is installed right" installed
is "each cut costs one request" $((cuts + 1)) "$(requests GetObject)"
# Where each request begins, against what was sent before: nothing that had come is asked for again.
again=$(python3 - "$P/log" <<'PY'
import json, sys
at = [json.loads(line) for line in open(sys.argv[1])]
at = [int(e["range"][6:-1]) if e.get("range") else 0 for e in at if e["operation"] == "GetObject"]
print(sum(1 for a, b in zip(at, at[1:]) if b <= a), len(at))
PY
)
is "each goes on after the one before" "0 $((cuts + 1))" "$again"

forget
revision 4 500000
cp "$T/new.tgz" "$P/s3/bucket/.new"
order GetObject "cut 100000"
order GetObject "hold 2"
slip deploy s3://bucket/big.tgz >"$T/out" 2>"$T/err" &
deploying=$!
within 20 at_least 2 GetObject
mv "$P/s3/bucket/.new" "$P/s3/bucket/big.tgz"
wait $deploying
is "an object that changes in the middle" 0 $?
ok "is the new one as a whole" installed
is "by an answer that begins again" 2 "$(requests GetObject)"

forget
order GetObject "part 200000"
exits 0 "a server that gives a part where everything is asked for" slip deploy s3://bucket/big.tgz
ok "is asked for the rest" installed
is "by one more request" 2 "$(requests GetObject)"
forget
order GetObject "unknown"
exits 0 "an object whose length is not told" slip deploy s3://bucket/big.tgz
ok "is installed right" installed

# --- GitHub -------------------------------------------------------------------------------------------------------------
mkdir "$T/hub" && cp -a "$T/r" "$T/hub/o-r-0123456"
hub() { tar -C "$T/hub" -czf "$P/github/$1.tar.gz" o-r-0123456; }
mkdir -p "$P/github/o/r/refs/tags"
revision 5 300000
rm -rf "$T/hub/o-r-0123456" && cp -a "$T/r" "$T/hub/o-r-0123456"
hub o/r/v1
hub o/r/refs/tags/v2
hub o/private/main
config "{\"github_token\": \"hush-hush\", \"github_private\": [\"o/private\"], \"codeload\": \"${github/127.0.0.1/localhost}\"}"
exits 0 "deploy from GitHub" slip deploy github:o/r@v1
ok "its leading directory is stripped" installed
exits 0 "by an address of the browser" slip deploy https://github.com/o/r/archive/refs/tags/v2.tar.gz
exits 1 "a private repository without a token" slip deploy github:o/private@main
says "is not found, with the reason" "the token may not read it"
export GITHUB_TOKEN=hush-hush
exits 0 "with it" slip deploy github:o/private@main
GITHUB_TOKEN=not-it
exits 1 "a wrong token" slip deploy github:o/private@main
says "is told" "Bad credentials"
is "it is asked for once" 1 "$(grep -c '"status": 401\|not-it' "$P/log")"
unset GITHUB_TOKEN
is "no token is in what was said" 0 "$(cat "$T/err" "$T/out" | grep -c -e hush-hush -e not-it)"
forget
order archive "json 502 x"
order codeload "cut 100000"
exits 0 "an error of theirs, and a cut" slip deploy github:o/r@v1
says "are told" "goes on in"
ok "and mended" installed
is "an archive without a strong validator begins again" 0 "$(grep -c '"range": "bytes' "$P/log")"
# Such an attempt is progress only where it gets further than all before it.
order codeload "cut 200000"
order codeload "cut 70000"
order codeload "cut 200000"
exits 0 "cuts that come earlier, then later again" slip deploy github:o/r@v1
is "end in pauses that grow" "0 2" "$(grep -oE 'goes on in [0-9]+' "$T/err" | awk '{ print $4 }' | head -n 2 | xargs)"
is "also where one got further than the one before it" 1 "$(grep -c 'goes on in 0 s' "$T/err")"
forget
order archive "header Retry-After 1"
order archive "json 404 {}"
exits 1 "what is not there" slip deploy github:o/r@none

# --- the web --------------------------------------------------------------------------------------------------------------
web=$github/codeload/o/r/legacy.tar.gz/v1
sum=$(sha256sum "$P/github/o/r/v1.tar.gz" | cut -d' ' -f1)
exits 0 "deploy from the web" slip deploy "$web" --type tgz --sha256 "$sum"
exits 0 "with the hash in the address" slip deploy "$web#sha256=$sum" --type tgz
exits 2 "a wrong hash" slip deploy "$web" --type tgz --sha256 "${sum//[0-4]/5}"
says "is refused" "SHA-256 is"
printf 'ca_file: /etc/ssl/certs/ca-certificates.crt\ndestination_root: %s\n' "$R/tree" >"$R/etc/slipway/agent.yml"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
	exits 1 "a server that nobody vouches for" slip deploy "$web" --type tgz --sha256 "$sum"
	says "is not asked, and says what to do" "ca_file in agent.yml"
fi
aws_settings "destination_root: $R/tree"

# --- the daemon: what comes is unpacked at once ----------------------------------------------------------------------------
slip remove --group default-local-deployment-group >/dev/null
rm "$R/etc/onpremises.yml"
# shellcheck disable=SC2119
start_daemon
deploy() { # deploy NAME [ORDER...]: one deployment by the daemon, with these orders
	local name=$1 o
	shift
	for o; do order GetObject "$o"; done
	deployment "$name"
	within 60 completed "$name" ValidateService Succeeded
}
revision 6 3000000
cp "$T/new.tgz" "$P/s3/bucket/app.tgz"
forget
ok "a bundle is deployed by the daemon" deploy d-once
ok "and right" installed
is "nothing of it was on the daemon's disk" 0 "$(grep -c 'download-' "$T/daemon.err")"
revision 7 3000000
cp "$T/new.tgz" "$P/s3/bucket/app.tgz"
forget
ok "one that is cut three times" deploy d-cut "cut 70000" "cut 1000000" "cut 900000"
ok "is right" installed
is "by four requests" 4 "$(requests GetObject)"
is "three of them for the rest" 3 "$(grep -c '"range": "bytes' "$P/log")"
if [ -n "${SLIPWAY_EXHAUST:-}" ]; then
	wrong=0
	for ((i = 0; i < 100; i++)); do
		revision $((100 + i)) 2000000
		cp "$T/new.tgz" "$P/s3/bucket/app.tgz"
		forget
		deploy "d-$i" "cut $((RANDOM * 61 % 1990000))" && installed && [ "$(requests GetObject)" = 2 ] || wrong=$((wrong + 1))
	done
	is "100 deployments, each cut once" 0 $wrong
fi
# Another object than the one that was begun: a new pipe, and the worker begins again.
revision 8 3000000
cp "$T/new.tgz" "$P/s3/bucket/app.tgz"
order GetObject "cut 1000000"
order GetObject "hold 2"
revision 9 2500000
cp "$T/new.tgz" "$P/s3/bucket/.new"
forget
deployment d-next
within 30 at_least 2 GetObject
mv "$P/s3/bucket/.new" "$P/s3/bucket/app.tgz"
ok "an object that changes in the middle" within 60 completed d-next ValidateService Succeeded
ok "is the new one as a whole" installed
# A zip cannot be read from a pipe, so the worker copies it first.
revision 10 1500000
(cd "$T/r" && python3 -m zipfile -c "$P/s3/bucket/app.zip" appspec.yml files)
order GetObject "cut 700000"
deployment d-zip '{"spec": {"Revision": {"RevisionType": "S3", "S3Revision": {"Bucket": "bucket", "Key": "app.zip", "BundleType": "zip"}}}}'
ok "a zip that is cut" within 60 completed d-zip ValidateService Succeeded
ok "is right" installed
# The death of either side in the middle: what came counts for nothing, and the next one does it all.
worker() { pgrep -f -- "slipway-worker --root $R"; }
# shellcheck disable=SC2317
unpacking() { [ -n "$(find "$R" -path '*/.deployment-archive.new/files/data' -size +100k)" ]; }
died() {
	local name=$1 victim
	revision "$2" 3000000
	cp "$T/new.tgz" "$P/s3/bucket/app.tgz"
	forget
	order GetObject "stall 1000000"
	deployment "$name"
	within 30 at_least 1 GetObject && within 10 unpacking || return
	[ "$3" = daemon ] && victim=${started[daemon]} || victim=$(worker)
	kill -KILL "$victim"
}
died d-worker 11 worker
ok "the worker dies while the bundle comes: the daemon has another one do it" within 60 completed d-worker ValidateService Succeeded
ok "right" installed
died d-daemon 12 daemon
wait "${started[daemon]}" 2>/dev/null
# shellcheck disable=SC2119
start_daemon
ok "the daemon dies while the bundle comes: the next one does it" within 60 completed d-daemon ValidateService Succeeded
ok "right" installed
is "nothing half unpacked is left" "" "$(find "$R" -name '.deployment-archive.new')"
is "nobody complained" "" "$(complaints)"
[ -z "${SLIPWAY_EXHAUST-}" ] || echo "# exhaust: downloads: $((2 * cuts)) cuts, $tests_failed violations"
done_testing
