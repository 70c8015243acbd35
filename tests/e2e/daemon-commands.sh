#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipwayd and commands: order, acknowledgement, worker, bundle, result; each exactly once.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
start_peer
enrolled "$url"
start_daemon
completed() { bodies PutHostCommandComplete | grep -q "\"HostCommandIdentifier\":\"$1\""; }

# A command from poll to completion.
order PollHostCommand "command c-1 a/b/c/d-1 Install"
ok "a command is completed" within 10 at_least 1 PutHostCommandComplete
is "the operations are in order" "GetDeploymentSpecification PutHostCommandAcknowledgement PutHostCommandComplete" \
	"$(python3 -c 'import json, sys
print(*[o for o in (json.loads(l)["operation"] for l in open(sys.argv[1])) if o != "PollHostCommand"])' "$P/log")"
is "the acknowledgement says whether there is anything to run" \
	'{"HostCommandIdentifier":"c-1","Diagnostics":{"Format":"JSON","Payload":"{\"IsCommandNoop\":false}"}}' \
	"$(bodies PutHostCommandAcknowledgement)"
ok "the completion carries the worker's payload" grep -qF 'error_code\": 0' <<<"$(bodies PutHostCommandComplete)"
ok "it is marked as reported" within 5 counted marks 1
is "nothing is in flight" "" "$(ls "$A/inflight")"

# Offered twice while it runs: run once.
echo "ready go wait:let-go result" >"$FAKE/AfterInstall"
order PollHostCommand "command c-2 a/b/c/d-1 AfterInstall"
ok "a command runs" within 10 worker_log '"told": "go", "command": "c-2"'
ok "it is on disk, acknowledged" within 5 compgen -G "$A/inflight/*.acked"
ok "and in the status" grep -q "'event': 'AfterInstall'" <<<"$(ask status commands)"
order PollHostCommand "command c-2 a/b/c/d-1 AfterInstall"
order PollHostCommand "command c-3 a/b/c/d-1 ApplicationStart"
order PollHostCommand "command c-4 a/b/c/d-4 Install"
ok "another group's command runs beside it" within 10 completed c-4
is "a second command of the group waits" 0 "$(worker_log '"command": "c-3"')"
touch "$FAKE/let-go"
ok "until the first one is done" within 10 completed c-3
is "the first one ran once" 1 "$(worker_log '"verb": "command", "command": "c-2"')"

# Offered again after its end: the same result again.
order PollHostCommand "command c-2 a/b/c/d-1 AfterInstall"
twice() { [ "$(bodies PutHostCommandComplete | grep -c '"HostCommandIdentifier":"c-2"')" = 2 ]; }
ok "a command that is offered after its end gets its result again" within 10 twice
is "byte for byte" 1 "$(bodies PutHostCommandComplete | grep '"HostCommandIdentifier":"c-2"' | sort -u | wc -l)"

# The endpoint says that the command is closed.
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Succeeded"}'
order PollHostCommand "command c-5 a/b/c/d-5 Install"
ok "a command that has succeeded already is dropped" within 10 grep -q '"told": "drop", "command": "c-5"' "$FAKE/log"
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Failed"}'
order PollHostCommand "command c-6 a/b/c/d-6 Install"
ok "so is one that has failed" within 10 grep -q '"told": "drop", "command": "c-6"' "$FAKE/log"
is "neither is completed" 0 "$(bodies PutHostCommandComplete | grep -cE '"c-(5|6)"')"
echo "noop ready go result" >"$FAKE/BeforeInstall"
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Failed"}'
order PollHostCommand "command c-7 a/b/c/d-7 BeforeInstall"
ok "a failed one without anything to run is completed" within 10 completed c-7
ok "as a success" grep -qF 'Succeeded: CompletedNoopCommand' <<<"$(bodies PutHostCommandComplete | grep c-7)"

# In the middle of a deployment the worker records a no-op, as it may be the last event; the endpoint knows it already.
sent=$(requests PutHostCommandComplete)
echo "noop opened ready go result" >"$FAKE/BeforeInstall"
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Succeeded"}'
order PollHostCommand "command c-20 a/b/c/d-20 BeforeInstall"
ok "a no-op that has succeeded already is walked" within 10 grep -q '"told": "go", "command": "c-20"' "$FAKE/log"
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Failed"}'
order PollHostCommand "command c-21 a/b/c/d-21 BeforeInstall"
ok "so is one that counts as failed" within 10 completed c-21
is "only that one is completed" $((sent + 1)) "$(requests PutHostCommandComplete)"

# A status that nobody knows does not say that it must not run.
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Perhaps"}'
order PollHostCommand "command c-22 a/b/c/d-22 Install"
ok "a status that is not known: it runs" within 10 completed c-22

# The service may ask for an update of the agent: packages are the operator's.
asked=$(requests GetDeploymentSpecification)
order PollHostCommand "command c-23 a/b/c/d-23 UpdateDeploymentAgent"
ok "an update of the agent is answered" within 10 completed c-23
ok "as no no-op" grep -qF '"HostCommandIdentifier":"c-23","Diagnostics":{"Format":"JSON","Payload":"{\"IsCommandNoop\":false}"' \
	<<<"$(bodies PutHostCommandAcknowledgement)"
ok "as failed" grep -F '"HostCommandIdentifier":"c-23"' <<<"$(bodies PutHostCommandComplete | grep '"CommandStatus":"Failed"')"
ok "with the reason" grep -qF 'updated by the package manager' <<<"$(bodies PutHostCommandComplete | grep c-23)"
is "no worker, no specification" "0 $asked" "$(worker_log '"command": "c-23"') $(requests GetDeploymentSpecification)"
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Failed"}'
order PollHostCommand "command c-24 a/b/c/d-24 UpdateDeploymentAgent"
order PollHostCommand "command c-25 a/b/c/d-25 Install"
ok "one that is closed is let be, and the next command runs" within 10 completed c-25
is "it is not completed" 0 "$(bodies PutHostCommandComplete | grep -c '"HostCommandIdentifier":"c-24"')"

