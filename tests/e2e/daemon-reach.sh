#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipwayd and an endpoint that comes, goes and answers nonsense: one line per change of state, recovery by itself.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
rm -f "$A/identity.json"

# Not enrolled: it runs and waits.
start_daemon
ok "a daemon that is not enrolled listens" within 10 ask status
is "and says so" "False" "$(ask status enrolled)"
ok "once in its log" within 5 logged "this host is not enrolled: run 'slipway enroll'"
exits 6 "a second daemon with the same root refuses to start" "$SLIPWAYD" --root "$R"
says "and says why" "another slipwayd runs"

# Enrolment, as the CLI does it: the identity appears, then reload.
start_peer
enrolled "$url"
is "reload is accepted" "True" "$(ask reload ok)"
ok "a poll arrives by itself" within 10 at_least 1 PollHostCommand
is "with the operation's name" "CodeDeployCommandService_v20141006.PollHostCommand" \
	"$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["target"])' <"$P/log")"
is "with our identifier" "{\"HostIdentifier\":\"$host\"}" "$(bodies PollHostCommand | head -n 1)"
ok "signed by the host's certificate" grep -q '"who": "web1"' "$P/log"
ok "with the agent's version" grep -q '"x-amz-codedeploy-agent-version": "SLIPWAY_' "$P/log"
ok "one that is held makes it reachable" within 10 state_is reachable
is "that is one line" 1 "$(grep -c "endpoint '$url' is reachable" "$T/daemon.err")"

# Nonsense of every kind is an error, said once.
order PollHostCommand 'json 200 <html>hello</html>'
order PollHostCommand 'json 200 {"HostCommand":7}'
order PollHostCommand 'json 500 {"__type":"InternalFailure"}'
ok "nonsense makes it unreachable" within 10 state_is unreachable
ok "it tries again by itself" within 20 at_least 4 PollHostCommand
is "the loss was one line" 1 "$(grep -c "endpoint '$url' does not work" "$T/daemon.err")"
order PollHostCommand 'json 200 {}'
ok "it recovers by itself" within 20 state_is reachable
is "the return is one line with the duration" 1 "$(grep -c "is reachable again after [0-9]* s" "$T/daemon.err")"

# A command for another host is not ours to run.
order PollHostCommand "command c-other a/b/c/d-other Install arn:aws:codedeploy:local:1:instance/web2"
ok "another host's command is an error" within 10 state_is unreachable
is "and is not run" 0 "$(worker_log c-other)"
order PollHostCommand 'json 200 {}'
ok "and it goes on" within 20 state_is reachable

# An endpoint that ends.
stop peer KILL
ok "the end of the endpoint is noticed" within 10 state_is unreachable
start_peer "$port"
ok "and its return" within 30 state_is reachable

# Empty answers that come at once are no reason to spin.
before=$(requests PollHostCommand)
for _ in $(seq 20); do order PollHostCommand 'json 200 {}'; done
ok "an endpoint that does not hold polls is asked again" within 15 at_least $((before + 1)) PollHostCommand
ok "but not without a pause" [ "$(requests PollHostCommand)" -lt $((before + 8)) ]
rm -rf "$P/queue/PollHostCommand"

# Revoked.
order PollHostCommand 'json 400 {"__type":"AccessDeniedException","message":"certificate is revoked"}'
ok "a revoked host knows it" within 20 state_is refused
ok "and says so" within 5 logged "refuses this host: AccessDeniedException: certificate is revoked"

# Unenrolled: it waits again.
rm "$A/identity.json"
is "the end of the enrolment is accepted" "True" "$(ask reload ok)"
is "the daemon waits for the next one" "False" "$(ask status enrolled)"
ok "and says so" within 5 logged "this host has left '$url'"

# Nothing else was logged.
stop daemon
is "the log is short" "$(grep -cE 'enroll|endpoint|this host|read again' "$T/daemon.err")" "$(log_lines)"
done_testing
