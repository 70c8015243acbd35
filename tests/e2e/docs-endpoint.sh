#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/endpoint.md, as written: what it says of the aws CLI and boto3, typed in a directory with a revision. By Debian's CLI; by a
# current one where aws-current.sh calls this with its SLIPWAY_AWS_VENV.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
. "$top_srcdir/tests/e2e/api-lib.sh"
. "$top_srcdir/tests/e2e/boto-lib.sh"
bin=${SLIPWAY_AWS_VENV:+$SLIPWAY_AWS_VENV/bin}
[ -x "${bin:=/usr/bin}/aws" ] || skip_all "the aws CLI of Debian (/usr/bin/aws) is missing"

mkdir "$T/blocks" "$T/work" "$T/work/shop"
awk -v dir="$T/blocks" '/^```(sh|python)$/ { file = dir "/" ++n; next } /^```$/ { file = "" } file { print >file }' \
	"$top_srcdir/docs/endpoint.md"
is "its blocks are there" "1 2 3 4 5 6 7 8" "$(ls "$T/blocks" | xargs)"
printf 'version: 0.0\nos: linux\n' >"$T/work/shop/appspec.yml"

endpoint || exit 1
is "a host that takes part" 200 "$(enroll web1 "$(token --tag role=web)" | head -n 1)"
speaks web1
api_up
ok "it polls" within 20 online web1

# The variables of the first block have the reader's values; it may name no other.
values="AWS_ENDPOINT_URL=$url AWS_CA_BUNDLE=$ca AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=$key_id AWS_SECRET_ACCESS_KEY=$secret"
is "the variables are those that are needed" "$(grep -o 'AWS_[A-Z_]*' <<<"$values" | xargs)" "$(grep -o 'AWS_[A-Z_]*' "$T/blocks/1" | xargs)"
reader() {
	# shellcheck disable=SC2086
	env -i -C "$T/work" PATH="$bin:/usr/bin:/bin" HOME="$T" PYTHONWARNINGS=ignore AWS_EC2_METADATA_DISABLED=true AWS_PAGER= $values "$@"
}
# blocks N...: in one shell.
blocks() { (cd "$T/blocks" && cat "$@") >"$T/script" && reader timeout 300 bash -e -x "$T/script"; }
older=(2) push=5
[ "$bin" = /usr/bin ] || { older=() push=4; }
exits 0 "'$("$bin/aws" --version | cut -d' ' -f1)' deploys" blocks "${older[@]}" 3 $push 6 7
says "to the host" "web1" "$T/out"
says "and lists the object" "shop.zip" "$T/out"
good() { call ListDeployments '{"includeOnlyStatuses": ["Succeeded"]}' deployments | grep -o '"d-' | wc -l; }
is "the deployment succeeded" 1 "$(good)"
exits 0 "boto3 deploys" reader timeout 300 "$python" "$T/blocks/8"
is "that one succeeded, too" 2 "$(good)"

# What 'key create' prints to be typed
"$CONTROLD" key create --dir "$T/control" --name doc | sed -n 's/^  //p' >"$T/script"
is "key create prints two lines to type" 2 "$(wc -l <"$T/script")"
exits 0 "they list the applications" env -i PATH="$bin:/usr/bin:/bin" HOME="$T" PYTHONWARNINGS=ignore AWS_PAGER= bash -e "$T/script"
says "of this endpoint" '"shop"' "$T/out"

# The last command of the deployment's block, when it fails
stop web1
speaks web1 --fail Install
ok "the host polls again" within 20 online web1
exits 0 "a deployment that fails is explained" blocks "${older[@]}" 6
says "in words" "First failure: host 'web1', event 'Install'" "$T/out"
stop web1
ends_well
done_testing
