#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway adopt: a group takes over another's files, all or some; no file is touched, and what the two groups do next follows from it.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
tree=$T/host/tree
mkdir "$tree/srv" # not made by a deployment
all() { (cd "$tree" && find . -printf '%p %y %m %T@ %C@\n' | LC_ALL=C sort); }
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/out" "$1"; }
# objects GROUP: how many it has installed.
objects() { slip verify --group "$1" --json >"$T/out"; field 'd["groups"][0]["objects"]'; }
group() { slip status --json >"$T/out"; field "[g for g in d['groups'] if g['group_id'] == '$1'][0].get('$2')"; }

make_revision "$T/r1" 1
mkdir -p "$T/r1/app/pages/deep"
echo page >"$T/r1/app/pages/index"
echo deep >"$T/r1/app/pages/deep/file"
ln -s index "$T/r1/app/pages/link"
cp -r "$T/r1" "$T/r2"
echo 2 >"$T/r2/app/revision"
mv "$T/r2/app/only-1" "$T/r2/app/only-2"
exits 0 "a revision is deployed" slip deploy "$T/r1" --group shop

# --- a group that was made anew -----------------------------------------------------------------------------------------------
exits 3 "the first deployment of another group with the same files is refused" slip deploy "$T/r2" --group "shop-2"
says "which names the command for one path" \
	"$tree/srv/app/revision: it belongs to the deployment group 'shop': deploy to that one, take it out of one of the two revisions, or hand it over:
  slipway adopt --group shop-2 --from shop $tree/srv/app/revision"
command=$(sed -n "/^warning: group 'shop' owns 4 of these paths; to hand over all of its files:/{n;s/^  //p}" "$T/err")
is "and for all of them" "slipway adopt --group shop-2 --from shop" "$command"
exits 3 "also where files may be overwritten" slip deploy "$T/r2" --group "shop-2" --file-exists-behavior OVERWRITE
says "it is the group that is in the way" "it belongs to the deployment group 'shop'"
before=$(all)
exits 0 "the command works as it was told" bash -c "slipway() { timeout 60 '$SLIPWAY' --root '$T/host' \"\$@\"; }; $command"
says "and says what was done" "done: 8 files and directories of group 'shop' belong to 'shop-2' now" "$T/out"
is "no file was touched" "$before" "$(all)"
is "they are the new group's" "8 0" "$(objects shop-2) $(objects shop)"
is "in the old one nothing is installed" None "$(group shop installed)"
slip status >"$T/status"
says "which status says, and why" "8 objects to group shop-2" "$T/status"
is "neither runs a revision of its own" 2 "$(grep -c '^  runs     no revision$' "$T/status")"
exits 2 "there is nothing to remove" slip remove --group shop
exits 2 "and in the new one no revision whose application could be stopped" slip remove --group shop-2
says "which says what helps" "deploy one first"
exits 3 "going back in the old one is refused" slip rollback --group shop
says "because the files are another's" "it belongs to the deployment group 'shop-2'"
exits 0 "the new group deploys" slip deploy "$T/r2" --group shop-2
is "it replaces" 2 "$(installed host)"
is "and removes what its revision does not have" "only-2 pages revision" "$(cd "$tree/srv/app" && echo *)"
exits 0 "and is without drift" slip verify --group shop-2
exits 0 "it deploys another" slip deploy "$T/r1" --group shop-2
exits 0 "and goes back" slip rollback --group shop-2
is "to its own" 2 "$(installed host)"
slip history >"$T/history"
says "history has it for the one" "8 objects of group shop" "$T/history"
says "and for the other" "8 objects to group shop-2" "$T/history"
is "under its own verb" "adopt adopt" "$(slip history --json >"$T/out"; field '" ".join(x["verb"] for x in d["deployments"] if x["verb"] == "adopt")')"
exits 0 "explain knows it, too" slip explain "$(field '[x["deployment_id"] for x in d["deployments"] if x["verb"] == "adopt"][0]')"
says "as what it was" "adopt succeeded" "$T/out"

