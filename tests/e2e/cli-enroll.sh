#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# enroll, unenroll, whoami against a real endpoint, with and without a daemon.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
fleet_up

new_token() { "$CONTROLD" token create --dir "$T/control" --quiet; }
join() { # join NAME [OPTION...]
	local name=$1
	shift
	"$SLIPWAY" --root "$T/$name" enroll "$url" --ca-fingerprint "$fingerprint" --name "$name" "$@"
}
hosts() { "$SLIPWAY" fleet hosts; }
token=$(new_token)
printf '%s\n' "$token" >"$T/token"

# How it is called
exits 2 "a token is needed" join web1
exits 2 "one token, not two" join web1 --token a --token-file "$T/token"
exits 2 "a fingerprint is needed" "$SLIPWAY" --root "$T/web1" enroll "$url" --token "$token"
says "and the message says why" "nobody can tell the endpoint from a stranger"
exits 2 "a fingerprint has 64 digits" "$SLIPWAY" --root "$T/web1" enroll "$url" --token "$token" --ca-fingerprint abc
exits 2 "a tag has a value" join web1 --token "$token" --tag role
exits 2 "http is refused" "$SLIPWAY" --root "$T/web1" enroll "http://${url#https://}" --token "$token" --ca-fingerprint "$fingerprint"
exits 2 "a token file must be there" join web1 --token-file "$T/no-such"

# Refusals
exits 2 "nobody is, before it has joined" "$SLIPWAY" --root "$T/web1" whoami
says "and the message says how to" "slipway enroll"
other=$(printf '%064d' 7)
exits 1 "another CA is refused" "$SLIPWAY" --root "$T/web1" enroll "$url" --token "$token" --ca-fingerprint "$other" --name web1
says "with its subject" "CN=Slipway CA"
says "with its dates" "valid 2"
says "with its fingerprint" "$fingerprint"
says "with the expected one" "$other"
exits 1 "a certificate for another name is refused" \
	"$SLIPWAY" --root "$T/web1" enroll "https://127.1:${url##*:}" --token "$token" --ca-fingerprint "$fingerprint" --name web1
exits 1 "an unknown token is refused" join web1 --token slt-unknown
exits 6 "an endpoint that is not there is unreachable" \
	"$SLIPWAY" --root "$T/web1" enroll https://127.0.0.1:1 --token "$token" --ca-fingerprint "$fingerprint" --name web1
# By a proxy: nothing else reaches the endpoint.
start proxy python3 "$top_srcdir/tests/e2e/proxy.py"
proxy=$(line_of proxy 's/^listening on //p') || exit 1
mkdir -p "$T/far/etc/slipway"
echo "proxy_uri_commands: http://127.0.0.1:1" >"$T/far/etc/slipway/agent.yml"
exits 6 "a dead proxy is named as the reason" join far --token "$token"
says "as such" "through the proxy"
echo "proxy_uri_commands: http://u:p%40ss@127.0.0.1:$proxy" >"$T/far/etc/slipway/agent.yml"
exits 1 "with a proxy, too, another CA is refused" "$SLIPWAY" --root "$T/far" enroll "$url" --token "$token" --ca-fingerprint "$other" --name far
exits 0 "a host joins through its proxy" join far --token "$(new_token)"
is "which was asked for the endpoint alone, each time" "CONNECT ${url#https://} u:p@ss" "$(grep CONNECT "$T/proxy.out" | sort -u)"
is "by the look at the CA, twice, and by the request" 3 "$(grep -c CONNECT "$T/proxy.out")"
https_proxy=http://127.0.0.1:1 exits 6 "without a key the environment says which" join web1 --token "$token"
stop proxy

ok "no refusal left an identity" test ! -e "$T/web1/var/lib/slipway/agent/identity.json"

