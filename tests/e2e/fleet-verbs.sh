#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The management API for people: inventory, applications, groups, push, deployments that cannot work.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
fleet_up
export XDG_STATE_HOME=$T/state
fleet() { "$SLIPWAY" fleet "$@"; }
json() { python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    value = value[int(name)] if isinstance(value, list) else value[name]
print(value)' "$T/out" "$@"; }

# Credentials
exits 2 "credentials are needed" env -u SLIPWAY_CREDENTIALS HOME="$T/nobody" "$SLIPWAY" fleet hosts
says "and the message says where they come from" "slipway-controld init"
echo '{"endpoint":"https://127.0.0.1:1","access_key_id":"A","secret_access_key":"S","region":"r"}' >"$T/away.json"
exits 6 "an endpoint that is not there is unreachable" fleet hosts --credentials "$T/away.json"
sed 's/"secret_access_key": "./&x/' "$SLIPWAY_CREDENTIALS" >"$T/wrong.json"
exits 1 "a wrong secret is refused" fleet hosts --credentials "$T/wrong.json"
says "and the message names the file" "$T/wrong.json"
ok "but not the secret" sh -c "! grep -qF \"\$(sed -n 's/.*secret_access_key\": \"\([^\"]*\).*/\1/p' '$T/wrong.json')\" '$T/err'"
sed '/"ca": /d' "$SLIPWAY_CREDENTIALS" >"$T/no-ca.json"
exits 1 "without its CA the endpoint is a stranger" fleet hosts --credentials "$T/no-ca.json"
says "with the subject of the certificate" "CN="
echo 'nonsense' >"$T/broken.json"
exits 2 "broken credentials are named" fleet hosts --credentials "$T/broken.json"
mkdir -p "$T/home/.config/slipway"
cp "$SLIPWAY_CREDENTIALS" "$T/home/.config/slipway/credentials.json"
exits 0 "credentials are found in the home directory" env -u SLIPWAY_CREDENTIALS -u XDG_CONFIG_HOME HOME="$T/home" "$SLIPWAY" fleet hosts
says "an empty fleet says how to begin" "slipway enroll" "$T/out"

# Hosts
enrolled web1 role=web
enrolled db1 role=db
exits 0 "hosts are listed" fleet hosts
ok "with their state and tags" grep -qE '^db1 +has never polled +role=db ' "$T/out"
exits 0 "hosts as JSON" fleet hosts --json
is "both" 2 "$(json hosts | grep -o instanceName | wc -l)"
is "with the exit code" 0 "$(json exit)"

# Applications
exits 2 "an application needs a name" fleet app create
exits 0 "an application is made" fleet app create --app shop
exits 2 "not twice" fleet app create --app shop
says "and the message is the endpoint's" "ApplicationAlreadyExistsException"
exits 2 "not with a name that cannot be" fleet app create --app 'a b'
exits 0 "applications are listed" fleet app list
is "by name" shop "$(cat "$T/out")"

# Groups
exits 2 "a group needs tags" fleet group create --app shop --group web
exits 0 "a group is made" fleet group create --app shop --group web --tag role=web --tag zone --config AllAtOnce
exits 0 "groups are listed" fleet group list --app shop
ok "with tags and configuration" grep -qE '^shop +web +role=web zone +CodeDeployDefault.AllAtOnce$' "$T/out"
exits 2 "a group of nothing is refused" fleet group create --app nothing --group web --tag role=web
exits 0 "groups as JSON" fleet group list --json
is "of every application" web "$(json groups 0 deploymentGroupName)"

# Push
make_revision "$T/rev1" 1
exits 2 "nothing was pushed from here yet" fleet deploy --app shop --group web
says "and the message says what to do" "--revision s3://BUCKET/KEY"
exits 0 "a directory is pushed" fleet push "$T/rev1" --app shop --description 'first light'
revision=$(grep -oE 's3://bundles/shop/[0-9TZ]+-[0-9a-f]{8}\.tgz' "$T/out" | head -n 1)
says "and the command to deploy it is printed" "slipway fleet deploy --app shop --group GROUP --revision $revision --watch" "$T/out"
exits 0 "push speaks JSON" fleet push "$T/rev1" --app shop --key "odd names/ä+b~(1).tgz" --bucket other --json
is "with the address" "s3://other/odd names/ä+b~(1).tgz" "$(json revision)"
sha=$(json sha256)
tar -C "$T/rev1" -cf "$T/rev1.tar" .
exits 0 "an archive is pushed as it is" fleet push "$T/rev1.tar" --app shop --json
is "with its own hash" "$(sha256sum "$T/rev1.tar" | cut -d' ' -f1)" "$(json sha256)"
is "and its own type" tar "$(json bundle_type)"
cp -r "$T/rev1" "$T/large" && head -c 3000000 /dev/urandom >"$T/large/app/large"
TERM=xterm "$top_srcdir/tests/e2e/terminal.py" "$T/push.raw" "$SLIPWAY" fleet push "$T/large" --app shop >"$T/push"
says "on a terminal the upload has a bar" "  upload    [##############################] 100 %" "$T/push.raw"
is "which is gone at the end" 0 "$(grep -c upload "$T/push")"
exits 2 "a file of another kind is refused" fleet push "$T/init.out" --app shop
exits 2 "a directory without an AppSpec is refused" fleet push "$T/home" --app shop
exits 2 "what is not there is refused" fleet push "$T/no-such" --app shop
exits 2 "an application that is not there is refused" fleet push "$T/rev1" --app nothing
is "nothing is left over in the temporary directory" "" "$(find "${TMPDIR:-/var/tmp}" -maxdepth 1 -name 'slipway-push.*' -print -quit)"
is "a repeated push has the same bytes" "$sha" "$(fleet push "$T/rev1" --app shop --json | grep -oE '"sha256":"[0-9a-f]+' | cut -d'"' -f4)"

# Deployments: the host has never polled, so each fails at once and says so
exits 1 "a deployment to a silent host fails" fleet deploy --app shop --group web --watch
says "and names the host" "First failure: host web1" "$T/out"
says "and the reason" "never polled" "$T/out"
exits 0 "a deployment is only made without --watch" fleet deploy --app shop --group web --revision "$revision" --config OneAtATime
says "and says how to follow it" "slipway fleet watch d-" "$T/out"
id=$(grep -oE 'd-[A-Z0-9]{9}' "$T/out" | head -n 1)
exits 1 "watch tells how it ended" fleet watch "$id"
exits 1 "watch speaks JSON" fleet watch "$id" --json
is "with the first failure" web1 "$(json first_failure host)"
is "and the state" Failed "$(json status)"
exits 0 "show does too, and is done" fleet show "$id"
says "with the revision" "$revision to shop/web" "$T/out"
exits 2 "what is over cannot be stopped" fleet stop "$id"
exits 2 "what is not there cannot be watched" fleet watch d-AAAAAAAAA
exits 2 "nor shown" fleet show d-AAAAAAAAA
exits 2 "a revision must say its type" fleet deploy --app shop --group web --revision s3://b/k
exits 2 "a group must be there" fleet deploy --app shop --group nothing --revision "$revision"
exits 2 "a behaviour must be one of three" fleet deploy --app shop --group web --revision "$revision" --file-exists-behavior PERHAPS
exits 0 "deployments are listed" fleet deployments
is "the newest first" "$id" "$(sed -n 2p "$T/out" | cut -d' ' -f1)"
exits 0 "as many as wanted" fleet deployments --app shop --group web --limit 1 --json
is "one" 1 "$(json deployments | grep -o "'deploymentId'" | wc -l)"
exits 2 "an application alone is not enough" fleet deployments --app shop

# Away with it
exits 0 "a group is deleted" fleet group delete --app shop --group web
exits 0 "an application is deleted" fleet app delete --app shop
exits 0 "none is left" fleet app list
says "and the list says how to begin" "slipway fleet app create" "$T/out"

# Help
for verb in hosts "app create" "app list" "app delete" "group create" "group list" "group delete" push deploy watch stop deployments show; do
	# shellcheck disable=SC2086
	exits 0 "fleet $verb explains itself" fleet $verb --help
	says "with an example" "slipway fleet $verb" "$T/out"
done
done_testing