# A specification with a secret is not written: an acknowledged command asks for it again.
secret() { # secret ID: a specification with a token for GitHub
	printf 'json 200 {"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{"GenericEnvelope":{"Format":"TEXT/JSON","Payload":"%s"}}}' \
		"{\\\"DeploymentId\\\":\\\"$1\\\",\\\"DeploymentGroupId\\\":\\\"g-$1\\\",\\\"GitHubAccessToken\\\":\\\"marked-token\\\"}"
}
echo "ready go wait:let-go-1 result" >"$FAKE/AfterInstall"
order GetDeploymentSpecification "$(secret d-26)"
order PollHostCommand "command c-26 a/b/c/d-26 AfterInstall"
ok "a command with a token runs" within 10 compgen -G "$A/inflight/*.acked"
is "the token is not on the disk" "" "$(grep -rl marked-token "$R")"
stop daemon KILL
order GetDeploymentSpecification "$(secret d-26)"
asked=$(requests GetDeploymentSpecification)
start_daemon
ok "another daemon asks for it again" within 10 at_least $((asked + 1)) GetDeploymentSpecification
touch "$FAKE/let-go-1"
ok "and finishes it" within 10 completed c-26
is "nor is it then, or in the log" "" "$(grep -rl marked-token "$R" "$T/daemon.err")"

# What can never run is reported as failed, with the reason.
order GetDeploymentSpecification 'json 200 {"DeploymentSystem":"Other","DeploymentSpecification":{"GenericEnvelope":{"Format":"x","Payload":"y"}}}'
order PollHostCommand "command c-27 a/b/c/d-27 Install"
ok "a specification of another kind fails the command" within 10 completed c-27
order GetDeploymentSpecification 'json 200 {}'
order PollHostCommand "command c-28 a/b/c/d-28 Install"
ok "so does one that is not there" within 10 completed c-28
order GetDeploymentSpecification 'json 400 {"__type":"ClientException","message":"no such deployment"}'
order PollHostCommand "command c-8 a/b/c/d-8 Install"
ok "a specification that is refused fails the command" within 10 completed c-8
ok "with the endpoint's words" grep -qF 'no such deployment' <<<"$(bodies PutHostCommandComplete | grep c-8)"
echo refuse >"$FAKE/ValidateService"
order PollHostCommand "command c-9 a/b/c/d-9 ValidateService"
ok "a command that the worker refuses is failed" within 10 completed c-9
ok "with the worker's words" grep -qF 'not signed by the CA' <<<"$(bodies PutHostCommandComplete | grep c-9)"

# What fails for now is tried again.
order GetDeploymentSpecification 'json 500 {}'
order PutHostCommandAcknowledgement 'close'
order PutHostCommandAcknowledgement 'json 200 {"CommandStatus":"Perhaps"}'
order PollHostCommand "command c-10 a/b/c/d-10 Install"
ok "errors on the way are survived" within 20 completed c-10
is "and it ran once" 1 "$(worker_log '"told": "go", "command": "c-10"')"

# The bundle.
head -c 300000 /dev/urandom >"$P/bundles/b/app 1.tgz"
sum=$(sha256sum "$P/bundles/b/app 1.tgz" | cut -d' ' -f1)
echo "ready go fetch result" >"$FAKE/DownloadBundle"
fetched() { [ "$(grep -c '"verb": "bundle"' "$FAKE/log")" -ge "$1" ]; }
order PollHostCommand "command c-11 a/b/c/d-11 DownloadBundle"
ok "a bundle is handed on" within 10 fetched 1
ok "whole" grep -q "\"sha256\": \"$sum\"" "$FAKE/log"
order GET "cut 100000"
order GET "json 503 busy"
order GET "cut 50000"
order PollHostCommand "command c-12 a/b/c/d-12 DownloadBundle"
ok "a broken download goes on where it was" within 20 fetched 2
is "whole" 2 "$(grep -c "\"sha256\": \"$sum\"" "$FAKE/log")"
ok "by asking for the rest" grep -q '"range": "bytes=100000-"' "$P/log"
rm "$P/bundles/b/app 1.tgz"
order PollHostCommand "command c-13 a/b/c/d-13 DownloadBundle"
ok "a missing bundle is told to the worker" within 10 grep -q '"verb": "bundle-failed".*NoSuchKey' "$FAKE/log"
is "no download is left" "" "$(ls "$A/downloads")"

# No more groups at once than the settings allow; SIGHUP reads them again.
echo "max_parallel: 1" >"$R/etc/slipway/agent.yml"
kill -HUP "${started[daemon]}"
ok "settings are read again" within 10 grep -q "were read again" "$T/daemon.err"
echo "ready go wait:let-go-2 result" >"$FAKE/AfterInstall"
order PollHostCommand "command c-14 a/b/c/d-14 AfterInstall"
ok "one group runs" within 10 grep -q '"told": "go", "command": "c-14"' "$FAKE/log"
order PollHostCommand "command c-15 a/b/c/d-15 Install"
is "another is not even asked for" 1 "$(ls "$P/queue/PollHostCommand" | wc -l)"
touch "$FAKE/let-go-2"
ok "until there is room" within 10 completed c-15

# It ends at once, in order: nothing was lost sight of.
kill "${started[daemon]}"
ok "SIGTERM ends it at once" within 3 gone "${started[daemon]}"
wait "${started[daemon]}"
is "with exit code 0" 0 $?
done_testing
