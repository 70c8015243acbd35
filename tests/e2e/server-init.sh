#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Making an endpoint, serving it, and the commands beside it: what they write, print and refuse.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
D=$T/control
controld() { local cmd=$1; shift; "$CONTROLD" $cmd --dir "$D" "$@"; }
mode() { stat -c %a "$D/$1"; }

# init
exits 0 "init makes an endpoint" controld init --name deploy.example --name 192.0.2.7 --region eu-north-1 --account 123456789012
fingerprint=$(openssl x509 -in "$D/ca/ca.pem" -outform DER | sha256sum | cut -d' ' -f1)
says "it prints the CA's fingerprint" "$fingerprint" "$T/out"
says "and what to type next" "slipway-controld token create" "$T/out"
is "directory, keys, database and credentials are for their owner" "700 700 600 600 600 600" \
	"$(mode .) $(mode ca) $(mode ca/ca.key) $(mode ca/server.pem) $(mode control.db) $(mode admin-credentials.json)"
credential() { json_of "$1" <"$D/admin-credentials.json"; }
is "the credentials name the endpoint" "https://deploy.example:8443 eu-north-1" "$(credential endpoint) $(credential region)"
ok "and hold the CA" cmp <(credential ca) <(cat "$D/ca/ca.pem"; echo)
names=$(openssl x509 -in "$D/ca/server.pem" -noout -ext subjectAltName)
for name in DNS:deploy.example 'IP Address:192.0.2.7' DNS:localhost 'IP Address:127.0.0.1' "DNS:$(hostname)"; do
	ok "the server's certificate is for $name" grep -qF "$name" <<<"$names"
done
ok "the CA lives for 10 years" openssl x509 -in "$D/ca/ca.pem" -noout -checkend $((3640 * 86400))
ok "the server's certificate for one" openssl x509 -in "$D/ca/server.pem" -noout -checkend $((360 * 86400))

# Again
sum() { cat "$D/ca/ca.pem" "$D/ca/ca.key" "$D/ca/server.pem" "$D/ca/signer.pem" "$D/admin-credentials.json" | sha256sum; }
before=$(sum)
exits 0 "init again is no error" controld init
is "and overwrites nothing" "$before" "$(sum)"
exits 2 "another region is refused" controld init --region us-east-1
says "and the reason is named" "was made with 'eu-north-1'" "$T/err"
is "nothing was touched by that" "$before" "$(sum)"
exits 0 "another name is added" controld init --name second.example
ok "the old names stay" grep -qF DNS:deploy.example <(openssl x509 -in "$D/ca/server.pem" -noout -ext subjectAltName)
ok "the new one is there" grep -qF DNS:second.example <(openssl x509 -in "$D/ca/server.pem" -noout -ext subjectAltName)

# Bad usage
exits 2 "no command is bad usage" "$CONTROLD"
exits 2 "an unknown one too" "$CONTROLD" dance
exits 2 "an option of another command too" controld init --uses 3
exits 2 "a setting that is none" controld serve --set no_such_thing=1
says "is named" "no_such_thing" "$T/err"
exits 2 "an address that is none" controld serve --listen nowhere
exits 2 "a number that is none" controld "token create" --uses many
exits 2 "a tag that is none" controld "token create" --tag nonsense
exits 2 "a key that is not there" controld "key delete" NONE
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$T"
	exits 1 "a stranger may not" setpriv --reuid 65534 --regid 65534 --clear-groups "$CONTROLD" token list --dir "$T/control"
	says "and is told what helps" "try it with sudo"
else
	skip "a stranger may not" "it needs root"
fi
exits 2 "a token of an endpoint that is not there" "$CONTROLD" token create --dir "$T/nowhere"
says "which says how to make one" "slipway-controld init"
ok "and makes none" test ! -e "$T/nowhere"
exits 2 "a host that is not there" controld "host revoke" nobody
printf 'lease: 30s\npol: 60s\n' >"$T/control.yml"
exits 2 "a misspelt key in control.yml" controld serve --config "$T/control.yml"
says "is named with its line" "control.yml:2" "$T/err"
exits 0 "help" "$CONTROLD" --help
exits 0 "help of the settings" "$CONTROLD" --help-config
says "names each" "bundle_max_size" "$T/out"

# Keys and tokens without a server
key=$(controld "key create" --name pipeline | sed -n 's/^access_key_id *//p')
controld "key list" >"$T/out"
says "a key is listed with its name" "pipeline" "$T/out"
ok "it can be deleted" controld "key delete" "$key"
is "and is gone" "" "$(controld "key list" | grep "$key")"
controld "token create" --tag role=web --uses 3 --ttl 2d >"$T/out"
says "a token comes with the command for the host" "slipway enroll https://deploy.example:8443 --token slt" "$T/out"
says "and the CA's fingerprint" "--ca-fingerprint $fingerprint" "$T/out"
is "--quiet prints nothing else" 1 "$(controld "token create" --quiet | grep -c '^slt[A-Z0-9]*$')"

# serve
endpoint || exit 1
is "the credentials follow the port" "$url" "$(credential endpoint)"
exits 6 "a second server of the directory is refused" controld serve --listen 127.0.0.1:0
served() { openssl s_client -connect "${url#https://}" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
before=$(served)
rm "$D/ca/server.pem"
kill -HUP "${started[endpoint]}"
other() { [ "$(served)" != "$before" ]; }
ok "on SIGHUP it looks at its certificate again" within 20 other
ok "which was made anew" openssl verify -CAfile "$ca" "$D/ca/server.pem"
controld "token create" >"$T/out"
says "tokens name where it listens" "slipway enroll $url" "$T/out"
ends_well
port=${url##*:}
start again "$CONTROLD" serve --dir "$D" --listen "127.0.0.1:$port"
is "it takes the same port again at once" "$url" "$(line_of again 's/.*listening on //p')"
stop again KILL
endpoint || exit 1
is "it starts after a SIGKILL" 400 "$(status_of admin GetDeployment '{"deploymentId": "d-000000000"}')"
stop endpoint

# An empty directory
D=$T/fresh
start fresh "$CONTROLD" serve --dir "$D" --listen 127.0.0.1:0
fresh=$(line_of fresh 's/.*listening on //p')
is "serve on an empty directory makes an endpoint" "$fresh" "$(credential endpoint)"
says "and says so" "made a new endpoint" "$T/fresh.err"
stop fresh

# Killed at any moment while it is made: the next time it is whole
for n in 1 2 4 8 12 16 20 25 30; do
	D=$T/killed$n
	(timeout -s KILL "0.0$(printf %02d $n)" "$CONTROLD" init --dir "$D" >/dev/null 2>&1; true) 2>/dev/null
	"$CONTROLD" init --dir "$D" >"$T/out" 2>&1 || break
	"$CONTROLD" key list --dir "$D" | grep -q "$(credential access_key_id)" || break
done
is "an init that was killed is completed by the next" 30 "$n"
done_testing
