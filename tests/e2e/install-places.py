#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same two revisions, with every kind of object, on every kind of file system and mount: forward, back after a
failed validation, killed in the middle, and taken away. Each time the tree is exactly the old or the new one."""
from places import *

need_places()
PLACES = []  # (name, how to make it: returns the destination root, options)
DEEP = 3900


def place(name, **options):
    """own: the destination is there before; inherits: what is made in it inherits something; exact: how it is compared,
    as inodes change in an overlay; large: only in make exhaust."""
    def add(make):
        PLACES.append((name, make, options))
        return make
    return add


def sparse(path, megabytes, text):
    with open(path, "wb") as f:
        f.write(text)
        f.seek((megabytes << 20) - len(text))
        f.write(text)


def deep(path, end):
    """A chain of directories, and a file whose name is end, about DEEP bytes below path."""
    fd, room = os.open(path, os.O_RDONLY), DEEP - len(path)
    while room > 300:
        os.mkdir("d" * 250, dir_fd=fd)
        fd, before = os.open("d" * 250, os.O_RDONLY, dir_fd=fd), fd
        os.close(before)
        room -= 251
    f = os.open(end, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    os.write(f, end.encode())
    os.close(f)
    os.close(fd)


def fill(which):
    new = which == "new"

    def objects(app):
        write(app + "/changed", which * 100, 0o640)
        write(app + "/same", "same")
        write(app + "/only-" + which, which)
        write(app + "/mode", "only its mode changes", 0o755 if new else 0o600)
        write(app + "/locked", which, 0o000)
        write(app + "/read-only", which, 0o444)
        write(app + "/empty", "")
        write(app + "/big", which.encode() * 700000)
        sparse(app + "/sparse", 8, which.encode() * 1000)
        write(app + "/hard-a", "linked " + which)
        os.link(app + "/hard-a", app + "/hard-b")
        os.symlink("changed", app + "/link-file")
        os.symlink("folder-" + which, app + "/link-folder")
        os.symlink("/nowhere/" + which, app + "/link-dangling")
        os.symlink("../../srv//app/./changed", app + "/link-odd")
        os.makedirs(app + "/folder-" + which + "/sub/empty")
        write(app + "/folder-" + which + "/sub/file", which)
        os.makedirs(app + "/shut")
        write(app + "/shut/file", which)
        os.chmod(app + "/shut", 0o555 if new else 0o500)
        os.makedirs(app + "/sticky")
        os.chmod(app + "/sticky", 0o1777)
        write(app.encode() + b"/not-utf8-\xff\xfe", which)
        write(app + "/new\nline", which)
        for name, is_folder in (("folder-then-file", not new), ("file-then-folder", new)):
            if is_folder:
                os.makedirs(app + "/" + name + "/sub")
                write(app + "/" + name + "/sub/file", which)
            else:
                write(app + "/" + name, which)
        os.mkdir(app + "/deep")
        deep(app + "/deep", which)
    return objects


BUNDLES = {which: bundle_of(which, fill(which)) for which in ("old", "new")}
BAD = {which: bundle_of("bad-" + which, fill(which), hooks=FAILS) for which in ("old", "new")}
WANTED = {which: look(BUNDLES[which] + "/app") for which in BUNDLES}


def installed(host, options):
    return look(host.path("srv/app"), "inherits" in options, except_for=[b"by-hand", b"second-name"], times=False)


def make_plainly(source, into):
    """What the kernel makes of the same objects when they are made right there, with the same modes."""
    for name in os.listdir(b"/proc/self/fd/%d" % source):
        st = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(st.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=into)
            continue
        is_folder = stat.S_ISDIR(st.st_mode)
        flags = os.O_RDONLY | (os.O_DIRECTORY if is_folder else 0)
        if is_folder:
            os.mkdir(name, st.st_mode & 0o7777, dir_fd=into)
        a, b = (os.open(name, how, st.st_mode & 0o7777, dir_fd=fd) for how, fd in (
            (flags, source), (flags if is_folder else os.O_WRONLY | os.O_CREAT, into)))
        if is_folder:
            make_plainly(a, b)
        else:
            at = 0
            while at < st.st_size:
                try:
                    at = os.lseek(a, at, os.SEEK_DATA)
                except OSError:
                    break
                at += os.pwrite(b, os.pread(a, 1 << 16, at), at)
            os.ftruncate(b, st.st_size)
        os.close(a)
        os.close(b)


def wanted(host, which, options):
    """In a folder that inherits something its parent's way."""
    if "inherits" not in options:
        return WANTED[which]
    reference, mask = host.path("srv/app/reference"), os.umask(0)
    os.mkdir(reference, 0o755)
    a, b = (os.open(path, os.O_RDONLY) for path in (BUNDLES[which] + "/app", reference))
    make_plainly(a, b)
    os.close(a)
    os.close(b)
    os.umask(mask)
    seen = look(reference, True, times=False)
    shutil.rmtree(reference)
    return seen


