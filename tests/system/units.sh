#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What systemd is told about Slipway, in a booted host with all three packages: units, sandboxes, users, directories, messages.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

status_of() { in_host ctl systemctl show -p StatusText --value "$1"; }
# shellcheck disable=SC2317
status_says() { grep -qF -- "$2" <<<"$(status_of "$1")"; }
property() { in_host ctl systemctl show -p "$2" --value "$1"; }
# shellcheck disable=SC2317
property_is() { [ "$(property "$1" "$2")" = "$3" ]; }
# shellcheck disable=SC2317
log_says() { journal ctl -u "$1" -o cat | grep -qF -- "$2"; }
as_slipway() { "$HOST" exec ctl --user=slipway -- "$@"; }
attributes() { in_host ctl stat -c '%U:%G %a' "$1"; }

net_up
endpoint_host
install_packages ctl slipway-agent

# The units themselves
units=(slipwayd.service slipway-worker.socket slipway-worker@1.service slipway-recover.service slipway-hooks.slice
	slipway-controld.service)
is "systemd has nothing to say about any unit" "" "$(in_host ctl systemd-analyze verify --man=no "${units[@]}" 2>&1)"
exposure() { in_host ctl systemd-analyze security "$1" | sed -n 's/.*exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p'; }
for unit in slipwayd slipway-controld; do
	ok "the sandbox of $unit is rated 2.0 or better" [ "$(exposure $unit.service)" -le 20 ]
done
echo "# rated (tenths): slipwayd $(exposure slipwayd.service), slipway-controld $(exposure slipway-controld.service), worker $(exposure slipway-worker@1.service)"
for unit in slipwayd.service slipway-worker.socket slipway-recover.service; do
	is "$unit is enabled" enabled "$(in_host ctl systemctl is-enabled $unit)"
done

# Directories and sockets
while read -r path want; do
	is "$path is $want" "$want" "$(attributes "$path")"
done <<'D'
/etc/slipway root:root 755
/etc/slipway/agent.yml root:slipway 640
/etc/slipway/control.yml root:slipway-control 640
/run/slipway root:root 755
/run/slipway/worker.sock root:slipway 660
/run/slipway/agent slipway:slipway 755
/run/slipway/agent/agent.sock slipway:slipway 666
/var/lib/slipway root:root 755
/var/lib/slipway/deployment-root root:root 755
/var/lib/slipway/host root:slipway 2750
/var/lib/slipway/agent slipway:slipway 700
/var/log/slipway slipway:slipway 755
/var/lib/slipway-control slipway-control:slipway-control 700
D
is "a user without rights is told that it needs root" "  this needs root: try it with sudo" \
	"$("$HOST" exec ctl --user=nobody -- slipway recover 2>&1 | tail -n 1)"

# The endpoint that was made at the first start
ok "the endpoint's status says where it listens" within 10 status_says slipway-controld "listening on https://ctl:8443"
ok "its journal says where the first access key is" log_says slipway-controld "/var/lib/slipway-control/admin-credentials.json"
ok "and 'journalctl -x' how to go on" eval 'in_host ctl journalctl -xu slipway-controld | grep -q "slipway-controld key create --name WHO --json"'
roots() { in_host ctl find /var/lib/slipway-control ! -user slipway-control; }
exits 0 "root makes a token" in_host ctl slipway-controld token create
says "which names the address" "slipway enroll https://ctl:8443 --token" "$T/out"
in_host ctl slipway-controld key create --name alice --json >"$T/alice.json"
is "and a key" alice "$(in_host ctl slipway-controld key list | awk '$3 == "alice" { print $3 }')"
is "nothing in the endpoint's directory became root's" "" "$(roots)"
"$HOST" copy "$T/alice.json" ctl:/root/
exits 0 "the key opens the fleet" "$HOST" exec ctl --env=SLIPWAY_CREDENTIALS=/root/alice.json -- slipway fleet hosts

in_host ctl systemctl stop slipway-controld
in_host ctl sh -c 'mv /var/lib/slipway-control /var/lib/kept && chmod 755 /var/lib'
exits 0 "root makes an endpoint where there is not even a directory" in_host ctl slipway-controld init --name ctl
says "and is told how it is started" "systemctl restart slipway-controld" "$T/out"
is "that is the service's as well" "slipway-control:slipway-control 700 " "$(attributes /var/lib/slipway-control) $(roots)"
ok "the service takes it up" in_host ctl systemctl start slipway-controld
in_host ctl systemctl stop slipway-controld
in_host ctl sh -c 'rm -rf /var/lib/slipway-control && mv /var/lib/kept /var/lib/slipway-control'
ok "the service starts again" in_host ctl systemctl start slipway-controld

