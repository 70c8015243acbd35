#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The archives that people have: made by GNU tar, bsdtar, Python, zip and 7z, in every format and compression that a bundle
may have. Each gives the tree that bsdtar unpacks from the same file: types, bytes, modes, owners, times and links; read
as a file, and as a stream that comes in pieces of any length. By default a part of them, by chance (SLIPWAY_SEED repeats a
run); SLIPWAY_EXHAUST=1: all, and more lengths."""
import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile

from worker import *

TOOL = os.path.join(BUILD, "tests/e2e/bundle-tool")
EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
BEGUN = time.time()
ROOT = os.geteuid() == 0
SEED = int(os.environ.get("SLIPWAY_SEED", time.time_ns() & 0xffffff))
rng = random.Random(SEED)
APPSPEC = b"version: 0.0\nos: linux\n"
os.umask(0o022)
os.chdir(T)


def have(*programs):
    return all(shutil.which(p) for p in programs)


def run(*command, cwd=None, into=None, feed=None):
    done = subprocess.run(command, cwd=cwd, input=feed, stdout=into or subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.decode(errors="replace")))
    return done.stdout


# The tree

def write(path, data, mode=0o644, mtime=None):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def make_tree(top, rare):
    """rare: also what not every format can say."""
    content = random.Random(1)
    write(top + "/appspec.yml", APPSPEC, mtime=1600000000 * 10**9)
    write(top + "/scripts/run.sh", b"#!/bin/sh\n", 0o755, 1500000001 * 10**9)
    write(top + "/empty-file", b"", 0o600)
    write(top + "/blob", content.randbytes(70001), 0o640, 1400000003 * 10**9)
    write(top + "/512", content.randbytes(512), 0o444)
    write(top + "/with blanks/and 'quotes'", b"x\n")
    os.symlink("../scripts/run.sh", top + "/with blanks/link")
    os.symlink("/nowhere/at/all", top + "/dangling")
    os.symlink("scripts", top + "/to-directory")
    os.makedirs(top + "/empty/er")
    os.chmod(top + "/empty/er", 0o711)
    if rare:
        write(top + "/" + "d" * 90 + "/" + "f" * 120, b"long\n")
        write(top + "/" + "/".join(["deep%02d" % i * 6 for i in range(10)]) + "/file", b"deep\n")
        write(top + "/gr\u00f6\u00dfe \u4e2d", b"utf-8\n", mtime=1400000000123456789)
        os.symlink("l" * 150, top + "/long-link")
        os.link(top + "/blob", top + "/scripts/blob-again")
        if ROOT:
            os.chown(top + "/512", 12345, 54321)
            os.lchown(top + "/dangling", 12345, 0)
    for folder, mtime in (("scripts", 1234567890), ("empty/er", 1234567891), ("empty", 1234567892)):
        os.utime(top + "/" + folder, (mtime, mtime))


def look(top, fine):
    """{path: what it is}; times to the nanosecond when fine, and only those that an archive has brought."""
    seen, names = {}, {}
    for folder, folders, files, fd in os.fwalk(os.fsencode(top)):
        for name in folders + files:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            path = os.path.relpath(os.path.join(folder, name), os.fsencode(top))
            mtime = "now" if st.st_mtime > BEGUN - 3 else st.st_mtime_ns if fine else st.st_mtime_ns // 10**9
            what = [stat.S_IFMT(st.st_mode) // 0o10000, oct(st.st_mode & 0o7777), st.st_uid, st.st_gid, mtime]
            if stat.S_ISLNK(st.st_mode):
                what[1] = os.readlink(name, dir_fd=fd)
            if stat.S_ISREG(st.st_mode):
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as f:
                    what += [st.st_size, hashlib.sha256(f.read()).hexdigest()]
                names.setdefault(st.st_ino, []).append(path)
            seen[path] = what
    for same in names.values():
        for path in same:
            seen[path].append(sorted(same)[0])
    return seen


# Makers: {file name: how it is made}

os.makedirs("common")
make_tree("common/t", False)
make_tree("rare", True)
archives = {}


def tar_by(program, name, *options, of="rare", what="."):
    run(program, *options, "-cf", name, "-C", of, what)
    archives[name] = "tar"


for fmt in ("v7", "oldgnu", "gnu", "ustar", "pax"):
    plain = fmt in ("v7", "ustar")
    tar_by("tar", "gnutar-%s.tar" % fmt, "--format=" + fmt, of="common/t" if plain else "rare")
tar_by("tar", "gnutar-members.tar", "--format=gnu", "--no-recursion", what="appspec.yml")
run("tar", "-rf", "gnutar-members.tar", "-C", "rare", "--no-recursion", "./scripts/run.sh", "blob", "scripts/blob-again")
tar_by("tar", "gnutar-numeric.tar", "--numeric-owner", "--owner=0", "--group=0", "--mtime=@1000000000")
tar_by("tar", "gnutar-labelled.tar", "--label=a label")
tar_by("tar", "gnutar-blocking.tar", "-b", "1")
tar_by("tar", "gnutar-negative.tar", "--mtime=1960-01-01 UTC", "--format=pax")
tar_by("tar", "gnutar-fine-times.tar", "--format=posix", "--pax-option=delete=atime,delete=ctime")
tar_by("tar", "gnutar-global.tar", "--format=pax", "--pax-option=globexthdr.name=/g,comment=something")
run("tar", "-cf", "gnutar-incremental.tar", "--listed-incremental=incremental", "-C", "rare", ".")
archives["gnutar-incremental.tar"] = "tar"
os.makedirs("holes")
write("holes/appspec.yml", APPSPEC)
for name, parts, size in (("middle", [(1 << 20, b"one"), (5 << 20, b"two" * 3000)], 9 << 20), ("all", [], 1 << 22),
                          ("head", [(0, b"x" * 5000)], 1 << 23), ("many", [(i << 18, b"y" * 600) for i in range(40)], 11 << 20)):
    with open("holes/" + name, "wb") as f:
        for at, data in parts:
            f.seek(at)
            f.write(data)
        f.truncate(size)
tar_by("tar", "gnutar-sparse-gnu.tar", "-S", "--format=gnu", of="holes")
tar_by("tar", "gnutar-sparse-oldgnu.tar", "-S", "--format=oldgnu", of="holes")
for version in ("0.0", "0.1", "1.0"):
    tar_by("tar", "gnutar-sparse-%s.tar" % version, "-S", "--format=pax", "--sparse-version=" + version, of="holes")

for name, options in (("gzip.tgz", ["gzip", "-n"]), ("gzip-named.tgz", ["gzip", "-N"]), ("gzip-fast.tgz", ["gzip", "-1"]),
                      ("bzip2.tar.bz2", ["bzip2"]), ("xz.tar.xz", ["xz"]), ("xz-blocks.tar.xz", ["xz", "--block-size=20000"]),
                      ("xz-crc32.tar.xz", ["xz", "-C", "crc32", "-e"]), ("lzma.tar.lzma", ["xz", "--format=lzma"]),
                      ("zstd.tar.zst", ["zstd", "-q"]), ("zstd-long.tar.zst", ["zstd", "-q", "-19", "--long=24"]),
                      ("zstd-nosum.tar.zst", ["zstd", "-q", "--no-check"]), ("lz4.tar.lz4", ["lz4", "-q"]),
                      ("lzip.tar.lz", ["lzip"])):
    if have(options[0]):
        with open("packed-" + name, "wb") as out:
            run(*options, "-c", "gnutar-gnu.tar", into=out)
        archives["packed-" + name] = "tgz" if name.endswith("tgz") else "tar.zst" if name.endswith("zst") else "tar"
raw = open("gnutar-gnu.tar", "rb").read()
cuts = [0] + sorted(rng.sample(range(1, len(raw)), 4)) + [len(raw)]
pieces = [raw[a:b] for a, b in zip(cuts, cuts[1:])]
for name, data in (("packed-members.tgz", b"".join(gzip.compress(p) for p in pieces)),
                   ("packed-members-zeros.tgz", b"".join(gzip.compress(p) for p in pieces) + bytes(777)),
                   ("packed-streams.tar.bz2", b"".join(bz2.compress(p) for p in pieces)),
                   ("packed-streams.tar.xz", b"".join(lzma.compress(p) for p in pieces))):
    write(name, data)
    archives[name] = "tgz" if name.endswith("tgz") else "tar"
if have("zstd"):
    frames = [run("zstd", "-q", "-c", feed=p) for p in pieces]
    write("packed-frames.tar.zst", b"".join(frames))
    write("packed-skippable.tar.zst", frames[0] + b"\x50\x2a\x4d\x18\x05\0\0\0hello" + b"".join(frames[1:]))
    archives["packed-frames.tar.zst"] = archives["packed-skippable.tar.zst"] = "tar.zst"
    write("packed-file.tgz", gzip.compress(raw))
    with open("packed-file.tgz", "r+b") as f: # with a name, a comment, extra bytes and a checksum of its header
        body = f.read()[10:]
        head = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\x04\0abcd" + b"a name\0" + b"a comment\0"
        f.seek(0)
        f.write(head + body)
    archives["packed-file.tgz"] = "tgz"

if have("bsdtar"):
    for fmt in ("ustar", "pax", "paxr", "gnutar", "v7"):
        plain = fmt in ("ustar", "v7")
        tar_by("bsdtar", "bsdtar-%s.tar" % fmt, "--format=" + fmt, of="common/t" if plain else "rare")
    tar_by("bsdtar", "bsdtar-sparse.tar", "--format=pax", of="holes")
    tar_by("bsdtar", "bsdtar.tgz", "-z")
    archives["bsdtar.tgz"] = "tgz"
    tar_by("bsdtar", "bsdtar-zip.zip", "--format=zip", of="common/t")
    tar_by("bsdtar", "bsdtar-zip-stored.zip", "--format=zip", "--options=zip:compression=store", of="common/t")
    for name in ("bsdtar-zip.zip", "bsdtar-zip-stored.zip"):
        archives[name] = "zip"


def python_tar(name, fmt, rows, **options):
    with tarfile.open(name, "w", format=fmt, **options) as t:
        for path, data, more in [("appspec.yml", APPSPEC, {})] + rows:
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(data), 1111111111
            for key, value in more.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(data))
    archives[name] = "tar"


folder = {"type": tarfile.DIRTYPE, "mode": 0o755}
rows = [("d/", b"", folder), ("d/f", b"1" * 513, {"mode": 0o4644 & 0o777}), ("d/l", b"", {"type": tarfile.SYMTYPE, "linkname": "f"}),
        ("d/h", b"", {"type": tarfile.LNKTYPE, "linkname": "d/f"}), ("no/directory/entry", b"x", {}),
        ("./dotted", b"y", {}), ("twice", b"first", {}), ("twice", b"second", {}), ("a//double///slash", b"z", {}),
        ("percent%2F..%2F", b"p", {}), ("back\\slash", b"b", {})]
for fmt, label in ((tarfile.USTAR_FORMAT, "ustar"), (tarfile.GNU_FORMAT, "gnu"), (tarfile.PAX_FORMAT, "pax")):
    python_tar("python-%s.tar" % label, fmt, rows)
python_tar("python-bytes.tar", tarfile.GNU_FORMAT, [("b\udcff\udc80", b"x", {}), ("l", b"", {"type": tarfile.SYMTYPE, "linkname": "\udcfe"})],
           encoding="utf-8", errors="surrogateescape")
python_tar("python-bytes-pax.tar", tarfile.PAX_FORMAT, [("b\udcff", b"x", {}), ("\u00fc" * 60, b"y", {})])
python_tar("python-latin.tar", tarfile.USTAR_FORMAT, [("gr\u00fc\u00df", b"x", {})], encoding="latin-1")
python_tar("python-times.tar", tarfile.PAX_FORMAT, [("early", b"", {"mtime": -86400.25}), ("late", b"", {"mtime": 5000000000.5}),
                                                    ("fine", b"", {"mtime": 1234567890.123456})])
python_tar("python-owners.tar", tarfile.GNU_FORMAT, [("big", b"", {"uid": 3000000, "gid": 4000000, "uname": "", "gname": ""}),
                                                     ("named", b"", {"uid": 77, "uname": "daemon", "gname": "no-such-group"})])
python_tar("python-contiguous.tar", tarfile.GNU_FORMAT, [("contiguous", b"c" * 600, {"type": tarfile.CONTTYPE})])
python_tar("python-empty.tar", tarfile.GNU_FORMAT, [])
write("python-concatenated.tar", open("python-gnu.tar", "rb").read() + b"garbage")
archives["python-concatenated.tar"] = "tar"


class Pipe(io.RawIOBase):
    """Not seekable: zipfile writes data descriptors."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def python_zip(name, rows, out=None, comment=b"", **options):
    out = out or io.BytesIO()
    with zipfile.ZipFile(out, "w", options.get("compression", zipfile.ZIP_DEFLATED)) as z:
        z.comment = comment
        for path, data, mode in [("appspec.yml", APPSPEC, 0o100644)] + rows:
            info = zipfile.ZipInfo(path, (2011, 12, 13, 14, 15, 16))
            info.external_attr, info.compress_type = mode << 16, options.get("compression", zipfile.ZIP_DEFLATED)
            info.create_system = options.get("system", 3)
            with z.open(info, "w", force_zip64=options.get("zip64", False)) as f:
                f.write(data)
    data = options.get("prefix", b"") + bytes(out.data if isinstance(out, Pipe) else out.getvalue())
    write(name, data)
    archives[name] = "zip"


