#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What people see of a deployment while it runs: hosts of a few lines answer the commands.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
command -v python3 >/dev/null || skip_all "needs python3"
fleet_up
export XDG_STATE_HOME=$T/state
fleet() { "$SLIPWAY" fleet "$@"; }
host_start() { # host_start NAME [EVENT=...]
	local name=$1
	shift
	start "$name" python3 "$top_srcdir/tests/e2e/fleet-host.py" "$T/$name" "$@"
	line_of "$name" '/polling/p' >/dev/null
}
# in_terminal COMMAND...: with a terminal of 80 x 10; what it wrote is in $T/out
in_terminal() { TERM=xterm python3 -c 'import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 80, 0, 0))
with open(sys.argv[1], "wb") as out:
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        out.write(data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))' "$T/out" "$@"; }
polled() { "$CONTROLD" host list --dir "$T/control" --json | python3 -c 'import json, sys
sys.exit(not any(h["name"] == sys.argv[1] and h.get("last_poll") for h in json.load(sys.stdin)))' "$1"; }

enrolled web1
enrolled web2
fleet_group shop web AllAtOnce
make_revision "$T/rev1" 1
fleet_push shop "$T/rev1"
deploy="fleet deploy --app shop --group web --revision s3://bundles/rev1.tgz"

# All goes well
host_start web1
host_start web2
exits 0 "a deployment that works is watched to its end" $deploy --watch
for event in ApplicationStop DownloadBundle BeforeInstall Install AfterInstall ApplicationStart ValidateService; do
	is "each host's $event is one line" 2 "$(grep -cE "^web[12]: $event Succeeded$" "$T/out")"
done
ok "the last line is the outcome" sh -c "tail -n 1 '$T/out' | grep -qE '^Deployment d-.*: Succeeded after [0-9.]+ s, 2 hosts: 2 succeeded$'"
exits 0 "on a terminal, too" in_terminal "$SLIPWAY" fleet ${deploy#fleet } --watch
exits 0 "as JSON it is one object" fleet watch "$(last_deployment)" --json
is "of one line" 1 "$(wc -l <"$T/out")"

# On a terminal the table is drawn again in its place
stop web2
host_start web2 "AfterInstall=$T/go"
in_terminal "$SLIPWAY" fleet ${deploy#fleet } --watch >"$T/in-terminal" 2>&1 &
watcher=$!
ok "the table shows what a host waits in" within 20 grep -qE 'web2 +InProgress +AfterInstall' "$T/out"
: >"$T/go"
wait $watcher
is "it ends well" 0 $?
ok "the cursor goes up to draw again" grep -q $'\e\[4A' "$T/out"

# A failure
stop web1
stop web2
rm "$T/go"
host_start web1 ValidateService=fail
host_start web2 "ValidateService=$T/go"
start watcher "$SLIPWAY" fleet ${deploy#fleet } --watch
ok "a failure is shown as it happens" within 20 grep -q "^web1: ValidateService Failed: Script at specified location: scripts/check.sh failed" "$T/watcher.out"
: >"$T/go"
ok "the deployment ends" within 20 gone "${started[watcher]}"
is "half of the hosts are enough for this configuration" 1 "$(grep -c ': Succeeded after' "$T/watcher.out")"
stop watcher
fleet group create --app shop --group strict --tag role=web --config OneAtATime >/dev/null
exits 1 "a deployment that fails ends with 1" fleet deploy --app shop --group strict --revision s3://bundles/rev1.tgz --watch
says "the first failure is named: host, event, script" "First failure: host web1, event ValidateService, script scripts/check.sh" "$T/out"
says "with the exit code" "failed with exit code 7" "$T/out"
says "with the end of the log" "    [stderr]no answer" "$T/out"
exits 1 "JSON has it, too" fleet watch "$(last_deployment)" --json
ok "with the script" grep -q '"script":"scripts/check.sh"' "$T/out"

# Stop
stop web1
rm "$T/go"
host_start web1 "Install=$T/go"
$deploy >/dev/null
id=$(last_deployment)
ok "it runs" within 20 sh -c "'$SLIPWAY' fleet show '$id' | grep -q InProgress"
exits 6 "a second one to the group has to wait" $deploy
exits 0 "a deployment is stopped" fleet stop "$id"
: >"$T/go"
exits 1 "and watch says so" fleet watch "$id"
says "by its state" ": Stopped" "$T/out"

# The endpoint goes away for a moment
stop web1
rm "$T/go"
host_start web1 "Install=$T/go"
start watcher "$SLIPWAY" fleet ${deploy#fleet } --watch
ok "watching" within 20 grep -q "web1: Install InProgress" "$T/watcher.out"
stop endpoint
ok "an endpoint that is away is told once" within 20 grep -q "the deployment goes on, trying again" "$T/watcher.err"
ok "and watched for" kill -0 "${started[watcher]}"
stop web1
stop web2
fleet_again
host_start web1
host_start web2
ok "when it is back the watch goes on to the end" within 60 grep -q "^Deployment d-" "$T/watcher.out"
is "with one complaint only" 1 "$(wc -l <"$T/watcher.err")"
done_testing