# The daemon
ok "a daemon that is not enrolled says what it waits for" within 10 status_says slipwayd "not enrolled: run 'slipway enroll'"
ok "'systemctl status' shows it" eval 'in_host ctl systemctl status slipwayd | grep -q "Status: \"not enrolled"'
ok "'journalctl -x' explains it" eval 'in_host ctl journalctl -xu slipwayd | grep -q "The daemon runs and waits"'
enrol ctl role=web
ok "it goes on when the host is enrolled, without a restart" within 10 status_says slipwayd "is reachable"
is "which makes nothing of the daemon's root's" "" "$(in_host ctl find /var/lib/slipway/agent ! -user slipway)"

# What doctor makes of it
exits 0 "doctor finds nothing that has failed" in_host ctl slipway doctor
says "and sees the units" "slipway-worker.socket is active (listening)" "$T/out"
exits 0 "an ordinary user may ask, too" "$HOST" exec ctl --user=nobody -- slipway doctor
says "and hears what is root's" "as root it sees more" "$T/out"
exits 0 "and for metrics" "$HOST" exec ctl --user=nobody -- slipway metrics
in_host ctl systemctl stop slipwayd
exits 20 "a daemon that is stopped" in_host ctl slipway doctor
says "is named, with the command that helps" "systemctl enable --now slipwayd.service" "$T/out"
in_host ctl systemctl mask slipwayd
exits 20 "and one that is masked" in_host ctl slipway doctor
says "with what comes before" "systemctl unmask slipwayd.service" "$T/out"
in_host ctl systemctl unmask slipwayd
in_host ctl sh -c 'echo "metrics_file: /run/slipway/agent/slipway.prom" >>/etc/slipway/agent.yml && systemctl start slipwayd'
ok "its sandbox lets it write metrics beside its socket" within 20 in_host ctl test -s /run/slipway/agent/slipway.prom
in_host ctl sed -i '/^metrics_file/d' /etc/slipway/agent.yml
in_host ctl systemctl stop slipway-controld
exits 12 "an endpoint that is down" in_host ctl slipway doctor
in_host ctl systemctl start slipway-controld
in_host ctl systemctl restart slipwayd
ok "all is well again" within 20 status_says slipwayd "is reachable"

before=$(property slipwayd NRestarts)
in_host ctl systemctl kill --kill-whom=main -s KILL slipwayd
restarted() { [ "$(property slipwayd NRestarts)" -gt "$before" ] && property_is slipwayd ActiveState active; }
ok "a daemon that is killed comes back" within 20 restarted
in_host ctl sh -c 'mkdir -p /run/systemd/system/slipwayd.service.d && printf "[Service]\nWatchdogSec=2s\n" >/run/systemd/system/slipwayd.service.d/watchdog.conf && systemctl daemon-reload && systemctl restart slipwayd'
before=$(property slipwayd NRestarts)
in_host ctl systemctl kill --kill-whom=main -s STOP slipwayd
ok "one that hangs is ended by the watchdog and comes back" within 30 restarted
ok "the journal says that" log_says slipwayd "Watchdog timeout"
in_host ctl sh -c 'rm -r /run/systemd/system/slipwayd.service.d && systemctl daemon-reload && systemctl restart slipwayd'
before=$(property slipway-controld NRestarts)
in_host ctl systemctl kill --kill-whom=main -s KILL slipway-controld
# shellcheck disable=SC2317
controld_restarted() { [ "$(property slipway-controld NRestarts)" -gt "$before" ] && property_is slipway-controld ActiveState active; }
ok "an endpoint that is killed comes back" within 20 controld_restarted
ok "the host finds it again" within 30 status_says slipwayd "is reachable"

# What the daemon's user may
for path in /var/lib/slipway/host/x /var/lib/slipway/host/results/x /var/lib/slipway/deployment-root/x /etc/slipway/x /run/slipway/x; do
	exits 1 "the daemon's user cannot write $path" as_slipway touch "$path"
done
exits 1 "nor take the place of the workers' socket" as_slipway mv -f /run/slipway/worker.sock /run/slipway/agent/
ok "that is still there" in_host ctl test -S /run/slipway/worker.sock
exits 0 "it reads results" as_slipway ls /var/lib/slipway/host/results

# A deployment, through endpoint, daemon and worker; a script waits in it.
make_group AllAtOnce >/dev/null
make_app "$T/r1" 1
cat >>"$T/r1/appspec.yml" <<'Y'
  BeforeInstall:
    - location: scripts/look.sh
permissions:
  - object: /srv/app
    pattern: "*.py"
    owner: nobody
    mode: 755
