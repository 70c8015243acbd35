#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What stands in the packages that `make deb` and `make rpm` left in the build directory, and that the commented
# configuration files say what the programs say.
. "$top_srcdir/tests/e2e/lib.sh"
here=$top_srcdir/tests/packaging
all=(slipway slipway-agent slipway-controld)

# --- the samples: every key, with the program's own words ----------------------------------------------------------------------

# keys_of_help PROGRAM: "key: sentence (kind; default)" of each, as --help-config has them. keys_of_sample FILE: a sample's.
keys_of_help() {
	"$@" --help-config | sed '/^Accepted without effect/,$d' | awk '
		function flush() { if (k != "") print k " " text " (" d ")" }
		/^[a-z]/ { flush(); k = $1; d = $0; sub(/^[^:]*: /, "", d); text = "" }
		/^ / { sub(/^ +/, ""); text = text (text == "" ? "" : " ") $0 }
		END { flush() }'
}
keys_of_sample() {
	awk '/^$/ { text = "" } /^# / { sub(/^# /, ""); text = text (text == "" ? "" : " ") $0 }
		/^#[a-z]/ { k = $1; sub(/^#/, "", k); if (text != "") print k " " text; text = "" }' "$1"
}
is "agent.yml explains every key as slipwayd does" "$(keys_of_help "$SLIPWAYD")" "$(keys_of_sample "$top_srcdir/packaging/agent.yml")"
is "nothing in agent.yml is in force" "" "$(grep -v '^#' "$top_srcdir/packaging/agent.yml" | grep .)"
if [ -x "$CONTROLD" ]; then
	is "control.yml explains every key as slipway-controld does" "$(keys_of_help "$CONTROLD")" \
		"$(keys_of_sample "$top_srcdir/packaging/control.yml")"
	sed 's/^#\([a-z]\)/\1/' "$top_srcdir/packaging/control.yml" >"$T/control.yml"
	ok "and every line of it is one" "$CONTROLD" init --dir "$T/control" --config "$T/control.yml"
fi

# defaults FILE: "key: value" of the lines of keys that have a default.
is "agent.yml shows the defaults" "" "$("$SLIPWAYD" --help-config | sed -n 's/^\([a-z_]*\): .*; default \(.*\)$/#\1: \2/p' |
	grep -v ': none$' | grep -vxFf "$top_srcdir/packaging/agent.yml")"

# --- Debian --------------------------------------------------------------------------------------------------------------------

# debs: our packages of $SLIPWAY_DEBS.
# shellcheck disable=SC2010
debs=$(ls "${SLIPWAY_DEBS:-$top_builddir/deb}"/slipway*_[0-9]*.deb 2>/dev/null | grep -v dbgsym)
if [ -z "$debs" ]; then
	skip "the Debian packages" "there are none: make deb"
else
	for package in "${all[@]}"; do
		deb=$(grep "/${package}_" <<<"$debs")
		# units are in /lib until Debian 12
		dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $6 }' | sed 's,^\.,,; s,^/lib/,/usr/lib/,' | sort >"$T/files"
		is "$package has the files that it is to have" "" "$(diff "$here/$package.files" "$T/files")"
		is "root's, all of them" root/root "$(dpkg-deb -c "$deb" | awk '{ print $2 }' | sort -u)"
		ok "its debug symbols are apart" [ -f "${deb/${package}_/${package}-dbgsym_}" ]
	done
	agent=$(grep /slipway-agent_ <<<"$debs")
	kilobytes=$(dpkg-deb -f "$agent" Installed-Size)
	ok "the agent takes at most 1 MB ($kilobytes kB)" [ "$kilobytes" -le 1024 ]
	is "its configuration is kept over upgrades" "/etc/needrestart/conf.d/slipway.conf /etc/slipway/agent.yml" \
		"$(dpkg-deb -I "$agent" conffiles | sort | xargs)"
	# needs PACKAGE: what it depends on beside libraries.
	needs() {
		dpkg-deb -f "$(grep "/$1_" <<<"$debs")" Depends | sed 's/, */\n/g' | grep -vE '^(lib|zlib1g)[^ ]*( |$)' | paste -sd,
	}
	version=$(dpkg-deb -f "$agent" Version)
	is "it needs the bus that starts scripts, systemd, and the command line of its version" \
		"default-dbus-system-bus | dbus-system-bus,slipway (= $version),systemd (>= 249)" "$(needs slipway-agent)"
	is "the command line needs libraries only" "" "$(needs slipway)"
	dpkg-deb -x "$agent" "$T/x"
	# shellcheck disable=SC2016
	restarted='do shift; die $@ if $@; for $unit (@ARGV) { print "$unit\n" unless grep { $unit =~ /$_/ } keys %{$nrconf{override_rc}} }'
	is "needrestart restarts the daemon, but no worker and no script" slipwayd.service \
		"$(perl -e "$restarted" "$T/x/etc/needrestart/conf.d/slipway.conf" slipwayd.service slipway-worker@7-11-0.service \
			slipway-hook-d-A1B2C3D4E-ApplicationStart-4.service)"
	for program in usr/sbin/slipwayd usr/libexec/slipway/slipway-worker; do
		readelf -hldW "$T/x/$program" >"$T/elf"
		says "$program is position independent" "DYN (Position-Independent" "$T/elf"
		says "its symbols are bound at start" "BIND_NOW" "$T/elf"
		says "and read-only then" "GNU_RELRO" "$T/elf"
	done
	if command -v lintian >/dev/null; then
		changes=$(ls "${SLIPWAY_DEBS:-$top_builddir/deb}"/*.changes)
		exits 0 "lintian finds no error" lintian --allow-root --fail-on error,warning "$changes"
		sed 's/^/# /' "$T/out"
	else
		skip "lintian" "it is not installed"
	fi
fi

# --- RPM -----------------------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2010
rpms=$(ls "$top_builddir"/rpm/slipway*.rpm 2>/dev/null | grep -v debug)
if [ -z "$rpms" ]; then
	skip "the RPM packages" "there are none: make rpm"
else
	for package in "${all[@]}"; do
		rpm=$(grep "/$package-[0-9]" <<<"$rpms")
		# manual pages may be compressed, documentation and completions have other places
		rpm -qpl "$rpm" | grep -vE '/\.build-id|/usr/share/(doc|licenses)/|\.preset$|^/etc/slipway$|^/usr/libexec/slipway$' |
			sed 's,site-functions,vendor-completions,; s,\.gz$,,' | sort >"$T/files"
		is "the RPM $package has the same files" "" \
			"$(grep -vE '^/usr/share/(doc|lintian)/|^/etc/needrestart/' "$here/$package.files" | sed 's,\.gz$,,' | diff - "$T/files")"
	done
	if command -v rpmlint >/dev/null; then
		# shellcheck disable=SC2086
		rpmlint -c "$top_srcdir/packaging/rpmlint.toml" $rpms >"$T/out" 2>&1
		is "rpmlint finds no error" "" "$(grep -E ': E: ' "$T/out")"
		says "in all of the packages" "3 packages and 0 specfiles checked" "$T/out"
	else
		skip "rpmlint" "it is not installed"
	fi
fi
done_testing
