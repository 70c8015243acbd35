#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway verify: every way in which an installed object can differ is found, and nothing else; nothing is touched, and what another
# group does at the same time does not matter.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
tree=$T/host/tree
app=$tree/srv/app
mkdir "$tree/srv" # not made by a deployment
all() { (cd "$T/host" && { find tree -printf '%p %y %m %u %T@ %C@\n'; find var/lib/slipway/host/groups -printf '%p %y %m %u %T@\n'; } | LC_ALL=C sort); }
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/out" "$1"; }
# drift: "KIND PATH: WHAT EXPECTED FOUND" of everything that was found, below the destination.
drift() {
	slip verify --json "$@" >"$T/out"
	python3 - "$T/out" "$app/" <<'P'
import json, sys
for o in sorted(json.load(open(sys.argv[1]))["drift"], key=lambda o: o["path"]):
    print(o["kind"], o["path"].replace(sys.argv[2], ""), *("%s %s %s" % (d["what"], d.get("expected", "-"), d.get("found", "-")) for d in o["differs"]), sep=" | ")
P
}

exits 0 "a host without deployments has no drift" slip verify
make_revision "$T/r1" 1
mkdir -p "$T/r1/app/sub/deep"
for name in same time mode removed directory file linked; do echo "$name" >"$T/r1/app/$name"; done
echo in >"$T/r1/app/sub/deep/file"
ln -s same "$T/r1/app/link"
ln -s nowhere "$T/r1/app/dangling"
touch "$T/r1/app/$(printf 'odd\377\n\033[2Jname')"
exits 0 "a revision is deployed" slip deploy "$T/r1"
exits 0 "nothing differs" slip verify
says "which is told" "no drift: all 16 are as they were installed" "$T/out"

# --- each kind of difference --------------------------------------------------------------------------------------------------
touch -d '2020-01-01' "$app/time" # a time alone is no drift
echo SAME >"$app/same"
chmod 600 "$app/mode"
rm "$app/removed" "$app/directory" "$app/file" "$app/linked"
mkdir "$app/directory"
mkfifo "$app/file"
ln -s same "$app/linked"
ln -sfn same "$app/dangling"
echo x >"$app/new"
mkdir -p "$app/sub/made/below"
touch "$app/sub/made/below/file" "$tree/srv/not-in-it"
chmod 700 "$app/sub/deep"
before=$(all)
is "all of it is found, and nothing else" "$(cat <<'X'
modified | dangling | target nowhere same
type | directory | type file directory
type | file | type file device, pipe or socket
type | linked | type file symlink
metadata | mode | mode 0644 0600
extra | new | type - file
missing | removed
modified | same | content - -
metadata | sub/deep | mode 0755 0700
extra | sub/made | type - directory
X
)" "$(drift)"
is "the counts agree" "[2, 1, 3, 2, 2, 16]" \
	"$(field '[d["groups"][0][k] for k in ("modified", "missing", "type", "metadata", "extra", "objects")]')"
is "nothing was touched" "$before" "$(all)"
exits 1 "there is drift: exit 1" slip verify --group default-local-deployment-group
says "one line per path" "modified  $app/same  content differs" "$T/out"
says "with what differs" "metadata  $app/mode  mode 0644 -> 0600" "$T/out"
says "and a sum" "2 modified, 1 missing, 3 of another type, 2 with other metadata, 2 extra; of 16 installed" "$T/out"
is "without --no-extra; with it, extra is not looked for" 0 "$(drift --no-extra | grep -ac extra)"
rm -r "$app/directory" "$app/file"
exits 0 "redeploy puts it right" slip redeploy
exits 0 "but what is extra, which it leaves alone" slip verify --no-extra
exits 1 "is extra still" slip verify
rm -r "$app/new" "$app/sub/made"
if [ "$(id -u)" = 0 ]; then
	chown 65534:65534 "$app/mode"
	is "owner and group" "metadata | mode | owner root nobody | group root nogroup" "$(drift)"
	chown 0:0 "$app/mode"
else
	skip "owner and group" "not root"
fi
if command -v setfacl >/dev/null && setfacl -m u:65534:rw "$app/mode" 2>/dev/null; then
	setfacl -d -m u:65534:rx "$app/sub"
	is "ACLs" "metadata | mode | mode 0644 0664 | acl none user::rw-,user:nobody:rw-,group::r--,mask::rw-,other::r-- metadata | sub | default_acl none user::rwx,user:nobody:r-x,group::r-x,mask::r-x,other::r-x" \
		"$(drift | tr '\n' ' ' | sed 's/ $//')"
	setfacl -b "$app/mode" "$app/sub"
	exits 0 "which can be taken away again" slip verify
