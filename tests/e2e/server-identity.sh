#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who is let in: certificates that are missing, foreign, expired, of the wrong kind, unknown, revoked; signatures with the wrong
# secret, over another body, too old, for another service; and what the log says of it.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
endpoint || exit 1
is "a host enrols" 200 "$(enroll web1 | head -n 1)"

# ask NAME: what the host of $T/NAME.{key,pem} is told when it renews; any route does, the certificate comes first.
ask() {
	request POST /slipway/v1/renew --cert "$T/$1.pem" --key "$T/$1.key" \
		--body "$(enroll_body x "${2-web1}" "$(new_csr "$T/web1.key")")" >"$T/answer" 2>&1
	head -n 1 "$T/answer"
}
# issue NAME EXTENSIONS-FILE OPTION...: a certificate by the endpoint's own CA, behind its back.
issue() {
	local name=$1 extensions=$2
	shift 2
	new_key "$T/$name.key"
	openssl req -new -key "$T/$name.key" -subj "/CN=web1" 2>/dev/null |
		openssl x509 -req -CA "$ca" -CAkey "$T/control/ca/ca.key" -set_serial "$(openssl x509 -in "$T/web1.pem" -noout -serial | sed 's/.*=/0x/')" \
			-extfile "$extensions" "$@" -out "$T/$name.pem" 2>/dev/null
}
echo "extendedKeyUsage=clientAuth" >"$T/client.ext"
echo "extendedKeyUsage=serverAuth" >"$T/server.ext"

is "its certificate is good" 200 "$(ask web1)"

# Certificates
is "nobody polls without a certificate" 403 \
	"$(request POST / --target CodeDeployCommandService_v20141006.PollHostCommand --body '{"HostIdentifier": "x"}' >"$T/answer"; head -n 1 "$T/answer")"
says "and is told what is missing" "this needs the certificate of an enrolled host" "$T/answer"

new_key "$T/self.key"
openssl req -x509 -key "$T/self.key" -subj /CN=web1 -days 2 -out "$T/self.pem" 2>/dev/null
is "a self-signed certificate is refused" 403 "$(ask self)"
says "with its subject" "client certificate CN=web1, valid 20" "$T/answer"

"$CONTROLD" init --dir "$T/other" >/dev/null
new_key "$T/foreign.key"
openssl req -new -key "$T/foreign.key" -subj /CN=web1 2>/dev/null |
	openssl x509 -req -CA "$T/other/ca/ca.pem" -CAkey "$T/other/ca/ca.key" -CAcreateserial -days 2 -extfile "$T/client.ext" \
		-out "$T/foreign.pem" 2>/dev/null
is "a certificate of another CA is refused" 403 "$(ask foreign)"
says "and the reason is its issuer" "issuer is unknown" "$T/answer"

issue copy "$T/client.ext" -days 2
is "(a certificate like the host's own is accepted)" 200 "$(ask copy)"
issue expired "$T/client.ext" -days -1
is "an expired certificate is refused" 403 "$(ask expired)"
says "and the reason is its end" "expired" "$T/answer"
issue server "$T/server.ext" -days 2
is "a server's certificate is no host's" 403 "$(ask server)"
awk '/BEGIN EC/,/END EC/; /BEGIN PRIVATE/,/END PRIVATE/' "$T/control/ca/signer.pem" >"$T/signer.key"
openssl x509 -in "$T/control/ca/signer.pem" -out "$T/signer.pem"
is "nor is the signer's" 403 "$(ask signer)"
new_key "$T/unknown.key"
openssl req -new -key "$T/unknown.key" -subj /CN=web1 2>/dev/null |
	openssl x509 -req -CA "$ca" -CAkey "$T/control/ca/ca.key" -set_serial 4711 -days 2 -extfile "$T/client.ext" -out "$T/unknown.pem" 2>/dev/null
is "a serial number that was never given out is refused" 403 "$(ask unknown)"
is "a bad certificate is refused whatever is asked, signed or not" 403 \
	"$(status_of admin ListApplications '{}' --cert "$T/self.pem" --key "$T/self.key")"
is "a host is no administrator" 403 "$(status_of admin ListApplications '{}' --cert "$T/web1.pem" --key "$T/web1.key")"
is "another host enrols" 200 "$(enroll web2 | head -n 1)"
is "it cannot poll as the first" AccessDeniedException \
	"$(host web2 PollHostCommand '{"HostIdentifier": "arn:aws:codedeploy:us-east-1:000000000000:instance/web1"}' | tail -n +2 | json_of __type)"
