# SPDX-License-Identifier: Apache-2.0
# What packages.sh and rpm.sh share beside lib.sh; sourced by bash. One host, "h", has the endpoint and the agent: what matters
# is what the package manager does.

h() { in_host h "$@"; }
property() { h systemctl show -P "$2" "$1"; }
daemon_pid() { property slipwayd.service MainPID; }
app_pid() { h cat /run/app.pid; }

# first_deployment: the host joins itself; revision 1 is deployed, 2 and 3 will wait in start.sh.
first_deployment() {
	local n id
	# shellcheck disable=SC2034 # lib.sh reads it
	endpoint=h
	ok "the endpoint serves" within 20 h test -s /var/lib/slipway-control/admin-credentials.json
	ok "the host is enrolled" enrol h role=web
	make_group AllAtOnce >/dev/null
	for n in 1 2 3; do make_app "$T/r$n" $n; done
	hold_at "$T/r2" start.sh
	hold_at "$T/r3" start.sh
	id=$(create "$T/r1")
	ok "revision 1 is deployed" within 60 deployment_is "$id" Succeeded
	is "and served" 1 "$(served h)"
}
