#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the RPM packages do to a system in which no systemd runs, as when an image is built: install, upgrade, downgrade, erase,
# by their own scriptlets. The system is a Debian one: of Fedora and its like the packages take only what both have. In
# one that runs: tests/system/rpm.sh.
. "${top_srcdir:?}/tests/system/lib.sh"

rpms=$top_builddir/rpm
[ -e "$rpms/slipway.spec" ] || skip_all "there are no RPM packages: make rpm"
command -v rpmbuild >/dev/null || skip_all "rpm is not installed"
all=(slipway slipway-agent slipway-controld)
rpm_of() { echo "$rpms/$1"-[0-9]*.rpm; }

# --- what they say of themselves ------------------------------------------------------------------------------------------------

# scriptlets PACKAGE: in $T/PACKAGE.SECTION; fails when one is no shell.
scriptlets() {
	local tag file status=0
	for tag in PREIN POSTIN PREUN POSTUN; do
		file=$T/$1.$tag
		rpm -qp --qf "%{$tag}" "$(rpm_of "$1")" | sed 's/^(none)$//' >"$file"
		sh -n "$file" || status=1
	done
	return $status
}
for package in "${all[@]}"; do
	ok "the scriptlets of $package are shell" scriptlets "$package"
	is "with every macro expanded" "" "$(grep -n '%' "$T/$package".*)"
done
requires() { rpm -qp --qf "[%{REQUIRENEVRS}\n]" "$(rpm_of "$1")"; }
is "the agent needs the bus, systemd, users and the command line of its version" \
	"dbus shadow-utils slipway($(uname -m | tr _ -)) systemd" \
	"$(requires slipway-agent | grep -vE '^(lib|rpmlib|rtld|config|/bin/sh)' | sed 's/ .*//' | sort | xargs)"