zip_rows = [("dir/", b"", 0o40755), ("dir/f.bin", bytes(range(256)) * 300, 0o100640), ("run.sh", b"#!/bin/sh\n", 0o100755),
            ("link", b"dir/f.bin", 0o120777), ("\u00fcber/\u4e2d", b"u", 0o100644), ("no/entry/for/it", b"n", 0o100644), ("empty", b"", 0o100600)]
for label, options in (("deflate", {}), ("stored", {"compression": zipfile.ZIP_STORED}), ("bzip2", {"compression": zipfile.ZIP_BZIP2}),
                       ("lzma", {"compression": zipfile.ZIP_LZMA}), ("zip64", {"zip64": True}), ("comment", {"comment": b"c" * 3000}),
                       ("prefix", {"prefix": b"#!/bin/sh\nexit 1\n" * 50})):
    # libarchive knows no symbolic link in these two, and no empty file in one; unzip, which official agents run, knows neither
    rare = label in ("bzip2", "lzma")
    python_zip("python-%s.zip" % label, [r for r in zip_rows if not rare or r[0] not in ("link", "empty")], **options)
# stored with descriptors: only the directory at the end says where an entry ends
python_zip("python-descriptor.zip", zip_rows, out=Pipe())
python_zip("python-descriptor-zip64.zip", zip_rows, out=Pipe(), zip64=True)
python_zip("python-descriptor-stored.zip", zip_rows[:3], out=Pipe(), compression=zipfile.ZIP_STORED)
python_zip("python-no-modes.zip", [("f", b"x", 0), ("d/", b"", 0)], system=0)
python_zip("python-backslashes.zip", [("dir\\file", b"x", 0), ("dir\\sub\\other", b"y", 0)], system=0)
python_zip("python-backslash-unix.zip", [("back\\slash", b"x", 0o100644)])
python_zip("python-only.zip", [])

