#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole thing through real parts: endpoint, two hosts, a revision that works, one that does not, and what happens when a
# program or the network goes away in between.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"

fleet_up
host_up web1
host_up web2
fleet_group app group AllAtOnce

make_revision "$T/r1" 1
make_revision "$T/r2" 2
make_revision "$T/r3" 3
printf '#!/bin/sh\necho "the database is not reachable" >&2\nexit 7\n' >"$T/r3/scripts/validate.sh"

# --- it works -----------------------------------------------------------------------------------------------------
exits 0 "revision 1 is deployed to both hosts" fleet_deploy app group "$T/r1"
is "web1 has revision 1" 1 "$(installed web1)"
is "web2 has revision 1" 1 "$(installed web2)"
exits 0 "revision 2 replaces it" fleet_deploy app group "$T/r2"
is "web1 has revision 2" 2 "$(installed web1)"
is "web2 has revision 2" 2 "$(installed web2)"
events="ApplicationStop AfterInstall ApplicationStart ValidateService"
is "the second deployment ran each event's script once, in order, on web1" "$events" "$(events_of web1 | tail -n 4 | xargs)"

# --- its last event has nothing to run, so the endpoint counts it as done before the host has walked it ---------------
make_revision "$T/r2b" 2
sed -i '/ValidateService/,$d' "$T/r2b/appspec.yml"
exits 0 "a revision without a validation is deployed" fleet_deploy app group "$T/r2b"
complete() {
	"$SLIPWAY" --root "$T/$1" status --json | python3 -c 'import json, sys
group = json.load(sys.stdin)["groups"][0]
sys.exit("open" in group or group["installed"] != sys.argv[1])' "$(last_deployment)"
}
ok "web1 counts it as complete" within 10 complete web1
ok "and so does web2" within 10 complete web2

# --- it fails and comes back ----------------------------------------------------------------------------------------
before=$(tree_of web1)
exits 1 "revision 3 fails its validation" fleet_deploy app group "$T/r3"
is "web1 is back on 2, byte for byte" "$before" "$(tree_of web1)"
is "web2 is back on 2" 2 "$(installed web2)"
failed_id=$(last_deployment)
run_fleet show "$failed_id" >"$T/show"
says "the deployment's message names the event" ValidateService "$T/show"
says "and the script" scripts/validate.sh "$T/show"
says "and its output" "the database is not reachable" "$T/show"
"$SLIPWAY" --root "$T/web1" explain >"$T/explain" 2>&1
says "the host explains it as well" "the database is not reachable" "$T/explain"

# --- the daemon dies in the middle of a script ----------------------------------------------------------------------
make_revision "$T/r4" 4
hold_at "$T/r4" start.sh
start deploy4 fleet_deploy app group "$T/r4"
ok "both hosts reach the script of revision 4" within 30 both_hold
stop web1 KILL
daemon_up web1
release_hold
ok "the deployment ends" within 60 gone "${started[deploy4]}"
wait "${started[deploy4]}"
is "with success: the worker went on without its daemon" 0 $?
unset "started[deploy4]"
is "web1 has revision 4" 4 "$(installed web1)"
is "its script ran once" 1 "$(grep -c '^4 ApplicationStart$' "$T/web1/tree/events")"

# --- the worker dies in the middle of a script ----------------------------------------------------------------------
make_revision "$T/r5" 5
hold_at "$T/r5" start.sh
start deploy5 fleet_deploy app group "$T/r5"
ok "both hosts reach the script of revision 5" within 30 both_hold
kill -KILL "$(worker_of web1)"
ok "the killed worker's host goes back to revision 4 by itself" within 30 test_installed web1 4
release_hold
ok "the deployment ends" within 60 gone "${started[deploy5]}"
wait "${started[deploy5]}"
unset "started[deploy5]"
is "the other host has revision 5" 5 "$(installed web2)"
run_fleet show "$(last_deployment)" >"$T/show"
says "the endpoint was told why" "Failed: " "$T/show"

# --- the endpoint dies in the middle --------------------------------------------------------------------------------
make_revision "$T/r6" 6
hold_at "$T/r6" start.sh
id=$(fleet_create app group "$T/r6")
ok "both hosts reach the script of revision 6" within 30 both_hold
stop endpoint KILL
release_hold
fleet_again
ok "after its restart the deployment ends by itself" within 90 deployment_is "$id" Succeeded
is "web1 has revision 6" 6 "$(installed web1)"
is "web2 has revision 6" 6 "$(installed web2)"
is "nothing ran twice" 1 "$(grep -c '^6 ApplicationStart$' "$T/web1/tree/events")"

# --- what is left ---------------------------------------------------------------------------------------------------
ok "no stage is left in any host's tree" within 10 no_stage
says "the endpoint's death cost web1 few lines of log" "unreachable" "$T/web1.err"
ok "and not one per try" test "$(wc -l <"$T/web1.err")" -lt 60

done_testing
