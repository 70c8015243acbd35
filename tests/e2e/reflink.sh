#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a kept revision costs: nothing beside what is installed where the file system shares blocks (XFS, btrfs), a copy on ext4.
# Needs root, loop devices, and a mount namespace of its own.
. "$top_srcdir/tests/e2e/lib.sh"
[ "$(id -u)" = 0 ] || skip_all "it needs root"
if [ -z "${IN_NAMESPACE-}" ]; then
	unshare -m true 2>/dev/null || skip_all "this machine makes no namespaces"
	trap - EXIT
	rm -rf "$T"
	IN_NAMESPACE=1 exec unshare -m --propagation private bash "$0"
fi
at_end() { mountpoint -q "$T/fs" && umount "$T/fs"; }

# 12 MiB that cannot be packed: one large file, and smaller ones.
mkdir -p "$T/fs" "$T/one/files/small"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: files\n    destination: /srv/app\n' >"$T/one/appspec.yml"
head -c 8M /dev/urandom >"$T/one/files/large"
head -c 4M /dev/urandom | split -b 32K -a 3 - "$T/one/files/small/"
cp -a "$T/one" "$T/two"
head -c 32K /dev/urandom >"$T/two/files/small/aaa"
tar -C "$T/one" -czf "$T/one.tgz" .
tar -C "$T/two" -czf "$T/two.tgz" .

slip() { timeout 60 "$SLIPWAY" --root "$T/fs" "$@"; }
# What is in use, in MiB, as far as it is on the disk.
used() {
	sync -f "$T/fs"
	df --output=used -B 1M "$T/fs" | tail -n 1 | xargs
}
# grows NAME AT-LEAST AT-MOST COMMAND...: by so many MiB
grows() {
	local name=$1 least=$2 most=$3 before by
	shift 3
	before=$(used)
	exits 0 "$name" "$@"
	by=$(($(used) - before))
	tests_run=$((tests_run + 1))
	if [ $by -ge "$least" ] && [ $by -le "$most" ]; then
		echo "ok $tests_run - $name: $by MiB"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $name: $by MiB, not from $least to $most"
	fi
}
same() { diff -r "$T/$1/files" "$T/fs/tree/srv/app"; }

for row in "xfs 12 0 0" "btrfs 12 0 0" "ext4 24 12 12"; do
	read -r type first second source <<<"$row"
	truncate -s 400M "$T/image"
	if ! "mkfs.$type" -q "$T/image" >"$T/mkfs" 2>&1 || ! mount -o loop "$T/image" "$T/fs" 2>>"$T/mkfs"; then
		skip "$type" "it cannot be made here: $(head -n 1 "$T/mkfs")"
		continue
	fi
	mkdir -p "$T/fs/etc/slipway"
	printf 'destination_root: %s\nmax_revisions: 9\n' "$T/fs/tree" >"$T/fs/etc/slipway/agent.yml"
	grows "$type: a bundle, unpacked and installed" "$first" $((first + 4)) slip deploy "$T/one.tgz"
	ok "$type: is whole" same one
	grows "$type: a revision that is nearly the same" "$second" $((second + 4)) slip deploy "$T/two.tgz"
	ok "$type: is whole" same two
	cp -a "$T/one" "$T/fs/source"
	grows "$type: a directory on the same file system" "$source" $((source + 4)) slip deploy "$T/fs/source"
	ok "$type: is whole" same one
	umount "$T/fs"
	rm "$T/image"
done
done_testing
