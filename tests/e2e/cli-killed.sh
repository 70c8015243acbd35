#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker is killed in the middle of a script, or the person goes away: the first is undone at once, the second changes nothing.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
printf 'hook_environment:\n  HOLD: %s\n' "$T/hold" >>"$T/host/etc/slipway/agent.yml"
make_revision "$T/r1" 1
make_revision "$T/r2" 2
held() { [ -n "$(find "$T/hold" -name 'at-*')" ]; }

exits 0 "revision 1 is deployed" slip deploy "$T/r1"
before=$(tree_of host)

hold_at "$T/r2" start.sh
start killed "$SLIPWAY" --root "$T/host" deploy "$T/r2"
ok "revision 2 is in its start script" within 20 held
is "with its files in place" 2 "$(installed host)"
kill -KILL "$(worker_of host)"
ok "the worker is killed; the command ends by itself" within 40 gone "${started[killed]}"
wait "${started[killed]}"
is "as failed, with the host as before" 1 $?
unset "started[killed]"
says "it told what happened" "the worker ended while ApplicationStart was running" "$T/killed.err"
same_tree "the old tree is back, byte for byte" "$before"
slip explain >"$T/explain"
says "explain knows" "ApplicationStart" "$T/explain"
ok "nothing is left beside the tree" no_stage
exits 0 "recover finds nothing more to do" slip recover
release_hold
exits 0 "the next deployment works" slip deploy "$T/r2"
is "and is there" 2 "$(installed host)"

hold_at "$T/r1" start.sh
start left "$SLIPWAY" --root "$T/host" deploy "$T/r1"
ok "revision 1 is in its start script" within 20 held
kill -INT "${started[left]}" 2>/dev/null
kill -TERM "${started[left]}"
ok "the person goes away" within 10 gone "${started[left]}"
unset "started[left]"
slip status >"$T/status"
says "the deployment goes on" "ApplicationStart" "$T/status"
start follow "$SLIPWAY" --root "$T/host" logs -f
release_hold
ok "someone else follows it to its end" within 30 gone "${started[follow]}"
is "it succeeded" succeeded "$(newest outcome)"
is "and is there" 1 "$(installed host)"
done_testing
