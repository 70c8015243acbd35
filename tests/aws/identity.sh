#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who a host is at AWS, and with what it signs: metadata with and without a token, files, rotation, refusals, clock, throttling.
# SLIPWAY_EXHAUST=1: also trust by directory, metadata over IPv6, pauses between polls, files that are broken for a while.
. "$top_srcdir/tests/aws/lib.sh"

# settings [LINE...]: agent.yml, without what is another test's
settings() {
	printf '%s\n' "aws: true" "ca_file: $P/ca.pem" "deploy_control_endpoint: $commands" \
		"on_premises_config_file: $R/etc/onpremises.yml" "$@" >"$R/etc/slipway/agent.yml"
}
# asked NAME: a member of the daemon's status, or of its "aws"
asked() { "$SLIPWAY" --root "$R" status --json | sed -nE "s/.*\"$1\":(\"([^\"]*)\"|(-?[0-9]+)).*/\2\3/p"; }
status_is() { [ "$(asked "$1")" = "$2" ]; }
status_has() { [[ $(asked "$1") = *"$2"* ]]; }
last_key() { sed -n '/"operation": "PollHostCommand"/s/.*"key": "\([A-Z0-9]*\)".*/\1/p' "$P/log" | tail -n 1; }
last_key_is() { [ "$(last_key)" = "$1" ]; }
# again [SETTING...]: a new start with an empty log
again() {
	stop daemon
	: >"$P/log"
	settings "$@"
	start_daemon
}
polls() { within 10 at_least "${1-1}" PollHostCommand; }
# more: another poll is accepted from now on
more() {
	local seen
	seen=$(accepted)
	within 10 accepted_above "$seen"
}
accepted() { grep '"operation": "PollHostCommand"' "$P/log" | grep -vc '"fault"'; }
accepted_above() { [ "$(accepted)" -gt "$1" ]; }

start_fake
imds6=$(sed -n 's/^imds6 //p' "$T/fake.out")
config '{"poll": 1.1}'

# --- an instance ----------------------------------------------------------------------------------------------------------------
settings
start_daemon
ok "an instance polls" polls 2
is "each request of the metadata but that for a token has one" 0 "$(imds_without_token)"
is "which is asked for once" 1 "$(requests token)"
is "it says who it is" "{\"HostIdentifier\":\"$host\"}" "$(bodies PollHostCommand | head -n 1)"
ok "status says who it is" status_is identity role
ok "status says how the metadata were had" status_has credentials IMDSv2
"$SLIPWAY" --root "$R" whoami >"$T/out"
says "whoami too" "$host" "$T/out"
says "and its region" "EC2 instance, region us-east-1" "$T/out"

# --- rotation, without a restart ------------------------------------------------------------------------------------------------
old=$(last_key)
new=$(fake role 21600)
fake mark "$old" expired
ok "expired credentials are exchanged" within 10 last_key_is "$new"
ok "without a failure that anybody sees" status_is state reachable
ok "nor a line in the log" test "$(grep -cE '^(warning|error)' "$T/daemon.err")" = 0
fake mark "$new" refused
ok "credentials that are refused, and no others: it says so" within 10 status_is state refused
ok "and where to look" logged "'slipway doctor'"
fake role 21600 >/dev/null

# --- the metadata without tokens ------------------------------------------------------------------------------------------------
config '{"poll": 1.1, "imds_v2": false}'
again "disable_imds_v1: true"
ok "no token, and none is needed by the operator: it waits" within 10 status_has error "give no token"
is "no request went without a token" 0 "$(imds_without_token)"
again
ok "without disable_imds_v1 it polls" polls 1
ok "status says so" status_has credentials "IMDSv1"

# --- the clock ------------------------------------------------------------------------------------------------------------------
config '{"poll": 1.1, "clock": 7200}'
again
ok "with a clock two hours behind it polls all the same" within 10 status_is state reachable
ok "it says that the clock is wrong" logged "behind that of AWS"
ok "status too" status_has clock_offset 7
is "one request was refused for it" 1 "$(requests PollHostCommand '"fault"')"
config '{"poll": 1.1}'

