#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Small file systems: what there is no room for is refused before it is downloaded and before it is unpacked, where its size can be
# known, and taken away again where it cannot. Needs root for a mount namespace of its own.
. "$top_srcdir/tests/e2e/daemon-lib.sh"
[ "$(id -u)" = 0 ] || skip_all "it needs root"
if [ -z "${IN_NAMESPACE-}" ]; then
	unshare -m true 2>/dev/null || skip_all "this machine makes no namespaces"
	exec 7>&-
	stop ask
	trap - EXIT
	rm -rf "$T"
	SLIPWAY_WORKER=$real_worker IN_NAMESPACE=1 exec unshare -m --propagation private bash "$0"
fi
TOOL=$top_builddir/tests/e2e/bundle-tool

# --- before and while it is unpacked ----------------------------------------------------------------------------------
mkdir "$T/small" "$T/tree" "$T/tree/d"
printf 'version: 0.0\nos: linux\n' >"$T/tree/appspec.yml"
head -c 3000000 /dev/zero >"$T/tree/zeros"
for i in {1..60}; do : >"$T/tree/d/$i"; done
(
	cd "$T" || exit
	tar -cf a.tar -C tree .
	gzip -k <a.tar >a.tgz
	cat a.tgz <(gzip </dev/null) >joined.tgz # its last length is 0, so nothing is known beforehand
	zstd -q a.tar -o a.tar.zst 2>/dev/null
	bzip2 <a.tar >bzip2.tar 2>/dev/null
	python3 - <<P
import os, zipfile
for name, large in (("a.zip", False), ("zip64.zip", True)):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as z:
        for folder, _, files in os.walk("tree"):
            for f in files:
                path = os.path.join(folder, f)
                info = zipfile.ZipInfo(os.path.relpath(path, "tree"))
                info.compress_type = zipfile.ZIP_DEFLATED
                with z.open(info, "w", force_zip64=large) as out:
                    out.write(open(path, "rb").read())
P
)

# on TYPE OPTIONS COMMAND...: with a new file system at $T/small; what is left there afterwards is in $T/left
on() {
	local type=$1 options=$2 result=0
	shift 2
	mount -t "$type" -o "$options" none "$T/small" || return 99
	"$@" || result=$?
	ls -A "$T/small" >"$T/left"
	umount "$T/small"
	return $result
}
unpack() { "$TOOL" unpack "$1" "$T/$2" "$T/small"; }
# refused NAME OPTIONS TYPE FILE TEXT: and nothing stays
refused() {
	exits 1 "$1: is refused" on tmpfs "$2" unpack "$3" "$4"
	says "$1: says why" "$5" "$T/out"
	is "$1: nothing stays" "" "$(cat "$T/left")"
}
for one in "tar a.tar" "tgz a.tgz" "tar.zst a.tar.zst" "zip a.zip" "zip zip64.zip" "directory tree"; do
	read -r type file <<<"$one"
	[ -s "$T/$file" ] || { skip "$file" "its packer is not installed"; continue; }
	refused "$file" size=1m "$type" "$file" "'$file': 3.0 MB are needed, "
done
says "the error names the file system" "are free on the file system at '$T/small' (tmpfs on none); make room there" "$T/out"
refused "a length that nothing tells" size=1m tgz joined.tgz "entry 'zeros': No space left on device after "
[ -s "$T/bzip2.tar" ] && refused "nor of any other compression" size=1m tar bzip2.tar "No space left on device after"
refused "inodes, a zip" nr_inodes=40 zip a.zip "inodes are needed, 3"
refused "inodes, a directory" nr_inodes=40 directory tree "inodes are needed, 3"
refused "inodes, that nothing tells" nr_inodes=40 tgz a.tgz "No space left on device after"
for type in "tmpfs size=0,nr_inodes=0" "ramfs mode=755" "tmpfs size=4m"; do
	# shellcheck disable=SC2086
	exits 0 "no false refusal: $type" on $type unpack zip a.zip
done

# What root has reserved stays free: 24 MiB, a third of it reserved.
head -c 20000000 /dev/urandom | tee "$T/tree/zeros" | wc -c >/dev/null
tar -C "$T/tree" -cf - . | gzip -1 | cat - <(gzip </dev/null) >"$T/large.tgz"
truncate -s 24M "$T/image"
if mkfs.ext4 -q -m 34 "$T/image" 2>/dev/null && mount -o loop "$T/image" "$T/small" 2>/dev/null; then
	exits 1 "a bundle does not get what root has reserved" unpack tgz large.tgz
	says "it says how far it got" "No space left on device after 1" "$T/out"
	is "and takes it away again" "lost+found" "$(ls -A "$T/small")"
	umount "$T/small"
else
	skip "what root has reserved" "no ext4 on a loop device"
fi

# --- before and while it is downloaded --------------------------------------------------------------------------------
make_identity
start_peer
enrolled "$url"
head -c 300000 /dev/urandom >"$P/bundles/b/app 1.tgz"
mkdir -p "$A/downloads"
mount -t tmpfs -o size=100k,nr_inodes=20 none "$A/downloads"
echo "ready go fetch result" >"$FAKE/DownloadBundle"
failed() { [ "$(grep -c '"verb": "bundle-failed"' "$FAKE/log")" = "$1" ]; }
why() { grep '"verb": "bundle-failed"' "$FAKE/log" | tail -n 1; }

FAKE_FETCH='{"size": 300000}' start_daemon
order PollHostCommand "command c-1 a/b/c/d-1 DownloadBundle"
ok "a bundle that there is no room for is refused" within 20 failed 1
is "before it is asked for" 0 "$(requests GET)"
ok "with figures" grep -qF '"download the bundle: 300.0 kB are needed, 102.4 kB are free' <<<"$(why)"
ok "the place and the next step" grep -qF "on the file system at '$A/downloads' (tmpfs on none); make room there" <<<"$(why)"
ok "and a code" grep -qF '"code": "ENOSPC"' <<<"$(why)"
stop daemon
start_daemon
order PollHostCommand "command c-2 a/b/c/d-2 DownloadBundle"
ok "so is one whose length the answer tells" within 20 failed 2
ok "with figures" grep -qF 'download the bundle: 300.0 kB are needed, 102.4 kB are free' <<<"$(why)"
order GET unknown
order PollHostCommand "command c-3 a/b/c/d-3 DownloadBundle"
ok "and one whose length nobody tells, when there is no more room" within 20 failed 3
ok "with figures" grep -q 'store the bundle after [0-9.]* kB: No space left on device on the file system at' <<<"$(why)"
is "none of it is tried again" 2 "$(requests GET)"
is "nothing of it stays" "100K" "$(df -h --output=avail "$A/downloads" | tail -n 1 | xargs)"
touch "$A/downloads/"{1..19} 2>/dev/null
order PollHostCommand "command c-4 a/b/c/d-4 DownloadBundle"
ok "without an inode it is refused as well" within 20 failed 4
ok "with the place" grep -qF "No space left on device on the file system at '$A/downloads'" <<<"$(why)"
stop daemon
umount "$A/downloads"
done_testing
