#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Metrics: over the socket and as a file, checked by promtool; what happened is counted once, over kill -9 as well.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
# shellcheck disable=SC2119
start_peer
enrolled "$url"
file=$T/textfile/slipway.prom
mkdir "$T/textfile" "$T/tree"
printf 'metrics_file: %s\ndestination_root: %s\n' "$file" "$T/tree" >"$R/etc/slipway/agent.yml"
mkdir -p "$T/rev/app"
echo x >"$T/rev/app/x"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/%s\n' shop >"$T/rev/appspec.yml"
deploy() { SLIPWAY_WORKER=$real_worker "$SLIPWAY" --root "$R" deploy "$T/rev" --group shop; }
metrics() { "$SLIPWAY" --root "$R" metrics "$@"; }
value() { metrics --prometheus | sed -n "s/^$1 //p"; }

exits 6 "without a daemon: try again" metrics
says "says that none runs" "slipwayd" "$T/err"
# shellcheck disable=SC2317
run_deploy() { deploy >"$T/deploy.out" 2>&1; }
ok "a deployment before the daemon runs" run_deploy
# shellcheck disable=SC2119
start_daemon
within 20 metrics
is "it is counted" 1 "$(value 'slipway_deployments_total{group="shop",result="succeeded"}')"
is "what has not happened is 0" 0 "$(value 'slipway_deployments_total{group="shop",result="undo_failed"}')"
is "its Install has a duration" 1 "$(value 'slipway_event_duration_seconds_count{event="Install"}')"
ok "another one" run_deploy
is "counts as well" 2 "$(value 'slipway_deployments_total{group="shop",result="succeeded"}')"
is "results that wait: none" 0 "$(value slipway_results_waiting)"
is "the certificate's end is told" "$(date -d "$(openssl x509 -in "$A/keys/cert.pem" -noout -enddate | sed 's/.*=//')" +%s)" \
	"$(value slipway_certificate_expiry_timestamp_seconds)"

# the file, written when something happened
order PollHostCommand empty
polled() { [ "$(value 'slipway_polls_total{outcome="ok"}')" = 1 ]; }
ok "a poll is counted" within 20 polled
is "the endpoint's state" 1 "$(value 'slipway_endpoint_state{state="reachable"}')"
kill -HUP "${started[daemon]}" # else it takes up to 15 s
# shellcheck disable=SC2317
has_polls() { grep -q '^slipway_polls_total{outcome="ok"} [1-9]' "$file"; }
ok "the file has it" within 20 has_polls
is "everybody may read it" 644 "$(stat -c %a "$file")"
is "nothing is left beside it" slipway.prom "$(ls "$T/textfile")"

# both formats hold what their readers ask
if command -v promtool >/dev/null; then
	ok "promtool takes the file" promtool check metrics <"$file"
	metrics --prometheus >"$T/prometheus"
	ok "and what the socket gives" promtool check metrics <"$T/prometheus"
else
	skip "promtool takes the file" "no promtool (package prometheus)"
fi
python= # the one that has Debian's packages need not be the first
for one in python3 /usr/bin/python3; do
	$one -c 'import prometheus_client.openmetrics.parser' 2>/dev/null && python=$one
done
if [ -n "$python" ]; then
	metrics >"$T/openmetrics"
	ok "OpenMetrics' own parser takes the text" $python -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
names = {f.name for f in parse(open(sys.argv[1]).read())}
missing = {"slipway_build", "slipway_deployments", "slipway_event_duration_seconds", "slipway_polls"} - names
sys.exit("missing: %s" % missing if missing else 0)' "$T/openmetrics"
else
	skip "OpenMetrics' own parser takes the text" "no python3-prometheus-client"
fi
is "the last line says that it is whole" "# EOF" "$(metrics | tail -n 1)"
exits 0 "as JSON" metrics --json

# killed at any time, it counts each once
for _ in 1 2 3; do
	run_deploy
	metrics >/dev/null 2>&1 &
	stop daemon KILL
	wait $! || true
	# shellcheck disable=SC2119
	start_daemon
	within 20 metrics
done
is "killed thrice, each deployment counts once" 5 "$(value 'slipway_deployments_total{group="shop",result="succeeded"}')"
stop daemon KILL
echo '{"version":' >"$A/metrics.json"
# shellcheck disable=SC2119
start_daemon
within 20 metrics
is "a count that is broken is made again from the history" 5 "$(value 'slipway_deployments_total{group="shop",result="succeeded"}')"
ok "which is said" logged "counting begins with the history that is there"
stop daemon

# a file that cannot be written is said once, and hinders nothing
printf 'metrics_file: %s\n' "$T/nowhere/slipway.prom" >"$R/etc/slipway/agent.yml"
# shellcheck disable=SC2119
start_daemon
order PollHostCommand empty
order PollHostCommand empty
ok "a file that cannot be written is said" within 20 logged "metrics_file cannot be written"
is "once" 1 "$(grep -c "metrics_file cannot be written" "$T/daemon.err")"
ok "and metrics are there" within 20 metrics
stop daemon
done_testing
