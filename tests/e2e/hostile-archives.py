#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Archives that somebody made to do harm, and damaged ones: each is refused with the name of the entry, or gives what is in
it and nothing else; nothing is written outside, and of what is refused nothing stays. Names are taken by chance, too
(SLIPWAY_SEED repeats a run). SLIPWAY_EXHAUST=1: more of them, and cuts at every place."""
import gzip
import io
import random
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib

from worker import *

TOOL = os.path.join(BUILD, "tests/e2e/bundle-tool")
EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
SEED = int(os.environ.get("SLIPWAY_SEED", time.time_ns() & 0xffffff))
rng = random.Random(SEED)
APPSPEC = ("appspec.yml", b"version: 0.0\nos: linux\n", {})
OUTSIDE = os.path.join(T, "outside")
os.chdir(T)
os.makedirs("in/o")
tried = 0
print("# seed %d" % SEED)


def look(top):
    seen = {}
    for folder, folders, files, fd in os.fwalk(top):
        for name in folders + files + ["."]:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            seen[os.path.normpath(os.path.join(folder, name))] = (oct(st.st_mode), st.st_uid, st.st_mtime_ns, st.st_size, st.st_nlink)
    return seen


os.makedirs(OUTSIDE + "/dir")
with open(OUTSIDE + "/file", "w") as out:
    out.write("keep")
os.chmod(OUTSIDE + "/file", 0o600)
untouched = look(OUTSIDE)


def unpack(data, kind, *options):
    global tried
    tried += 1
    shutil.rmtree("in/o")
    os.mkdir("in/o")
    with open("in/archive", "wb") as f:
        f.write(data)
    done = subprocess.run([TOOL, "unpack", kind, "in/archive", "in/o", *options], stdout=subprocess.PIPE, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def tar(*rows, fmt=tarfile.GNU_FORMAT, **options):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt, errors="surrogateescape", **options) as t:
        for name, data, more in rows:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            for key, value in more.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(*rows):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data, more in rows:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, more.get("method", zipfile.ZIP_DEFLATED)
            info.create_system, info.external_attr = more.get("system", 3), more.get("mode", 0o100644) << 16
            with warnings.catch_warnings(): # of names that are there twice
                warnings.simplefilter("ignore")
                z.writestr(info, data)
    return out.getvalue()


def link(to):
    return {"type": tarfile.SYMTYPE, "linkname": to, "mode": 0o777}


def hard(to):
    return {"type": tarfile.LNKTYPE, "linkname": to}


DIR = {"type": tarfile.DIRTYPE, "mode": 0o755}


def clean(name, left):
    if look(OUTSIDE) != untouched:
        ok(name + ": nothing outside is touched", False, repr(look(OUTSIDE)))
        return False
    if sorted(os.listdir("in")) != ["archive", "o"] or sorted(os.listdir("in/o")) != left:
        ok(name + ": what stays", False, repr(os.listdir("in")), repr(os.listdir("in/o")))
        return False
    return True


def refused(name, entry, text, data, kind="tar", *options, code="bad_input"):
    """entry: a name that the error must have."""
    status, said = unpack(data, kind, *options)
    good = status == 1 and said.startswith(tuple(one + ": bundle 'archive': " for one in code.split())) and text in said and (entry is None or "'" + entry in said)
    ok(name + " is refused by name", good and clean(name, []), "looked for: %s %s %s" % (code, entry, text), said)


def taken(name, want, data, kind="tar", *options):
    """want: {path: content} of what it must be then; nothing else."""
    status, said = unpack(data, kind, *options)
    seen = {}
    for folder, _, files in os.walk("in/o/archive"):
        for one in files:
            path = os.path.join(folder, one)
            text = os.readlink(path).encode() if os.path.islink(path) else open(path, "rb").read()
            seen[os.path.relpath(path, "in/o/archive")] = text
    seen.pop("appspec.yml", None)
    ok(name, status == 0 and seen == want and clean(name, ["archive"]), "wanted: %r" % want, "seen: %r" % seen, said)


# Names that climb

def climbing():
    """A name that leads out of the directory at some place, with anything harmless around."""
    parts = [rng.choice(["a", "b.c", ".", "", "...", "d" * 20]) for _ in range(rng.randrange(0, 6))]
    parts.insert(rng.randrange(0, len(parts) + 1), "..")
    parts += [".."] * rng.randrange(0, 12)
    return "/".join(parts) + "/" + rng.choice(["outside/file", "etc/passwd", "x"])


for n in range(200 if EXHAUST else 6):
    name = climbing()
    data = tar(APPSPEC, (name, b"evil", {}), fmt=rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    refused("a climbing name %d, %s," % (n, name), name[:100], "climbs", data)
    refused("the same in a zip %d" % n, name[:100], "climbs", zipped(APPSPEC, (name, b"evil", {})), "zip")
depth = "x/" * 60 + "../" * 61 + "outside/file"
refused("a deep one", "x/x/", "climbs", tar(APPSPEC, (depth, b"evil", {})))
refused("one of a directory", "../dir", "climbs", tar(APPSPEC, ("../dir", b"", DIR)))
refused("'..' alone", "..", "climbs", tar(APPSPEC, ("..", b"", DIR)))
refused("one of a symbolic link", "../link", "climbs", tar(APPSPEC, ("../link", b"", link("x"))))
refused("one in a tgz", "../outside/file", "climbs", gzip.compress(tar(APPSPEC, ("../outside/file", b"evil", {}))), "tgz")
refused("one in a pax header alone", "../outside/file", "climbs",
        tar(APPSPEC, ("harmless", b"evil", {"pax_headers": {"path": "../outside/file"}}), fmt=tarfile.PAX_FORMAT))
refused("a climbing name in a zip made by Windows", "", "climbs", zipped(APPSPEC, ("..\\outside\\file", b"evil", {"system": 0, "mode": 0})), "zip")
for coded in ("..%2Foutside%2Ffile", "%2e%2e%2foutside", "..%252Ffile", "\u2025\uff0foutside", "..\\outside\\file", "..;/x", "...", "..a", "a..", ". ./x"):
    taken("%r is a name like any other" % coded, {coded.lstrip("/"): b"x"}, tar(APPSPEC, (coded, b"x", {})))
    if "\\" not in coded:
        taken("%r in a zip, too" % coded, {coded: b"x"}, zipped(APPSPEC, (coded, b"x", {})), "zip")
taken("overlong UTF-8 is no '..'", {os.fsdecode(b"\xc0\xae\xc0\xae"): b"x"}, tar(APPSPEC, (os.fsdecode(b"\xc0\xae\xc0\xae"), b"x", {})))
taken("an absolute name loses its slash", {OUTSIDE[1:] + "/file": b"x"}, tar(APPSPEC, (OUTSIDE + "/file", b"x", {})))
taken("also with several", {"etc/file": b"x"}, tar(APPSPEC, ("///etc//./file", b"x", {})))

# Links

refused("a file through a link", "link/file", "through a symlink", tar(APPSPEC, ("link", b"", link(OUTSIDE)), ("link/file", b"evil", {})))
refused("a file through a link to a directory that comes later", "d/file", "through a symlink",
        tar(APPSPEC, ("d", b"", link("e")), ("e", b"", link(OUTSIDE)), ("d/file", b"evil", {})))
chain = [("l%d" % i, b"", link("l%d" % (i + 1))) for i in range(20)] + [("l20", b"", link(OUTSIDE)), ("l0/file", b"evil", {})]
refused("a file through twenty links", "l0/file", "through a symlink", tar(APPSPEC, *chain))
refused("a file through a link in a loop", "a/file", "through a symlink", tar(APPSPEC, ("a", b"", link("b")), ("b", b"", link("a")), ("a/file", b"x", {})))
refused("a directory, then a link in its place", "d/file", "through a symlink",
        tar(APPSPEC, ("d", b"", DIR), ("d", b"", link(OUTSIDE)), ("d/file", b"evil", {})))
refused("a directory through a link", "link/new", "through a symlink", tar(APPSPEC, ("link", b"", link(OUTSIDE)), ("link/new", b"", DIR)))
taken("a directory in the place of a link is one", {"link/file": b"x"},
      tar(APPSPEC, ("link", b"", link(OUTSIDE)), ("link", b"", {**DIR, "mode": 0o700}), ("link/file", b"x", {})))
taken("a file in the place of a link replaces it", {"link": b"x"}, tar(APPSPEC, ("link", b"", link(OUTSIDE + "/file")), ("link", b"x", {})))
refused("a link through a link", "link/x", "through a symlink", tar(APPSPEC, ("link", b"", link(OUTSIDE)), ("link/x", b"", link("y"))))
refused("a file through a link in a zip", "link/file", "through a symlink",
        zipped(APPSPEC, ("link", OUTSIDE.encode(), {"mode": 0o120777}), ("link/file", b"evil", {})), "zip")
refused("a hard link to what is outside", "hard", "not in the bundle", tar(APPSPEC, ("hard", b"", hard(OUTSIDE + "/file"))))
refused("a climbing one", "hard", "climbs", tar(APPSPEC, ("hard", b"", hard("../outside/file"))))
refused("one through a link", "hard", "not in the bundle", tar(APPSPEC, ("link", b"", link(OUTSIDE)), ("hard", b"", hard("link/file"))))
refused("one to a directory", "hard", "", tar(APPSPEC, ("d", b"", DIR), ("hard", b"", hard("d"))), code="EPERM")
refused("one to nothing", "hard", "not in the bundle", tar(APPSPEC, ("hard", b"", hard("none"))))
taken("one to a link is the link", {"link": OUTSIDE.encode() + b"/file", "hard": OUTSIDE.encode() + b"/file"},
      tar(APPSPEC, ("link", b"", link(OUTSIDE + "/file")), ("hard", b"", hard("link"))))
taken("and a file in its place leaves the other", {"link": OUTSIDE.encode() + b"/file", "hard": b"x"},
      tar(APPSPEC, ("link", b"", link(OUTSIDE + "/file")), ("hard", b"", hard("link")), ("hard", b"x", {})))
taken("one to itself is nothing", {"f": b"x"}, tar(APPSPEC, ("f", b"x", {}), ("f", b"", hard("./f"))))
refused("a symbolic link of 5000 bytes", "long", "longer than 4095 bytes", tar(APPSPEC, ("long", b"", link("x" * 5000))))
refused("a symbolic link to nothing", "none", "no target", tar(APPSPEC, ("none", b"", link(""))))
refused("one in a zip", "", "", zipped(APPSPEC, ("link", b"x" * 70000, {"mode": 0o120777})), "zip")

# Names

refused("a name of 256 bytes", "n" * 100, "256 bytes", tar(APPSPEC, ("n" * 256, b"", {})))
refused("a name of 5000 bytes", "n" * 100, "5000 bytes", tar(APPSPEC, ("n" * 5000, b"", {})))
refused("a path of 4096 bytes", "d" * 100, "longer than 4095 bytes", tar(APPSPEC, ("/".join(["d" * 200] * 20 + ["e" * 76]), b"", {})))
refused("one of 60,000 bytes", "d/d", "longer than 4095 bytes", tar(APPSPEC, ("d/" * 30000 + "e", b"", {})))
refused("in a zip", "d/d", "longer than 4095 bytes", zipped(APPSPEC, ("d/" * 30000 + "e", b"", {})), "zip")
refused("a name of 2 MiB", None, "", tar(APPSPEC, ("n" * (2 << 20), b"", {})))
for control in ("new\nline", "\x1b[31mred", "\x07bell", "tab\t", "\r", "\x7f", "e\u202eexe"):
    taken("%r is kept as it is" % control, {control: b"x"}, tar(APPSPEC, (control, b"x", {})))
status, said = unpack(tar(APPSPEC, ("a\n\x1b[2Jb/../../x", b"", {})), "tar")
ok("and in an error it is harmless", status == 1 and "climbs" in said and "\x1b" not in said and "\n" not in said, repr(said))


def with_nul(data, marker, put):
    assert data.count(marker) >= 1
    return data.replace(marker, put)


data = with_nul(zipped(APPSPEC, ("aXb/file", b"x", {})), b"aXb/file", b"a\0b/file")
refused("a NUL in a name of a zip", "a", "NUL", data, "zip")
data = with_nul(zipped(APPSPEC, ("fileX/../../x", b"x", {})), b"fileX/../../x", b"file\0/../../x")
refused("or before what climbs", "file", "NUL", data, "zip")
pax = tar(APPSPEC, ("short", b"x", {"pax_headers": {"path": "nXl/../../x"}}), fmt=tarfile.PAX_FORMAT)
taken("in a tar it ends the name, as with GNU tar", {"n": b"x"}, with_nul(pax, b"nXl/../../x", b"n\0l/../../x"))
refused("an empty name", None, "no", zipped(APPSPEC, ("", b"x", {})), "zip")
refused("a file for the root", "./", "no name", tar(APPSPEC, ("./", b"", {"type": tarfile.LNKTYPE, "linkname": "appspec.yml"})))

# One name for several

taken("of two files the last counts", {"f": b"two"}, tar(APPSPEC, ("f", b"one", {}), ("f", b"two", {})))
taken("in a zip, too", {"f": b"two"}, zipped(APPSPEC, ("f", b"one", {}), ("f", b"two", {})), "zip")
refused("a file over a directory that is not empty", "d", "not empty", tar(APPSPEC, ("d/f", b"", {}), ("d", b"x", {})))
refused("a name inside a file", "f/x", "not a directory", tar(APPSPEC, ("f", b"", {}), ("f/x", b"", {})))
taken("a directory over a file", {"d/x": b""}, tar(APPSPEC, ("d", b"f", {}), ("d", b"", DIR), ("d/x", b"", {})))

# Kinds and bits

for kind, name in ((tarfile.CHRTYPE, "character device"), (tarfile.BLKTYPE, "block device"), (tarfile.FIFOTYPE, "FIFO")):
    refused("a " + name, "dev", name, tar(APPSPEC, ("dev", b"", {"type": kind, "devmajor": 1, "devminor": 3})))
for mode in (0o4755, 0o2755, 0o6755, 0o7777):
    refused("mode %o" % mode, "su", "set-id bit (mode %o)" % mode, tar(APPSPEC, ("su", b"x", {"mode": mode})))
    refused("mode %o in a zip" % mode, "su", "set-id bit", zipped(APPSPEC, ("su", b"x", {"mode": 0o100000 | mode})), "zip")
refused("a device in a zip", "dev", "device", zipped(APPSPEC, ("dev", b"", {"mode": 0o020644})), "zip")
refused("a socket in a zip", "sock", "cannot be unpacked", zipped(APPSPEC, ("sock", b"", {"mode": 0o140644})), "zip")
taken("an owner that is nobody", {"f": b"x"}, tar(APPSPEC, ("f", b"x", {"uid": 2**32 - 1, "gid": 2**32 - 1})))
taken("one beyond all numbers", {"f": b"x"}, tar(APPSPEC, ("f", b"x", {"uid": 2**40, "gid": 2**50})))
taken("a time beyond all calendars", {"f": b"x"}, tar(APPSPEC, ("f", b"x", {"mtime": 2**60})))
refused("a link with the option against links", "link", "reject_symlinks_in_bundle", tar(APPSPEC, ("link", b"", link("x"))), "tar", "no-links")
refused("a hard one, too", "hard", "reject_symlinks_in_bundle", tar(APPSPEC, ("hard", b"", hard("appspec.yml"))), "tar", "no-links")
refused("a link that leads out, with the option", "up", "leads out", tar(APPSPEC, ("up", b"", link("../x"))), "tar", "no-outward")
refused("set-id bits with both options", "su", "reject_unsafe", tar(APPSPEC, ("su", b"x", {"mode": 0o4755})), "tar", "setid", "no-setid")

# Sizes that lie, and bombs

zeros = bytes(5 << 20)
refused("a bomb", "zeros", "more than 1000000 bytes", gzip.compress(tar(APPSPEC, ("zeros", zeros, {}))), "tgz", "max-bytes=1000000", code="over_limit")
refused("one in a zip, by what it says", None, "more than 1000000", zipped(APPSPEC, ("zeros", zeros, {})), "zip", "max-bytes=1000000", code="over_limit")
refused("many files", None, "more than 50 entries", tar(APPSPEC, *[("f%d" % i, b"", {}) for i in range(60)]), "tar", "max-entries=50", code="over_limit")
refused("many directories", None, "more than 50 entries", tar(APPSPEC, *[("d%d" % i, b"", DIR) for i in range(60)]), "tar", "max-entries=50", code="over_limit")
refused("many links to one file count by their copies or names", None, "", tar(APPSPEC, *[("h%d" % i, b"", hard("appspec.yml")) for i in range(60)]), "tar",
        "max-entries=50", code="over_limit")


def sizes_of(data, size, packed=None):
    """Rewrite the sizes of the last entry of a zip in both of its headers."""
    data = bytearray(data)
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        i = data.rfind(mark)
        struct.pack_into("<I", data, i + at, size)
        if packed is not None:
            struct.pack_into("<I", data, i + at - 4, packed)
    return bytes(data)


honest = zipped(APPSPEC, ("liar", b"z" * 100000, {}))
refused("a zip that says less than it holds", "liar", "", sizes_of(honest, 10), "zip")
refused("one that says less, above the ceiling,", "liar", "", sizes_of(zipped(APPSPEC, ("liar", zeros, {})), 10), "zip", "max-bytes=1000000", code="over_limit")
refused("a zip that says more", "liar", "", sizes_of(honest, 200000), "zip")
refused("one that says 4 GiB", "liar", "", sizes_of(honest, 0xfffffffe), "zip", code="bad_input ENOSPC")


def header(name, size, **more):
    info = tarfile.TarInfo(name)
    info.size = 0
    for key, value in more.items():
        setattr(info, key, value)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\x80" + size.to_bytes(11, "big") if size >= 0o77777777777 else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


for size in (2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**88 - 1, 2**40):
    refused("a tar entry of %d bytes" % size, None, "entry '", tar(APPSPEC)[:1024] + header("huge", size) + bytes(2048))
huge = tar(APPSPEC, ("huge", b"0\n0\n" + bytes(508), {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge",
                                                                     "GNU.sparse.realsize": str(2**63 - 1)}}), fmt=tarfile.PAX_FORMAT)
status, said = unpack(huge, "tar")
ok("a hole of 8 EiB is refused by name, or is one", clean("a hole", [] if status else ["archive"]) and (status == 0 or "'huge'" in said), said)
for map_ in (b"1\n9223372036854775807\n10\n", b"1\n-5\n10\n", b"2\n100\n10\n5\n10\n", b"99999999999\n", b"x\n"):
    data = tar(APPSPEC, ("odd", map_ + bytes(512 - len(map_)) + b"d" * 512, {"pax_headers": {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "odd", "GNU.sparse.realsize": "1000"}}), fmt=tarfile.PAX_FORMAT)
    status, said = unpack(data, "tar")
    ok("a map of holes %r is refused or harmless" % map_, clean("a map", [] if status else ["archive"]) and (status == 0 or "input" in said or "EFBIG" in said), said)
zip64 = bytearray(zipped(APPSPEC, ("huge", b"x", {})))
i = zip64.rfind(b"PK\1\2")
name_at = i + 46 + 4
struct.pack_into("<II", zip64, i + 20, 0xffffffff, 0xffffffff)
struct.pack_into("<H", zip64, i + 30, 20)
extra = struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1)
zip64[name_at:name_at] = extra
end = zip64.rfind(b"PK\5\6")
struct.pack_into("<I", zip64, end + 12, struct.unpack_from("<I", zip64, end + 12)[0] + 20)
refused("a zip entry of 16 EiB", None, "", bytes(zip64), "zip", code="bad_input ENOSPC")

# Zips whose parts disagree

pair = zipped(APPSPEC, ("harmless-name", b"x", {}))
at = pair.find(b"harmless-name")
status, said = unpack(pair[:at] + b"../../outside"[:13] + pair[at + 13:], "zip")
ok("another name in the local header leads nowhere", clean("names", [] if status else ["archive"]), said)
refused("a method that nobody knows", "appspec.yml", "compression method", zipped(APPSPEC).replace(b"\x08\0", b"\x63\0"), "zip")
same = bytearray(zipped(APPSPEC, ("one", b"1" * 1000, {}), ("two", b"2" * 1000, {})))
cd = [n for n in range(len(same)) if same[n:n + 4] == b"PK\1\2"]
same[cd[2] + 42:cd[2] + 46] = same[cd[1] + 42:cd[1] + 46]
status, said = unpack(bytes(same), "zip")
ok("entries that share their data are read or refused", clean("overlap", [] if status else ["archive"]), said)
crypted = bytearray(pair)
for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
    i = crypted.rfind(mark)
    crypted[i + at] |= 1
refused("an encrypted entry", "harmless-name", "encrypted", bytes(crypted), "zip")
wrong = bytearray(pair)
for mark, at in ((b"PK\3\4", 14), (b"PK\1\2", 16)):
    i = wrong.rfind(mark)
    wrong[i + at] ^= 0xff
refused("a wrong CRC", "harmless-name", "", bytes(wrong), "zip", code="signature_mismatch")

# Damage

content = random.Random(3)
rows = [APPSPEC] + [("f%d" % i, content.randbytes(content.randrange(0, 3000)), {}) for i in range(8)]
plain, archive = tar(*rows), zipped(*rows)
packed = gzip.compress(plain)
last = len(plain.rstrip(b"\0")) // 512 * 512 + 512


def cut_at(name, data, kind, places):
    bad = ""
    for at in places:
        status, said = unpack(data[:at], kind)
        if status != 1 or os.listdir("in/o") or not said.startswith(("bad_input: ", "signature_mismatch: ")):
            bad += "%d: %d %s\n" % (at, status, said)
    ok("%s that is cut anywhere is refused (%d places)" % (name, len(places)), not bad, bad)


def some(places, n):
    places = list(places)
    return places if EXHAUST else sorted(rng.sample(places, min(n, len(places))))


cut_at("a tar", plain, "tar", some(range(0, last + 1, 512), 8))
cut_at("a tar, not at a block,", plain, "tar", some((n + rng.randrange(1, 512) for n in range(0, last - 512, 512)), 6))
cut_at("a tgz", packed, "tgz", some([len(packed) - n for n in range(1, 20)] + list(range(0, len(packed), 512)), 10))
cut_at("a zip", archive, "zip", some([len(archive) - n for n in range(1, 30)] + list(range(0, len(archive), 512)), 10))
for at, name in ((-8, "CRC"), (-5, "CRC"), (-4, "length"), (-1, "length")):
    damaged = bytearray(packed)
    damaged[at] ^= 0x55
    refused("a wrong %s of gzip, byte %d," % (name, at), None, "checksum or length of the gzip stream is wrong", bytes(damaged), "tgz", code="signature_mismatch")
bad = ""
for at in some(range(10, len(packed)), 10):
    damaged = bytearray(packed)
    damaged[at] ^= 1 << rng.randrange(8)
    try: # the bits that fill up a byte mean nothing
        if gzip.decompress(damaged) == plain:
            continue
    except (OSError, EOFError, zlib.error):
        pass
    status, said = unpack(bytes(damaged), "tgz")
    bad += "" if status == 1 and not os.listdir("in/o") else "%d: %s\n" % (at, said)
ok("a tgz with one bit changed is refused, wherever", not bad, bad)
refused("garbage behind a gzip stream", None, "garbage follows", packed + b"garbage", "tgz")
refused("another file behind it", None, "garbage follows", packed + archive, "tgz")
refused("zeros and more behind it", None, "garbage follows", packed + bytes(100) + b"x", "tgz")
refused("garbage before it", None, "", b"x" + packed, "tgz")
refused("a tgz in a tgz", None, "not a tar archive", gzip.compress(packed), "tgz")
at = plain.find(b"f3\0")
refused("a changed header", None, "", plain[:at] + b"X" + plain[at + 1:])
if EXHAUST:
    import worker
    print("# exhaust: hostile archives: %d hostile archives, %d violations" % (tried, worker.tests_failed))
done_testing()
