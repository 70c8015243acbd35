#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects that are guarded or in use, disks that are full or broken: refused by name before anything is touched, or
undone; and where a person is needed, recovery works once the reason is gone."""
import mmap

from places import *

need_places()


def chattr(how, *paths):
    tool("chattr", how, *paths)


# --- guarded ----------------------------------------------------------------------------------------------------------


@case("immutable and append-only")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", gone="one", sub__b="one")))
    for flag in "ia":
        for name in ("srv/app/a", "srv/app/gone", "srv/app/sub/b", "srv/app/sub", "srv/app"):
            chattr("+" + flag, host.path(name))
            before = host.picture()
            said = host.says("%s is +%s" % (name, flag), 3, "immutable or append-only", "deploy",
                             revision_of(files(a="two", sub__b="two", sub__new="two", new="two")))
            holds("it is named", "'%s' is" % host.path(name), said)
            holds("and the way out", "chattr -ia", said)
            unchanged(host, before, said)
            host.slip("nothing changes", 0, "deploy", revision_of(files(a="one", gone="one", sub__b="one")))
            chattr("-" + flag, host.path(name))
    host.slip("and without", 0, "deploy", revision_of(files(a="two", sub__b="two", sub__new="two", new="two")))


@case("the folder above the destination is immutable")
def _(host):
    os.makedirs(host.path("srv"))  # nobody's: what stages for it goes there as a rule
    host.slip("one", 0, "deploy", revision_of(files(a="one")))
    chattr("+i", host.path("srv"))
    host.slip("nothing is staged in it", 0, "deploy", revision_of(files(a="two", b="two")))
    equal("the file is new", "two", text_of(host.path("srv/app/a")))
    host.slip("also away", 1, "deploy", revision_of(files(a="three"), hooks=FAILS))
    equal("the file is back", "two", text_of(host.path("srv/app/a")))
    equal("no stage is left", [], host.stages())
    chattr("-i", host.path("srv"))
    top = mount("-t", "tmpfs", "-o", "mode=777", "none", host.path("srv/app/data"))
    host.says("and where there is no place at all", 3, "nothing can be staged", "deploy",
              revision_of(files(a="three", data__b="three")))
    umount(top)


@case("BeforeInstall makes it immutable")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one")))
    before = host.picture()
    for name in ("srv/app/a", "srv/app"):
        said = host.says("%s by a script" % name, 1, "immutable", "deploy", revision_of(
            files(a="two", b="two"), hooks={"BeforeInstall": "chattr +i $SLIPWAY_DESTINATION_ROOT/" + name}))
        chattr("-i", host.path(name))
        unchanged(host, before, said)


@case("AfterInstall makes it immutable, and the validation fails")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one")))
    before = host.picture()
    for name, flag in (("srv/app/a", "i"), ("srv/app/new", "i"), ("srv/app/new/file", "a"), ("srv/app", "i")):
        said = host.slip("%s +%s" % (name, flag), 4, "deploy", revision_of(
            files(a="two", b="two", new__file="two"),
            hooks={**FAILS, "AfterInstall": "chattr +%s $SLIPWAY_DESTINATION_ROOT/%s" % (flag, name)}))
        holds("it says what to do", "chattr -ia", said)
        host.slip("it is still so", 4, "recover")
        chattr("-" + flag, host.path(name))
        host.slip("and then not", 0, "recover")
        unchanged(host, before, said)


@case("made immutable in the middle of the switch")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one", c="one")))
    before = host.picture()
    with host.stopped(["deploy", revision_of(files(a="two", b="two", c="two"))], SWITCH, switched(host)) as run:
        chattr("+i", host.path("srv/app/b"))
        code, said = run.go_on()
    equal("it is undone", 1, code, said)
    holds("it is named", host.path("srv/app/b"), said)
    chattr("-i", host.path("srv/app/b"))
    unchanged(host, before, said)
    with host.stopped(["deploy", revision_of(files(a="two", b="two", c="two"))], SWITCH, switched(host)) as run:
        chattr("+i", host.path("srv/app"))
        code, said = run.go_on()
    equal("it can go neither way", 4, code, said)
    chattr("-i", host.path("srv/app"))
    host.slip("until it may", 0, "recover")
    unchanged(host, before, said)


# --- in use -----------------------------------------------------------------------------------------------------------


@case("running, open, mapped, worked in")
def _(host):
    def fill(which):
        def make(app):
            files(mapped=which * 1000, open=which, dir__gone="x", a=which)(app)
            os.makedirs(app + "/dir", exist_ok=True)
            shutil.copy("/bin/sleep", app + "/program")
            with open(app + "/program", "ab") as f:
                f.write(which.encode())
            write(app + "/script", '#!/bin/sh\nread line\necho "%s $line"\n' % which, 0o755)
            if which == "two":
                shutil.rmtree(app + "/dir")
        return make
    host.slip("one", 0, "deploy", revision_of(fill("one")))
    program = subprocess.Popen([host.path("srv/app/program"), "600"])
    script_run = subprocess.Popen([host.path("srv/app/script")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    worker_in = subprocess.Popen(["sleep", "600"], cwd=host.path("srv/app/dir"))
    for process in (program, script_run, worker_in):
        running.add(process.pid)
        within(lambda: b"fork" not in open("/proc/%d/cmdline" % process.pid, "rb").read())
    opened = open(host.path("srv/app/open"))
    mapped = mmap.mmap(os.open(host.path("srv/app/mapped"), os.O_RDWR), 0)
    before = host.picture()
    inode = os.stat(host.path("srv/app/program")).st_ino
    host.slip("two fails", 1, "deploy", revision_of(fill("two"), hooks=FAILS))
    same("all is back", before, host.picture())
    equal("with the folder that is worked in", os.stat(host.path("srv/app/dir")).st_ino,
          os.stat("/proc/%d/cwd" % worker_in.pid).st_ino)
    host.slip("two", 0, "deploy", revision_of(fill("two")))
    equal("the program goes on", None, program.poll())
    equal("with its old content", inode, os.stat("/proc/%d/exe" % program.pid).st_ino)
    ok("the new one is another file", inode != os.stat(host.path("srv/app/program")).st_ino)
    equal("the script is read to its end", b"one more\n", script_run.communicate(b"more\n", DEADLINE_S)[0])
    equal("the open file is the old one", "one", opened.read())
    equal("the mapped one, too", b"one" * 1000, mapped[:])
    mapped[:3] = b"own"
    equal("and what is written there is not in the new one", "two" * 1000, text_of(host.path("srv/app/mapped")))
    opened.close()
    mapped.close()
    for process in (program, worker_in):
        process.kill()
        process.wait()
    running.difference_update([program.pid, script_run.pid, worker_in.pid])


# --- full -------------------------------------------------------------------------------------------------------------


def fill_up(path, leave=0):
    """Until nothing more fits, also for root."""
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 1 << 16, 4096, 512):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass
        if leave:
            f.truncate(f.tell() - leave)


def make_room(path):
    """btrfs has it only when that is on the disk."""
    os.unlink(path)
    tool("sync", "-f", os.path.dirname(path))


def big(which, megabytes=4):
    def fill(app):
        files(a=which, b=which, sub__c=which)(app)
        write(app + "/big", which.encode() * (megabytes * 350000))
    return fill


@case("too small a disk")
def _(host):
    small = Disk("ext4", "small", size_mb=16)
    host = Machine(host.name, small.path)
    host.slip("one", 0, "deploy", revision_of(files(a="one")))
    before = host.picture()
    said = host.says("more than fits", 3, "make room", "deploy", revision_of(big("two", 20)))
    holds("it says how much", "are needed", said)
    unchanged(host, before, said)

    def many(app):
        os.makedirs(app + "/many")
        for i in range(6000):
            os.symlink("a", app + "/many/%d" % i)
    said = host.says("more objects than fit", 3, "inodes", "deploy", revision_of(many))
    unchanged(host, before, said)

    def holey(app):
        files(a="two")(app)
        with open(app + "/sparse", "wb") as f:
            f.write(b"begin")
            f.truncate(200 << 20)
    host.slip("a file of holes that is larger than the disk", 0, "deploy", revision_of(holey))
    equal("it is that large", 200 << 20, os.stat(host.path("srv/app/sparse")).st_size)
    small.umount()


@case("full while it is staged, while it is switched")
def _(host):
    for kind in ("ext4", "xfs", "btrfs"):
        small = Disk(kind, "full-" + kind, size_mb={"ext4": 24}.get(kind))
        host = Machine("full " + kind, small.path)
        host.slip("one", 0, "deploy", revision_of(big("one")))
        before = host.picture()
        new = revision_of(big("two"))
        with host.stopped(["deploy", new], "openat,renameat2", lambda: host.stages()) as run:
            fill_up(small.path + "/filler")
            code, said = run.go_on()
        equal(kind + ": undone", 1, code, said)
        holds("it says why", "No space left", said)
        make_room(small.path + "/filler")
        unchanged(host, before, said)
        with host.stopped(["deploy", new], SWITCH, switched(host)) as run:
            fill_up(small.path + "/filler")
            code, said = run.go_on()
        if code == 4:
            make_room(small.path + "/filler")
            host.slip("recovered once there is room", 0, "recover")
        else:
            ok(kind + ": done, or undone", code in (0, 1), code, said)
            make_room(small.path + "/filler")
        if code == 0:
            host.slip("back", 0, "rollback")
            same("as before", {k: {**v, "inode": 0} for k, v in before.items()},
                 {k: {**v, "inode": 0} for k, v in host.picture().items()})
        else:
            unchanged(host, before, said)
        small.umount()


def inodes(app):
    for i in range(300):
        write(app + "/%d" % i, "x")
    files(a="two")(app)


@case("no inodes, but bytes")
def _(host):
    path = mount("-t", "tmpfs", "-o", "mode=755,size=32m,nr_inodes=500", "none", os.path.join(T, "few-inodes"))
    host = Machine(host.name, path)
    host.slip("one", 0, "deploy", revision_of(files(a="one")))
    before = host.picture()
    with host.stopped(["deploy", revision_of(inodes)], "openat", lambda: host.stages()) as run:
        os.mkdir(path + "/filler")
        try:
            for i in range(1000):
                write(path + "/filler/%d" % i, "")
        except OSError:
            pass
        code, said = run.go_on()
    equal("undone", 1, code, said)
    shutil.rmtree(path + "/filler")
    unchanged(host, before, said)
    umount(path)


@case("the host's own file system is full")
def _(host):
    """Where revisions are unpacked, and the journal and the state lie."""
    own = Disk("ext4", "own", size_mb=24)
    host = Machine(host.name, host.tree, root=own.path + "/root")
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one")))
    before = host.picture()
    said = host.slip("a revision that it cannot hold", 1, "deploy", revision_of(big("two", 30)))
    ok("it says why", "No space left" in said or "make room" in said, said)
    unchanged(host, before, said)
    new = revision_of(big("two", 1))
    for name, calls, until in (("while it is staged", "openat", lambda: host.stages()),
                               ("while it is switched", SWITCH, switched(host))):
        with host.stopped(["deploy", new], calls, until) as run:
            fill_up(own.path + "/filler")
            code, said = run.go_on()
        ok(name + ": it fails", code in (1, 4), code, said)
        ok("it says why", "No space left" in said, said)
        if code == 1:
            same(name + ": what it says of the host is true", before, host.picture(), said)
        make_room(own.path + "/filler")
        host.slip("with room again it recovers", 0, "recover")
        unchanged(host, before, said)
    host.slip("and the next deployment works", 0, "deploy", new)
    own.umount()


# --- broken -----------------------------------------------------------------------------------------------------------


@case("a disk that fails")
def _(host):
    """ext4 becomes read-only, XFS shuts down; mounted anew on the healed disk, recovery does the rest."""
    for kind, size in (("ext4", 64), ("xfs", 320)):
        for phase in ("stage", "switch", "undo"):
            disk = FailingDisk(kind, "%s-%s" % (kind, phase), size)
            host = Machine("%s fails at %s" % (kind, phase), disk.path)
            host.slip("one", 0, "deploy", revision_of(files(a="one", b="one", gone="one", sub__c="one")))
            os.sync()
            before = host.picture()
            hooks = {**FAILS, "AfterInstall": "touch %s; sync -f %s; exit 0" % (disk.switch, disk.path)}
            new = revision_of(files(a="two", b="two", sub__c="two", new__d="two"),
                              hooks=hooks if phase == "undo" else None)
            if phase == "undo":
                process = host.start(["deploy", new])
                said = process.communicate(timeout=DEADLINE_S)[0].decode(errors="replace")
                code = process.returncode
            else:
                calls, until = (("openat", lambda: host.stages()) if phase == "stage" else (SWITCH, switched(host)))
                with host.stopped(["deploy", new], calls, until) as run:
                    disk.failing(True)
                    code, said = run.go_on()
            print("# %s: exit %d: %s" % (host.name, code, said.replace("\n", " | ")[:900]))
            ok(host.name + ": it fails", code in (1, 4, 6), code, said)
            ok("it says why", "Input/output error" in said or "Read-only file system" in said, said)
            disk.failing(False)
            disk.umount()
            disk.mount()
            host.slip("recovered on the healed disk", 0, "recover")
            unchanged(host, before, said)
            host.slip("and the next deployment works", 0, "deploy",
                      revision_of(files(a="three", b="three", sub__c="three")))
            disk.end()


# --- what cannot be moved ---------------------------------------------------------------------------------------------


def layered(app):
    files(a="one", gone="one", dir__sub__file="one", dir__file="one", turns__file="one", kept__file="one")(app)


def layered_new(app):
    files(a="two", turns="now a file", kept__file="two", new__file="two")(app)


@case("what lies in the lower layer of an overlay")
def _(host):
    """An image was made with a first revision in it, and is started with a writable layer."""
    for name, lower in (("ext4", fresh("lower")), ("xfs", fresh("lower", "xfs"))):
        for upper in ("the same", "tmpfs"):
            one = Machine("%s under %s" % (name, upper), os.path.join(lower, upper))
            one.slip("the image is made", 0, "deploy", revision_of(layered))
            image, timeless = one.picture(True), one.picture(True, times=False)
            layers = os.path.join(lower, "layers-" + upper)
            if upper == "tmpfs":
                mount("-t", "tmpfs", "-o", "mode=755", "none", layers)
            for folder in ("/upper", "/work"):
                os.makedirs(layers + folder)
            mount("-t", "overlay", "-o", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (one.tree, layers, layers),
                  "overlay", one.tree)
            same(one.name + ": it is started", image, one.picture(True))
            one.slip("two fails", 1, "deploy", revision_of(layered_new, hooks=FAILS))
            same("it is as before", image, one.picture(True))
            new = revision_of(layered_new)
            if EXHAUST or (name, upper) == ("ext4", "tmpfs"):
                tried = kill_at(one, ["deploy", new], image, calls=["renameat2", "unlinkat", "mkdirat"], first=5, step=2)
                ok("it was killed at %d moments" % tried, tried > 3)
                image, timeless = one.picture(True), one.picture(True, times=False)
            one.slip("two", 0, "deploy", new)
            equal("its tree", [b"srv", b"srv/app", b"srv/app/a", b"srv/app/kept", b"srv/app/kept/file", b"srv/app/new",
                               b"srv/app/new/file", b"srv/app/turns"], sorted(one.picture()))
            one.slip("back", 0, "rollback")
            same("as it was", timeless, one.picture(True, times=False))
            umount(one.tree)


# --- what a revision brings along, and what was there ------------------------------------------------------------------


def tar_of(folder, *options):
    path = folder + ".tar"
    tool("tar", "-C", folder, *options, "-cf", path, ".")
    return path


def nlinks(host):
    return {path: fact["links"] for path, fact in host.picture().items() if fact.get("links", 1) != 1}


@case("a tar with hard links, holes, attributes and capabilities")
def _(host):
    def fill(app):
        files(a="one", plain="one", linked="linked", able="able", marked="marked")(app)
        os.link(app + "/linked", app + "/linked-too")
        os.makedirs(app + "/sub")
        os.link(app + "/linked", app + "/sub/linked-three")
        with open(app + "/sparse", "wb") as f:
            f.write(b"begin")
            f.seek(64 << 20)
            f.write(b"end")
        if have("setcap"):
            tool("setcap", "cap_net_bind_service+ep", app + "/able")
        os.setxattr(app + "/marked", "user.mark", b"of the revision")
        os.symlink("sub", app + "/to-folder")
        os.makedirs(app + "/empty")

    bundle = revision_of(fill)
    tar = tar_of(bundle, "--sparse", "--xattrs", "--xattrs-include=*", "--format=posix")
    said = host.slip("it is deployed", 0, "deploy", tar)
    if have("setcap"):
        holds("that capabilities are not is said", "setcap", said)
    same("the rest is as it was packed", look(bundle + "/app"), look(host.path("srv/app")))
    equal("every name is a file of its own", {}, nlinks(host))
    ok("the holes are there", os.stat(host.path("srv/app/sparse")).st_blocks < 1000)
    attributes = {path: fact["xattrs"] for path, fact in host.picture().items() if fact["xattrs"]}
    equal("no attribute came along", {}, attributes)
    ok("the link stays a link", os.path.islink(host.path("srv/app/to-folder")))

    # What was set by hand or by a script, on files that stay and on files that are replaced.
    for name in ("able", "a"):
        os.setxattr(host.path("srv/app/" + name), "user.own", b"by hand")
        if have("setcap"):
            tool("setcap", "cap_net_raw+ep", host.path("srv/app/" + name))
    os.link(host.path("srv/app/a"), host.path("srv/elsewhere"))
    before = host.picture()
    write(bundle + "/app/a", "two")
    tar = tar_of(bundle)
    bad = revision_of(lambda app: (fill(app), write(app + "/a", "two")), hooks=FAILS)
    host.slip("another fails", 1, "deploy", bad)
    same("all attributes and links are back", before, host.picture())
    host.slip("another", 0, "deploy", tar)
    after = host.picture()
    equal("an unchanged file keeps its own", before[b"srv/app/able"], after[b"srv/app/able"])
    equal("a new one has none", {}, after[b"srv/app/a"]["xattrs"])
    equal("the other name keeps all", {**before[b"srv/elsewhere"], "links": 1}, after[b"srv/elsewhere"])


@case("a file system without links")
def _(host):
    need("mkfs.exfat", "mount.exfat-fuse")
    image, path = os.path.join(T, "exfat.img"), host.path("srv")
    with open(image, "wb") as f:
        f.truncate(16 << 20)
    tool("mkfs.exfat", image)
    device = tool("losetup", "-f", "--show", image).strip()
    os.makedirs(path)
    tool("mount.exfat-fuse", "-o", "umask=022", device, path)
    mounted.append(path)
    before = host.picture()
    host.says("nothing is deployed there", 1, "no hard links", "deploy", revision_of(files(a="one")))
    unchanged(host, before)
    umount(path)
    within(lambda: subprocess.run(["losetup", "-d", device], stderr=subprocess.DEVNULL).returncode == 0)


@case("revisions on a file system where nothing can be run")
def _(host):
    """/var mounted noexec, as hardening guides want it."""
    var = mount("-t", "tmpfs", "-o", "mode=755,noexec,nodev,nosuid", "none", os.path.join(T, "hardened"))
    host = Machine(host.name, host.tree, root=var + "/root")
    host.slip("without scripts", 0, "deploy", revision_of(files(a="one")))
    before = host.picture()
    said = host.slip("with one", 1, "deploy", revision_of(files(a="two"), hooks={"AfterInstall": "exit 0"}))
    holds("it says why", "noexec", said)
    same("all is as before", before, host.picture())
    umount(var)


run_cases()
