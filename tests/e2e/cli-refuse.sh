#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is refused, and that nothing was touched then: bad input is exit 2, a plan that cannot work is exit 3.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
make_revision "$T/r1" 1
all() { (cd "$T/host/tree" && find . -printf '%p %y %m %T@ %C@\n' | sort); }

# --- plan -----------------------------------------------------------------------------------------------------------------
before=$(all)
exits 0 "plan shows what a deployment would do" slip plan "$T/r1"
says "with each operation" "/srv/app/revision" "$T/out"
says "and a sum" "to create" "$T/out"
is "and touches nothing" "$before" "$(all)"
exits 0 "no deployment is remembered" slip history
says "for it" "no deployment has ended here yet" "$T/out"

# --- files in the way -------------------------------------------------------------------------------------------------------
mkdir -p "$T/host/tree/srv/app"
echo mine >"$T/host/tree/srv/app/revision"
before=$(all)
exits 3 "plan refuses a file that is in the way" slip plan "$T/r1"
exits 3 "and so does deploy" slip deploy "$T/r1"
says "the file is named" "/srv/app/revision"
says "and what to do" "--file-exists-behavior"
is "nothing was touched" "$before" "$(all)"
exits 0 "RETAIN keeps it" slip deploy "$T/r1" --file-exists-behavior retain
is "as it is" mine "$(installed host)"
make_revision "$T/r2" 2
sed -i 's/^os: linux/&\nfile_exists_behavior: OVERWRITE/' "$T/r2/appspec.yml"
exits 0 "OVERWRITE in the AppSpec replaces it" slip deploy "$T/r2"
is "with the revision's" 2 "$(installed host)"
exits 3 "another group's files are refused, too" slip deploy "$T/r1" --group other
says "and what helps there" "slipway adopt --group other --from "
is "nothing is said of what does not help" "" "$(grep -F file-exists-behavior "$T/err")"

# --- mistakes in the AppSpec --------------------------------------------------------------------------------------------------
make_revision "$T/bad" 4
cat >"$T/bad/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/app
  - source: nowhere
hooks:
  ApplicationStart:
    - location: scripts/missing.sh
      timeout: soon
Y
before=$(all)
exits 2 "a bad AppSpec is exit 2" slip deploy "$T/bad"
says "the first mistake has its place" "appspec.yml:6:"
says "and so has the second" "appspec.yml:10:"
is "nothing was touched" "$before" "$(all)"
printf 'version: 0.0\nos: linux\nfiles: [\n' >"$T/bad/appspec.yml"
exits 2 "so is one that is no YAML" slip deploy "$T/bad"
says "with its place" "appspec.yml:4:1"
rm "$T/bad/appspec.yml"
exits 2 "so is a directory without one" slip deploy "$T/bad"
says "which names what was looked for" "there is no 'appspec.yml' in it"

cat >"$T/bad/appspec.yml" <<'Y'
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: <TASK_DEFINITION>
        LoadBalancerInfo: {ContainerName: web, ContainerPort: 80}
Hooks:
  - BeforeInstall: checkInputs
Y
exits 2 "an AppSpec for ECS is exit 2" slip deploy "$T/bad"
says "which says what it is" "appspec.yml:2:1: this AppSpec is for an ECS service"
says "and what a host's has" "'os: linux', 'files' and 'hooks'"
is "nothing was touched" "$before" "$(all)"
exits 2 "lint, too, has one error for it" slip lint "$T/bad"
says "and no heap" "1 error, 0 warnings" "$T/out"
cat >"$T/lambda.json" <<'J'
{"version": 0.0,
 "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": {"Name": "f", "Alias": "live"}}}],
 "Hooks": [{"BeforeAllowTraffic": "check"}]}
J
exits 2 "and so for one of Lambda, in JSON" slip lint "$T/lambda.json"
says "with its place" "lambda.json:2:2: this AppSpec is for a Lambda function" "$T/out"
rm "$T/bad/appspec.yml"

