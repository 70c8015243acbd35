#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What packages.sh shows of the Debian packages, for the RPMs: install, upgrade in the middle of a script, erase in the middle
# of one, on a host that runs. The host is a Debian one with Debian's rpm: no other can be had everywhere. What an
# upgrade does to configuration files and users: tests/packaging/rpm.sh.
. "${top_srcdir:?}/tests/system/lib.sh"
. "$top_srcdir/tests/system/packages-lib.sh"
need_hosts
image_packages+=(rpm)

all=(slipway slipway-agent slipway-controld)
mkdir "$T/rpms"
for package in "${all[@]}"; do
	cp "$top_builddir/rpm/$package"-[0-9]*.rpm "$T/rpms/$package.rpm" 2>/dev/null ||
		skip_all "no package $package in $top_builddir/rpm (make rpm)"
done
command -v rpmbuild >/dev/null || skip_all "rpmbuild is not installed, which makes the newer packages"
"$top_srcdir/tests/tools/other-rpm" 9.9 "$T/newer" "$T"/rpms/*.rpm || exit 1

do_rpm() { h rpm --dbpath /var/lib/rpm --nodeps --nosignature --force-debian "$@"; }

new_host h || exit 1
"$HOST" copy "$T/rpms" "$T/newer" h:/var/tmp/

ok "they are installed" do_rpm -i /var/tmp/rpms/slipway.rpm /var/tmp/rpms/slipway-agent.rpm /var/tmp/rpms/slipway-controld.rpm
exits 0 "the agent runs" h systemctl status slipwayd
says "and its status says what it waits for" "not enrolled: run 'slipway enroll'" "$T/out"
is "its user is not root" slipway "$(property slipwayd.service User)"
first_deployment

# --- upgrade, in the middle of a script -----------------------------------------------------------------------------------------

h sed -i 's/^#max_revisions: .*/max_revisions: 7/' /etc/slipway/agent.yml
id=$(create "$T/r2")
ok "a second deployment is in its script" within 30 held h
daemon=$(daemon_pid) endpoint_pid=$(property slipway-controld.service MainPID)
socket=$(h stat -c %i /run/slipway/worker.sock)
worker=$(h systemctl list-units --no-legend --plain 'slipway-worker@*' | awk '{ print $1; exit }')
worker_pid=$(property "$worker" MainPID)
ok "the packages are upgraded" do_rpm -U /var/tmp/newer/slipway.rpm /var/tmp/newer/slipway-agent.rpm
ok "there is another daemon now" [ "$(daemon_pid)" != "$daemon" ]
is "the worker is the one that was" "$worker_pid" "$(property "$worker" MainPID)"
ok "the script was not stopped" held h
is "the socket was never closed" "$socket" "$(h stat -c %i /run/slipway/worker.sock)"
is "the endpoint was not touched" "$endpoint_pid" "$(property slipway-controld.service MainPID)"
release h
ok "the deployment succeeds" within 30 deployment_is "$id" Succeeded
is "its script ran once" 1 "$(h grep -c '^2 ApplicationStart$' /var/tmp/events)"
is "what it deployed is served" 2 "$(served h)"
is "with the configuration as it was edited" "max_revisions: 7" "$(h grep '^[a-z]' /etc/slipway/agent.yml)"
server=$(app_pid)
ok "the endpoint is upgraded" do_rpm -U /var/tmp/newer/slipway-controld.rpm
ok "there is another endpoint now" [ "$(property slipway-controld.service MainPID)" != "$endpoint_pid" ]
ok "the previous release takes over" do_rpm -U --oldpackage /var/tmp/rpms/slipway.rpm /var/tmp/rpms/slipway-agent.rpm
is "an application does not notice" "$server" "$(app_pid)"
is "it is served" 2 "$(served h)"

# --- erase, in the middle of a script -------------------------------------------------------------------------------------------

ready_to_hold h
id=$(create "$T/r3")
ok "a third deployment is in its script" within 30 held h
ok "the packages are erased" do_rpm -e slipway-agent slipway
is "the daemon is gone" inactive "$(h systemctl is-active slipwayd)"
is "nobody listens for commands" inactive "$(h systemctl is-active slipway-worker.socket)"
ok "the script goes on" held h
release h
ok "and the deployment to its end" within 30 serves h 3
server=$(app_pid)
ok "the identity stays" h test -s /var/lib/slipway/agent/identity.json
ok "installed again" do_rpm -i /var/tmp/rpms/slipway.rpm /var/tmp/rpms/slipway-agent.rpm
fleet() { h env SLIPWAY_CREDENTIALS=/var/lib/slipway-control/admin-credentials.json slipway fleet "$@"; }
ok "it reports what ended without it" within 60 deployment_is "$id" Succeeded
is "and stops nothing" "$server" "$(app_pid)"

ok "all are erased" do_rpm -e "${all[@]}"
is "the application goes on" "$server" "$(app_pid)"
is "and is served" 3 "$(served h)"
is "no unit failed in all this" 0 "$(h systemctl --failed --no-legend | grep -vc 'run-u')"
done_testing
