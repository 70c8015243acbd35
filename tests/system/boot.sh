#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After a power cut the tree is whole before the application's own unit starts, without any network; and a state directory that
# is broken holds up no boot. At shutdown what scripts have started ends in peace.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent

agent_host h || exit 1

# Every start of this unit writes down what it found: the number of complete and of foreign files.
cat >"$T/census.service" <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat /srv/app/all/* | sort | uniq -c | xargs >>/root/census; ls -A /srv >>/root/census'
[Install]
WantedBy=multi-user.target
U
"$HOST" copy "$T/census.service" h:/etc/systemd/system/
in_host h systemctl enable census 2>/dev/null

for n in 1 2; do
	mkdir -p "$T/r$n/all"
	printf 'version: 0.0\nos: linux\nfiles:\n  - source: all\n    destination: /srv/app/all\n' >"$T/r$n/appspec.yml"
	for ((i = 0; i < 4000; i++)); do echo "$n" >"$T/r$n/all/$i"; done
done
# however late the power goes, revision 2 is not done
printf 'hooks:\n  AfterInstall:\n    - location: wait.sh\n' >>"$T/r2/appspec.yml"
printf '#!/bin/sh\n: >/root/began\nuntil [ -e /root/go ]; do sleep 0.05; done\n' >"$T/r2/wait.sh"
chmod +x "$T/r2/wait.sh"
"$HOST" copy "$T/r1" "$T/r2" h:/root/
exits 0 "revision 1 is deployed" in_host h slipway deploy /root/r1 --group app

# cut_at TEST: the power goes while revision 2 is installed, as soon as that holds.
cut_at() {
	start deploy in_host h slipway deploy /root/r2 --group app
	in_host h sh -c "until $1; do :; done" 2>/dev/null
	power_cut h
	wait "${started[deploy]}"
	unset "started[deploy]"
}
whole() { [ "$(in_host h head -n 1 /root/census)" = "4000 $1" ]; }
only_app() { [ "$(in_host h sed 1d /root/census)" = app ]; }

cut_at 'ls -d /srv/.slipway-* >/dev/null'
ok "the host boots after a power cut while files are staged" boot_host h
ok "the tree was whole when the application's unit started" whole 1
ok "and nothing else was in its place" only_app

in_host h rm /root/census
cut_at 'read -r first </srv/app/all/0 && [ "$first" = 2 ]'
ok "the host boots after a power cut while files are switched" boot_host h
ok "the tree was whole again" whole 1
ok "and nothing else was in its place" only_app
is "by its own unit" success "$(in_host h systemctl show -P Result slipway-recover)"

# That boot is another one, though a container's kernel stays the same: the script of the note is gone with it.
in_host h rm -f /root/census /root/began
cut_at 'test -e /root/began'
ok "the host boots after a power cut while a script runs" boot_host h
ok "the tree was whole again" whole 1
ok "and nothing else was in its place" only_app

in_host h touch /root/go
exits 0 "the next deployment works" in_host h slipway deploy /root/r2 --group app
is "and its tree is whole" "4000 2" "$(in_host h sh -c 'cat /srv/app/all/* | sort | uniq -c | xargs')"

# What a script has left running may take its time, as other services may.
mkdir -p "$T/slow"
cat >"$T/slow/appspec.yml" <<'Y'
version: 0.0
os: linux
hooks:
  ApplicationStart:
    - location: start.sh
Y
cat >"$T/slow/start.sh" <<'S'
#!/bin/sh
sh -c 'trap "sleep 8; sync; echo clean >/root/stopped; exit" TERM; : >/run/slow; while :; do sleep 0.1; done' &
until [ -e /run/slow ]; do sleep 0.02; done
S
chmod +x "$T/slow/start.sh"
"$HOST" copy "$T/slow" h:/root/
exits 0 "an application that takes 8 s to stop is started" in_host h slipway deploy /root/slow --group slow
started_line() { in_host h slipway status | grep -o 'started  sh ([0-9]*)' | tr -d '0-9'; }
is "status tells it by name" "started  sh ()" "$(started_line)"
ok "the host reboots" "$HOST" reboot h
is "and the application has stopped by itself" clean "$(in_host h cat /root/stopped)"
is "and status tells of it no more" "" "$(started_line)"

in_host h rm /root/census
in_host h sh -c 'for f in $(find /var/lib/slipway/host/groups -type f); do head -c 40 /dev/urandom >"$f"; done'
ok "a host whose state is garbage boots" "$HOST" reboot h
ok "and starts the application's unit" whole 2
in_host h sh -c 'rm -rf /var/lib/slipway/host && : >/var/lib/slipway/host'
ok "one whose state is no directory boots" "$HOST" reboot h
is "with everything else running" active "$(in_host h systemctl is-active multi-user.target)"
done_testing
