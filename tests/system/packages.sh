#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the packages do to a host: install, upgrade in the middle of a deployment, downgrade, remove, purge. And what they
# leave alone.
. "${top_srcdir:?}/tests/system/lib.sh"
. "$top_srcdir/tests/system/packages-lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

all=(slipway slipway-agent slipway-controld)
bash "$top_srcdir/tests/tools/other-version" 9.9-1 "$T/newer" "$(deb slipway)" "$(deb slipway-agent)" "$(deb slipway-controld)"
mkdir "$T/debs"
for package in "${all[@]}"; do cp "$(deb "$package")" "$T/debs/$package.deb"; done
for package in "${all[@]}"; do mv "$T/newer/${package}"_* "$T/newer/$package.deb"; done

apt() { h env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; }
owner() { h stat -c '%U:%G %a' "$1"; }

new_host h || exit 1
"$HOST" copy "$T/debs" "$T/newer" h:/var/tmp/

# --- install ----------------------------------------------------------------------------------------------------------------

exits 100 "the agent does not install without the command line" apt install /var/tmp/debs/slipway-agent.deb
ok "the command line installs alone" apt install /var/tmp/debs/slipway.deb
make_app "$T/r0" 0
"$HOST" copy "$T/r0" h:/var/tmp/
exits 0 "it checks bundles" h slipway lint /var/tmp/r0
exits 1 "it deploys nothing on its own machine" h slipway deploy /var/tmp/r0
says "and names what is missing" "install the package slipway-agent"
ok "apt resolves what the packages need" apt install /var/tmp/debs/slipway.deb /var/tmp/debs/slipway-agent.deb /var/tmp/debs/slipway-controld.deb
exits 0 "the agent runs" h systemctl status slipwayd
says "and its status says what it waits for" "not enrolled: run 'slipway enroll'" "$T/out"
is "its user is not root" slipway "$(property slipwayd.service User)"
for unit in slipwayd.service slipway-worker.socket slipway-recover.service slipway-controld.service; do
	is "$unit starts with the machine" enabled "$(h systemctl is-enabled $unit)"
done
is "the agent's configuration is not for everybody" "root:slipway 640" "$(owner /etc/slipway/agent.yml)"
is "nor is the endpoint's" "root:slipway-control 640" "$(owner /etc/slipway/control.yml)"
is "the host's state is root's, the daemon may read" "root:slipway 2750" "$(owner /var/lib/slipway/host)"
is "the daemon's is its own" "slipway:slipway 700" "$(owner /var/lib/slipway/agent)"
is "no unit failed" 0 "$(h systemctl --failed --no-legend | wc -l)"

# --- upgrade, in the middle of a deployment ------------------------------------------------------------------------------------

first_deployment

h sed -i 's/^#max_revisions: .*/max_revisions: 7/' /etc/slipway/agent.yml
daemon=$(daemon_pid) server=$(app_pid) endpoint_pid=$(property slipway-controld.service MainPID)
socket=$(h stat -c %i /run/slipway/worker.sock)
ok "newer files are unpacked" h dpkg --unpack /var/tmp/newer/slipway.deb /var/tmp/newer/slipway-agent.deb
is "the old daemon goes on" "$daemon" "$(daemon_pid)"
is "and so does the application" "$server" "$(app_pid)"
id=$(create "$T/r2")
ok "a command comes in the middle of the upgrade: its script runs" within 30 held h
worker=$(h systemctl list-units --no-legend --plain 'slipway-worker@*' | awk '{ print $1; exit }')
worker_pid=$(property "$worker" MainPID)
exits 1 "the newer agent.yml has other defaults: dpkg asks what is to become of the edited one" h dpkg --configure -a
says "and says so" "Configuration file '/etc/slipway/agent.yml'"
is "while there is no answer the old daemon goes on" "$daemon" "$(daemon_pid)"
ok "the upgrade ends, with the edited one kept" h dpkg --configure -a --force-confold
ok "there is another daemon now" [ "$(daemon_pid)" != "$daemon" ]
is "the worker is the one that was" "$worker_pid" "$(property "$worker" MainPID)"
ok "the script was not stopped" held h
is "the socket was never closed" "$socket" "$(h stat -c %i /run/slipway/worker.sock)"
is "the endpoint was not touched" "$endpoint_pid" "$(property slipway-controld.service MainPID)"
release h
ok "the deployment succeeds" within 30 deployment_is "$id" Succeeded
is "what it deployed is served" 2 "$(served h)"
is "with the configuration as it was edited" "max_revisions: 7" "$(h grep '^[a-z]' /etc/slipway/agent.yml)"
is "by nobody but the operator" "root:slipway 640" "$(owner /etc/slipway/agent.yml)"
is "the newer one lies beside it" "# as of 9.9-1" "$(h tail -n 1 /etc/slipway/agent.yml.dpkg-dist)"