else
	skip "ACLs" "no setfacl, or no ACLs here"
fi
mv "$app/sub" "$T/sub" && ln -s "$T/sub" "$app/sub"
is "a directory that is a symlink now, and what was in it" "type | sub | type directory symlink missing | sub/deep missing | sub/deep/file" \
	"$(drift | tr '\n' ' ' | sed 's/ $//')"
rm "$app/sub" && mv "$T/sub" "$app/sub"
echo changed >"$app/$(printf 'odd\377\n\033[2Jname')"
exits 1 "a name that is made to look like something else" slip verify
is "is one harmless line" "1 0" "$(grep -ac 'modified.*odd' "$T/out") $(LC_ALL=C grep -ac '[[:cntrl:]]' "$T/out")"
: >"$app/$(printf 'odd\377\n\033[2Jname')"

mkdir "$app/sub/mounted"
if unshare -m mount -t tmpfs none "$app/sub/mounted" 2>/dev/null; then
	exits 0 "what is mounted in it is not looked at" unshare -m bash -c 'mount -t tmpfs none "$1" && touch "$1/file" "$1/other" && shift && "$@"' - \
		"$app/sub/mounted" timeout 60 "$SLIPWAY" --root "$T/host" verify
else
	skip "what is mounted in it is not looked at" "cannot mount"
fi
rmdir "$app/sub/mounted"

# --- long lists -----------------------------------------------------------------------------------------------------------------
mkdir "$app/sub/deep/many"
exits 1 "an extra directory is one line" slip verify
(cd "$app/sub/deep" && rmdir many && touch {1..300})
exits 1 "300 extra files" slip verify
is "are cut for people" 200 "$(grep -ac '^  extra' "$T/out")"
says "who are told" "... and 100 more: --all or --json shows them" "$T/out"
slip verify --all >"$T/out"
is "--all has them all" 300 "$(grep -ac '^  extra' "$T/out")"
is "and so has --json" 300 "$(drift | grep -ac '^extra')"
(cd "$app/sub/deep" && rm {1..300})

# --- several groups ---------------------------------------------------------------------------------------------------------------
make_revision "$T/other" 2
mkdir -p "$T/other/app/in"
echo theirs >"$T/other/app/in/file"
cat >"$T/other/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: app/in
    destination: /srv/app/sub/theirs
hooks:
  ApplicationStart:
    - location: scripts/start.sh
Y
exits 0 "another group installs into this one's directories" slip deploy "$T/other" --group other
exits 0 "which is not extra" slip verify
is "both were looked at" "default-local-deployment-group other" "$(slip verify --json >"$T/out"; field '" ".join(g["group_id"] for g in d["groups"])')"
echo changed >"$app/sub/theirs/file"
exits 0 "what is changed of one" slip verify --group default-local-deployment-group
exits 1 "is drift of that one alone" slip verify --group other
exits 2 "an unknown group is exit 2" slip verify --group nobody
exits 2 "so is an operand" slip verify nobody

# --- the revision is gone ---------------------------------------------------------------------------------------------------------
mv "$T/host/var/lib/slipway/deployment-root/other" "$T/kept"
is "without the revision a size or a time tells" "modified | sub/theirs/file | size 7 8" "$(drift --group other)"
is "which is counted" 1 "$(field 'd["groups"][0]["uncompared"]')"
slip verify --group other >"$T/out" 2>"$T/err"
says "and told" "size and time were compared, not content" "$T/out"
rm -r "$T/host/var/lib/slipway/deployment-root/other" && mv "$T/kept" "$T/host/var/lib/slipway/deployment-root/other"

# --- while deployments go on ---------------------------------------------------------------------------------------------------------
printf 'hook_environment:\n  HOLD: %s\n' "$T/hold" >>"$T/host/etc/slipway/agent.yml"
hold_at "$T/other" start.sh
start other slip deploy "$T/other" --group other
held() { [ -n "$(find "$T/hold" -name 'at-*')" ]; }
ok "and waits there" within 20 held
exits 0 "this group can be verified meanwhile" slip verify --group default-local-deployment-group
exits 6 "that one cannot" slip verify --group other
says "and says why" "is busy"
exits 6 "all groups: exit 6" slip verify
says "the other was verified" "no drift" "$T/out"
says "and this one was not" "not verified: group 'other' is busy" "$T/out"
echo drift >"$app/same"
exits 1 "drift counts more than a busy group" slip verify
release_hold
ok "the deployment ends" within 30 gone "${started[other]}"
ok "no temporary directory is left" test -z "$(ls "$T/host/var/lib/slipway/host/tmp")"
done_testing
