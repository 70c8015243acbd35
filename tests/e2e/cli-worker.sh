#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the command line does with a worker that dies, talks nonsense, or is left alone by an interrupt.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
mkdir "$T/r" "$T/hold" && touch "$T/r/appspec.yml"
export SLIPWAY_WORKER=$top_srcdir/tests/e2e/cli-worker.py REQUESTS=$T/requests HOLD=$T/hold PLAY

PLAY=die
exits 1 "a worker that dies is followed by one that recovers" slip deploy "$T/r"
says "the person is told" "the worker is gone without a result"
says "and what was done about it" "rolled back" "$T/out"
is "it was asked to" '{"verb": "recover"}' "$(tail -n 1 "$REQUESTS")"
exits 1 "for programs, too" slip deploy "$T/r" --json
ok "with one object" python3 -m json.tool "$T/out"
says "that names the cause" '"code":"interrupted"' "$T/out"

PLAY=again
exits 6 "one that dies again is an error that can be tried again" slip deploy "$T/r"
says "it says so" "killed again"

PLAY=noise
exits 0 "unknown events are passed over" slip deploy "$T/r"
is "and no control character reaches the terminal" 0 "$(LC_ALL=C grep -c $'[\x01-\x08\x0b-\x1f\x7f]' "$T/out")"

PLAY=bar
exits 1 "a failure without a record is told in the worker's words" slip deploy "$T/r"
says "so" "exit code 3"
says "with the time of a step" "1 min 01 s" "$T/out"
says "the way back has its own lines" "going back:" "$T/out"
is "without a terminal nothing is drawn twice" 0 "$(grep -c $'\r' "$T/out")"

# on a terminal there is a bar, and the last line of output
TERM=xterm python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' "$SLIPWAY" --root "$T/host" deploy "$T/r" >"$T/screen" </dev/null
ok "on a terminal a bar shows how far it is" grep -q 'unpack    \[##########' "$T/screen"
ok "and the running script's last line, made harmless" grep -q 'warming ?\[2J up' "$T/screen"

# --- not heard to the end -----------------------------------------------------------------------------------------------
PLAY=mute
make_revision "$T/r1" 1
exits 0 "a deployment whose result was not heard has succeeded all the same" slip deploy "$T/r1"
says "what runs is told" "runs now in group" "$T/out"
is "it is there" 1 "$(installed host)"
make_revision "$T/r2" 2
echo 'exit 3' >>"$T/r2/scripts/start.sh"
exits 1 "one that has failed has failed" slip deploy "$T/r2"
says "for the reason that the host has recorded" "with exit code 3"
is "the host is as before" 1 "$(installed host)"
exits 5 "one that was left has been left" slip deploy --no-rollback "$T/r2"

# --- interrupted --------------------------------------------------------------------------------------------------------
PLAY=hold
start held "$SLIPWAY" --root "$T/host" deploy "$T/r"
ok "the worker is in a step" within 20 test -e "$HOLD/at"
kill -TERM "${started[held]}"
ok "an interrupt ends the command line at once" within 10 gone "${started[held]}"
wait "${started[held]}"
is "as the signal would have" 143 $?
unset "started[held]"
says "it tells that the deployment goes on" "it goes on without this terminal" "$T/held.err"
ok "the worker still waits" test ! -e "$HOLD/done"
: >"$HOLD/go"
ok "and then finishes" within 20 test -e "$HOLD/done"
done_testing