# --- throttling -----------------------------------------------------------------------------------------------------------------
again
polls 1
order PollHostCommand "throttle"
ok "a throttled poll is repeated" within 10 status_is state reachable
ok "more come" more
grep '"operation": "PollHostCommand"' "$P/log" | sed 's/^{"time": \([0-9.]*\).*/\1/' >"$T/times"
ok "a second later at the earliest" awk 'NR > 1 && $1 - last < 1.0 { exit 1 } { last = $1 }' "$T/times"
ok "which is nothing to tell anybody" test "$(grep -c 'slow down' "$T/daemon.err")" = 0

# --- how often ------------------------------------------------------------------------------------------------------------------
if [ -n "${SLIPWAY_EXHAUST-}" ]; then
	again "wait_between_runs: 2500ms"
	polls 2
	grep '"operation": "PollHostCommand"' "$P/log" | sed 's/^{"time": \([0-9.]*\).*/\1/' >"$T/times"
	ok "polls that find nothing are as far apart as the settings say" awk 'NR > 1 && $1 - last < 2.4 { exit 1 } { last = $1 }' "$T/times"
fi

# --- other settings, without a restart ---------------------------------------------------------------------------------------------
again
polls
printf '%s\n' 'agent_version_header: TOOL_9.9' 'no_proxy: else.example' >>"$R/etc/slipway/agent.yml"
kill -HUP "${started[daemon]}"
# shellcheck disable=SC2317
as_tool() { [ "$(requests PollHostCommand TOOL_9.9)" -ge 1 ]; }
ok "what its requests are made of is taken up" within 10 as_tool
ok "and nobody is told to start it again" test "$(grep -c 'starts again' "$T/daemon.err")" = 0

# --- other stacks, other names --------------------------------------------------------------------------------------------------
again "enable_auth_policy: true"
sed -i "s|^deploy_control_endpoint:.*|deploy_control_endpoint: $secure|" "$R/etc/slipway/agent.yml"
stop daemon
start_daemon
ok "the stack for policies has its own names" within 10 status_is state reachable
env_host=arn:aws:ec2:us-east-1:111122223333:instance/i-0abc1234def567890
AWS_REGION=us-east-1 AWS_HOST_IDENTIFIER=$env_host again
polls
is "who the environment says we are is not looked for" 0 "$(requests identity)"
AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1 again
ok "no metadata and no file: it says what was looked for" within 10 status_has error "there is no '$R/etc/onpremises.yml'"
config '{"poll": 1.1, "region": "eu-west-1"}'
again "use_fips_mode: true"
sed -i '/^deploy_control_endpoint/d' "$R/etc/slipway/agent.yml"
stop daemon
start_daemon
ok "a region without FIPS is named" within 10 status_has error "no FIPS endpoint in region 'eu-west-1'"
config '{"poll": 1.1}'

if [ -n "${SLIPWAY_EXHAUST-}" ]; then
	mkdir "$T/trust"
	cp "$P/ca.pem" "$T/trust/"
	settings
	sed -i '/^ca_file/d' "$R/etc/slipway/agent.yml"
	stop daemon
	AWS_SSL_CA_DIRECTORY=$T/trust start_daemon
	ok "trust may come from AWS_SSL_CA_DIRECTORY" within 10 status_is state reachable
	stop daemon
	start_daemon
	ok "without it the fake is a stranger" within 10 status_is state unreachable
	AWS_EC2_METADATA_SERVICE_ENDPOINT=$imds6 again
	[ -z "$imds6" ] || ok "metadata over IPv6" within 10 status_is state reachable
fi

