#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Somebody owns the daemon: tests/system/hostile.py runs in slipwayd's place in its sandbox, then as the same user without one. It
# makes the worker run nothing that the endpoint did not sign, writes nothing but its own, reads no secret, and keeps nobody from
# using the host. docs/systemd.md says what is left to it.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

kit=/var/lib/kit hostile=/opt/tests/system/hostile.py
as_slipway() { "$HOST" exec ctl --user=slipway -- "$@"; }
# relay PREFIX FILE: what hostile.py has seen, as checks of this test.
relay() {
	local line=
	while read -r line; do
		case $line in
		'ok '*) ok "$1: ${line#ok }" true ;;
		'not ok '*) ok "$1: ${line#not ok }" false ;;
		end) break ;;
		*) echo "#   $line" ;;
		esac
	done <"$2"
	is "$1: the program comes to its end" end "$line"
}
# What may not have changed: everything but the records of what the endpoint did sign (group-handed, group-silent) and results.
root_owns() {
	in_host ctl sh -c 'find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/log \
		-o -path /run -o -path /var/lib/systemd -o -path /var/cache -o -path /var/lib/slipway/agent -o -path /var/lib/slipway-control \
		-o -path "/var/lib/slipway/host/results/*" -o -path "/var/lib/slipway/host/locks/*" -o -path "/var/lib/slipway/host/history.jsonl" \
		-o -path "/var/lib/slipway/*/group-handed*" -o -path "/var/lib/slipway/*/group-silent*" \
		-o -path "*/logs/ApplicationStart-*" -o -path /srv/handed -o -path /srv/silent \) -prune -o \( -type d -printf "%p %y %m %U %G\n" -o -printf "%p %y %m %U %G %s %T@ %C@ %l\n" \) |
		sort; grep -v -e group-handed -e group-silent /var/lib/slipway/host/history.jsonl'
}
unchanged() {
	root_owns >"$T/now"
	is "$1" "" "$(diff "$T/before" "$T/now" | grep '^[<>]')"
}
nothing_ran() { is "$1" "" "$(in_host ctl sh -c 'ls -d /srv/evil /var/tmp/evil 2>/dev/null')"; }
leaks() {
	in_host ctl sh -c 'grep -rlFf /root/secret /var /run /tmp /srv /home --exclude-dir=journal 2>/dev/null; journalctl -o cat | grep -Ff /root/secret'
}

net_up
{ endpoint_host --bind-ro="$(realpath "$top_builddir")":/mnt --bind-ro="$(realpath "$top_srcdir")":/opt &&
	install_packages ctl slipway-agent && enrol ctl role=web; } || { echo "Bail out! no host"; exit 1; }
make_group AllAtOnce >/dev/null

# A deployment that ends well, and what the daemon had of it meanwhile.
make_app "$T/r1" 1
hold_at "$T/r1" configure.sh
id=$(create "$T/r1")
ok "a deployment waits in a script" within 60 held ctl
in_host ctl sh -c 'cp /var/lib/slipway/agent/inflight/*.json /root/had-in-work.json'
release ctl
ok "it succeeds" within 60 deployment_is "$id" Succeeded
make_app "$T/r2" 2
exits 0 "a newer one replaces it" deploy "$T/r2"
# shellcheck disable=SC2016
in_host ctl sh -c 'umask 077; head -c 20 /dev/urandom | sha256sum | cut -c 1-40 >/root/secret; echo "secret:$(cat /root/secret):1::::::" >>/etc/shadow'
mkdir -p "$T/hand/app"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/silent\n' >"$T/hand/appspec.yml"
echo by-hand >"$T/hand/app/file"
"$HOST" copy "$T/hand" ctl:/root/
exits 0 "specifications are made, good and bad" "$HOST" exec ctl --env=top_builddir=/mnt --env=PYTHONDONTWRITEBYTECODE=1 -- \
	python3 $hostile make $kit /root/had-in-work.json
[ $tests_failed = 0 ] || { echo "Bail out! nothing to attack with"; exit 1; }
root_owns >"$T/before"
ok "there is something that may not change" [ "$(wc -l <"$T/before")" -gt 3000 ]

