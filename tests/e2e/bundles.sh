#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bundles as real programs make them (GNU tar, zip, Python), the honest ones and the hostile ones.
. "${top_srcdir:?}/tests/e2e/lib.sh"

TOOL=$top_builddir/tests/e2e/bundle-tool
command -v python3 >/dev/null || skip_all "python3 is not here to make archives"

umask 022
mkdir "$T/tree" "$T/o" "$T/outside"
echo keep >"$T/outside/file"
(
	cd "$T/tree" || exit
	printf 'version: 0.0\nos: linux\n' >appspec.yml
	mkdir -p scripts empty deep/er/and/deeper
	printf '#!/bin/sh\n' >scripts/run.sh
	chmod 755 scripts/run.sh
	chmod 750 scripts
	echo "größer" >"deep/er/ä name with blanks"
	touch -d '2020-01-02 03:04:05.123456789 UTC' deep/er
	ln -s ../scripts/run.sh deep/link
	ln -s /nowhere/at/all dangling
	ln scripts/run.sh scripts/other-name.sh
	head -c 300000 /dev/urandom >blob
	touch -d '2019-01-01 UTC' blob scripts empty deep/er/and
)

# unpack TYPE FILE [OPTION...]: into a fresh directory; what it says is in $T/said.
unpack() {
	local type=$1 file=$2
	shift 2
	rm -rf "$T/o"
	mkdir "$T/o"
	"$TOOL" unpack "$type" "$file" "$T/o" "$@" >"$T/said"
}
left() { ls -A "$T/o"; }

# lists DIR: type, mode, owner, time in whole seconds, name, size and link text of everything below.
lists() {
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%y %m %U %G %T@ %p\n' -o -printf '%y %m %U %G %T@ %p %s %l\n' \)) |
		sed -E 's/^(. [0-9]+ [0-9]+ [0-9]+ -?[0-9]+)\.[0-9]+/\1/' | LC_ALL=C sort
}

same_tree() {
	lists "$T/tree" >"$T/want"
	lists "$T/o/archive" >"$T/got"
	diff "$T/want" "$T/got" && diff -r --no-dereference "$T/tree" "$T/o/archive"
}

good() { # NAME TYPE FILE [OPTION...]
	local name=$1
	shift
	ok "$name" unpack "$@"
	ok "$name: the tree is the same" same_tree
}

refused() { # NAME CODE TEXT TYPE FILE [OPTION...]
	local name=$1 code=$2 text=$3
	shift 3
	exits 1 "$name is refused" unpack "$@"
	says "$name: the error is named $code" "$code: bundle '" "$T/said"
	says "$name: the reason is told" "$text" "$T/said"
	is "$name: nothing stays" "" "$(left)"
	is "$name: nothing outside is touched" keep "$(cat "$T/outside/file")"
}

cd "$T" || exit
tar -cf plain.tar -C tree .
tar -czf good.tgz -C tree .
tar -cf pax.tar --format=pax -C tree .
sum=$(sha256sum <good.tgz | cut -d' ' -f1)
md5=$(md5sum <good.tgz | cut -d' ' -f1)

# What works

good "a tgz" tgz good.tgz
is "its hash is told" "$sum" "$(awk '{print $4}' said)"
good "a tgz with its SHA-256 and size" tgz good.tgz "sha256=$sum" "size=$(stat -c %s good.tgz)"
good "a tgz with its ETag" tgz good.tgz "etag=$md5"
good "a tgz with its quoted ETag" tgz good.tgz "etag=\"$md5\""
good "a tgz with an ETag of a multi-part upload" tgz good.tgz "etag=$md5-2"
good "a plain tar" tar plain.tar
good "a pax tar" tar pax.tar
good "a tgz called tar" tar good.tgz
good "a tgz without a type" auto good.tgz
is "hard links stay links" 2 "$(stat -c %h o/archive/scripts/run.sh)"
good "a directory" directory tree
for how in bzip2 xz zstd; do
	if command -v $how >/dev/null; then
		tar -cf "c.$how" --use-compress-program=$how -C tree .
		good "a tar by $how" tar "c.$how"
	else
		skip "a tar by $how" "$how is not installed"
	fi