if have("zip"):
    for label, options in (("deflate", ["-y"]), ("stored", ["-y", "-0"]), ("descriptors", ["-y", "-fd"]), ("plain-times", ["-y", "-X"]),
                           ("zip64", ["-y", "-fz"]), ("followed", []), ("no-directories", ["-y", "-D"])):
        of = "common/t"
        if label == "followed": # what its links lead to is not there
            shutil.copytree("common/t", "followed", symlinks=True)
            os.unlink("followed/dangling")
            of = "followed"
        run("zip", "-qr", *options, os.path.join(T, "infozip-%s.zip" % label), ".", cwd=of)
        archives["infozip-%s.zip" % label] = "zip"
    write("infozip-streamed.zip", run("zip", "-qry", "-", ".", cwd="common/t"))
    archives["infozip-streamed.zip"] = "zip"
if have("7z"):
    for label, options in (("zip", ["-tzip", "-snl"]), ("zip-stored", ["-tzip", "-mx0"]), ("zip-utf8", ["-tzip", "-mcu=on"]), ("tar", ["-ttar", "-snl"])):
        name = "p7zip-%s.%s" % (label, options[0][2:])
        run("7z", "a", *options, os.path.join(T, name), ".", cwd="common/t")
        archives[name] = options[0][2:]


