#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipwayd and what tools of the official agent look for: its log, the process id, the wire log.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

logs=$T/logs pids=$T/pids
make_identity
start_peer
enrolled "$url"
cat >>"$R/etc/slipway/agent.yml" <<Y
:log_dir: '$logs/'
:pid_dir: '$pids/'
:log_aws_wire: true
:children: 1
:of_a_later_release: 1
Y
start_daemon
pid=${started[daemon]}
order PollHostCommand "command c-1 a/b/c/d-1 Install"
ok "a command is completed" within 10 at_least 1 PutHostCommandComplete

line='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2} (INFO |WARN |ERROR|DEBUG) \[codedeploy-agent\([0-9]+\)\]: [^ ]'
ok "log_dir has the log" test -s "$logs/codedeploy-agent.log"
is "each of its lines has the official form" "" "$(grep -vE "$line" "$logs/codedeploy-agent.log")"
is "with the process that wrote it" "$pid" "$(sed 's/.*(\([0-9]*\)).*/\1/' "$logs/codedeploy-agent.log" | sort -u)"
is "pid_dir has the process id" "$pid" "$(cat "$pids/codedeploy-agent.pid")"
wire=$logs/codedeploy-agent.aws_wire.log
# shellcheck disable=SC2317
wired() { grep -qE "\]: $1 POST $url/: 200, [0-9.]+ s, [0-9]+ bytes sent, [0-9]+ received$" "$wire"; }
for operation in poll_host_command get_deployment_specification put_host_command_acknowledgement put_host_command_complete; do
	ok "the wire log has $operation" within 5 wired $operation
done
is "and is not for others" "640 644" "$(stat -c %a "$wire" "$logs/codedeploy-agent.log" | xargs)"

# rotated by somebody else; other settings
mv "$logs/codedeploy-agent.log" "$logs/codedeploy-agent.log.1"
sed -i 's/^:log_aws_wire.*/program_name: other/' "$R/etc/slipway/agent.yml"
kill -HUP "$pid"
ok "a new name takes effect at a reload" within 10 test -s "$logs/other.log"
ok "for the process id, too" within 5 test -e "$pids/other.pid"
ok "and the old one goes" within 5 test ! -e "$pids/codedeploy-agent.pid"
before=$(wc -l <"$wire")
order PollHostCommand "command c-2 a/b/c/d-1 AfterInstall"
ok "another command is completed" within 10 at_least 2 PutHostCommandComplete
is "a wire log that is not wanted any more does not grow" "$before" "$(wc -l <"$wire")"
stop daemon
ok "with slipwayd the process id goes" test ! -e "$pids/other.pid"
ok "no secret is in what it logged" test -z "$(grep -lE 'PRIVATE KEY|Authorization' "$logs"/*)"
done_testing