# --- on-premises: a user --------------------------------------------------------------------------------------------------------
user=arn:aws:iam::111122223333:user/web1
user_file() { # user_file KEY SECRET
	printf '%s\n' ':region: us-east-1' ":iam_user_arn: $user" "aws_access_key_id: $1" "aws_secret_access_key: '$2'" >"$R/etc/.new"
	mv "$R/etc/.new" "$R/etc/onpremises.yml"
}
read -r key1 secret1 <<<"$(fake user $user)"
read -r key2 secret2 <<<"$(fake user $user)"
user_file "$key1" "$secret1"
again
ok "an on-premises user polls" polls 1
ok "a file with keys that everybody may read is warned about" logged "run 'chmod 0640 $R/etc/onpremises.yml'"
is "as itself" "{\"HostIdentifier\":\"$user\"}" "$(bodies PollHostCommand | tail -n 1)"
is "without asking for metadata" 0 "$(requests token)"
user_file "$key2" "$secret2"
ok "new keys in the file are taken up" within 10 last_key_is "$key2"
if [ -n "${SLIPWAY_EXHAUST-}" ]; then
	printf 'iam_user_arn: %s\nregi' "$user" >"$R/etc/onpremises.yml"
	ok "a file that is half written changes nothing" more
	ok "and is named" within 10 logged "no new credentials: $R/etc/onpremises.yml"
	user_file "$key1" "$secret1"
	ok "until it is whole" within 10 last_key_is "$key1"
fi

# --- on-premises: a session -----------------------------------------------------------------------------------------------------
session=arn:aws:sts::111122223333:assumed-role/web/host1
session_file() { # session_file KEY SECRET TOKEN
	printf '%s\n' '[other]' 'aws_access_key_id = AKIDOTHER' '[default]' "aws_access_key_id = $1" \
		"aws_secret_access_key=$2" " aws_session_token = $3" >"$R/etc/.new"
	mv "$R/etc/.new" "$R/etc/session"
}
read -r key3 secret3 token3 <<<"$(fake session $session)"
read -r key4 secret4 token4 <<<"$(fake session $session)"
printf '%s\n' 'region: us-east-1' "iam_session_arn: $session" "aws_credentials_file: $R/etc/session" >"$R/etc/onpremises.yml"
again
ok "a credentials file that is not there yet is named" within 10 logged "$R/etc/session"
session_file "$key3" "$secret3" "$token3"
ok "a session polls as soon as it is" within 15 last_key_is "$key3"
session_file "$key4" "$secret4" "$token4"
ok "the next session is taken up" within 10 last_key_is "$key4"
printf '%s\n' 'region: us-east-1' "iam_session_arn: $session" "iam_user_arn: $user" >"$R/etc/onpremises.yml"
if [ -n "${SLIPWAY_EXHAUST-}" ]; then
	kill -HUP "${started[daemon]}"
	ok "a broken file that is read again changes nothing" more
fi
again
ok "at the start it is refused by name" within 10 status_has error "'iam_user_arn' and 'iam_session_arn' are both there"
if [ -n "${SLIPWAY_EXHAUST-}" ]; then
	rm "$R/etc/onpremises.yml"
	ok "and once it is gone the host is an instance" within 15 status_is identity role
fi

# --- what must not be seen ------------------------------------------------------------------------------------------------------
stop daemon
for secret in "$secret1" "$secret2" "$secret3" "$token3" "$secret4" "$token4"; do printf '%s\n' "$secret"; done >"$T/secrets"
python3 -c 'import json, sys
for key in json.load(open(sys.argv[1]))["keys"].values():
    print(key["secret"]); print(key["token"] or key["secret"])' "$P/credentials.json" >>"$T/secrets"
ok "there are secrets to look for" test "$(wc -l <"$T/secrets")" -ge 12
rm -f "$R/etc/session"
is "no secret is in anything that the agent wrote" "" "$(grep -rlFf "$T/secrets" "$R" "$T/daemon.err" "$T/daemon.out")"
is "the fake has nothing to complain of" "" "$(complaints)"
[ -z "${SLIPWAY_EXHAUST-}" ] || echo "# exhaust: identity at AWS: $tests_run checks, $tests_failed violations"
done_testing
