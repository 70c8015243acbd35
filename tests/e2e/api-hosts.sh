#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Deployments as hosts see them: the events of a good and of a bad host, hosts that never came, closed and repeated and stolen
# commands, leases, a stop in the middle, and an endpoint that is killed in the middle.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
. "$top_srcdir/tests/e2e/api-lib.sh"
endpoint --set lease=1s --set poll=1s || exit 1
api_up
joined web1 web2 || exit 1
group OneAtATime
events="ApplicationStop DownloadBundle BeforeInstall Install AfterInstall ApplicationStart ValidateService"

# The good host
speaks web1 --noop BeforeInstall,AfterInstall
speaks web2
ok "both hosts poll" within 10 online web1 web2
id=$(deploy)
ok "a deployment ends" within 20 ended "$id"
is "well" Succeeded "$(info "$id" status)"
is "both hosts succeeded" 2 "$(info "$id" deploymentOverview Succeeded)"
is "a host walks seven events in order" "$events" "$(cut -d' ' -f1 "$T/web1.out" | xargs)"
is "what has nothing to do is closed by its acknowledgement" "BeforeInstall Succeeded AfterInstall Succeeded" \
	"$(grep Succeeded "$T/web1.out" | xargs)"
is "an event is shown as it went" \
	'{"lifecycleEventName": "Install", "diagnostics": {"errorCode": "Success", "scriptName": "", "message": "Succeeded", "logTail": ""}' \
	"$(target "$id" web1 lifecycleEvents 3 | sed 's/, "startTime.*//')"

# The bad host
stop web1
stop web2
speaks web2
speaks web1 --fail Install
within 10 online web1 web2
id=$(deploy)
ok "a deployment with a bad host ends" within 20 ended "$id"
is "badly" Failed "$(info "$id" status)"
is "with the code of AWS" HEALTH_CONSTRAINTS "$(info "$id" errorInformation code)"
info "$id" errorInformation message >"$T/err"
says "the message names host, event, script and exit" \
	"First failure: host 'web1', event 'Install', script 'scripts/check.sh': Script at specified location: scripts/check.sh failed with exit code 7."
says "and counts, and the rule" "0 of 2 hosts succeeded, 1 failed, 1 were skipped. CodeDeployDefault.OneAtATime: of 2 hosts at least 1 stay in service"
is "what did not run was skipped" "Succeeded Succeeded Succeeded Failed Skipped Skipped Skipped" \
	"$(target "$id" web1 lifecycleEvents | grep -oE '"status": "[A-Za-z]*"' | grep -oE '[A-Z][A-Za-z]*' | xargs)"
is "the tail of the log is there" "LifecycleEvent - x" "$(target "$id" web1 lifecycleEvents 3 diagnostics logTail | sed 's/.n.stderr.*//')"
is "the other host was not touched" Skipped "$(target "$id" web2 status)"
stop web1
stop web2

# A host that never polled
joined ghost
id=$(deploy)
is "a host that never polled fails the deployment at once" Failed "$(info "$id" status)"
info "$id" errorInformation message >"$T/err"
says "and is named" "host 'ghost', event 'ApplicationStop': CodeDeploy agent is not there: the host has never polled."
"$CONTROLD" host revoke ghost --dir "$T/control" >/dev/null

# One command by hand: lease, closing, repetition
id=$(deploy)
first=$(poll web1 HostCommand HostCommandIdentifier)
is "a command is handed out once" "{}" "$(poll web2)"
again() { [ "$(poll web1 HostCommand HostCommandIdentifier)" = "$first" ]; }
ok "an unacknowledged command is offered again, by the same name" within 5 again
is "it is acknowledged" '{"CommandStatus":"InProgress"}' "$(acknowledge web1 "$first" false)"
is "twice, too" '{"CommandStatus":"InProgress"}' "$(acknowledge web1 "$first" false)"
is "it is completed" "{}" "$(complete web1 "$first" Succeeded)"
is "a second, other result has no effect" "{}" "$(complete web1 "$first" Failed)"
is "the first one is kept" Succeeded "$(target "$id" web1 lifecycleEvents 0 status)"
is "and told" '{"CommandStatus":"Succeeded"}' "$(acknowledge web1 "$first" false)"

# One host as another
poll web1 >"$T/command"
mine=$(json_of HostCommand HostCommandIdentifier <"$T/command")
execution=$(json_of HostCommand DeploymentExecutionId <"$T/command")
is "the next command is the next event" DownloadBundle "$(json_of HostCommand CommandName <"$T/command")"
denied() { # NAME COMMAND...
	local name=$1
	shift
	"$@" >"$T/answer"
	is "$name" "400 AccessDeniedException" "$(cat "$T/status") $(json_of __type <"$T/answer")"
}
denied "a host does not poll for another" ask web2 PollHostCommand "{\"HostIdentifier\": \"$(identifier web1)\"}"
denied "it does not read for another" ask web2 GetDeploymentSpecification \
	"{\"HostIdentifier\": \"$(identifier web1)\", \"DeploymentExecutionId\": \"$execution\"}"
denied "it does not acknowledge for another" acknowledge web2 "$mine" true
denied "it does not complete for another" complete web2 "$mine" Failed
joined outsider
denied "who is no target reads nothing" ask outsider GetDeploymentSpecification \
	"{\"HostIdentifier\": \"$(identifier outsider)\", \"DeploymentExecutionId\": \"$execution\"}"
says "the log names who tried" "host 'web2' (certificate" "$T/endpoint.err"
is "none of it had an effect" Pending "$(target "$id" web1 lifecycleEvents 1 status)"

# Stop in the middle
acknowledge web1 "$mine" false >/dev/null
is "a stop waits for the event that runs" Pending "$(call StopDeployment "{\"deploymentId\": \"$id\"}" status)"
is "the deployment is still on" InProgress "$(info "$id" status)"
complete web1 "$mine" Succeeded >/dev/null
is "it ends with the event" Stopped "$(info "$id" status)"
is "with the code of AWS" MANUAL_STOP "$(info "$id" errorInformation code)"
is "stopping again is answered" Succeeded "$(call StopDeployment "{\"deploymentId\": \"$id\"}" status)"
"$CONTROLD" host revoke outsider --dir "$T/control" >/dev/null

# The endpoint is killed in the middle
speaks web1 --hold Install "$T/go"
speaks web2
at_install() { grep -q Install "$T/web1.out"; }
id=$(deploy)
ok "a host is in the middle of Install" within 20 at_install
stop endpoint KILL
start endpoint "$CONTROLD" serve --dir "$T/control" --listen "${url#https://}" --set lease=1s --set poll=1s
line_of endpoint 's/.*listening on //p' >/dev/null
is "after kill -9 and a restart it is still there" InProgress "$(info "$id" status)"
touch "$T/go"
ok "it goes on and ends" within 20 ended "$id"
is "well" Succeeded "$(info "$id" status)"
is "no event ran twice" "$events" "$(cut -d' ' -f1 "$T/web1.out" | xargs)"
stop endpoint KILL
done_testing