# The comparison

def fresh(name):
    shutil.rmtree(name, ignore_errors=True)
    os.mkdir(name)
    return name


def difference(want, seen):
    return "".join("%r: %r, seen: %r\n" % (p, want.get(p), seen.get(p)) for p in sorted(set(want) | set(seen)) if want.get(p) != seen.get(p))


def unpack(name, kind, into):
    done = subprocess.run([TOOL, "unpack", kind, name, into], stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"})
    return done.stdout.decode(errors="replace")


def packing_of(name):
    head = open(name, "rb").read(8)
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "other" if name.startswith("packed") else "plain"


def read_in_pieces(name, length, want, fine):
    into = fresh("pieces")
    done = subprocess.run([TOOL, "read", packing_of(name), name, into, str(length)], stdout=subprocess.PIPE)
    said = done.stdout.decode(errors="replace")
    # nobody to ask for the names of owners: those are the numbers of the archive
    seen, want = ({p: w[:2] + w[4:] for p, w in tree.items()} for tree in (look(into, fine), want))
    return "" if said.startswith("ok") and seen == want else "%d: %s%s" % (length, said, difference(want, seen))


def unpack_piped(name, kind, into):
    """As it is unpacked while it is downloaded."""
    process = subprocess.Popen([TOOL, "unpack", kind, "-", into], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env={**os.environ, "TZ": "UTC"})
    with open(name, "rb") as f, process.stdin as pipe:
        while data := f.read(rng.choice([1, 511, 513, rng.randrange(1, 70000)])):
            try:
                pipe.write(data)
                pipe.flush()
            except BrokenPipeError: # it says why
                break
    said = process.stdout.read().decode(errors="replace")
    process.wait()
    return said


def compare(name, kind):
    reference = fresh("reference")
    run("bsdtar", "-xpf", name, "-C", reference)
    fine = kind != "zip" or "zip" not in name
    want = look(reference, fine)
    ok("%s: bsdtar finds something" % name, os.fsencode("appspec.yml") in want, *map(repr, want))
    into = fresh("o")
    said = unpack(name, kind, into)
    seen = look(into + "/archive", fine) if said.startswith("ok") else {}
    ok("%s: the tree that bsdtar unpacks" % name, seen == want, said, difference(want, seen))
    into = fresh("o")
    said = unpack_piped(name, kind, into)
    seen = look(into + "/archive", fine) if said.startswith("ok") else {}
    ok("%s: the same from a pipe" % name, seen == want, said, difference(want, seen))
    if kind == "zip":
        return
    size = os.path.getsize(name)
    lengths = [1, 2, 3, 7, 511, 512, 513, 4095, 10239, 65535] if EXHAUST else [rng.choice([511, 513, 4097]), rng.randrange(20, 3000)]
    bad = "".join(read_in_pieces(name, n, want, fine) for n in lengths if EXHAUST or size < 200000 or n > 500)
    ok("%s: in pieces of %s bytes" % (name, ", ".join(map(str, lengths))), not bad, bad)


chosen = sorted(archives) if EXHAUST else sorted(rng.sample(sorted(archives), 30))
print("# seed %d, %d of %d archives" % (SEED, len(chosen), len(archives)))
if have("bsdtar"):
    for name in chosen:
        compare(name, archives[name])
else:
    print("ok 1 - the corpus # SKIP bsdtar is not here (package libarchive-tools)")
    tests_run = 1


# A directory around everything

def hoisted(name, tree, want):
    with tarfile.open("top.tgz", "w:gz") as t:
        for path, data in tree:
            info = tarfile.TarInfo(path)
            info.size = len(data or b"")
            info.type = tarfile.REGTYPE if data is not None else tarfile.DIRTYPE
            info.mode = 0o755
            t.addfile(info, io.BytesIO(data or b""))
    said = unpack("top.tgz", "tgz", fresh("o"))
    seen = sorted(os.listdir("o/archive")) if said.startswith("ok") else said
    equal("around everything: " + name, sorted(want), seen)


hoisted("a directory with an AppSpec goes", [("app-1.0/appspec.yml", APPSPEC), ("app-1.0/f", b"")], ["appspec.yml", "f"])
hoisted("so does one with a name like that, in any case", [("app/My.AppSpec.yaml.j2", b""), ("app/f", b"")], ["My.AppSpec.yaml.j2", "f"])
hoisted("or a directory of such a name", [("app/appspecs", None), ("app/f", b"")], ["appspecs", "f"])
hoisted("a hidden one, too", [(".app/appspec.yml", APPSPEC)], ["appspec.yml"])
hoisted("with a pax header before it", [("./app/", None), ("./app/appspec.yml", APPSPEC)], ["appspec.yml"])
hoisted("but one level only", [("a/b/appspec.yml", APPSPEC)], ["a"])
hoisted("the inner one stays", [("a/b/appspec.yml", APPSPEC), ("a/appspec.yml", APPSPEC)], ["appspec.yml", "b"])
hoisted("not with a file beside it", [("app/appspec.yml", APPSPEC), ("README", b"")], ["README", "app"])
hoisted("nor a hidden one", [("app/appspec.yml", APPSPEC), (".hidden", b"")], [".hidden", "app"])
hoisted("nor a second directory", [("app/appspec.yml", APPSPEC), ("lib", None)], ["app", "lib"])
hoisted("not without an AppSpec", [("app/f", b"")], ["app"])
hoisted("a single file stays", [("appspec.yml", APPSPEC)], ["appspec.yml"])

# What is no archive, or an empty one
write("empty.tar", bytes(10240))
write("empty.tgz", gzip.compress(bytes(10240)))
write("empty.zip", b"PK\5\6" + bytes(18))
for name, kind in (("empty.tar", "tar"), ("empty.tgz", "tgz"), ("empty.zip", "zip")):
    said = unpack(name, kind, fresh("o"))
    ok("%s: refused, or nothing is in it" % name, said.startswith("bad_input: ") or os.listdir("o/archive") == [], said)
said = unpack("gnutar-gnu.tar", "tgz", fresh("o"))
ok("a plain tar that is called tgz is refused", said.startswith("bad_input: ") and "it is a plain file, not of type tgz" in said, said)
equal("and nothing stays", [], os.listdir("o"))
if EXHAUST:
    import worker
    print("# exhaust: the archives that people have: %d archives, %d violations" % (len(chosen), worker.tests_failed))
done_testing()
