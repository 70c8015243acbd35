#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent is cross-built for aarch64, with the libraries of Debian's arm64 packages, and deploys there, by qemu.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"
there=$top_builddir/cross-aarch64

got=0
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS "$top_srcdir/packaging/cross-aarch64" "$top_srcdir" "$there" >"$T/log" 2>&1 || got=$?
[ $got != 77 ] || skip_all "$(tail -n 1 "$T/log")"
is "the agent is cross-built" 0 $got
[ $got = 0 ] || { tail -n 40 "$T/log" | sed 's/^/# /'; done_testing; }
programs=(slipway slipway-cli slipwayd slipway-worker slipway-unpack)
for program in "${programs[@]}"; do
	readelf -h "$there/$program" >"$T/elf"
	says "$program is for aarch64" "AArch64" "$T/elf"
done
if [ ! -x "$there/run" ]; then
	skip "running it" "there is no qemu for aarch64 (package qemu-user-static)"
	done_testing
fi
tail -n 1 "$T/log" | sed 's/^/# /'

# From here on slip and the worker are the foreign ones.
for program in "${programs[@]}"; do
	printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$there/run" "$there/$program" >"$T/$program"
	chmod +x "$T/$program"
done
export SLIPWAY=$T/slipway SLIPWAY_WORKER=$T/slipway-worker SLIPWAY_LIBEXEC=$T
is "slipway says its version" "$("$top_builddir/slipway" --version)" "$("$SLIPWAY" --version)"
is "slipwayd explains its settings" "$("$top_builddir/slipwayd" --help-config)" "$("$T/slipwayd" --help-config)"

local_host host
for n in 1 2 3; do make_revision "$T/r$n" $n; done
printf '#!/bin/sh\nuname -m >&2\nexit 7\n' >"$T/r3/scripts/validate.sh"
if ! slip lint "$T/r1" >"$T/out" 2>&1 && grep -q "Function not implemented" "$T/out"; then
	skip "deploying" "this qemu has no openat2() (9.1 has), and a newer one cannot be had"
	done_testing
fi
exits 0 "a revision is deployed" slip deploy "$T/r1"
tar -C "$T/r2" -czf "$T/r2.tgz" .
exits 0 "a .tgz replaces it" slip deploy "$T/r2.tgz"
is "its files are there" 2 "$(installed host)"
is "and the others are not" "only-2 revision" "$(cd "$T/host/tree/srv/app" && echo *)"
before=$(tree_of host)
exits 1 "one whose validation fails is rolled back" slip deploy "$T/r3"
same_tree "to the same tree" "$before"
is "every script ran" "1 AfterInstall,1 ApplicationStart,1 ValidateService,1 ApplicationStop,2 AfterInstall,2 ApplicationStart,2 ValidateService" \
	"$(sed 's/^ *//' "$T/host/tree/events" | head -n 7 | paste -sd,)"

# What one of them wrote the other reads: formats are the same everywhere.
exits 0 "the programs of this machine go on" env -u SLIPWAY_LIBEXEC SLIPWAY_WORKER="$top_builddir/slipway-worker" \
	"$top_builddir/slipway" --root "$T/host" rollback
is "with what is kept there" 1 "$(installed host)"
exits 0 "and the foreign ones after them" slip redeploy
is "with the same" 1 "$(installed host)"
done_testing
