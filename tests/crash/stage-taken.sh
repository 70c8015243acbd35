#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whoever owns a destination's parent puts a directory of his own in the place of the staging directory, after a kill. Where the
# tree is whole without what was staged, recovery ends all the same, and what is not ours stays.
set -u
. "${top_srcdir:?}/tests/crash/lib.sh"
# All that may be amiss while it is there: nothing of the tree, no recovery that failed.
only="check: violation
# 1 staging directories are left"
stages() { find "$dir" -name '.slipway-*' -type d ! -path '*/.slipway-*/*'; }

# taken_in ACT FIRST LAST STEP EXPECTED: killed in ACT at these calls, by a foreign directory, file or link in each stage's place.
taken_in()
{
	tried=0 bad=0
	for kind in directory file link; do
		call=$2
		while [ "$call" -le "$3" ]; do
			[ "$1" = install ] || "$txn" "$dir" install >/dev/null
			SLIPWAY_FAULT_AT=$call "$txn" "$dir" "$1" >/dev/null 2>&1
			for stage in $(stages); do
				mv "$stage" "$dir/aside"
				case $kind in
				directory) mkdir "$stage" && echo theirs >"$stage/file" ;;
				file) echo theirs >"$stage" ;;
				link) ln -s "$dir/aside" "$stage" ;;
				esac
				left=$("$txn" "$dir" check "$1" 2>&1)
				{ [ -e "$stage" ] || [ -L "$stage" ]; } || left="it was taken away"
				rm -rf "$stage" "$dir/aside"
				seen=$("$txn" "$dir" check "$1" 2>&1)
				tried=$((tried + 1))
				[ "$seen" = "$5" ] && [ "$left" = "$only" ] ||
					{ bad=$((bad + 1)); echo "# $kind at call $call of $1: $seen, $left"; }
			done
			"$txn" "$dir" check "$1" >/dev/null 2>&1
			call=$((call + $4))
		done
	done
	[ "$bad" = 0 ] && [ "$tried" -gt 0 ]
	ok $? "taken in $1: $tried times, recovery ends with the $5 tree"
}

make_world
taken_in install 6 90 7 old
"$txn" "$dir" install >/dev/null
last=$("$txn" "$dir" settle)
"$txn" "$dir" check settle >/dev/null
taken_in settle $((last / 4)) "$last" 5 new
echo "1..$n"