ok "a host is revoked" "$CONTROLD" host revoke web1 --dir "$T/control"
revoked() { [ "$(ask web1)" = 403 ]; }
ok "it is refused from then on" within 20 revoked
says "and is told so" "revoked" "$T/answer"

# Signatures
denied() { # NAME TYPE COMMAND...
	local name=$1 type=$2
	shift 2
	"$@" >"$T/answer" 2>&1
	is "$name" 400 "$(head -n 1 "$T/answer")"
	is "... as $type" "$type" "$(tail -n +2 "$T/answer" | json_of __type)"
}
good() { admin GetDeployment '{"deploymentId": "d-000000000"}' "$@"; }
good >"$T/answer"
ok "a right signature gets past the door" grep -qE '"__type": ?"(DeploymentDoesNotExist|OperationNotSupported)Exception' "$T/answer"
unsigned() { request POST / --target CodeDeploy_20141006.ListApplications --body '{}'; }
denied "no signature is refused" MissingAuthenticationTokenException unsigned
denied "a malformed one is refused" IncompleteSignatureException \
	request POST / --target CodeDeploy_20141006.ListApplications --body '{}' --header 'Authorization: AWS4-HMAC-SHA256 nonsense'
right=$secret
secret=WRONGSECRETWRONGSECRETWRONGSECRETWRONGSE
denied "a wrong secret is refused" InvalidSignatureException good
secret=$right
denied "an altered body is refused" InvalidSignatureException good --send-body '{"deploymentId": "d-000000001"}'
denied "a body other than its signed hash is refused" InvalidSignatureException good --payload "$(printf x | sha256sum | cut -d' ' -f1)"
denied "no hash of the body is refused" InvalidSignatureException good --payload UNSIGNED-PAYLOAD
denied "a signature of six minutes ago is refused" InvalidSignatureException good --age 360
says "with the times" "Signature expired: 20" "$T/answer"
denied "and one from the future" InvalidSignatureException good --age -360
says "with the times too" "Signature not yet current: 20" "$T/answer"
good --age 240 >"$T/answer"
is "four minutes are forgiven" "" "$(grep Signature "$T/answer")"
denied "an unknown key is refused" UnrecognizedClientException \
	request POST / --target CodeDeploy_20141006.ListApplications --body '{}' --sign SLIPNOSUCHKEY0000000 "$secret" codedeploy
denied "a signature for another service is refused" InvalidSignatureException \
	request POST / --target CodeDeploy_20141006.ListApplications --body '{}' --sign "$key_id" "$secret" iam
other=$("$CONTROLD" key create --dir "$T/control" --json)
second() {
	request POST / --target CodeDeploy_20141006.GetDeployment --body '{"deploymentId": "d-000000000"}' \
		--sign "$(json_of access_key_id <<<"$other")" "$(json_of secret_access_key <<<"$other")" codedeploy
}
second >"$T/answer"
is "a second key works" "" "$(grep -E 'UnrecognizedClient|Signature' "$T/answer")"
ok "it can be deleted" "$CONTROLD" key delete "$(json_of access_key_id <<<"$other")" --dir "$T/control"
denied "and is refused then" UnrecognizedClientException second
denied "an unknown operation is refused" UnknownOperationException admin MakeCoffee '{}'
denied "an unknown service is refused" UnknownOperationException request POST / --target Coffee_2014.Make --body '{}'
denied "a body that is no JSON is refused" SerializationException admin GetDeployment '{'
denied "a body that is no object is refused" SerializationException admin GetDeployment '[]'

# The log
says "refusals are logged with the key's id" "access key '$key_id': The request signature" "$T/endpoint.err"
is "never with the secret" "" "$(grep -F "$secret" "$T/endpoint.err")"
is "nor with a signature" "" "$(grep -iE '[^0-9a-f][0-9a-f]{64}([^0-9a-f]|$)' "$T/endpoint.err" | grep -v fingerprint)"

# TLS
ok "the chain ends in the CA, for a host that joins" sh -c \
	"openssl s_client -connect ${url#https://} -showcerts </dev/null 2>/dev/null | awk '/BEGIN CERT/{n++} n==2' | openssl x509 -outform DER | sha256sum | grep -q $fingerprint"
is "TLS 1.1 is not spoken" 0 \
	"$(openssl s_client -connect "${url#https://}" -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null 2>/dev/null | grep -c 'Cipher is [A-Z]')"
is "TLS 1.2 is" 1 "$(openssl s_client -connect "${url#https://}" -tls1_2 </dev/null 2>/dev/null | grep -c 'Cipher is [A-Z]')"
ends_well
done_testing
