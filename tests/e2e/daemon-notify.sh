#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What slipwayd tells a service manager: readiness, its state, watchdog beats, its end.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
start_peer
enrolled "$url"
cat >"$T/manager.py" <<'PY'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
os.chdir(sys.argv[1])
s.bind("notify")
print("listening", flush=True)
while True:
    print(s.recv(65536).decode(), flush=True)
PY
start manager python3 "$T/manager.py" "$T"
line_of manager '/listening/p' >/dev/null
told() { grep -q -- "$1" "$T/manager.out"; }

# Recovery takes its time; who asks meanwhile gets an answer.
echo "wait:recovered done" >"$FAKE/recover"
export NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=2000000
start_daemon
unset NOTIFY_SOCKET WATCHDOG_USEC
recovering() { [ "$(ask status phase)" = recovering ]; }
ok "it listens before recovery is over" within 10 recovering
ok "and is ready, so that nobody who restarts it has to wait" within 10 told READY=1
ok "it says what it does" told "STATUS=recovering"
"$SLIPWAY" --root "$R" status >"$T/status"
says "and so does 'slipway status'" "it puts right what a crash left" "$T/status"
is "it does not poll" 0 "$(requests PollHostCommand)"
ok "the watchdog is fed meanwhile" within 10 told WATCHDOG=1
touch "$FAKE/recovered"
ok "it polls after recovery" within 10 at_least 1 PollHostCommand
ok "the state of the endpoint is told" within 10 told "STATUS=endpoint '$url' is reachable"
stop peer KILL
ok "and its loss" within 10 told "STATUS=endpoint '$url' is unreachable ("
stop daemon
ok "its end is told" within 5 told STOPPING=1
done_testing