def journey(name, tree, options):
    host = Machine(name, tree, confined=True)
    os.makedirs(host.path("srv"), exist_ok=True)
    exact = options.get("exact", "inode")
    empty = host.picture(exact)
    host.slip("a first revision fails", 1, "deploy", BAD["old"])
    same(name + ": nothing is left of it", empty, host.picture(exact))
    host.slip("the old one", 0, "deploy", BUNDLES["old"])
    same(name + ": it is as in the bundle", wanted(host, "old", options), installed(host, options))
    write(host.path("srv/app/by-hand"), "by hand")
    os.link(host.path("srv/app/changed"), host.path("srv/app/second-name"))
    if "xattrs" not in options:
        os.setxattr(host.path("srv/app/changed"), "user.note", b"kept")
        if have("setcap"):
            tool("setcap", "cap_net_raw+p", host.path("srv/app/changed"))
    old = host.picture(exact)
    host.slip("the new one, its validation fails", 1, "deploy", BAD["new"])
    same(name + ": all is as before", old, host.picture(exact))

    tried = kill_at(host, ["deploy", BUNDLES["new"]], old, exact, first=8, most=1, each=3)
    ok(name + ": it was killed, %d times" % tried, tried >= (20 if EXHAUST else 1))
    host.slip("the new one", 0, "deploy", BUNDLES["new"])
    same(name + ": it is as in the bundle", wanted(host, "new", options), installed(host, options))
    equal(name + ": the other name still has the old content", "old" * 100,
          open(host.path("srv/app/second-name")).read())
    os.unlink(host.path("srv/app/second-name"))
    links = [path for path, fact in host.picture().items() if fact.get("links", 1) != 1]
    equal(name + ": no file is linked to the kept revision, or to another", [], links)
    host.slip("back to the old one", 0, "rollback")
    same(name + ": it is as in its bundle", wanted(host, "old", options), installed(host, options))
    host.slip("and taken away", 0, "remove", "--group", GROUP)
    os.unlink(host.path("srv/app/by-hand"))
    if "own" not in options:
        os.rmdir(host.path("srv/app"))
    same(name + ": to the last object", empty, host.picture(exact))


DISKS = {}


def disk(kind):
    """One of each kind for all places on it."""
    if kind not in DISKS:
        DISKS[kind] = Disk(kind)
    return DISKS[kind].path


def fresh(kind, name):
    path = os.path.join(disk(kind), name)
    os.makedirs(path)
    return path


for kind in ("ext4", "xfs", "btrfs"):
    place(kind)(lambda kind=kind: fresh(kind, "plain"))


@place("tmpfs")
def _():
    return mount("-t", "tmpfs", "-o", "mode=755,size=32m", "tmpfs", os.path.join(T, "tmpfs"))


@place("btrfs, a subvolume in the middle")
def _():
    top = fresh("btrfs", "subvolume")
    tool("btrfs", "-q", "subvolume", "create", top + "/srv")
    return top


@place("btrfs, the destination is a subvolume", own=True, large=True)
def _():
    top = fresh("btrfs", "subvolume-app")
    os.makedirs(top + "/srv")
    tool("btrfs", "-q", "subvolume", "create", top + "/srv/app")
    return top