server=$(app_pid)
ok "upgrades need no deployment" h dpkg -i /var/tmp/newer/slipway.deb /var/tmp/newer/slipway-agent.deb /var/tmp/newer/slipway-controld.deb
is "an upgrade stops no application" "$server" "$(app_pid)"
is "it is served" 2 "$(served h)"
is "configuration that nobody edited is the newer one" "# as of 9.9-1" "$(h tail -n 1 /etc/slipway/control.yml)"
is "and still not for everybody" "root:slipway-control 640" "$(owner /etc/slipway/control.yml)"

# --- the previous release ----------------------------------------------------------------------------------------------------

ok "the previous release takes over" apt install --allow-downgrades /var/tmp/debs/slipway.deb /var/tmp/debs/slipway-agent.deb
is "an application does not notice" "$server" "$(app_pid)"
exits 0 "it knows what was deployed" h slipway status
says "by its deployment" "$id" "$T/out"
is "with the same configuration" "max_revisions: 7" "$(h grep '^[a-z]' /etc/slipway/agent.yml)"
ready_to_hold h

# --- remove, in the middle of a deployment ----------------------------------------------------------------------------------

id=$(create "$T/r3")
ok "a third deployment is in its script" within 30 held h
ok "the packages are removed" apt remove slipway-agent slipway
is "the daemon is gone" inactive "$(h systemctl is-active slipwayd)"
is "nobody listens for commands" inactive "$(h systemctl is-active slipway-worker.socket)"
ok "the script goes on" held h
release h
ok "and the deployment to its end" within 30 serves h 3
is "configuration stays" "max_revisions: 7" "$(h grep '^[a-z]' /etc/slipway/agent.yml)"
ok "and so does the identity" h test -s /var/lib/slipway/agent/identity.json

server=$(app_pid)
ok "installed again" apt install /var/tmp/debs/slipway.deb /var/tmp/debs/slipway-agent.deb
fleet() { h env SLIPWAY_CREDENTIALS=/var/lib/slipway-control/admin-credentials.json slipway fleet "$@"; }
ok "it reports what ended without it" within 60 deployment_is "$id" Succeeded
is "and stops nothing" "$server" "$(app_pid)"

# --- purge ------------------------------------------------------------------------------------------------------------------

mkdir -p "$T/own/scripts"
printf 'version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: scripts/wait.sh\n' >"$T/own/appspec.yml"
printf '#!/bin/sh\n' >"$T/own/scripts/wait.sh"
hold_at "$T/own" wait.sh
"$HOST" copy "$T/own" h:/root/
ready_to_hold h
h slipway deploy /root/own --group own >"$T/own.out" 2>&1 &
own=$!
ok "a deployment is in its script" within 20 held h
apt purge slipway-agent slipway >"$T/purge.out" 2>&1 &
purge=$!
ok "a purge waits for it" within 30 grep -q "waiting for a deployment to end" "$T/purge.out"
ok "its records are there" h test -s /var/lib/slipway/host/groups/own/state.json
release h
wait $own
is "it ends" 0 $?
wait $purge
is "and the agent is purged" 0 $?
for path in /var/lib/slipway /var/log/slipway /etc/slipway/agent.yml /run/slipway; do
	exits 1 "$path is gone" h test -e $path
done
ok "the endpoint's configuration is not the agent's to delete" h test -f /etc/slipway/control.yml
is "the user stays" slipway "$(h id -un slipway)"
is "the application goes on" "$server" "$(app_pid)"
is "and is served" 3 "$(served h)"
is "its files are there" 3 "$(h cat /srv/app/revision)"
ok "the endpoint still serves" h curl -sSk -o /dev/null https://h:8443/

# --- a configuration that was there first --------------------------------------------------------------------------------------

h sh -c 'echo "max_revisions: 3" >/etc/slipway/agent.yml'
ok "the agent is installed where somebody has written its configuration" apt install /var/tmp/debs/slipway.deb /var/tmp/debs/slipway-agent.deb
is "which stays" "max_revisions: 3" "$(h cat /etc/slipway/agent.yml)"
is "no longer for everybody" "root:slipway 640" "$(owner /etc/slipway/agent.yml)"
says "nothing of the host before is left: it waits again" "not enrolled" <(h systemctl status slipwayd)
ok "and is purged" apt purge slipway-agent slipway
exits 1 "configuration and all" h test -e /etc/slipway/agent.yml

h mount --bind /var/lib/slipway-control /var/lib/slipway-control
ok "the endpoint is purged, with its data on a mount of their own" apt purge slipway-controld
is "which is empty" "" "$(h ls -A /var/lib/slipway-control)"
exits 1 "/etc/slipway is gone" h test -e /etc/slipway
is "no unit failed in all this" 0 "$(h systemctl --failed --no-legend | grep -vc 'run-u')"
done_testing