# --- how it is called -------------------------------------------------------------------------------------------------------
exits 2 "an unknown option is exit 2" slip deploy "$T/r1" --gruop x
says "and named" "'--gruop'"
exits 2 "a missing source" slip deploy
exits 2 "a source that does not exist" slip deploy "$T/none.tgz"
says "is named" "$T/none.tgz"
echo x >"$T/file.rpm"
exits 2 "a file of another kind" slip deploy "$T/file.rpm"
says "says what is taken" ".tar.zst"
exits 2 "an address without a hash" slip deploy https://example.com/a.tgz
says "says what to add" "--sha256"
exits 2 "s3:// without a key" slip plan s3://bucket
says "says what it is" "s3://BUCKET/KEY"
exits 2 "http://" slip deploy http://example.com/a.tgz
says "is refused" "https://"
echo x >"$T/file.tgz"
exits 2 "a hash that is none" slip deploy "$T/file.tgz" --sha256 abc
says "says what one is" "64 digits"
echo "not an archive" >"$T/broken.tgz"
exits 2 "a broken bundle" slip deploy "$T/broken.tgz"
is "is named once" 1 "$(grep -o "bundle '$T/broken.tgz'" "$T/err" | wc -l)"
is "none of this touched anything" "$before" "$(all)"
exits 2 "an unknown file-exists-behavior" slip deploy "$T/r1" --file-exists-behavior REPLACE
exits 2 "a group that is no name" slip deploy "$T/r1" --group ../x
exits 2 "a group with a blank" slip deploy "$T/r1" --group "a b"
says "says what is" "without blanks"
cp -r "$T/r1" "$T/warned"
sed -i 's/^files:/Files: none\n&/' "$T/warned/appspec.yml"
exits 2 "an event that is none" slip deploy "$T/warned" --events Foo
says "is named although the AppSpec has a warning" "Foo"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir -p "$T/closed"
	chmod 711 "$T"
	exits 1 "who may not write there" setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$SLIPWAY" --root "$T/closed" deploy "$T/r1"
	says "is told what helps" "needs root"
fi
cp "$SLIPWAY" "$top_builddir/slipway-cli" "$T" # the package slipway
exits 1 "deploying without the agent" env -u SLIPWAY_WORKER "$T/slipway" --root "$T/host" deploy "$T/r1"
says "names the package that is missing" "install the package slipway-agent"
exits 0 "checking a bundle needs no agent" env -u SLIPWAY_WORKER "$T/slipway" lint "$T/r1"
cp "$T/host/etc/slipway/agent.yml" "$T/agent.yml"
echo 'hook_enviroment:' >>"$T/host/etc/slipway/agent.yml"
exits 2 "settings with a mistake" slip deploy "$T/r1"
says "are named with file and line" "agent.yml:$(wc -l <"$T/host/etc/slipway/agent.yml"): 'hook_enviroment'"
is "and nobody speaks of a killed worker" "" "$(grep killed "$T/err")"
cp "$T/agent.yml" "$T/host/etc/slipway/agent.yml"
exits 2 "no command at all" slip
says "shows them all" "put a revision in place"
exits 2 "an unknown command" slip depoly
says "is named" "'depoly'"
exits 1 "output that cannot be written is an error" bash -c '"$1" version >/dev/full' - "$SLIPWAY"
says "and named" "standard output"
exits 0 "but not a reader who has seen enough" python3 -c '
import os, subprocess, sys
r, w = os.pipe()
os.close(r)
sys.exit(subprocess.call(sys.argv[1:], stdout=w))' "$SLIPWAY" help
exits 0 "every command has help with an example" slip deploy --help
says "in it" "Examples:" "$T/out"

# --- busy -------------------------------------------------------------------------------------------------------------------
make_revision "$T/slow" 5
hold=$T/hold
mkdir "$hold"
cat >>"$T/slow/scripts/start.sh" <<S
: >$hold/at
while [ ! -e $hold/go ]; do sleep 0.05; done
S
sed -i 's/^os: linux/&\nfile_exists_behavior: OVERWRITE/' "$T/slow/appspec.yml"
start slow slip deploy "$T/slow"
ok "a deployment is going on" within 20 test -e "$hold/at"
exits 6 "a second one of the same group is told to come back" slip deploy "$T/r2"
says "politely" "try again"
slip status >"$T/status"
says "status shows what goes on" "ApplicationStart" "$T/status"
cp -r "$T/r1" "$T/wrong" && sed -i 's/^version: .*/version: 1/' "$T/wrong/appspec.yml"
exits 2 "a deployment of another group is refused meanwhile" slip deploy "$T/wrong" --group other
slip explain >"$T/explain"
says "explain is about the one that goes on" " running" "$T/explain"
: >"$hold/go"
ok "the first one ends" within 30 gone "${started[slow]}"
is "well" 5 "$(installed host)"
done_testing