# --- a group is split ----------------------------------------------------------------------------------------------------------
before=$(all)
ln -s srv "$tree/alias"
exits 0 "one directory goes to a third, named through a symlink" slip adopt --group www --from shop-2 "$tree/alias/app/pages" --json
is "with what is in it" "5 3 www shop-2" "$(field 'd["objects"], d["left"], d["group_id"], d["from"]' | tr -d "(),'")"
rm "$tree/alias"
is "both have their part" "5 3" "$(objects www) $(objects shop-2)"
is "the giver's deployment is still installed" True "$(slip status --json >"$T/out"; field 'any(g["group_id"] == "shop-2" and g["installed"] for g in d["groups"])')"
rm -r "$T/r2/app/pages"
exits 0 "the giver deploys without them" slip deploy "$T/r2" --group shop-2
is "they stay" page "$(cat "$tree/srv/app/pages/index")"
exits 3 "but it may not have them again" slip deploy "$T/r1" --group shop-2
mkdir -p "$T/www/in"
echo new >"$T/www/in/index"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: in\n    destination: /srv/app/pages\n' >"$T/www/appspec.yml"
exits 0 "the third deploys its own" slip deploy "$T/www" --group www
is "in their place" "new" "$(cd "$tree/srv/app/pages" && cat *)"
exits 0 "and takes it away" slip remove --group www
is "with the directory" "only-2 revision" "$(cd "$tree/srv/app" && echo *)"

# --- groups are merged: directories of the one in those of the other, both ways ---------------------------------------------------
mkdir -p "$T/a/in" "$T/b/in"
touch "$T/a/in/file-a" "$T/b/in/file-b"
files() { printf 'version: 0.0\nos: linux\nfiles:\n'; for dir; do printf '  - source: in\n    destination: %s\n' "$dir"; done; }
files /opt/m/a /opt/m >"$T/a/appspec.yml"
files /opt/m/a/b /opt/n >"$T/b/appspec.yml"
exits 0 "group a makes a directory" slip deploy "$T/a" --group a
exits 0 "group b another one in it" slip deploy "$T/b" --group b
files /opt/m/a /opt/m /opt/n/c >"$T/a/appspec.yml"
exits 0 "and a one in a directory of b" slip deploy "$T/a" --group a
exits 0 "b takes over all of a" slip adopt --group b --from a
printf 'version: 0.0\nos: linux\nfiles: []\n' >"$T/b/appspec.yml"
exits 0 "and its next revision has none of it" slip deploy "$T/b" --group b
ok "so everything is gone, in the right order" test ! -e "$tree/opt/m" -a ! -e "$tree/opt/n"

# --- how it is called --------------------------------------------------------------------------------------------------------------
before=$(all)
exits 2 "without --from" slip adopt --group x
exits 2 "without --group" slip adopt --from shop-2
exits 2 "an unknown giver" slip adopt --group x --from nobody
says "is named" "'nobody'"
exits 2 "the same group twice" slip adopt --group shop-2 --from shop-2
exits 2 "a path at which there is nothing" slip adopt --group x --from shop-2 /none
says "is named" "has installed nothing at or below '/none'"
exits 2 "a giver without files" slip adopt --group x --from shop
exits 2 "a group of an endpoint that is not known here" slip adopt --group app/x --from shop-2
says "can become known" "deploy to it once"
ok "none of this has made a group" test ! -e "$T/host/var/lib/slipway/host/groups/x"
is "or touched anything" "$before" "$(all)"

# --- busy ------------------------------------------------------------------------------------------------------------------------
printf 'hook_environment:\n  HOLD: %s\n' "$T/hold" >>"$T/host/etc/slipway/agent.yml"
hold_at "$T/r2" start.sh
held() { [ -n "$(find "$T/hold" -name 'at-*')" ]; }
start slow slip deploy "$T/r2" --group shop-2
ok "a deployment is going on" within 20 held
exits 6 "its group cannot give" slip adopt --group x --from shop-2
exits 6 "nor take" slip adopt --group shop-2 --from www
says "politely" "is busy"
release_hold
ok "it ends" within 30 gone "${started[slow]}"
exits 0 "then it can" slip adopt --group x --from shop-2
done_testing
