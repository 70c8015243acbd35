#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The host's certificate renews itself at two thirds of its life, without a gap in polling.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
old_certificate
start_peer
enrolled "$url"

# A renewal that fails is said once and harms nothing.
order renew 'json 500 {"__type":"InternalFailure"}'
start_daemon
ok "a certificate in the last third of its life is renewed" within 20 at_least 1 renew
failed() { [ "$(ask status certificate_error)" != None ]; }
ok "a failure is in the status" within 10 failed
"$SLIPWAY" --root "$R" status >"$T/status"
says "that people see" "           the certificate could not be renewed: " "$T/status"
is "and one line in the log" 1 "$(grep -c 'certificate could not be renewed' "$T/daemon.err")"
is "the host goes on" reachable "$(ask status state)"
is "with the old certificate" 1000 "$(openssl x509 -in "$A/keys/cert.pem" -noout -serial | sed 's/serial=//')"
stop daemon

start_daemon
renewed() { grep -q "the certificate was renewed, it expires at" "$T/daemon.err"; }
ok "the next attempt renews it" within 20 renewed
is "the key is another one, and fits" "$(openssl x509 -in "$A/keys/cert.pem" -noout -pubkey)" \
	"$(openssl pkey -in "$A/keys/key.pem" -pubout)"
expires=$(ask status certificate_expires)
ok "it expires in 30 days" [ $((expires - $(date +%s))) -gt $((29 * 86400)) ]
serial=$(openssl x509 -in "$A/keys/cert.pem" -noout -serial | sed 's/serial=//')
order PollHostCommand 'json 200 {}'
by_new() { grep '"operation": "PollHostCommand"' "$P/log" | tail -n 1 | grep -q "\"serial\": \"$serial\""; }
ok "the next poll shows the new certificate" within 20 by_new
is "it renewed once" 2 "$(requests renew)"
done_testing