done
[ -e c.zstd ] && good "a tar.zst" tar.zst c.zstd

head -c 100000 plain.tar | gzip >two.tgz
tail -c +100001 plain.tar | gzip >>two.tgz
good "a tgz of two gzip members" tgz two.tgz
(cat good.tgz; head -c 1000 /dev/zero) >zeros.tgz
good "a tgz followed by zeros" tgz zeros.tgz
(cat plain.tar; echo garbage) >garbage.tar
good "a tar followed by garbage, as GNU tar" tar garbage.tar
(cd tree && tar -cPf ../absolute.tar "$T/tree/blob" appspec.yml)
ok "an absolute name loses its slash, as with GNU tar" unpack tar absolute.tar
ok "and lies inside" test -f "o/archive$T/tree/blob"

if command -v zip >/dev/null; then
	(cd tree && zip -qry ../good.zip .)
	ok "a zip by zip" unpack zip good.zip
	ok "its content is the same" diff -r --no-dereference tree o/archive
	is "its modes are kept" 755 "$(stat -c %a o/archive/scripts/run.sh)"
	(cd tree && zip -qry -e -P secret ../encrypted.zip blob)
	refused "an encrypted zip" bad_input "encrypted" zip encrypted.zip
else
	skip "a zip by zip" "zip is not installed"
fi

mkdir -p wrapped/app-1.2
cp -a tree/. wrapped/app-1.2/
tar -czf top.tgz -C wrapped .
good "a single top directory with an AppSpec is taken off" tgz top.tgz
mkdir -p two/app two/lib
cp tree/appspec.yml two/app
tar -czf two-dirs.tgz -C two .
ok "two top directories" unpack tgz two-dirs.tgz
is "both stay" "app lib" "$(echo $(ls o/archive))"

