#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway doctor with real faults: each layer's exit code, the fact, and the next step; nothing waits for ever.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1
export RES_OPTIONS="timeout:1 attempts:1"
unset all_proxy ALL_PROXY no_proxy NO_PROXY

# --- certificates ---------------------------------------------------------------------------------------------------------------
make_identity
make="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -addext basicConstraints=critical,CA:false"
{
	$make -keyout "$P/self.key" -out "$P/self.pem" -subj /CN=self -addext subjectAltName=IP:127.0.0.1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout "$P/other-ca.key" \
		-out "$P/other-ca.pem" -subj /CN=other-ca
	$make -keyout "$P/stranger.key" -out "$P/stranger.pem" -subj /CN=stranger -CA "$P/other-ca.pem" -CAkey "$P/other-ca.key" \
		-addext subjectAltName=IP:127.0.0.1
	$make -keyout "$P/name.key" -out "$P/name.pem" -subj /CN=elsewhere -CA "$P/ca.pem" -CAkey "$P/ca.key" \
		-addext subjectAltName=DNS:elsewhere.example.org
	# one that has expired, with the endpoint's key
	cp "$A/keys/cert.pem" "$P/host.pem"
	old_certificate
	sed -i 's/^extendedKeyUsage.*/subjectAltName = IP:127.0.0.1/' "$P/ca.cnf"
	cp "$P/server.key" "$P/expired.key"
	openssl req -new -key "$P/expired.key" -subj /CN=endpoint -out "$P/csr"
	openssl ca -batch -config "$P/ca.cnf" -in "$P/csr" -out "$P/expired.pem" -notext -startdate 20200101000000Z \
		-enddate 20200201000000Z
	openssl ca -batch -config "$P/ca.cnf" -in <(openssl req -new -key "$A/keys/key.pem" -subj /CN=web1) -out "$P/host-expired.pem" \
		-notext -startdate 20200101000000Z -enddate 20200201000000Z
	cp "$P/host.pem" "$A/keys/cert.pem"
} 2>>"$T/openssl.err"
chmod 0600 "$A/keys/key.pem"
trust=$R/var/lib/slipway/host/trust
mkdir -p "$trust"
cp "$P/ca.pem" "$trust/ca.pem"

start peers python3 "$top_srcdir/tests/e2e/doctor-peer.py" "$P"
line_of peers '/all are there/p' >/dev/null || exit 1
at() { sed -n "s/^$1 //p" "$T/peers.out"; }
endpoint() { enrolled "https://127.0.0.1:$(at "$1")"; }
# shellcheck disable=SC2317
doctor() { "$SLIPWAY" --root "$R" doctor "$@"; }
# finds CODE NAME TEXT: doctor ends so, and the last lines have the text
finds() {
	exits "$1" "$2" doctor
	tail -n 12 "$T/out" | tr -s ' \n' ' ' >"$T/end"
	says "$2: the last lines say why" "$3" "$T/end"
}
yml=$R/etc/slipway/agent.yml

# --- those that wait, all at once -------------------------------------------------------------------------------------------------
for one in silent mute proxy-silent; do
	cp -a "$R" "$T/root-$one"
	A=$T/root-$one/var/lib/slipway/agent endpoint "$one"
done
A=$T/root-proxy-silent/var/lib/slipway/agent endpoint good
echo "proxy_uri: http://127.0.0.1:$(at proxy-silent)" >"$T/root-proxy-silent/etc/slipway/agent.yml"
for one in silent mute proxy-silent; do
	# shellcheck disable=SC2016
	start "wait-$one" bash -c 'code=0; "$0" --root "$1" doctor || code=$?; echo "exit $code"' "$SLIPWAY" "$T/root-$one"
done

