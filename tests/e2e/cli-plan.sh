#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway plan: every path with what would happen to it, also those that are refused; and that it is what deploy does then.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
tree=$T/host/tree
app=$tree/srv/app
mkdir "$tree/srv" # not made by a deployment
all() { (cd "$tree" && find . -printf '%p %y %m %T@ %C@\n' | LC_ALL=C sort); }
# planned SOURCE ARGUMENT...: "PATH OP BYTES" of each operation, sorted; the object stays in $T/plan.
planned() {
	slip plan --json "$@" >"$T/plan"
	python3 - "$T/plan" "$tree/srv/" <<'P'
import json, sys
for line in sorted("%s %s %d" % (o["path"].replace(sys.argv[2], ""), o["op"], o["bytes"]) for o in json.load(open(sys.argv[1]))["operations"]):
    print(line)
P
}
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/plan" "$1"; }

make_revision "$T/r1" 1
mkdir "$T/r1/app/sub"
echo same >"$T/r1/app/sub/same"
echo goes >"$T/r1/app/sub/goes"
ln -s same "$T/r1/app/sub/link"
before=$(all)
is "a first deployment" "app mkdir 0
app/only-1 create 10
app/revision create 2
app/sub mkdir 0
app/sub/goes create 5
app/sub/link symlink 0
app/sub/same create 5" "$(planned "$T/r1")"
is "has its counts" "4 2 1 22" "$(field '" ".join(str(d["summary"][k]) for k in ("create", "mkdir", "symlink", "bytes"))')"
is "nothing is touched" "$before" "$(all)"
exits 0 "for people" slip plan "$T/r1"
says "there is a line for each path" "  create    $app/sub/same  5 B" "$T/out"
says "and a sum" "plan: 4 to create, 2 directories to make, 1 symlink to make" "$T/out"
exits 0 "it is deployed" slip deploy "$T/r1"
is "the same again is kept" "keep" "$(planned "$T/r1" | cut -d' ' -f2 | sort -u)"
is "and writes nothing" 0 "$(field 'd["summary"]["bytes"]')"

cp -r "$T/r1" "$T/r2"
rm "$T/r2/app/sub/goes" "$T/r2/app/only-1"
echo other >"$T/r2/app/revision"
chmod 600 "$T/r2/app/sub/same"
rm "$T/r2/app/sub/link"
echo "a file now" >"$T/r2/app/sub/link"
is "the next one: what it changes, leaves and removes" "app keep 0
app/only-1 delete 0
app/revision replace 6
app/sub keep 0
app/sub/goes delete 0
app/sub/link replace 11
app/sub/same metadata 5" "$(planned "$T/r2")"
exits 0 "deploy does that" slip deploy "$T/r2"
is "all of it" "revision:644 sub/link:644 sub/same:600 sub:755" \
	"$(cd "$app" && find . -mindepth 1 -printf '%P:%m\n' | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')"

# --- refusals, each with its path ------------------------------------------------------------------------------------------------
make_revision "$T/r3" 3
mkdir -p "$T/r3/app/dir" "$T/r3/app/fine"
echo 1 >"$T/r3/app/mine"
echo 1 >"$T/r3/app/dir/file"
echo 1 >"$T/r3/app/fine/file"
cat >>"$T/r3/appspec.yml" <<'Y'
permissions:
  - object: /srv/app/fine
    owner: no-such-user
    type: [file]
Y
echo mine >"$app/mine"
mkdir -p "$app/dir/file"
slip deploy "$T/r1" --group first >"$T/out" 2>&1 # refused; known from now on
exits 0 "a group has a file of its own" slip adopt --group first --from default-local-deployment-group "$app/revision"
before=$(all)
is "files, directories and other groups' files are refused, and what is not is planned" "/srv/app/fine refuse 0
app keep 0
app/dir/file refuse 0
app/fine mkdir 0
app/fine/file create 2
app/mine refuse 0
app/only-3 create 10
app/revision refuse 0
app/sub rmdir 0
app/sub/link delete 0
app/sub/same delete 0" "$(planned "$T/r3")"
is "with exit code 3" 3 "$(field 'd["exit"]')"
is "and each has its reason" True "$(field 'all(o.get("reason") for o in d["operations"] if o["op"] == "refuse")')"
is "an unknown user is one" True "$(field 'any("no user" in o["reason"] and "no-such-user" in o["reason"] for o in d["operations"] if o["op"] == "refuse")')"
is "another group's file, with the command that helps" True "$(field 'any(o["reason"].endswith("slipway adopt --group default-local-deployment-group --from first " + o["path"]) for o in d["operations"] if o["op"] == "refuse")')"
is "they are counted" "4 4" "$(field 'd["summary"]["refuse"], sum(o["op"] == "refuse" for o in d["operations"])' | tr -d '(),')"
is "nothing is touched" "$before" "$(all)"

# --- long ones --------------------------------------------------------------------------------------------------------------------
mkdir -p "$T/long/app"
for dir in {1..60}; do
	mkdir -p "$T/long/app/lib/d$dir"
	touch "$T/long/app/lib/d$dir/"{1..5}
done
printf 'version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/long\n' >"$T/long/appspec.yml"
exits 0 "a long plan" slip plan "$T/long" --group long
is "is a table by directory" "  directory                               new" "$(head -n 1 "$T/out" | sed 's/ *new/                               new/')"
says "with what is in it" "srv/long/lib" "$T/out"
says "and how to see all" "362 paths; with --all or --json each of them" "$T/out"
ok "in 80 columns" test "$(wc -L <"$T/out")" -le 80
ok "and not long itself" test "$(wc -l <"$T/out")" -lt 40
exits 0 "--all has a line for each" slip plan "$T/long" --group long --all
is "all of them" 362 "$(grep -c '^  \(mkdir\|create\) ' "$T/out")"
is "and --json" 362 "$(planned "$T/long" --group long | wc -l)"
exits 0 "it is deployed" slip deploy "$T/long" --group long
exits 3 "to another group it is refused" slip plan "$T/long" --group again
is "people see the first" 20 "$(grep -c '^error: ' "$T/err")"
says "and how many more there are" "and 280 more"
says "and the command for all of them" "slipway adopt --group again --from long"
is "--all has each" 300 "$(slip plan "$T/long" --group again --all 2>&1 >"$T/out" | grep -c '^error: ')"
is "--json, too" "300 300" "$(planned "$T/long" --group again | grep -c ' refuse ') $(field 'sum(p["level"] == "error" for p in d["problems"])')"
exits 3 "deploy refuses it" slip deploy "$T/long" --group again
says "and says how many there are" "there are 301 problems in all"
done_testing
