# SPDX-License-Identifier: Apache-2.0
# An endpoint, hosts that speak only the protocol, and the management API; on top of server-lib.sh.

# api_up: after endpoint; one process asks all questions (api-ask.py).
api_up() {
	mkfifo "$T/questions" "$T/answers"
	PYTHONPATH=$top_srcdir/tests/e2e PYTHONDONTWRITEBYTECODE=1 python3 "$top_srcdir/tests/e2e/api-ask.py" \
		"$url" "$ca" "$T" "$key_id" "$secret" <"$T/questions" >"$T/answers" 2>"$T/ask.err" &
	started[ask]=$!
	exec 7>"$T/questions" 8<"$T/answers"
}
# ask WHO OPERATION BODY [MEMBER...]: prints the answer, or the member; the status is in $T/status.
ask() {
	local IFS=$'\t' status answer
	local who=$1 operation=$2 body=${3//[$'\n\t']/ }
	shift 3
	printf '%s\n' "$who	$operation	$body${1+	$*}" >&7
	read -r -t 100 -u 8 status answer || return
	printf '%s' "$status" >"$T/status"
	printf '%s\n' "$answer"
}
call() { ask - "$@"; } # OPERATION BODY [MEMBER...]: of the management API

# joined NAME...: they are enrolled and carry the tag role=web; nobody polls for them yet.
joined() {
	local name
	for name; do
		enroll "$name" "" '{"Tags": [{"Key": "role", "Value": "web"}]}' >"$T/answer"
		[ "$(head -n 1 "$T/answer")" = 200 ] || return
	done
}
# speaks NAME [OPTION...]: a process that does what a host does (api-host.py).
speaks() {
	local name=$1
	shift
	start "$name" python3 "$top_srcdir/tests/e2e/api-host.py" "$url" "$ca" "$name" "$T/$name.pem" "$T/$name.key" "$@"
}
# online NAME...: they polled a moment ago, or are polling.
online() {
	local name
	for name; do
		[ "$(call GetOnPremisesInstance "{\"instanceName\": \"$name\"}" instanceInfo slipway online)" = true ] || return
	done
}
identifier() { echo "arn:aws:codedeploy:us-east-1:000000000000:instance/$1"; }
# The command API, as that host.
poll() { ask "$1" PollHostCommand "{\"HostIdentifier\": \"$(identifier "$1")\"}" "${@:2}"; } # NAME [MEMBER...]
acknowledge() {                                                                                  # NAME ID NOOP
	ask "$1" PutHostCommandAcknowledgement \
		"{\"HostCommandIdentifier\": \"$2\", \"Diagnostics\": {\"Format\": \"JSON\", \"Payload\": \"{\\\"IsCommandNoop\\\": $3}\"}}"
}
complete() { # NAME ID STATUS
	ask "$1" PutHostCommandComplete "{\"HostCommandIdentifier\": \"$2\", \"CommandStatus\": \"$3\"}"
}

group() { # CONFIG
	call CreateApplication '{"applicationName": "app"}' >/dev/null
	call CreateDeploymentGroup "{\"applicationName\": \"app\", \"deploymentGroupName\": \"web\",
		\"serviceRoleArn\": \"arn:aws:iam::123456789012:role/R\", \"deploymentConfigName\": \"CodeDeployDefault.$1\",
		\"onPremisesInstanceTagFilters\": [{\"Key\": \"role\", \"Value\": \"web\", \"Type\": \"KEY_AND_VALUE\"}]}" >/dev/null
}
# deploy [MEMBERS]: prints the deployment's id.
deploy() {
	call CreateDeployment "{\"applicationName\": \"app\", \"deploymentGroupName\": \"web\"${1:+, $1}, \"revision\": {\"revisionType\": \"S3\",
		\"s3Location\": {\"bucket\": \"bundles\", \"key\": \"app.zip\", \"bundleType\": \"zip\"}}}" deploymentId
}
info() { call GetDeployment "{\"deploymentId\": \"$1\"}" deploymentInfo "${@:2}"; } # ID MEMBER...
target() {                                                                          # ID HOST MEMBER...
	call GetDeploymentTarget "{\"deploymentId\": \"$1\", \"targetId\": \"$2\"}" deploymentTarget instanceTarget "${@:3}"
}
ended() { [ -n "$(info "$1" completeTime)" ]; }