Y
sed -i "s|^hooks:|  - {source: app/revision, destination: /home/app}\n  - {source: app/revision, destination: /tmp/app}\n  - {source: app/revision, destination: /boot/app}\n  - {source: app/revision, destination: /usr/lib/modules/app}\n  - {source: app/revision, destination: /mnt/late/app}\n&|" "$T/r1/appspec.yml"
cat >"$T/r1/scripts/look.sh" <<'S'
#!/bin/sh
readlink /proc/self/ns/net /proc/self/ns/mnt >/var/tmp/namespaces
sed -n 's/^0:://p' /proc/self/cgroup >/var/tmp/cgroup
sed -n 's/^CapBnd:\t//p; s/^NoNewPrivs:\t//p; s/^Seccomp:\t//p' /proc/self/status >/var/tmp/privileges
S
chmod +x "$T/r1/scripts/look.sh"
hold_at "$T/r1" look.sh
in_host ctl sh -c 'mkdir -p /mnt/late && mount -t tmpfs late /mnt/late'
id=$(create "$T/r1")
ok "a deployment reaches a script of its own" within 60 held ctl
worker=$(in_host ctl systemctl list-units --plain --no-legend --state=running 'slipway-worker@*' | awk '{ print $1 }')
pid=$(property "$worker" MainPID)
ok "a worker of its own carries it out" in_host ctl test -d "/proc/$pid"
is "the script has the host's network and files" "$(in_host ctl readlink /proc/1/ns/net /proc/1/ns/mnt)" "$(in_host ctl cat /var/tmp/namespaces)"
is "and no trace of the worker's sandbox" "$(in_host ctl systemd-run --quiet --pipe --wait sed -n 's/^CapBnd:\t//p; s/^NoNewPrivs:\t//p; s/^Seccomp:\t//p' /proc/self/status)" \
	"$(in_host ctl cat /var/tmp/privileges)"
ok "it is below the slice for scripts" in_host ctl grep -q '^/slipway.slice/slipway-hooks.slice/' /var/tmp/cgroup
ok "the worker has a network of its own" eval '[ "$(in_host ctl readlink "/proc/$pid/ns/net")" != "$(in_host ctl readlink /proc/1/ns/net)" ]'
is "and only the capabilities of its unit" "$(in_host ctl systemctl show -p CapabilityBoundingSet --value slipway-worker@1.service | tr ' ' '\n' | sort | xargs)" \
	"$(in_host ctl capsh --decode="$(in_host ctl sed -n 's/^CapEff:\t//p' "/proc/$pid/status")" 2>/dev/null | sed 's/.*=//' | tr ',' '\n' | sort | xargs)"

in_host ctl systemctl stop slipwayd
ok "stopping the daemon leaves the worker alone" property_is "$worker" MainPID "$pid"
ok "and its script" held ctl
release ctl
ok "the worker ends by itself" within 30 property_is "$worker" ActiveState inactive
in_host ctl systemctl start slipwayd
ok "the result is reported by the next daemon, and the deployment succeeds" within 60 deployment_is "$id" Succeeded
ok "the application is served" within 10 serves ctl 1
for file in /srv/app/revision /home/app/revision /tmp/app/revision /boot/app/revision /usr/lib/modules/app/revision /mnt/late/app/revision; do
	is "$file was installed where the host sees it" 1 "$(in_host ctl cat "$file")"
done
is "with the owner that was asked for" "nobody:root 755" "$(attributes /srv/app/server.py)"
is "every directory in host/ is the daemon's to read" "" \
	"$(in_host ctl find /var/lib/slipway/host -type d ! '(' -group slipway -perm -2050 ')')"
is "none is its to write, or anybody else's" "" "$(in_host ctl find /var/lib/slipway/host '(' ! -user root -o -perm /0020 ')')"
ok "the end is in the journal, with the deployment's id" eval 'in_host ctl journalctl -o cat DEPLOYMENT_ID="$id" MESSAGE_ID=3aa01364d02817de7417d81b4941db27 | grep -q succeeded'
is "the journal has no complaint of the daemon's" "" "$(in_host ctl journalctl -u slipwayd -p warning -o cat | grep -v -e unreachable -e Watchdog -e killed -e 'Failed with')"

# A worker that is killed leaves nothing behind but what recovery takes up.
make_app "$T/r2" 2
hold_at "$T/r2" configure.sh
ready_to_hold ctl
id=$(create "$T/r2")
ok "the next deployment waits in a script" within 60 held ctl
worker=$(in_host ctl systemctl list-units --plain --no-legend --state=running 'slipway-worker@*' | awk '{ print $1 }')
in_host ctl systemctl kill -s KILL "$worker"
is "a killed worker's unit does not stay" "" "$(within 10 property_is "$worker" LoadState not-found; in_host ctl systemctl list-units --plain --no-legend --failed)"
release ctl
ok "its deployment comes to an end" within 90 eval 'fleet show "$id" | grep -qE "Deployment $id: (Failed|Succeeded)"'

# Recovery at boot never stands in the way of the boot.
is "recovery is over before applications start" basic.target "$(property slipway-recover.service Before | tr ' ' '\n' | grep -x basic.target)"
in_host ctl sh -c 'mkdir -p /etc/systemd/system/slipway-recover.service.d && printf "[Service]\nExecStart=\nExecStart=/bin/false\n" >/etc/systemd/system/slipway-recover.service.d/fail.conf'
ok "a host whose recovery fails" "$HOST" reboot ctl
is "has it on record" failed "$(property slipway-recover.service ActiveState)"
ok "and runs the daemon all the same" within 20 property_is slipwayd ActiveState active
ok "and takes commands" within 20 in_host ctl slipway recover
done_testing