rm -rf o/*; mkdir -p o/archive; echo old >o/archive/old
ok "an archive that is there" "$TOOL" unpack tgz good.tgz o
is "is replaced" archive "$(left)"
ok "as a whole" same_tree
mkdir -p o/.archive.new/junk
ok "what a crash left behind" "$TOOL" unpack tgz good.tgz o
is "is removed" archive "$(left)"

# from a pipe, as it is downloaded; a kernel before 6.4 knows RWF_NOWAIT of regular files only
piped() { rm -rf o && mkdir o && cat "$2" | "${@:3}" "$TOOL" unpack "$1" - o >said; }
# the leak checker does not work under a tracer
old_kernel=(env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e trace=preadv2 -e inject=preadv2:error=EOPNOTSUPP)
ok "from a pipe" piped tgz good.tgz
ok "from a pipe: the tree is the same" same_tree
if strace -o /dev/null true 2>/dev/null; then
	ok "from a pipe, on a kernel before 6.4" piped tgz good.tgz "${old_kernel[@]}"
	ok "from a pipe, on a kernel before 6.4: the tree is the same" same_tree
else
	skip "from a pipe, on a kernel before 6.4" "strace does not work here"
fi
mkfifo both
exits 1 "a pipe that can be written, too, is refused" "$TOOL" unpack tgz - o <>both
says "a pipe that can be written, too" "not a pipe to read from" "$T/out"

# Appended entries win

mkdir v2 && echo two >v2/appspec.yml
cp plain.tar twice.tar
tar -rf twice.tar -C v2 ./appspec.yml
ok "a tar with a name twice" unpack tar twice.tar
is "the last one wins" two "$(cat o/archive/appspec.yml)"

# Large and sparse

mkdir sparse
truncate -s 3G sparse/huge
printf end | dd of=sparse/huge bs=1 seek=3221225469 conv=notrunc status=none
cp tree/appspec.yml sparse
tar -cSzf sparse.tgz -C sparse .
ok "a sparse file of 3 GiB" unpack tgz sparse.tgz max-bytes=1000000
is "it has its size" 3221225472 "$(stat -c %s o/archive/huge)"
is "and its last bytes" end "$(tail -c 3 o/archive/huge)"
ok "and still its holes" test "$(stat -c %b o/archive/huge)" -lt 1000
ok "a directory with it" unpack directory sparse max-bytes=1000000
ok "keeps the holes too" test "$(stat -c %b o/archive/huge)" -lt 1000

# Damage

size=$(stat -c %s good.tgz)
for cut in 0 1 20 1000 $((size / 2)) $((size - 9)) $((size - 8)) $((size - 1)); do
	head -c "$cut" good.tgz >cut.tgz
	case $cut in
	0) why="it is empty" ;;
	1) why="it is a plain file" ;;
	*) why="truncated" ;;
	esac
	refused "a tgz cut after $cut bytes" bad_input "$why" tgz cut.tgz
	[ "$cut" = 0 ] || refused "a tgz cut after $cut bytes, by its hash," "$([ "$cut" = 1 ] && echo bad_input || echo signature_mismatch)" "$([ "$cut" = 1 ] && echo "plain file" || echo SHA-256)" tgz cut.tgz "sha256=$sum"
done
for cut in 1 511 512 700 100000 $(($(stat -c %s plain.tar) - 10240)); do
	head -c "$cut" plain.tar >cut.tar
	refused "a tar cut after $cut bytes" bad_input "truncated" tar cut.tar
done
# exactly between two entries: only the end mark tells
python3 - <<'P'
import tarfile
with tarfile.open('plain.tar') as t:
    m = t.getmembers()[5]
data = open('plain.tar', 'rb').read()[:m.offset]
open('between.tar', 'wb').write(data)
P
refused "a tar cut between two entries" bad_input "end-of-archive mark is missing" tar between.tar

flip() { python3 - "$@" <<'P'
import sys
src, dst, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
b = bytearray(open(src, 'rb').read())
b[at] ^= 0xff
open(dst, 'wb').write(b)
P
}
flip good.tgz crc.tgz -8
refused "a wrong gzip checksum" signature_mismatch "checksum" tgz crc.tgz
flip good.tgz length.tgz -1
refused "a wrong gzip length" signature_mismatch "checksum or length" tgz length.tgz
flip good.tgz middle.tgz $((size / 2))
exits 1 "a flipped byte in the middle is refused" unpack tgz middle.tgz
(cat good.tgz; echo garbage) >tail.tgz
refused "garbage after a gzip stream" bad_input "garbage follows" tgz tail.tgz
refused "a wrong SHA-256" signature_mismatch "SHA-256" tgz good.tgz "sha256=${sum//[0-7]/8}"
refused "a wrong ETag" signature_mismatch "ETag" tgz good.tgz "etag=${md5//[0-7]/8}"
refused "a wrong size" signature_mismatch "bytes instead of 5" tgz good.tgz size=5
refused "a plain tar called tgz" bad_input "not of type tgz" tgz plain.tar
refused "a tgz called zip" bad_input "not of type zip" zip good.tgz
refused "text called tar" bad_input "not a tar archive" tar tree/appspec.yml
gzip -c tree/appspec.yml >text.tgz
refused "text in a tgz" bad_input "not a tar archive" tgz text.tgz
if [ -e c.xz ]; then
	head -c $(($(stat -c %s c.xz) - 20)) c.xz >cut.xz
	refused "a cut xz" bad_input "" tar cut.xz
	head -c $(($(stat -c %s c.bzip2) - 6)) c.bzip2 >cut.bz2
	refused "a cut bzip2" bad_input "" tar cut.bz2
fi
if [ -e c.zstd ]; then
	head -c $(($(stat -c %s c.zstd) - 6)) c.zstd >cut.zst
	refused "a cut zstd" bad_input "" tar.zst cut.zst
fi

# Hostile names, links and kinds

python3 - "$T/outside" <<'P'
import io, sys, tarfile, zipfile
outside = sys.argv[1]

def tar(name, *entries, fmt=tarfile.GNU_FORMAT):
    with tarfile.open(name, 'w:gz', format=fmt) as t:
        for e in [('appspec.yml', b'version: 0.0\nos: linux\n')] + list(entries):
            info = tarfile.TarInfo(e[0])
            info.mode = 0o644
            data = e[1]
            for k, v in (e[2] if len(e) > 2 else {}).items():
                setattr(info, k, v)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))

link = lambda to: {'type': tarfile.SYMTYPE, 'linkname': to, 'mode': 0o777}
hard = lambda to: {'type': tarfile.LNKTYPE, 'linkname': to}
tar('climb.tgz', ('../outside/file', b'evil'))
tar('climb-absolute.tgz', ('/../outside/file', b'evil'))
tar('climb-deep.tgz', ('a/b/../../../outside/file', b'evil'))
tar('through.tgz', ('link', b'', link(outside)), ('link/file', b'evil'))
tar('through-rel.tgz', ('link', b'', link('../outside')), ('link/file', b'evil'))
tar('chain.tgz', ('a', b'', link('.')), ('a/b', b'', link('..')), ('a/b/c', b'evil'))
tar('link-file.tgz', ('link', b'', link(outside + '/file')), ('link', b'evil'))
tar('hard-abs.tgz', ('hard', b'', hard(outside + '/file')), ('hard', b'evil'))
tar('hard-climb.tgz', ('hard', b'', hard('../outside/file')))
tar('hard-through.tgz', ('link', b'', link(outside)), ('hard', b'', hard('link/file')))
tar('hard-symlink.tgz', ('link', b'', link(outside + '/file')), ('hard', b'', hard('link')), ('hard', b'evil'))
tar('setuid.tgz', ('su', b'x', {'mode': 0o4755}))
tar('setgid.tgz', ('su', b'x', {'mode': 0o2755}))
tar('char.tgz', ('dev', b'', {'type': tarfile.CHRTYPE, 'devmajor': 1, 'devminor': 3}))
tar('block.tgz', ('dev', b'', {'type': tarfile.BLKTYPE, 'devmajor': 7, 'devminor': 0}))
tar('fifo.tgz', ('fifo', b'', {'type': tarfile.FIFOTYPE}))
tar('long.tgz', ('n' * 256, b''))
tar('longpath.tgz', ('/'.join(['d' * 200] * 21), b''))
tar('dir-to-file.tgz', ('d/f', b'x'), ('d', b'y'))
tar('file-to-dir.tgz', ('d', b'y'), ('d/f', b'x'))
tar('encoded.tgz', ('..%2Foutside', b'x'))
tar('root.tgz', ('./', b'', {'type': tarfile.DIRTYPE, 'mode': 0o777}))
tar('many.tgz', *[('f%d' % i, b'') for i in range(100)])
tar('bomb.tgz', ('zeros', bytes(50000000)))
tar('names.tgz', ('b\udcff', b'x'), ('u', b'', {'type': tarfile.DIRTYPE, 'mode': 0o555}), ('u/f', b'y'))
tar('names-pax.tgz', ('\u00e9\u4e2d', b'x'), fmt=tarfile.PAX_FORMAT)

def zip(name, *entries):
    with zipfile.ZipFile(name, 'w', zipfile.ZIP_DEFLATED) as z:
        for e in [('appspec.yml', b'version: 0.0\nos: linux\n')] + list(entries):
            info = zipfile.ZipInfo(e[0])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (e[2] if len(e) > 2 else 0o100644) << 16
            z.writestr(info, e[1])
zip('python.zip', ('dir/file', b'hello' * 1000), ('\u00e9.txt', b'x'), ('link', b'dir/file', 0o120777))
zip('climb.zip', ('../outside/file', b'evil'))
zip('climb-absolute.zip', ('/../outside/file', b'evil'))
zip('absolute.zip', ('//etc//file', b'good'))
zip('through.zip', ('link', outside.encode(), 0o120777), ('link/file', b'evil'))
zip('setuid.zip', ('su', b'x', 0o104755))
zip('bomb.zip', ('zeros', bytes(50000000)))
b = bytearray(open('python.zip', 'rb').read())
for sig, at in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
    i = b.find(sig)
    while i >= 0:
        b[i + at] |= 1
        i = b.find(sig, i + 4)
open('flagged.zip', 'wb').write(b)
b = bytearray(open('python.zip', 'rb').read())
i = b.find(b'PK\x03\x04', 10)
b[i + 14] ^= 0xff
i = b.find(b'PK\x01\x02', b.find(b'PK\x01\x02') + 4)
b[i + 16] ^= 0xff
open('crc.zip', 'wb').write(b)
open('cut.zip', 'wb').write(open('python.zip', 'rb').read()[:-30])
P

refused "a climbing name" bad_input "climbs" tgz climb.tgz
refused "an absolute name that climbs" bad_input "climbs" tgz climb-absolute.tgz
refused "a deeply climbing name" bad_input "climbs" tgz climb-deep.tgz
refused "a file through a symlink" bad_input "through a symlink" tgz through.tgz
refused "a file through a relative symlink" bad_input "through a symlink" tgz through-rel.tgz
refused "a file through a chain of symlinks" bad_input "through a symlink" tgz chain.tgz
ok "a file in the place of a symlink" unpack tgz link-file.tgz
is "replaces the link" "evil keep" "$(cat o/archive/link) $(cat outside/file)"
refused "a hard link to an absolute name" bad_input "not in the bundle" tgz hard-abs.tgz
refused "a climbing hard link" bad_input "climbs" tgz hard-climb.tgz
refused "a hard link through a symlink" bad_input "not in the bundle" tgz hard-through.tgz
ok "a file in the place of a hard link to a symlink" unpack tgz hard-symlink.tgz
is "leaves the link's target" "evil keep" "$(cat o/archive/hard) $(cat outside/file)"
refused "a set-user-id file" bad_input "set-id bit (mode 4755)" tgz setuid.tgz
refused "a set-group-id file" bad_input "set-id bit (mode 2755)" tgz setgid.tgz
refused "a character device" bad_input "character device" tgz char.tgz
refused "a block device" bad_input "block device" tgz block.tgz
refused "a FIFO" bad_input "FIFO" tgz fifo.tgz
refused "a name of 256 bytes" bad_input "256 bytes" tgz long.tgz
refused "a path above 4095 bytes" bad_input "longer than 4095 bytes" tgz longpath.tgz
refused "a file over a full directory" bad_input "not empty" tgz dir-to-file.tgz
refused "a name inside a file" bad_input "not a directory" tgz file-to-dir.tgz
refused "more entries than allowed" over_limit "more than 50 entries" tgz many.tgz max-entries=50
refused "more bytes than allowed" over_limit "more than 1000000 bytes" tgz bomb.tgz max-bytes=1000000
ok "a percent sign in a name" unpack tgz encoded.tgz
ok "is kept" test -f "o/archive/..%2Foutside"
ok "an entry for the root" unpack tgz root.tgz
is "does not change its mode" 755 "$(stat -c %a o/archive)"
ok "a name that is not UTF-8" unpack tgz names.tgz
ok "is kept byte by byte" test -f $'o/archive/b\xff'
ok "a name in a pax header" unpack tgz names-pax.tgz
ok "is UTF-8" test -f "o/archive/é中"

ok "a zip by Python" unpack zip python.zip
is "its symlink is one" dir/file "$(readlink o/archive/link)"
ok "its name is UTF-8" test -f "o/archive/é.txt"
refused "a climbing name in a zip" bad_input "climbs" zip climb.zip
refused "an absolute name that climbs in a zip" bad_input "climbs" zip climb-absolute.zip
ok "an absolute name in a zip loses its slash, too" unpack zip absolute.zip
is "and lies inside" good "$(cat o/archive/etc/file)"
refused "a file through a symlink in a zip" bad_input "through a symlink" zip through.zip
refused "a set-user-id file in a zip" bad_input "set-id bit" zip setuid.zip
refused "a zip with encrypted entries" bad_input "encrypted" zip flagged.zip
refused "a wrong checksum in a zip" signature_mismatch "CRC" zip crc.zip
refused "a truncated zip" bad_input "truncated" zip cut.zip
refused "more bytes than allowed in a zip" over_limit "more than 1000000 bytes" zip bomb.zip max-bytes=1000000
refused "a wrong SHA-256 of a zip" signature_mismatch "SHA-256" zip python.zip "sha256=$sum"
refused "a zip called tar" bad_input "it is a zip archive, not of type tar" tar python.zip

mkdir loop loop/host
cp tree/appspec.yml loop
exits 1 "a directory that holds the place to unpack into is refused" "$TOOL" unpack directory loop loop/host
is "and nothing stays" "" "$(ls -A loop/host)"

if [ "$(id -u)" = 0 ]; then
	ok "set-id bits with allow_setid" unpack tgz setuid.tgz setid
	is "are kept" 4755 "$(stat -c %a o/archive/su)"
	if mknod "$T/mknod-works" c 1 3 2>/dev/null; then
		ok "a device with allow_setid" unpack tgz char.tgz setid
		is "is one" "1 3" "$(stat -c '%t %T' o/archive/dev)"
	else
		skip "a device with allow_setid" "device nodes cannot be made here"
	fi
	cp -a tree owned
	chown -R daemon:games owned/scripts
	chown -h 54321:54322 owned/dangling owned/blob owned/deep
	tar -czf owned.tgz -C owned .
	ok "owners" unpack tgz owned.tgz
	is "are the names and the numbers of the archive" \
		"$(cd owned && stat -c '%n %U %g' scripts scripts/run.sh dangling blob deep)" \
		"$(cd o/archive && stat -c '%n %U %g' scripts scripts/run.sh dangling blob deep)"
	if unshare -m true 2>/dev/null; then
		# shellcheck disable=SC2016
		exits 1 "a full disk is refused" unshare -m sh -c \
			'mount -t tmpfs -o size=200k none o && "$0" unpack tgz good.tgz o; s=$?; ls -A o; exit $s' "$TOOL"
		says "a full disk: the error is named" "ENOSPC: bundle 'good.tgz': " out
		is "a full disk: nothing stays" 1 "$(wc -l <out)"
	else
		skip "a full disk" "no mount namespaces"
	fi
	tar -czf renamed.tgz --owner=daemon:4242 --group=nobody-knows:4243 -C tree .
	ok "a name that is known" unpack tgz renamed.tgz
	is "counts before its number" "$(id -u daemon) 4243" "$(stat -c '%u %g' o/archive/blob)"
else
	skip "owners, set-id bits and devices" "not root"
fi

# Killed at work: its child dies too, and the next one cleans up

# 2 GB of zeros in 2 MB: long enough to be caught at it
python3 - <<'P'
import gzip, tarfile
info = tarfile.TarInfo('zeros')
info.size = 2000 << 20
with open('slow.tgz', 'wb') as f:
    f.write(gzip.compress(info.tobuf()))
    f.write(gzip.compress(bytes(1 << 20)) * 2000)
    f.write(gzip.compress(bytes(1024)))
P
mkdir killed
# the worker's side by its arguments, the child by its root
processes() {
	grep -lzF -- "$T/killed" /proc/[0-9]*/cmdline
	find /proc -maxdepth 2 -path '/proc/[0-9]*/root' -lname "$T/killed/*"
} 2>/dev/null
started_with_child() { [ "$(processes | wc -l)" = 2 ] && [ -e killed/.archive.new/zeros ]; }
all_gone() { [ -z "$(processes)" ]; }
start killed "$TOOL" unpack tgz "$T/slow.tgz" "$T/killed"
ok "a bundle is being unpacked" within 20 started_with_child
stop killed KILL
ok "after a kill its child is gone" within 10 all_gone
is "and only the unfinished directory is there" .archive.new "$(ls -A killed)"
ok "the next one" "$TOOL" unpack tgz good.tgz killed
is "takes its place" archive "$(ls -A killed)"

# What is packed is unpacked

cp -a tree copy
for type in tgz zip; do
	ok "$type: pack" "$TOOL" pack $type tree "one.$type"
	(cd / && TZ=Asia/Tokyo ok "$type: pack elsewhere" "$TOOL" pack $type "$T/copy" "$T/two.$type")
	tests_run=$((tests_run + 1))
	ok "$type: the same tree gives the same bytes" cmp "one.$type" "two.$type"
	ok "$type: what was packed can be unpacked" unpack $type "one.$type"
	ok "$type: to the same content" diff -r --no-dereference tree o/archive
done
ok "tar reads our tgz" tar -tzf one.tgz
command -v unzip >/dev/null && ok "unzip reads our zip" unzip -tq one.zip
mkdir bare
exits 1 "a directory without an AppSpec is not packed" "$TOOL" pack tgz bare bare.tgz

done_testing