# Joining: the token is still good, because nothing was sent to strangers
exits 0 "the host joins with a token from a file" join web1 --token-file "$T/token" --tag role=web --tag zone=a
is "its directory is its own" 700 "$(stat -c %a "$T/web1/var/lib/slipway/agent")"
is "its key is secret" 600 "$(stat -Lc %a "$T/web1/var/lib/slipway/agent/keys/key.pem")"
hosts >"$T/hosts"
says "the endpoint lists it with its tags" "role=web zone=a" "$T/hosts"
exits 0 "whoami knows" "$SLIPWAY" --root "$T/web1" whoami
says "the name" "web1" "$T/out"
says "the endpoint" "$url" "$T/out"
exits 0 "whoami speaks JSON" "$SLIPWAY" --root "$T/web1" --json whoami
ok "with the identifier" grep -q '"host_identifier":"arn:aws:codedeploy:[^"]*:instance/web1"' "$T/out"
exits 2 "nobody joins twice" join web1 --token "$(new_token)"
says "and the message says what to do" "slipway unenroll"
exits 1 "a name that is taken is refused" "$SLIPWAY" --root "$T/web2" enroll "$url" --token "$(new_token)" \
	--ca-fingerprint "$fingerprint" --name web1
exits 0 "a token may come from standard input" sh -c "echo '$(new_token)' | '$SLIPWAY' --root '$T/web2' --json enroll '$url' \
	--token-file - --ca-fingerprint '$fingerprint' --name web2"
ok "enroll speaks JSON" grep -q '"enrolled":true.*"daemon_reloaded":false' "$T/out"

# As root, in a directory that belongs to the daemon's user
if [ "$(id -u)" = 0 ]; then
	agent=$T/web4/var/lib/slipway/agent
	install -d -m 0700 -o nobody "$agent"
	mkdir "$T/elsewhere"
	ln -s "$T/elsewhere" "$agent/keys.new"
	exits 1 "a link that the daemon's user planted leads nowhere" join web4 --token "$(new_token)"
	is "and nothing was written behind it" "" "$(ls -A "$T/elsewhere")"
	rm "$agent/keys.new"
	exits 0 "root enrols for the daemon" join web4 --token "$(new_token)"
	is "what it wrote belongs to the daemon's user" nobody "$(find "$agent" -printf '%u\n' | sort -u)"
	is "and the worker's trust to root" root "$(find "$T/web4/var/lib/slipway/host" -printf '%u\n' | sort -u)"
	exits 0 "root leaves for it" "$SLIPWAY" --root "$T/web4" unenroll
else
	skip "root enrols for the daemon" "needs root"
fi

# The answer is lost on its way, after the endpoint has registered the host and spent the token
start network python3 "$top_srcdir/tests/e2e/lose-answer.py" "${url##*:}"
behind=https://localhost:$(line_of network '/^[0-9]/p')
token=$(new_token)
again() { "$SLIPWAY" --root "$T/web5" enroll "$behind" --token "$token" --ca-fingerprint "$fingerprint" --name "${1-web5}"; }
exits 6 "an answer that is lost" again
ok "has been on its way" has_line network /lost/p
hosts >"$T/hosts"
says "the endpoint has the host" web5 "$T/hosts"
exits 1 "another host does not get in with the token" join web6 --token "$token"
says "which is spent" "the token has been used already"
exits 1 "nor another key for the same name" "$SLIPWAY" --root "$T/web6" enroll "$url" --token "$token" --ca-fingerprint "$fingerprint" \
	--name web5
exits 1 "nor the same host under another name" again web7
exits 0 "the host asks again, with the same command, and has joined" again
exits 0 "and has the fleet's trust" "$SLIPWAY" --root "$T/web5" whoami
stop network

# A daemon that runs already is told
start daemon "$SLIPWAYD" --root "$T/web3"
ok "a daemon without an endpoint answers" within 10 sh -c "'$SLIPWAY' --root '$T/web3' status"
exits 0 "its host joins" join web3 --token "$(new_token)"
says "and the daemon is told" "The daemon has been told" "$T/out"
ok "and knows who it is" within 20 grep -q "this host is 'web3' at" "$T/daemon.err"

# Leaving
exits 0 "a host leaves" "$SLIPWAY" --root "$T/web3" unenroll
says "and is told what remains" "slipway-controld host revoke web3" "$T/out"
ok "its key is gone" test ! -e "$T/web3/var/lib/slipway/agent/keys"
ok "its trust is gone" test ! -e "$T/web3/var/lib/slipway/host/trust"
ok "the daemon lives on" kill -0 "${started[daemon]}"
exits 2 "it cannot leave twice" "$SLIPWAY" --root "$T/web3" unenroll
exits 1 "its name is in use until it is revoked" join web3 --token "$(new_token)"
ok "the endpoint forgets it" "$CONTROLD" host revoke web3 --dir "$T/control"
exits 0 "then it may join again" join web3 --token "$(new_token)"
done_testing
