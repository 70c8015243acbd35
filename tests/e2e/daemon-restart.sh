#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipwayd is killed, its worker is killed, the endpoint refuses: nothing runs twice, every result arrives, byte-identical.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
start_peer
enrolled "$url"
start_daemon
completed() { bodies PutHostCommandComplete | grep -q "\"HostCommandIdentifier\":\"$1\""; }
completions() { bodies PutHostCommandComplete | grep -c "\"HostCommandIdentifier\":\"$1\""; }
completed_times() { [ "$(completions "$1")" -ge "$2" ]; }

# The completion is refused, the daemon killed, the completion then accepted.
order PutHostCommandComplete 'json 500 {"__type":"ServerException"}'
order PutHostCommandComplete 'json 200 {}'
order PollHostCommand "command c-1 a/b/c/d-1 Install"
ok "a completion is tried" within 10 completed c-1
within 5 grep -q "is not taken yet" "$T/daemon.err"
is "and counted as waiting" 1 "$(ask status results_waiting)"
"$SLIPWAY" --root "$R" status >"$T/status"
says "for people, too" "1 result waits to be reported" "$T/status"
is "without a mark" 0 "$(marks)"
rm -rf "$P/queue/PutHostCommandComplete"
stop daemon KILL
start_daemon
ok "another daemon sends it again" within 10 completed_times c-1 2
is "byte for byte" 1 "$(bodies PutHostCommandComplete | sort -u | wc -l)"
ok "it is marked" within 5 counted marks 1

# A worker outlives the daemon; the next daemon waits for it and reports its result.
echo "ready go wait:let-go result" >"$FAKE/AfterInstall"
order PollHostCommand "command c-2 a/b/c/d-2 AfterInstall"
ok "a command runs" within 10 grep -q '"told": "go", "command": "c-2"' "$FAKE/log"
echo busy >"$FAKE/AfterInstall"
stop daemon KILL
start_daemon
ok "the next daemon asks a worker for it, as acknowledged" \
	within 10 grep -q '"command": "c-2", "acked": true' "$FAKE/log"
touch "$FAKE/let-go"
ok "the result of the first worker is reported" within 10 completed c-2
within 5 counted in_flight 0
is "it was acknowledged once" 1 "$(bodies PutHostCommandAcknowledgement | grep -c c-2)"

# Killed between acknowledgement and result, worker and daemon: recovery writes the result.
echo "ready go begun wait:never result" >"$FAKE/ApplicationStart"
order PollHostCommand "command c-3 a/b/c/d-3 ApplicationStart"
begun() { compgen -G "$FAKE/begun-*" >/dev/null; }
ok "another command runs" within 10 begun
worker=$(pgrep -f -n "daemon-worker.py --root $R")
stop daemon KILL
kill -KILL "$worker"
start_daemon
ok "its result is reported after recovery" within 10 completed c-3
ok "as failed" grep -q '"CommandStatus":"Failed"' <<<"$(bodies PutHostCommandComplete | grep c-3)"
is "it was not started again" 1 "$(worker_log '"command": "c-3", "acked"')"

# The worker alone is killed.
echo "ready go begun die" >"$FAKE/ValidateService"
order PollHostCommand "command c-4 a/b/c/d-4 ValidateService"
ok "a killed worker's command is reported after recovery" within 10 completed c-4
echo "ready die" >"$FAKE/BeforeInstall"
order PollHostCommand "command c-5 a/b/c/d-5 BeforeInstall"
ok "a worker that dies before it runs anything is started again, then given up" within 20 completed c-5
is "after three times" 3 "$(worker_log '"verb": "command", "command": "c-5"')"

# Killed before the acknowledgement; a newer specification comes then, and it is the one that is kept.
echo "ready go wait:let-go-newer result" >"$FAKE/AfterInstall"
order PutHostCommandAcknowledgement 'hold 30'
order PollHostCommand "command c-20 a/b/c/d-20 AfterInstall"
acknowledges() { bodies PutHostCommandAcknowledgement | grep -q c-20; }
ok "a command is about to be acknowledged" within 10 acknowledges
stop daemon KILL
order GetDeploymentSpecification 'json 200 {"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{"GenericEnvelope":
	{"Format":"TEXT/JSON","Payload":"{\"DeploymentId\":\"d-20\",\"DeploymentGroupId\":\"newer\"}"}}}'
