#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What may happen to a host in the middle of a deployment: restart, kill -9, upgrade, a cut network, a power cut, a reboot. Each
# time the endpoint gets one final result, the application serves, and its tree is whole.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

net_up
agent_host web1 &
endpoint_host || exit 1
wait $! || exit 1
enrol web1 role=web >/dev/null || exit 1
make_group AllAtOnce >/dev/null

# tree_is N: what web1 has is revision N, file by file, and nothing else.
sums() { (cd "$T/r$1/app" && find . -type f -exec sha256sum {} + | sort); }
tree_is() { [ "$(in_host web1 sh -c 'cd /srv/app && find . -type f -exec sha256sum {} + | sort')" = "$(sums "$1")" ]; }
# results ID: how many final results the endpoint has noted for it.
results() { journal ctl -u slipway-controld -o cat | grep -cE "^deployment '$1': host 'web1': "; }
ended() { deployment_is "$1" Succeeded || deployment_is "$1" Failed; }

# begin N [SCRIPT]: revision N is on its way, and waits in that script.
begin() {
	make_app "$T/r$1" "$1"
	hold_at "$T/r$1" "${2:-start.sh}"
	ready_to_hold web1
	id=$(create "$T/r$1")
	ok "revision $1 is in its script" within 30 held web1
}
# ends NAME N STATUS: the deployment ends so, once, and revision N serves.
ends() {
	ok "$1: the deployment ends" within 90 ended "$id"
	ok "$1: as $3" deployment_is "$id" "$3"
	is "$1: with one final result" 1 "$(results "$id")"
	ok "$1: revision $2 serves" within 20 serves web1 "$2"
	ok "$1: its tree is whole" tree_is "$2"
}
ran_once() { is "$1: its script ran once" 1 "$(in_host web1 grep -c "^$2 ApplicationStart$" /var/tmp/events)"; }
kill_workers() { in_host web1 systemctl kill --signal=KILL 'slipway-worker@*.service'; }

make_app "$T/r1" 1
exits 0 "revision 1 is deployed" deploy "$T/r1"
ok "it serves" within 10 serves web1 1

begin 2
in_host web1 systemctl restart slipwayd
release web1
ends "restart of the daemon" 2 Succeeded
ran_once "restart of the daemon" 2

begin 3
in_host web1 systemctl kill --signal=KILL slipwayd
release web1
ends "kill -9 of the daemon" 3 Succeeded
ran_once "kill -9 of the daemon" 3

begin 4
kill_workers
release web1
ends "kill -9 of the worker" 4 Succeeded
ran_once "kill -9 of the worker" 4

begin 5
in_host web1 systemctl kill --signal=KILL slipwayd
kill_workers
release web1
ends "kill -9 of both" 5 Succeeded
ran_once "kill -9 of both" 5

begin 6
"$top_srcdir/tests/tools/other-version" 9.9-1 "$T/newer" "$(deb slipway)" "$(deb slipway-agent)"
exits 0 "the packages are upgraded in the middle of a script" "$HOST" install web1 "$T"/newer/*.deb
is "to the newer version" 9.9-1 "$(in_host web1 dpkg-query -W -f '${Version}' slipway-agent)"
ok "the script runs on" held web1
release web1
ends "upgrade" 6 Succeeded
ran_once "upgrade" 6

begin 7
"$HOST" net-cut web1
release web1
idle() { [ -z "$(in_host web1 systemctl list-units --plain --no-legend 'slipway-worker@*.service')" ]; }
ok "the script ends while the network is cut" within 20 idle
is "the endpoint knows nothing of it" 0 "$(results "$id")"
"$HOST" net-heal web1
ends "network cut between poll and report" 7 Succeeded
ran_once "network cut between poll and report" 7

# Large enough to be met in the middle.
make_app "$T/r8" 8
mkdir "$T/r8/app/many"
in_many() { (cd "$T/r8/app/many" && for n in {1..4000}; do echo $n >$n; done); }
in_many
id=$(create "$T/r8")
in_host web1 sh -c 'until ls -d /srv/.slipway-* 2>/dev/null; do :; done' >"$T/stage"
power_cut web1
says "the power is cut in the middle of Install" /srv/.slipway- "$T/stage"
is "the endpoint knows nothing of it" 0 "$(results "$id")"
ok "the host boots" boot_host web1
ok "the deployment of the power cut ends" within 90 ended "$id"
is "with one final result" 1 "$(results "$id")"
now=7
! deployment_is "$id" Succeeded || now=8
ok "revision $now serves" within 20 serves web1 $now
ok "its tree is whole" tree_is $now
ok "no stage is left" in_host web1 sh -c '! ls -d /srv/.slipway-*'

# stopped_by NAME N COMMAND...: revision N is in its script when the host goes down, and comes up again.
stopped_by() {
	local name=$1 n=$2
	shift 2
	begin "$n"
	ok "$name: the host comes up again" "$@"
	in_host web1 touch /var/tmp/go
	ok "$name: the deployment ends" within 90 ended "$id"
	is "$name: with one final result" 1 "$(results "$id")"
	! deployment_is "$id" Succeeded || now=$n
	ok "$name: revision $now serves" within 20 serves web1 "$now"
	ok "$name: its tree is whole" tree_is "$now"
}
off_and_on() { "$HOST" stop web1 && boot_host web1; }
cut_and_on() { power_cut web1 && boot_host web1; }
stopped_by "reboot" 9 "$HOST" reboot web1
stopped_by "shutdown" 10 off_and_on
stopped_by "power cut" 11 cut_and_on

# PID 1 and the bus, by which the worker waits for the script. No in_host outlives its bus.
begin 12
in_host web1 systemctl daemon-reexec 2>/dev/null
release web1
ends "PID 1 executed anew" 12 Succeeded
ran_once "PID 1 executed anew" 12

begin 13
in_host web1 systemctl --no-block restart dbus 2>/dev/null
bus_is_back() { [ "$(in_host web1 systemctl is-active dbus)" = active ]; }
ok "the bus is back" within 20 bus_is_back
release web1
ends "restart of the bus" 13 Succeeded
ran_once "restart of the bus" 13

make_app "$T/r14" 14
exits 0 "the next deployment works" deploy "$T/r14"
ok "revision 14 serves" within 10 serves web1 14
done_testing