# --- all is well ------------------------------------------------------------------------------------------------------------------
endpoint good
exits 0 "an endpoint that works: all is well" doctor
says "the chain is trusted, and by what" "CN=test-ca" "$T/out"
says "the endpoint accepts this host" "the endpoint accepts who this host is" "$T/out"
exits 0 "with every fact" doctor --verbose
says "the chain, certificate by certificate" "certificate 1: CN=endpoint, by" "$T/out"
exits 0 "as JSON" doctor --json
is "one object with a verdict for each layer" "ok 14" \
	"$(python3 -c 'import json, sys; o = json.load(sys.stdin); print(o["layers"]["tls"], len(o["layers"]))' <"$T/out")"

# --- configuration, identity ---------------------------------------------------------------------------------------------------------
echo "max_revisions: many" >"$yml"
finds 10 "a mistake in agent.yml" "agent.yml:1"
printf 'root_dir: %s\nlog_dir: %s\n' "$T/made/later/root" "$T/made/later/log" >"$yml"
exits 0 "directories that the worker will make" doctor
echo "destination_root: $T/made/later" >"$yml"
finds 10 "one that nobody makes" "destination_root: '$T/made/later'"
rm "$yml"
mv "$A/identity.json" "$T/kept"
exits 0 "a host that is not enrolled" doctor
says "is told how to join" "'slipway enroll' joins an endpoint" "$T/out"
echo '{' >"$A/identity.json"
finds 16 "an identity that cannot be read" "identity.json"
mv "$T/kept" "$A/identity.json"
cp "$P/host-expired.pem" "$A/keys/cert.pem"
finds 16 "a host's certificate that has expired" "expired at 2020-02-01"
cp "$P/host.pem" "$A/keys/cert.pem"
chmod 0644 "$A/keys/key.pem"
exits 0 "a key that others may read is a warning" doctor
says "with what to do" "chmod 0600 $A/keys/key.pem" <(tr -s ' \n' ' ' <"$T/out")
chmod 0600 "$A/keys/key.pem"

# --- DNS, TCP -------------------------------------------------------------------------------------------------------------------------
enrolled https://no-such-host.invalid:8443
finds 11 "a name that does not exist" "no-such-host.invalid"
says "what rests on it is skipped" "because of DNS" "$T/out"
endpoint closed
finds 12 "a port where nobody listens" "Connection refused"

# --- proxies ----------------------------------------------------------------------------------------------------------------------------
endpoint good
echo "proxy_uri: http://127.0.0.1:$(at closed)" >"$yml"
finds 13 "a proxy that is not there" "the proxy cannot be reached"
echo "proxy_uri: http://127.0.0.1:$(at proxy-login)" >"$yml"
finds 13 "a proxy that wants a password" "name it as http://user:password@host:port"
echo "proxy_uri: http://u:unspoken@127.0.0.1:$(at proxy-login)" >"$yml"
finds 13 "a proxy that refuses the password" "refuses this user or password (HTTP 407)"
is "which is not shown" "" "$(grep unspoken "$T/out")"
echo "proxy_uri: http://127.0.0.1:$(at proxy-forbids)" >"$yml"
finds 13 "a proxy that forbids the endpoint" "does not let us through"
echo "proxy_uri: http://127.0.0.1:$(at proxy-lost)" >"$yml"
finds 13 "a proxy that cannot reach it" "HTTP 502"
echo "proxy_uri_commands: http://u:p%40ss@127.0.0.1:$(at proxy)" >"$yml"
exits 0 "a proxy that works, for commands only" doctor
says "says which, and why" "as proxy_uri_commands in agent.yml" <(tr -s ' \n' ' ' <"$T/out")
is "it was asked for the endpoint, with the password, and so were the requests" "CONNECT 127.0.0.1:$(at good) u:p@ss" \
	"$(grep ^CONNECT "$T/peers.out" | sort -u)"