start_daemon
ok "the next daemon acknowledges it" within 10 compgen -G "$A/inflight/*.acked"
is "the specification on disk is the newer one" 1 "$(grep -l 'newer' "$A/inflight/"*.json | wc -l)"
touch "$FAKE/let-go-newer"
ok "it is completed" within 10 completed c-20

# In order within a deployment, whatever happens to one of them.
order PutHostCommandComplete 'json 503 {}'
order PollHostCommand "command c-6 a/b/c/d-6 Install"
ok "one result is not taken" within 10 completed c-6
order PollHostCommand "command c-7 a/b/c/d-6 Install"
ok "the next of the deployment follows" within 10 completed c-7
is "after it" "c-6 c-6 c-7" "$(bodies PutHostCommandComplete | grep -o '"c-[67]"' | tr -d '"' | xargs)"

# Refused for good: never sent again, also not after a restart.
order PutHostCommandComplete 'json 400 {"__type":"ClientException","message":"unknown command"}'
order PollHostCommand "command c-8 a/b/c/d-8 Install"
ok "a result is refused for good" within 10 grep -q "refuses a result of deployment 'd-8' for good" "$T/daemon.err"
before=$(requests PutHostCommandComplete)
stop daemon KILL
polls=$(requests PollHostCommand)
start_daemon
ok "another daemon polls" within 10 at_least $((polls + 1)) PollHostCommand
is "and sends nothing again" "$before" "$(requests PutHostCommandComplete)"

# Marks whose result is gone go too.
rm "$R/var/lib/slipway/host/results/"*.json
fewer() { [ "$(marks)" -le "$(find "$A/results" -type f | wc -l)" ]; }
ok "marks without a result are removed" within 10 fewer

# A deployment that the endpoint leaves open is put right by the host.
echo 'orphan_timeout: 1s' >"$R/etc/slipway/agent.yml"
kill -HUP "${started[daemon]}"
echo "ready go open" >"$FAKE/ApplicationStop"
order PollHostCommand "command c-9 a/b/c/d-9 ApplicationStop"
ok "a silent endpoint makes the host act" within 10 grep -q '"verb": "orphan".*"group": "g-d-9"' "$FAKE/log"

# Also when the clock was set back in the middle of it.
echo "ready go tomorrow" >"$FAKE/ApplicationStop"
order PollHostCommand "command c-10 a/b/c/d-10 ApplicationStop"
acted() { [ "$(grep -c '"verb": "orphan".*"group": "g-d-10"' "$FAKE/log")" -ge "$1" ]; }
ok "it acts" within 10 acted 1
echo "ready go open" >"$FAKE/BeforeInstall"
order PollHostCommand "command c-11 a/b/c/d-10 BeforeInstall"
ok "and again after a result that seems to be older" within 10 acted 2
rm "$FAKE/BeforeInstall"

# State files of any content: it starts.
stop daemon TERM
for name in inflight results reported; do
	head -c 1000 /dev/urandom >"$A/$name/00000000000000000000000000000000.json"
	mkfifo "$A/$name/00000000000000000000000000000001.json"
done
polls=$(requests PollHostCommand)
start_daemon
ok "it starts with damaged state files" within 10 at_least $((polls + 1)) PollHostCommand

# One that is not ours to report, as it is after somebody else was in the daemon's place, stops no other.
order PutHostCommandComplete 'json 400 {"__type":"AccessDeniedException","message":"not given out by this endpoint"}'
order PollHostCommand "command c-21 a/b/c/d-21 Install"
ok "one result is denied" within 10 completed c-21
order PollHostCommand "command c-22 a/b/c/d-22 Install"
ok "that of another deployment is sent" within 10 completed c-22
waits_alone() { [ "$(completions c-21) $(ask status results_waiting)" = "1 1" ]; }
ok "the denied one alone waits" within 10 waits_alone
done_testing
