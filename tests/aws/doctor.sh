#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway doctor on a host in AWS: who it is, its credentials, a signed question that takes no command, its clock, the proxy.
. "${top_srcdir:?run it by make check}/tests/aws/lib.sh"
start_fake
aws_settings
# shellcheck disable=SC2317
doctor() { "$SLIPWAY" --root "$R" doctor "$@"; }
# finds CODE NAME TEXT
finds() {
	exits "$1" "$2" doctor
	tr -s ' \n' ' ' <"$T/out" >"$T/flat"
	says "$2: says so" "$3" "$T/flat"
}
deployment d-WAITS

finds 0 "a host that works" "AWS mode: this host is $host in us-east-1"
says "says where its credentials are from" "(IMDSv2), role 'web-role'" "$T/flat"
says "and that they are accepted" "the endpoint accepts who this host is" "$T/flat"
says "and whom it trusts to sign" "the signer is not pinned" "$T/flat"
is "the question takes no command" 0 "$(requests PollHostCommand)"
is "and was asked" 1 "$(requests GetDeploymentSpecification)"
secrets=$(sed -nE 's/.*"(secret|token)": "([^"]+)".*/\2/p' "$P/credentials.json")
is "there are secrets" 2 "$(wc -l <<<"$secrets")"
exits 0 "with every fact" doctor --verbose
is "no secret is shown" "" "$(tr -d ' \n' <"$T/out" | grep -oF "$secrets")"
config '{"clock": 4000}'
finds 0 "a clock that AWS does not share is a warning" "requests are signed for theirs"
config '{}'
aws_settings "aws_signer_fingerprint: abc"
finds 18 "a fingerprint that is none" "'abc' is not the SHA-256 of a certificate"
aws_settings
fake mark "$(sed -n '/"operation": "GetDeploymentSpecification"/s/.*"key": "\([A-Z0-9]*\)".*/\1/p' "$P/log" | tail -n 1)" refused
finds 17 "credentials that are refused" "the endpoint refuses this host"
aws_settings "aws_signer_subject: CN=signer"
"$SLIPWAY" --root "$R" doctor >"$T/out" 2>&1
says "a signer that is pinned" "aws_signer_subject" "$T/out"
AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9
finds 16 "no metadata, no file: nobody" "who this host is is not known"
done_testing
