# SPDX-License-Identifier: Apache-2.0
# What the tests of a host in AWS share: fake-aws.py (its orders are described there), and a host that knows only it.
#
#     . "$top_srcdir/tests/aws/lib.sh"
#     start_fake                     # $commands $secure $s3 $github $imds $proxy are its URLs, $P its folder
#     aws_settings 'wait_between_runs: 1'
#     start_daemon
. "$top_srcdir/tests/e2e/lib.sh" || exit 1
command -v python3 >/dev/null || skip_all "needs python3"
command -v openssl >/dev/null || skip_all "needs openssl"

P=$T/aws
R=$T/root
host=arn:aws:ec2:us-east-1:111122223333:instance/i-0abc1234def567890
mkdir -p "$P" "$R/etc/slipway"
unset AWS_REGION AWS_HOST_IDENTIFIER AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN \
	AWS_SSL_CA_BUNDLE AWS_SSL_CA_DIRECTORY AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT no_proxy NO_PROXY
export AWS_EC2_METADATA_SERVICE_ENDPOINT

fake() { python3 "$top_srcdir/tests/aws/fake-aws.py" "$P" "$@"; }
start_fake() {
	start fake python3 "$top_srcdir/tests/aws/fake-aws.py" "$P"
	line_of fake '/^ready$/p' >/dev/null || exit 1
	# shellcheck disable=SC2034
	read -r commands secure s3 github imds proxy <<<"$(awk '{ print $2 }' "$T/fake.out" | head -n 6 | xargs)"
	AWS_EC2_METADATA_SERVICE_ENDPOINT=$imds
}

# aws_settings [LINE...]: agent.yml of a host that knows only the fake.
aws_settings() {
	printf '%s\n' "aws: true" "ca_file: $P/ca.pem" "deploy_control_endpoint: $commands" "s3_endpoint_override: $s3" \
		"s3_path_style: true" "github_api_url: $github" "on_premises_config_file: $R/etc/onpremises.yml" "$@" \
		>"$R/etc/slipway/agent.yml"
}
start_daemon() { start daemon "$SLIPWAYD" --root "$R" "$@"; }

# config '{"poll": 1}': of the fake
config() { put "$P/config.json" "$1"; }
put() { printf '%s\n' "$2" >"$1.new" && mv "$1.new" "$1"; }

# order OPERATION TEXT: the next such request is answered so; always OPERATION [TEXT]: all, from now on.
orders=0
order() {
	mkdir -p "$P/queue/$1"
	orders=$((orders + 1))
	printf '%s\n' "$2" >"$P/queue/.new"
	mv "$P/queue/.new" "$P/queue/$1/$(printf %06d $orders)"
}
always() { if [ -n "${2-}" ]; then put "$P/always/$1" "$2"; else rm -f "$P/always/$1"; fi; }

# deployment NAME [JSON]: its commands are handed out from now on.
deployment() { put "$P/deployments/$1.json" "${2-{\}}"; }
# command_states DEPLOYMENT: "EVENT STATUS RESULTS OFFERED" of each command, in order.
command_states() {
	python3 - "$P" "$1" <<'PY'
import glob, json, sys
known = [json.load(open(f)) for f in glob.glob(sys.argv[1] + "/commands/*.json")]
for c in sorted((c for c in known if c["execution"].endswith("/" + sys.argv[2])), key=lambda c: c["first"]):
    print(c["name"], c["status"], c.get("results", 0), c["offered"])
PY
}
# completed DEPLOYMENT EVENT [STATUS]
completed() { command_states "$1" | grep -q "^$2 ${3-[SF]}"; }

# requests OPERATION [WORD]: how many came (that hold the word); at_least N OPERATION; bodies OPERATION
requests() { grep "\"operation\": \"$1\"" "$P/log" 2>/dev/null | grep -c -- "${2-}"; }
at_least() { [ "$(requests "$2")" -ge "$1" ]; }
bodies() { cat "$P/bodies.$1" 2>/dev/null; }
complaints() { cat "$P/complaints" 2>/dev/null; }
# imds_without_token: how many requests of IMDS but those for a token came without one
imds_without_token() { grep -c '"token": "none"' "$P/log"; }
logged() { grep -qF -- "$1" "$T/daemon.err"; }
