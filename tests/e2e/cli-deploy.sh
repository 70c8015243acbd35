#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The local verbs on one machine: put a revision in place, replace it, have one fail, look at what happened, go back, take it away.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
echo 'max_revisions: 16' >>"$T/host/etc/slipway/agent.yml"
make_revision "$T/r1" 1
make_revision "$T/r2" 2
make_revision "$T/r3" 3
printf '#!/bin/sh\necho "the database is not reachable" >&2\nexit 7\n' >"$T/r3/scripts/validate.sh"

# --- first and second -------------------------------------------------------------------------------------------------
exits 0 "a host without deployments has a status" slip status
says "which says so" "nothing was ever deployed" "$T/out"

exits 0 "a directory is deployed" slip deploy "$T/r1"
says "each step has a line" "ApplicationStart     ok" "$T/out"
says "the last line says what runs now" "runs now in group" "$T/out"
is "its files are there" 1 "$(installed host)"
is "its scripts ran in order" "AfterInstall ApplicationStart ValidateService" "$(events_of host | xargs)"

tar -C "$T/r2" -czf "$T/r2.tgz" .
exits 0 "a .tgz replaces it" slip deploy "$T/r2.tgz"
is "its files are there" 2 "$(installed host)"
ok "what only the first had is gone" test ! -e "$T/host/tree/srv/app/only-1"
is "the old ApplicationStop ran, then the new scripts" "ApplicationStop AfterInstall ApplicationStart ValidateService" \
	"$(events_of host | tail -n 4 | xargs)"
second=$(newest deployment_id)

# --- a failure is taken back --------------------------------------------------------------------------------------------
before=$(tree_of host)
exits 1 "a revision whose validation fails ends with exit 1" slip deploy "$T/r3"
same_tree "the old tree is back, byte for byte" "$before"
says "the error names the event" "ValidateService"
says "and the script" "scripts/validate.sh"
says "and its exit code" "exit code 7"
says "and its output" "the database is not reachable"
says "and what is back" "$second is back"
says "and what to do" "slipway logs"
third=$(newest deployment_id)

slip status >"$T/status"
says "status shows what runs" "$second" "$T/status"
says "and the failure" "$third rolled back, " "$T/status"
ok "and what is kept, the newest first, with its size" grep -qE "^  kept     $second  [-0-9]+ [:0-9]+ +[0-9.]+ kB$" "$T/status"
is "as JSON too" "$second" "$(slip status --json | python3 -c '
import json, sys
print(*[r["deployment_id"] for r in json.load(sys.stdin)["groups"][0]["revisions"][-1:] if r["succeeded"] and r["bytes"] > 4096])')"
says "and where" "failed at ValidateService" "$T/status"
slip explain >"$T/explain"
says "explain tells it again" "the database is not reachable" "$T/explain"
slip explain "$third" >"$T/explain3"
ok "by its id as well" cmp "$T/explain" "$T/explain3"
is "and what each script took" "stop.sh ok, configure.sh ok, start.sh ok, validate.sh FAILED" "$(sed -nE '
	/^  scripts that ran/,/^  [^ ]/s#^    scripts/(\S+) +(ok|FAILED) +[0-9.]+ s +cpu [0-9.]+ s +peak [0-9]+ [KM]iB$#\1 \2,#p
	' "$T/explain" | xargs | sed 's/,$//')"
says "and on the way back" "and on the way back:" "$T/explain"
exits 2 "an unknown id is refused" slip explain d-NOTTHERE
slip logs "$third" >"$T/logs"
says "logs has the script's output" "the database is not reachable" "$T/logs"
exits 0 "logs -f ends with the deployment" slip logs -f "$third"
says "and shows the same" "the database is not reachable" "$T/out"
log=$(find "$T/host" -path "*/$third/logs/scripts.log")
mv "$log" "$T/scripts.log" && ln -s scripts.log "$log"
exits 1 "a log that cannot be opened is an error" slip logs "$third"
says "and no silence" "open '$log'"
mv "$T/scripts.log" "$log"
slip history >"$T/history"
is "history has three deployments" 3 "$(grep -c ' deploy ' "$T/history")"
says "with the failed event" "failed at ValidateService" "$T/history"
is "what people read fits 80 columns, but for paths" "" "$(cat "$T/status" "$T/history" "$T/explain" | grep -vF "$T" | grep -E '.{81}')"

