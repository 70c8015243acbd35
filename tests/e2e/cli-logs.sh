#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# logs -f, begun before the first line, in the middle and after the end: it shows every line of every script, once.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
HOLD=$T/hold
mkdir "$HOLD"
echo "hook_environment: {HOLD: $HOLD}" >>"$T/host/etc/slipway/agent.yml"
make_revision "$T/r" 1
for script in configure start validate; do
	cat >>"$T/r/scripts/$script.sh" <<S
: >"\$HOLD/$script"
while [ ! -e "\$HOLD/go" ]; do sleep 0.02; done
for i in \$(seq 300); do echo "$script \$i"; echo "$script \$i, on the other stream" >&2; done
printf 'no end of its line, \303'
printf '\244' >&2
[ "$script\$SLIPWAY_ROLLBACK" != validate ] || exit 4
S
done
log_of() { find "$T/host" -path "*/$1/logs/scripts.log"; }
slip deploy "$T/r" >/dev/null 2>&1 & pid=$!
ok "a deployment runs" within 20 test -e "$HOLD/configure"
touch "$HOLD/go"
ok "and ends" within 30 gone $pid

# follow WHEN: a deployment that waits in its first or second script, and a follower that begins there
follow() {
	local first
	rm "$HOLD"/*
	start deployed "$SLIPWAY" --root "$T/host" deploy "$T/r"
	ok "$1: its first script runs" within 20 test -e "$HOLD/configure"
	if [ "$1" = middle ]; then
		touch "$HOLD/go"
		within 20 test -e "$HOLD/start"
	fi
	start followed "$SLIPWAY" --root "$T/host" logs -f
	start json "$SLIPWAY" --root "$T/host" logs -f --json
	# both follow this one, and not the one before it
	first=$(slip status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["groups"][0].get("open", {}).get("deployment_id", "ended"))')
	touch "$HOLD/go"
	ok "$1: the deployment ends" within 30 gone "${started[deployed]}"
	ok "$1: and so do those who follow" within 30 gone "${started[followed]}"
	ok "$1: both" within 30 gone "${started[json]}"
	[ "$first" != ended ] || first=$(newest deployment_id)
	ok "$1: every line was shown, once" cmp "$(log_of "$first")" "$T/followed.out"
	says "$1: then how it ended" "$first rolled back: 'slipway explain $first' says why" "$T/followed.err"
	is "$1: each line is an object, the last says the exit" "300 300 300 validate.sh stderr exit 0" "$(python3 - "$T/json.out" <<'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
count = lambda text: sum(r.get("line", "").startswith(text) and r.get("stream") == "stdout" for r in rows)
last = [r for r in rows if r.get("line", "").startswith("validate 300,")][-1]
print(count("configure "), count("start "), count("validate "), last["script"].split("/")[-1], last["stream"], "exit", rows[-1]["exit"])
P
)"
}
follow before
follow middle

id=$(newest deployment_id)
exits 0 "after: it ends at once" slip logs -f "$id"
ok "after: with every line" cmp "$(log_of "$id")" "$T/out"
exits 0 "all of it as one object" slip logs --json "$id"
is "which has the lines, too" 300 "$(python3 - "$T/out" <<'P'
import json, sys
lines = json.load(open(sys.argv[1]))["lines"]
print(sum(l["line"].startswith("start ") and l["stream"] == "stdout" for l in lines))
P
)"
done_testing