@place("a mount in the middle")
def _():
    top = fresh("ext4", "middle")
    mount("-t", "tmpfs", "-o", "mode=755,size=32m", "tmpfs", top + "/srv")
    return top


@place("the destination is a mount point", own=True)
def _():
    top = fresh("xfs", "mount-point")
    mount("-t", "tmpfs", "-o", "mode=755,size=32m", "tmpfs", top + "/srv/app")
    return top


@place("a bind mount", large=True)
def _():
    os.makedirs(disk("ext4") + "/bound-from")
    top = fresh("ext4", "bound")
    mount("--bind", disk("ext4") + "/bound-from", top + "/srv")
    return top


@place("a bind mount of the destination", own=True)
def _():
    os.makedirs(disk("ext4") + "/bound-app-from")
    top = fresh("ext4", "bound-app")
    mount("--bind", disk("ext4") + "/bound-app-from", top + "/srv/app")
    return top


@place("nodev, noexec and nosuid", large=True)
def _():
    top = fresh("ext4", "no-exec")
    mount("-t", "tmpfs", "-o", "mode=755,size=32m,nodev,noexec,nosuid", "tmpfs", top + "/srv")
    return top


def overlay(name, lower, upper):
    for folder in (lower + "/lower", upper + "/upper", upper + "/work"):
        os.makedirs(folder)
    os.makedirs(lower + "/lower/srv")
    return mount("-t", "overlay", "-o", "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work" % (lower, upper, upper),
                 "overlay", os.path.join(T, name))


@place("overlay on one file system", exact=True)
def _():
    top = fresh("ext4", "overlay")
    return overlay("overlay-one", top, top)


@place("overlay of ext4 and tmpfs", exact=True)
def _():
    upper = mount("-t", "tmpfs", "-o", "mode=755,size=32m", "tmpfs", os.path.join(T, "overlay-upper"))
    return overlay("overlay-two", fresh("ext4", "overlay-lower"), upper)


@place("overlay of XFS and tmpfs", exact=True, large=True)
def _():
    upper = mount("-t", "tmpfs", "-o", "mode=755,size=32m", "tmpfs", os.path.join(T, "overlay-upper-xfs"))
    return overlay("overlay-three", fresh("xfs", "overlay-lower"), upper)


def special(kind, name, *make):
    """The destination is there already and has something that is inherited; what stages above it has not."""
    large = {"large": True} if name in ("both", "synchronous", "no project in one") else {}

    @place("%s, %s" % (kind, name), own=True, inherits=True, **large)
    def _():
        top = fresh(kind, name.replace(" ", "-"))
        os.makedirs(top + "/srv/app")
        for argv in make:
            tool(*(part.replace("APP", top + "/srv/app").replace("TOP", top) for part in argv))
        return top


special("ext4", "a set-group-id folder", ["chown", "0:4321", "APP"], ["chmod", "2775", "APP"])
special("ext4", "a default ACL", ["setfacl", "-d", "-m", "u:1234:rwx,g:4321:r-x", "APP"])
special("btrfs", "both", ["chown", "0:4321", "APP"], ["chmod", "2775", "APP"],
        ["setfacl", "-d", "-m", "u:1234:rwx,g:4321:r-x", "APP"])
special("xfs", "a project", ["chattr", "-p", "42", "+P", "APP"])
special("xfs", "a project in another one", ["chattr", "-p", "7", "+P", "TOP/srv"], ["chattr", "-p", "42", "+P", "APP"])
special("xfs", "no project in one", ["chattr", "-p", "7", "+P", "TOP/srv"], ["chattr", "-p", "0", "-P", "APP"])
special("btrfs", "without copy on write", ["chattr", "+C", "APP"])
special("ext4", "synchronous", ["chattr", "+SD", "APP"])


ONLY = os.environ.get("SLIPWAY_PLACE", "")
for place_name, make, options in PLACES:
    if ONLY not in place_name or ("large" in options and not EXHAUST and not ONLY):
        continue
    try:
        tree = make()
    except FileNotFoundError as missing:
        skip(place_name, "there is no " + missing.filename)
        continue
    journey(place_name, tree, options)
    one_case()
end_places()
