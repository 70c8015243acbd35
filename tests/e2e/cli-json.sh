#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --json: one object on standard output, whatever happens, with the exit code in it.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
make_revision "$T/r1" 1
make_revision "$T/r2" 2
printf '#!/bin/sh\necho broken\nexit 3\n' >"$T/r2/scripts/start.sh"

# field EXPRESSION: of the object in $T/out, as Python sees it.
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/out" "$1"; }

# json CODE NAME ARGUMENT...: ends with that code and prints one object that says so.
json() {
	local code=$1 name=$2
	shift 2
	exits "$code" "$name" slip "$@" --json
	ok "... prints one JSON object" python3 -m json.tool "$T/out"
	is "... that has the exit code" "$code" "$(field 'd["exit"]')"
	is "... in one line" 1 "$(wc -l <"$T/out")"
}

json 0 "plan" plan "$T/r1"
is "has the operations" True "$(field 'any(o["op"] == "create" for o in d["operations"])')"
json 0 "deploy" deploy "$T/r1"
is "has the steps" "succeeded" "$(field '[s["state"] for s in d["steps"] if s["step"] == "ApplicationStart"][0]')"
first=$(field 'd["deployment"]')
json 1 "a deployment that fails" deploy "$T/r2"
is "has the reason" script_failed "$(field 'd["code"]')"
is "and what is back" "$first" "$(field 'd["rolled_back"]')"
failed=$(field 'd["deployment"]')
json 0 "explain" explain
is "has the event" ApplicationStart "$(field 'd["failure"]["event"]')"
is "and the exit code" 3 "$(field 'd["failure"]["exit_code"]')"
is "and what each script took" "[('scripts/start.sh', False, True)]" "$(field '[
	(r["script"], r["ok"], min(r["wall_ms"], r["cpu_ms"], r["memory_peak"]) >= 0)
	for s in d["steps"] if s["event"] == "ApplicationStart" for r in s["runs"]]')"
json 0 "logs" logs "$failed"
is "has the text" True "$(field '"broken" in d["log"]')"
json 0 "status" status
is "has what is installed" "$first" "$(field 'd["groups"][0]["installed"]')"
json 0 "history" history
is "has both" "True False" "$(field '" ".join(str(x["succeeded"]) for x in d["deployments"])')"
json 0 "redeploy" redeploy
json 2 "rollback to nothing" rollback --to d-NOTTHERE
is "has a code" not_found "$(field 'd["code"]')"
json 0 "recover" recover
json 0 "lint" lint "$T/r1"
json 0 "pack" pack "$T/r1" -o "$T/r1.tgz"
is "has the digest" "$(sha256sum "$T/r1.tgz" | cut -d' ' -f1)" "$(field 'd["sha256"]')"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: app\n' >"$T/r2/appspec.yml"
json 2 "a bad AppSpec" deploy "$T/r2"
is "has the problems" True "$(field 'd["problems"][0]["where"].startswith("appspec.yml:4:")')"
json 2 "lint of it" lint "$T/r2"
json 2 "a wrong option" status --nonsense
is "is named" True "$(field '"--nonsense" in d["text"]')"
# Names that are made to look like something else: seen by people as one harmless line, by programs as they are.
make_revision "$T/r3" 3
odd=$'odd\n  delete    important\e[2J'
touch "$T/r3/app/$odd"
json 0 "plan of an odd name" plan "$T/r3"
is "has the name" True "$(field 'any(o["path"].endswith("odd\n  delete    important\x1b[2J") for o in d["operations"])')"
exits 0 "the plan for people" slip plan "$T/r3"
says "has it in one line" "odd?  delete    important?[2J" "$T/out"
is "and no control characters" 0 "$(LC_ALL=C grep -c '[[:cntrl:]]' "$T/out")"
printf 'files:\n  - source: "a\\nerror: b\\e[2J"\n    destination: /srv/b\nversion: 0.0\nos: linux\n' >"$T/r3/appspec.yml"
exits 2 "a message about such a name" slip lint "$T/r3"
is "is one line, too" "1 0" "$(grep -c 'is not in the bundle' "$T/out") $(LC_ALL=C grep -c '[[:cntrl:]]' "$T/out")"
json 0 "remove" remove --group default-local-deployment-group
json 0 "version" version
json 0 "help" help
done_testing
