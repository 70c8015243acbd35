# SPDX-License-Identifier: Apache-2.0
# What the tests of the endpoint share, on top of lib.sh.
[ -n "$(command -v python3)" ] || skip_all "python3 is missing"
[ -n "$(command -v openssl)" ] || skip_all "the openssl command is missing"

# endpoint [OPTION...]: start it in $T/control; sets url, ca, key_id, secret, fingerprint.
# shellcheck disable=SC2034
endpoint() {
	start endpoint "$CONTROLD" serve --dir "$T/control" --listen 127.0.0.1:0 "$@"
	url=$(line_of endpoint 's/.*listening on //p') || return
	ca=$T/control/ca/ca.pem
	key_id=$(json_of access_key_id <"$T/control/admin-credentials.json")
	secret=$(json_of secret_access_key <"$T/control/admin-credentials.json")
	fingerprint=$(openssl x509 -in "$ca" -outform DER | sha256sum | cut -d' ' -f1)
}

# ends_well: stop it; a sanitizer would have its say at the end.
ends_well() {
	local pid=${started[endpoint]} status=0
	kill "$pid"
	within 10 gone "$pid" || kill -KILL "$pid"
	wait "$pid" || status=$?
	unset "started[endpoint]"
	is "the endpoint ends well on SIGTERM" 0 $status
	is "and had nothing to complain about" "" "$(grep -E 'Sanitizer|runtime error|^error' "$T/endpoint.err" | grep -v "${1:-^$}")"
}

# json_of NAME...: a member (of a member ...) of the JSON object on stdin.
json_of() {
	python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]:
    value = value[int(name)] if isinstance(value, list) else value[name]
print(value if isinstance(value, str) else json.dumps(value))' "$@"
}

# request METHOD PATH [OPTION...]: see client.py; status and body are printed.
request() { python3 "$top_srcdir/tests/e2e/client.py" "$url" "$@" --ca "$ca"; }
# admin TARGET BODY [OPTION...]: an operation of the management API, signed.
admin() {
	local target=$1 body=$2
	shift 2
	request POST / --target "CodeDeploy_20141006.$target" --body "$body" --sign "$key_id" "$secret" codedeploy "$@"
}
# host NAME TARGET BODY [OPTION...]: an operation of the command API with the certificate of that host.
host() {
	local name=$1 target=$2 body=$3
	shift 3
	request POST / --target "CodeDeployCommandService_v20141006.$target" --body "$body" \
		--cert "$T/$name.pem" --key "$T/$name.key" "$@"
}
status_of() { "$@" 2>&1 | head -n 1; }

token() { "$CONTROLD" token create --dir "$T/control" --quiet "$@"; }
new_key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1" 2>/dev/null; }
new_csr() { openssl req -new -key "$1" -subj "/CN=whatever" 2>/dev/null; }

# enroll_body TOKEN NAME CSR [MEMBERS]
enroll_body() {
	python3 -c 'import json, sys
body = {"Token": sys.argv[1], "Name": sys.argv[2], "Csr": sys.argv[3], **json.loads(sys.argv[4])}
print(json.dumps(body))' "$1" "$2" "$3" "${4:-{\}}"
}
# enroll NAME [TOKEN [MEMBERS]]: makes $T/NAME.key, $T/NAME.pem; prints status and body.
enroll() {
	local name=$1 token=${2-} out
	[ -n "$token" ] || token=$(token)
	[ -e "$T/$name.key" ] || new_key "$T/$name.key"
	out=$(request POST /slipway/v1/enroll --body "$(enroll_body "$token" "$name" "$(new_csr "$T/$name.key")" "${3:-{\}}")")
	[ "$(head -n 1 <<<"$out")" != 200 ] || tail -n +2 <<<"$out" | json_of Certificate >"$T/$name.pem"
	printf '%s\n' "$out"
}

# The aws CLI without this machine's configuration.
aws_cli() {
	env -i PATH=/usr/bin:/bin HOME="$T" AWS_ACCESS_KEY_ID="$key_id" AWS_SECRET_ACCESS_KEY="$secret" \
		AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1 AWS_PAGER= \
		/usr/bin/aws --ca-bundle "$ca" --endpoint-url "$url" "$@"
}
