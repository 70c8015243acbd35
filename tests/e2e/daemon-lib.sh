# SPDX-License-Identifier: Apache-2.0
# What the tests of slipwayd share: an endpoint that misbehaves on order (daemon-peer.py), a worker that does as it is told
# (daemon-worker.py), and an identity as enrolment leaves it.
. "$top_srcdir/tests/e2e/lib.sh" || exit 1
command -v python3 >/dev/null || skip_all "needs python3"
command -v openssl >/dev/null || skip_all "needs openssl"

P=$T/peer            # the endpoint's
R=$T/root            # the host's
export FAKE=$T/fake  # the worker's
A=$R/var/lib/slipway/agent
mkdir -p "$P/queue" "$P/bundles/b" "$FAKE" "$A/keys.0" "$R/etc/slipway" "$R/run/slipway"
ln -s keys.0 "$A/keys"
: >"$P/log" >"$FAKE/log"
real_worker=$SLIPWAY_WORKER
export SLIPWAY_WORKER=$top_srcdir/tests/e2e/daemon-worker.py
host=arn:aws:codedeploy:local:1:instance/web1

# certificates: a CA, the endpoint, the host
make_identity() {
	local make="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
	$make -keyout "$P/ca.key" -out "$P/ca.pem" -subj /CN=test-ca
	$make -keyout "$P/server.key" -out "$P/server.pem" -subj /CN=endpoint -CA "$P/ca.pem" -CAkey "$P/ca.key" \
		-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:false -addext extendedKeyUsage=serverAuth
	$make -keyout "$A/keys/key.pem" -out "$A/keys/cert.pem" -subj /CN=web1 -CA "$P/ca.pem" -CAkey "$P/ca.key" \
		-addext basicConstraints=critical,CA:false -addext extendedKeyUsage=clientAuth
	cp "$P/ca.pem" "$A/ca.pem"
} 2>"$T/openssl.err"

# old_certificate: the host's key gets a certificate that has lived for 20 of its 25 days
old_certificate() {
	cat >"$P/ca.cnf" <<C
[ca]
default_ca = test
[test]
certificate = $P/ca.pem
private_key = $P/ca.key
database = $P/ca.index
serial = $P/ca.serial
new_certs_dir = $P
default_md = sha256
policy = any
x509_extensions = host
unique_subject = no
[any]
commonName = supplied
[host]
basicConstraints = critical,CA:false
extendedKeyUsage = clientAuth
C
	: >"$P/ca.index"
	echo 1000 >"$P/ca.serial"
	openssl req -new -key "$A/keys/key.pem" -subj /CN=web1 -out "$P/csr"
	openssl ca -batch -config "$P/ca.cnf" -in "$P/csr" -out "$A/keys/cert.pem" -notext \
		-startdate "$(date -u -d '20 days ago' +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d '5 days' +%Y%m%d%H%M%SZ)"
} 2>>"$T/openssl.err"

# enrolled URL: the identity file
enrolled() {
	local fingerprint
	fingerprint=$(openssl x509 -in "$P/ca.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
	cat >"$A/identity.json" <<J
{"version":1,"endpoint":"$1","name":"web1","host_identifier":"$host","region":"local","ca_fingerprint":"$fingerprint","enrolled":1}
J
}

start_peer() { # start_peer [PORT]
	start peer python3 "$top_srcdir/tests/e2e/daemon-peer.py" "$P" "$@"
	url=$(line_of peer 's/^listening on //p') || exit 1
	port=${url##*:}
}
start_daemon() { start daemon "$SLIPWAYD" --root "$R" "$@"; }

# order OPERATION TEXT: the next such request is answered so
orders=0
order() {
	mkdir -p "$P/queue/$1"
	orders=$((orders + 1))
	printf '%s\n' "$2" >"$P/queue/.new"
	mv "$P/queue/.new" "$P/queue/$1/$(printf %06d $orders)"
}

# requests OPERATION: how many came; at_least N OPERATION; bodies OPERATION
requests() { grep -c "\"operation\": \"$1\"" "$P/log"; }
at_least() { [ "$(requests "$2")" -ge "$1" ]; }
bodies() { cat "$P/bodies.$1" 2>/dev/null; }
# worker_log WORD: how many lines of the worker's log hold it
worker_log() { grep -c -- "$1" "$FAKE/log"; }
# ask REQUEST [MEMBER]: over the daemon's socket; the answer, or one member of it. One process asks all questions.
ask() {
	local answer
	printf '%s\n' "$*" >&7
	read -r -t 20 -u 8 answer && [ -n "$answer" ] && printf '%s\n' "$answer"
}
mkfifo "$T/questions" "$T/answers"
python3 "$top_srcdir/tests/e2e/daemon-ask.py" "$R/run/slipway/agent" <"$T/questions" >"$T/answers" 2>"$T/ask.err" &
started[ask]=$!
exec 7>"$T/questions" 8<"$T/answers"
state_is() { [ "$(ask status state)" = "$1" ]; }
in_flight() { find "$A/inflight" -type f | wc -l; }
marks() { find "$A/reported" -type f | wc -l; }
counted() { [ "$("$1")" = "$2" ]; } # counted marks 1: for within
logged() { grep -qF -- "$1" "$T/daemon.err"; }
log_lines() { wc -l <"$T/daemon.err"; }