# In its place: the unit, the user and the sandbox are the daemon's, the program is not.
in_host ctl sh -c 'mkdir -p /run/systemd/system/slipwayd.service.d && cat >/run/systemd/system/slipwayd.service.d/hostile.conf && systemctl daemon-reload' <<C
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=/usr/bin/python3 $hostile $kit specifications verbs bundles writing bus
StandardOutput=file:/var/tmp/hostile.out
C
in_host ctl systemctl stop slipwayd
in_host ctl timeout 120 systemctl start slipwayd >"$T/started" 2>&1 || sed 's/^/# /' "$T/started"
in_host ctl cat /var/tmp/hostile.out >"$T/sandbox.out"
relay "in the daemon's place" "$T/sandbox.out"
nothing_ran "nothing ran or was installed that was not signed"
unchanged "nothing of root's has changed"

as_slipway timeout 120 python3 $hostile $kit specifications verbs bundles-again writing bus >"$T/plain.out" 2>&1
relay "without a sandbox" "$T/plain.out"
nothing_ran "nothing ran or was installed that was not signed"
unchanged "nothing of root's has changed"
is "no secret has gone anywhere" "" "$(leaks)"

# By hand, on this very host, while the daemon's user does what it can against it.
# shellcheck disable=SC2317
by_hand() { in_host ctl timeout "$1" slipway deploy /root/hand --group group-silent; }
attack() {
	in_host ctl rm -f /var/tmp/enough
	start "$1" "$HOST" exec ctl --user=slipway --env=PYTHONUNBUFFERED=1 -- python3 $hostile $kit "$1"
	line_of "$1" '/^held/p' 60 >/dev/null
}
over() {
	in_host ctl touch /var/tmp/enough
	ok "the attack '$1' ends" within 30 grep -q '^end' "$T/$1.out"
	stop "$1"
	grep -v '^held' "$T/$1.out" >"$T/$1.seen"
	relay "$1" "$T/$1.seen"
}
attack hold
exits 0 "a person deploys to the group that a silent daemon holds" by_hand 20
over hold
attack flood
exits 0 "a person deploys while the daemon's user has all connections" by_hand 60
over flood
exits 0 "after a flood of connections a person deploys at once" by_hand 30
is "the workers' socket still listens" active "$(in_host ctl systemctl is-active slipway-worker.socket)"

# The real one again. Its own directories are not what it and root take them for.
in_host ctl sh -c 'rm -r /run/systemd/system/slipwayd.service.d && systemctl daemon-reload && systemctl restart slipwayd'
as_slipway python3 $hostile $kit swap >"$T/swap.out" 2>&1
relay "swapped" "$T/swap.out"
in_host ctl systemctl restart slipwayd >/dev/null 2>&1
for verb in status whoami recover history "enroll https://ctl:8443 --token x --ca-fingerprint $(printf 'a%.0s' {1..64})"; do
	read -ra words <<<"$verb"
	in_host ctl timeout 20 slipway "${words[@]}" >"$T/out" 2>&1
	is "root's 'slipway ${words[0]}' is not led astray, and ends" "" "$([ $? != 124 ] || echo timeout; grep -F "$(in_host ctl cat /root/secret)" "$T/out")"
done
in_host ctl systemd-tmpfiles --create
as_slipway python3 $hostile $kit swap-back >"$T/back.out" 2>&1
relay "swapped" "$T/back.out"
nothing_ran "nothing ran or was installed that was not signed"
unchanged "nothing of root's has changed"
is "no secret has gone anywhere" "" "$(leaks)"

# It finds what it can of all this, and goes on.
in_host ctl sh -c 'systemctl reset-failed slipwayd; systemctl restart slipwayd'
make_app "$T/r3" 3
exits 0 "the real daemon deploys the next revision" deploy "$T/r3"
is "it is served" 3 "$(served ctl)"

# The end of it, as docs/systemd.md has it. An answer of the endpoint that names another CA is there for the next enrolment.
in_host ctl slipway-controld host revoke ctl >/dev/null
in_host ctl systemctl stop slipwayd
as_slipway python3 $hostile $kit plant >"$T/plant.out" 2>&1
relay "planted" "$T/plant.out"
in_host ctl cp -a /var/lib/slipway/agent/answer.json /var/lib/slipway/agent/keys.new /root/
exits 0 "the host leaves" in_host ctl slipway unenroll
in_host ctl sh -c 'mv /root/answer.json /root/keys.new /var/lib/slipway/agent/'
exits 0 "and joins again" enrol ctl role=web
ok "the worker trusts the endpoint's CA and no other" in_host ctl cmp /var/lib/slipway/host/trust/ca.pem /var/lib/slipway-control/ca/ca.pem
in_host ctl systemctl start slipwayd
make_app "$T/r4" 4
exits 0 "the next revision is deployed" deploy "$T/r4"
is "it is served" 4 "$(served ctl)"
done_testing