printf 'proxy_uri: http://127.0.0.1:%s\nno_proxy: 127.0.0.0/8\n' "$(at closed)" >"$yml"
exits 0 "an exception goes around a dead proxy" doctor
says "and is named" "'127.0.0.0/8' of no_proxy excepts it" <(tr -s ' \n' ' ' <"$T/out")
rm "$yml"
https_proxy=http://127.0.0.1:$(at closed) exits 13 "without a key the environment counts" doctor
https_proxy=http://127.0.0.1:$(at closed) no_proxy=127.0.0.1 exits 0 "and its exceptions" doctor
echo "proxy_uri: http://127.0.0.1:$(at proxy)" >"$yml"
https_proxy=http://127.0.0.1:$(at closed) exits 0 "with a key it does not" doctor
rm "$yml"

# --- TLS --------------------------------------------------------------------------------------------------------------------------------
endpoint expired
finds 14 "an expired certificate" "CN=endpoint expired at 2020-02-01"
endpoint self
finds 14 "a certificate that signs itself" "CN=self is signed by itself"
endpoint stranger
finds 14 "a certificate of another CA" "CN=stranger is by CN=other-ca"
endpoint name
finds 14 "a certificate for another name" "is not for '127.0.0.1' but for elsewhere.example.org"
endpoint plain
finds 14 "a server without TLS" "it does not speak TLS"
endpoint picky
finds 17 "an endpoint that does not accept this host's certificate" "refuses this host's certificate"
endpoint old
finds 14 "a server with TLS 1.1 only" "it has no TLS 1.2 or newer"

# --- what the endpoint says --------------------------------------------------------------------------------------------------------------
endpoint ahead
finds 15 "a clock that is wrong by an hour" "s behind the endpoint's"
endpoint behind
exits 0 "one that is wrong by two minutes is a warning" doctor
says "with the seconds" "s ahead of the endpoint's" "$T/out"
endpoint denies
finds 17 "an endpoint that refuses this host" "AccessDeniedException: said the peer (HTTP 403)"
endpoint ill
finds 17 "an endpoint in trouble" "ServerException"
endpoint throttles
exits 0 "one that asks to slow down is a warning" doctor
is "no command was taken, nothing else was asked" "" "$(bodies PollHostCommand)"

# --- trust, disk ---------------------------------------------------------------------------------------------------------------------------
endpoint good
cp "$P/other-ca.pem" "$trust/ca.pem"
finds 18 "another CA for what is signed" "has another CA (CN=other-ca"
rm "$trust/ca.pem"
finds 18 "none" "takes no command without it"
cp "$P/ca.pem" "$trust/ca.pem"
mkdir "$T/full"
# shellcheck disable=SC2317
at_end() { umount "$T/full" 2>/dev/null; }
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=1m none "$T/full"; then
	echo "log_dir: $T/full" >"$yml"
	finds 19 "a full disk" "1.0 MB are free"
	mount -o remount,ro "$T/full"
	finds 19 "a disk that is read-only" "mounted read-only"
	rm "$yml"
else
	skip "a full disk" "no mount here"
fi

# --- another user, beside a daemon ----------------------------------------------------------------------------------------------------------
# shellcheck disable=SC2119
start_peer
enrolled "$url"
start_daemon
within 20 ask status >/dev/null
chmod 0711 "$T"
chmod 0700 "$A"
chmod 0755 "$R" "$R/run" "$R/run/slipway" "$R/run/slipway/agent"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$SLIPWAY"; then
	exits 0 "an ordinary user" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLIPWAY" --root "$R" doctor
	says "hears who this host is" "says slipwayd" <(tr -s ' \n' ' ' <"$T/out")
	says "what root would see" "run it as root" "$T/out"
	says "and whether polls are answered" "slipwayd's" "$T/out"
else
	skip "an ordinary user" "not root, or the build is not for others"
fi
stop daemon

# --- the end of those that wait --------------------------------------------------------------------------------------------------------------
waited() { # waited NAME CODE TEXT
	is "$1: it ends" "exit $2" "$(line_of "wait-$1" '/^exit/p' 30)"
	says "$1: says so" "$3" <(tr -s ' \n' ' ' <"$T/wait-$1.out")
}
waited silent 14 "it takes the connection and never answers"
waited mute 17 "the endpoint gave no answer"
waited proxy-silent 13 "it does not answer"
done_testing