is "the command line needs libraries only" "" "$(requires slipway | grep -vE '^(lib|rpmlib|rtld)')"
rpmspec -P --define "_hardened_build 1" --define "dist .el9" "$rpms/slipway.spec" >"$T/spec" 2>&1
says "where there are build flags they are used" "Release: 1.el9" "$T/spec"
is "and no others" "" "$(grep -n 'export CFLAGS="-O2\|install-strip\|[^%]%{' "$T/spec")"

# --- a system -----------------------------------------------------------------------------------------------------------------

cannot() { skip "installing them" "$*"; done_testing; }
[ "$(id -u)" = 0 ] || cannot "that needs root"
image=$(IFS=, && "$HOST" image --include="${image_packages[*]}" 2>"$T/err") || cannot "no image to install them in: $(tail -n 1 "$T/err")"
root=$T/root
mkdir "$T/upper" "$T/work" "$root"
# shellcheck disable=SC2317
at_end() { ! mountpoint -q "$root/proc" || umount "$root/proc"; ! mountpoint -q "$root" || umount "$root"; }
mount -t overlay overlay -o "lowerdir=$image,upperdir=$T/upper,workdir=$T/work" "$root" && mount -t proc proc "$root/proc" ||
	cannot "no overlay can be mounted"
in_root() { chroot "$root" "$@"; }
owner() { in_root stat -c '%U:%G %a' "$1"; }
last_line() { tail -n 1 "$root$1"; }
units=(slipwayd.service slipway-worker.socket slipway-recover.service slipway-controld.service)

# do_rpm OPTION... FILE...: its database is the system's; Debian has the libraries under other names.
do_rpm() { rpm --root "$root" --dbpath /var/lib/rpm --nodeps --nosignature --force-debian "$@"; }
version() { rpm --root "$root" --dbpath /var/lib/rpm -q --qf '%{VERSION} ' "$1"; }
# quietly NAME OPTION...: it succeeds, and no scriptlet complains.
quietly() {
	exits 0 "$1" do_rpm "${@:2}"
	is "nothing complains" "" "$(cat "$T/err")"
}
old=()
for package in "${all[@]}"; do old+=("$(rpm_of "$package")"); done
"$top_srcdir/tests/tools/other-rpm" 9.9 "$T/newer" "${old[@]}" || ok "newer packages are made" false

quietly "they are installed" -i "${old[@]}"
is "the programs run" "$("$SLIPWAY" --version)" "$(in_root slipway --version)"
exits 0 "files are as their package says" do_rpm -V "${all[@]}"
for unit in "${units[@]}"; do is "$unit will start" enabled "$(in_root systemctl is-enabled "$unit")"; done
is "the agent's configuration is not for everybody" "root:slipway 640" "$(owner /etc/slipway/agent.yml)"
is "nor is the endpoint's" "root:slipway-control 640" "$(owner /etc/slipway/control.yml)"
is "the host's state is root's, the daemon may read" "root:slipway 2750" "$(owner /var/lib/slipway/host)"
is "the daemon's is its own" "slipway:slipway 700" "$(owner /var/lib/slipway/agent)"
is "so is the endpoint's" "slipway-control:slipway-control 700" "$(owner /var/lib/slipway-control)"
is "a daemon has no shell" /sbin/nologin "$(in_root getent passwd slipway | cut -d: -f7)"

# --- upgrade --------------------------------------------------------------------------------------------------------------------

sed -i 's/^#max_revisions: .*/max_revisions: 7/' "$root/etc/slipway/agent.yml"
in_root systemctl disable slipway-controld.service slipwayd.service 2>/dev/null
in_root systemctl enable slipway-worker.socket 2>/dev/null # which goes with slipwayd
# as after a release that did not have it
in_root systemctl disable slipway-recover.service 2>/dev/null
find "$root/usr/lib/systemd/system" "$root/lib/systemd/system" -name slipway-recover.service -delete
uid=$(in_root id -u slipway)
exits 0 "they are upgraded" do_rpm -U "$T"/newer/*.rpm
is "and nothing else is said than where the newer configuration is" \
	"warning: /etc/slipway/agent.yml created as /etc/slipway/agent.yml.rpmnew" "$(cat "$T/err")"
is "there is one version of the agent" "9.9 " "$(version slipway-agent)"
is "configuration stays as it was edited" "max_revisions: 7" "$(grep '^[a-z]' "$root/etc/slipway/agent.yml")"
is "by nobody but the operator" "root:slipway 640" "$(owner /etc/slipway/agent.yml)"
is "the newer one lies beside it" "# as of 9.9" "$(last_line /etc/slipway/agent.yml.rpmnew)"
is "one that nobody edited is the newer one" "# as of 9.9" "$(last_line /etc/slipway/control.yml)"
is "and still not for everybody" "root:slipway-control 640" "$(owner /etc/slipway/control.yml)"
is "what the operator disabled stays so" disabled "$(in_root systemctl is-enabled slipway-controld.service)"
is "of either package" disabled "$(in_root systemctl is-enabled slipwayd.service)"
is "a unit that is new will start" enabled "$(in_root systemctl is-enabled slipway-recover.service)"
is "the rest starts as before" enabled "$(in_root systemctl is-enabled slipway-worker.socket)"
ok "no note of it stays" [ ! -e "$root/var/lib/rpm-state/slipway-agent.units" ]
is "the user is the one that was" "$uid" "$(in_root id -u slipway)"

exits 0 "the previous release takes over" do_rpm -U --oldpackage "${old[@]}"
is "with the same configuration" "max_revisions: 7" "$(grep '^[a-z]' "$root/etc/slipway/agent.yml")"

# --- erase ----------------------------------------------------------------------------------------------------------------------

mkdir -p "$root/var/lib/slipway/host/groups/g" "$root/srv/app"
echo kept | tee "$root/var/lib/slipway/host/groups/g/state.json" "$root/srv/app/file" >/dev/null
quietly "the endpoint is erased" -e slipway-controld
ok "the agent's configuration is not the endpoint's to delete" [ -s "$root/etc/slipway/agent.yml" ]
exits 0 "the agent is erased" do_rpm -e slipway-agent slipway
says "which says where the edited configuration is" "agent.yml.rpmsave" "$T/err"
is "it is kept there" "max_revisions: 7" "$(grep '^[a-z]' "$root/etc/slipway/agent.yml.rpmsave")"
is "what the agent knows is kept" kept "$(cat "$root/var/lib/slipway/host/groups/g/state.json")"
is "and what it deployed" kept "$(cat "$root/srv/app/file")"
is "the user stays" "$uid" "$(in_root id -u slipway)"
is "no unit is left, enabled or not" "" "$(find "$root/etc/systemd" "$root/usr/lib/systemd" "$root/lib/systemd" -name 'slipway*')"
is "nor a program" "" "$(find "$root/usr" -name 'slipway*' ! -type d)"

quietly "installed again" -i "${old[@]}"
is "they start as at first" enabled "$(in_root systemctl is-enabled slipway-controld.service)"
is "with the user that there was" "slipway:slipway 700" "$(owner /var/lib/slipway/agent)"
done_testing