# --- left in place, as asked ------------------------------------------------------------------------------------------
exits 5 "--no-rollback leaves it in place with exit 5" slip deploy "$T/r3" --no-rollback
is "its files are there" 3 "$(installed host)"
says "the error says so" "left in place, as asked"
exits 0 "rollback goes back to the last that succeeded" slip rollback
is "its files are back" 2 "$(installed host)"

cp -R "$T/r2" "$T/r4"
printf '  BeforeInstall:\n    - location: scripts/early.sh\n' >>"$T/r4/appspec.yml"
printf '#!/bin/sh\nexit 4\n' >"$T/r4/scripts/early.sh"
chmod +x "$T/r4/scripts/early.sh"
before=$(tree_of host)
exits 5 "one that fails before its files are there has stopped the application" slip deploy "$T/r4" --no-rollback
same_tree "and touched no file" "$before"
says "the error says so" "the application may be stopped"
says "and the way out" "'slipway redeploy' installs and starts"
slip status >"$T/status"
says "status has it, too" "the application may be stopped" "$T/status"
exits 0 "that way works" slip redeploy
is "the application has started" ValidateService "$(events_of host | tail -n 1)"
slip status >"$T/status"
is "and status says so" "" "$(grep caution "$T/status")"

# --- ApplicationStop of the installed revision is broken ------------------------------------------------------------------
cp -R "$T/r2" "$T/r5"
printf '#!/bin/sh\nexit 9\n' >"$T/r5/scripts/stop.sh"
exits 0 "a revision whose ApplicationStop fails is deployed" slip deploy "$T/r5"
exits 1 "the next one cannot stop it" slip deploy "$T/r2"
says "and says how it can" "--ignore-application-stop-failures"
exits 1 "nor can redeploy" slip redeploy
exits 0 "redeploy can, if asked" slip redeploy --ignore-application-stop-failures
exits 0 "so can another revision" slip deploy "$T/r2" --ignore-application-stop-failures
exits 0 "whose own ApplicationStop works" slip redeploy

# --- from what the host has kept ----------------------------------------------------------------------------------------
echo spoilt >"$T/host/tree/srv/app/revision"
exits 0 "redeploy needs no bundle" slip redeploy
is "and puts the files right" 2 "$(installed host)"
first=$(slip history -n 0 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["deployments"][0]["deployment_id"])')
exits 0 "rollback --to goes back to a given one" slip rollback --to "$first"
is "its files are there" 1 "$(installed host)"
ok "and nothing of the second" test ! -e "$T/host/tree/srv/app/only-2"
exits 2 "one that was never kept is refused" slip rollback --to d-NOTTHERE

# A name that was mistyped is a group of which nothing is there.
printf 'version: 0.0\nos: linux\nfiles:\n  - source: none\n    destination: /srv/typo\n' >"$T/r5/appspec.yml"
exits 2 "a refused deployment in a new group" slip deploy "$T/r5" --group typo
exits 0 "makes no choice necessary" slip redeploy
cp "$T/r2/appspec.yml" "$T/r5/"

# --- several groups, and away ---------------------------------------------------------------------------------------------
make_revision "$T/other" 9
sed -i 's,/srv/app,/srv/other,' "$T/other/appspec.yml"
exits 0 "a second group lives beside it" slip deploy "$T/other" --group other
exits 2 "then rollback wants to know which" slip rollback
says "and lists the groups" "default-local-deployment-group, other"
exits 2 "remove always does" slip remove
exits 0 "remove takes the files of one group away" slip remove --group other
ok "all of them" test ! -e "$T/host/tree/srv/other/revision"
is "the other group keeps its own" 1 "$(installed host)"
sed -i 's,/srv/app,/srv/third,' "$T/r5/appspec.yml"
exits 0 "another application, with a broken ApplicationStop" slip deploy "$T/r5" --group third
exits 1 "an application that cannot be stopped stays" slip remove --group third
exits 0 "unless that is asked for" slip remove --group third --ignore-application-stop-failures
exits 0 "and then of the other" slip remove --group default-local-deployment-group
slip status >"$T/status"
says "status tells it from a deployment" "-local remove succeeded, " "$T/status"
ok "no file is left" no_tree
ok "and no stage" no_stage
# --- packed by slipway itself -----------------------------------------------------------------------------------------
for bundle in "$T/shop.tgz" "$T/shop.zip"; do
	exits 0 "pack makes ${bundle##*.}" slip pack "$T/r1" -o "$bundle"
	exits 0 "which deploys" slip deploy "$bundle"
	is "as the directory would" 1 "$(installed host)"
	exits 0 "and goes" slip remove --group default-local-deployment-group
done
done_testing
