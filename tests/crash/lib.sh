# SPDX-License-Identifier: Apache-2.0
# What the shell tests of crashes share: the program, a world's directory in memory, TAP. Sourced by sh.
txn=$top_builddir/tests/crash/txn
dir=$(mktemp -d /dev/shm/slipway-txn-XXXXXX 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$dir" "$dir.log"' EXIT

# ok STATUS NAME
n=0
ok()
{
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" || echo "not ok $n - $2"
}

make_world()
{
	"$txn" "$dir" make >"$dir.log" 2>&1 || { cat "$dir.log"; echo "Bail out! no world"; exit 1; }
}
