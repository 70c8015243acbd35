#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of an installation: mount points among the objects, file systems that come and go, objects that
are guarded or in use. Each is refused before anything is touched, or taken back, or waited for; and each says so."""
from places import *

need_places()

# --- mount points among the objects -----------------------------------------------------------------------------------


@case("a file that is a mount point")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(config="one", other="one")))
    path = host.path("srv/app/config")
    bind_over(path)
    before = host.picture()
    said = host.says("another content for it", 3, "mount point", "deploy", revision_of(files(config="two", other="two")))
    holds("it is named", path, said)
    unchanged(host, before, said)
    for behaviour in ("OVERWRITE", "DISALLOW"):
        host.says("also with " + behaviour, 3, "mount point", "deploy",
                  revision_of(files(config="two"), behaviour=behaviour))
    unchanged(host, before)
    host.slip("the very content that is there", 0, "deploy", revision_of(files(config="mounted", other="two")))
    equal("the rest is new", "two", text_of(host.path("srv/app/other")))
    said = host.says("it is wanted no more", 0, "mount point", "deploy", revision_of(files(other="three")))
    equal("it stays", "mounted", text_of(path), said)
    umount(path)
    equal("also what is below it", "one", text_of(path))


@case("a foreign file that is a mount point")
def _(host):
    os.makedirs(host.path("srv/app"))
    write(host.path("srv/app/config"), "foreign")
    bind_over(host.path("srv/app/config"))
    before = host.picture()
    bundle = revision_of(files(config="one", other="one"))
    host.says("not overwritten", 3, "mount point", "deploy", bundle, "--file-exists-behavior", "OVERWRITE")
    unchanged(host, before)
    host.slip("retained", 0, "deploy", bundle, "--file-exists-behavior", "RETAIN")
    equal("it stays", "mounted", text_of(host.path("srv/app/config")))
    umount(host.path("srv/app/config"))


@case("a folder of ours that became a mount point")
def _(host):
    def with_mode(mode):
        def fill(app):
            files(data__file="%o" % mode, other="one")(app)
            os.chmod(app + "/data", mode)
        return fill
    host.slip("one", 0, "deploy", revision_of(with_mode(0o755)))
    other = bind_over(host.path("srv/app/data"))
    host.slip("its mode changes, and what is in it", 0, "deploy", revision_of(with_mode(0o711)))
    equal("the mount keeps its mode", "0o700", oct(os.stat(other).st_mode & 0o7777))
    equal("and gets the file", "711", text_of(other + "/file"))
    said = host.slip("it is wanted no more", 0, "deploy", revision_of(files(other="two")))
    holds("that it stays is said", host.path("srv/app/data"), said)
    equal("its own file is gone, the others are not", ["inside"], os.listdir(other))
    umount(host.path("srv/app/data"))


@case("a mount point in a folder that gives way to a file")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(data__sub__deep__file="one", other="one")))
    for name in ("srv/app/data/sub/deep", "srv/app/data/sub", "srv/app/data"):
        bind_over(host.path(name))
        before = host.picture()
        said = host.says("a file instead, a mount at " + name, 3, "mount point", "deploy", revision_of(files(data="two")))
        holds("it is named", host.path(name), said)
        unchanged(host, before, said)
        umount(host.path(name))
    bind_over(host.path("srv/app/data/sub/deep/file"))
    before = host.picture()
    host.says("a file instead, one in it is a mount", 3, "mount point", "deploy", revision_of(files(data="two")))
    unchanged(host, before)
    umount(host.path("srv/app/data/sub/deep/file"))
    host.slip("and none", 0, "deploy", revision_of(files(data="two")))


@case("a script mounts something in the new tree")
def _(host):
    hooks = {**FAILS, "AfterInstall": "mount -t tmpfs none $SLIPWAY_DESTINATION_ROOT/srv/app/new/sub && "
                                      "echo x >$SLIPWAY_DESTINATION_ROOT/srv/app/new/sub/by-script"}
    host.slip("one", 0, "deploy", revision_of(files(file="one")))
    before = host.picture()
    said = host.slip("then the validation fails", 1, "deploy",
                     revision_of(files(file="two", new__sub__file="two", new__file="two"), hooks=hooks))
    mounted.append(host.path("srv/app/new/sub"))
    equal("the mount is left alone", ["by-script"], os.listdir(host.path("srv/app/new/sub")), said)
    holds("and told", "srv/app/new", said)
    umount(host.path("srv/app/new/sub"))
    equal("what it covers could not be reached", ["file"], os.listdir(host.path("srv/app/new/sub")))
    shutil.rmtree(host.path("srv/app/new"))
    unchanged(host, before)


# --- file systems that come and go ------------------------------------------------------------------------------------


@case("a read-only file system")
def _(host):
    path = host.path("srv")
    os.makedirs(path)
    mount("-t", "tmpfs", "-o", "mode=755", "none", path)
    host.slip("one", 0, "deploy", revision_of(files(file="one", gone="one")))
    before = host.picture()
    tool("mount", "-o", "remount,ro", path)
    host.says("another", 3, "read-only", "deploy", revision_of(files(file="two")))
    host.says("and away with it", 1, "read-only", "remove", "--group", GROUP)
    unchanged(host, before)
    host.slip("nothing changes", 0, "deploy", revision_of(files(file="one", gone="one")))
    tool("mount", "-o", "remount,rw", path)
    umount(path)


TWO_PLACES = [("app", "/srv/app"), ("app", "/opt/app")]


@case("read-only in the middle of the switch")
def _(host):
    path = host.path("srv")
    mount("-t", "tmpfs", "-o", "mode=755", "none", path)
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one", c="one")))
    before = host.picture()
    with host.stopped(["deploy", revision_of(files(a="two", b="two", c="two"))], SWITCH, switched(host)) as run:
        tool("mount", "-o", "remount,ro", path)
        code, said = run.go_on()
    equal("it cannot go forth or back", 4, code, said)
    holds("it says why", "Read-only file system", said)
    host.slip("nor by recovery", 4, "recover")
    tool("mount", "-o", "remount,rw", path)
    host.slip("until it is writable again", 0, "recover")
    unchanged(host, before)
    umount(path)


@case("a mount comes in the middle of the switch")
def _(host):
    before_it = host.path("opt/app")
    entries = revision_of(files(a="one", b="one"), entries=TWO_PLACES)
    host.slip("one", 0, "deploy", entries)
    before = host.picture()
    new = revision_of(files(a="two", b="two"), entries=TWO_PLACES)
    for how in ([], ["--no-rollback"]):
        with host.stopped(["deploy", new] + how, SWITCH, switched(host)) as run:
            mount("-t", "tmpfs", "none", before_it)
            code, said = run.go_on()
        equal("it waits, since neither tree is whole" + "".join(how), 6, code, said)
        holds("it says for what", before_it, said)
        host.says("so does recovery", 6, before_it, "recover")
        umount(before_it)
        host.slip("without it", 0, "recover")
        unchanged(host, before)


@case("a mount disappears between crash and recovery")
def _(host):
    path, other = host.path("srv"), os.path.join(T, "comes-and-goes")
    os.makedirs(other)
    mount("--bind", other, path)
    entries = revision_of(files(a="one", b="one"), entries=TWO_PLACES)
    host.slip("one", 0, "deploy", entries)
    before = host.picture()
    new = revision_of(files(a="two", b="two"), entries=TWO_PLACES)
    with host.stopped(["deploy", new], SWITCH, switched(host)) as run:
        code, said = run.kill(recover=False)
    umount(path)
    there = host.picture()
    for what in (["recover"], ["recover", "--files"], ["deploy", new], ["rollback"], ["remove", "--group", GROUP]):
        host.says("without it: " + what[0], 6, host.path("srv"), *what)
    same("nothing was touched meanwhile", there, host.picture())
    mount("--bind", other, path)
    host.slip("with it", 0, "recover")
    unchanged(host, before)
    umount(path)


@case("something is mounted over a destination before the recovery")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one"), entries=TWO_PLACES))
    before = host.picture()
    for name in ("srv/app", "srv", "opt/app"):
        with host.stopped(["deploy", revision_of(files(a="two", b="two"), entries=TWO_PLACES)], SWITCH,
                          switched(host)) as run:
            run.kill(recover=False)
        bind_over(host.path(name))
        there = host.picture()
        said = host.says(name + ": recovery waits", 6, host.path(name), "recover")
        same("nothing was touched meanwhile", there, host.picture(), said)
        umount(host.path(name))
        host.slip("it is away again", 0, "recover")
        unchanged(host, before)


@case("something is mounted over a destination during the switch")
def _(host):
    host.slip("one", 0, "deploy", revision_of(files(a="one", b__c="one")))
    before = host.picture()
    with host.stopped(["deploy", revision_of(files(a="two", b__c="two"))], SWITCH, switched(host)) as run:
        bind_over(host.path("srv/app/b"))
        code, said = run.go_on()
    holds("it says what", host.path("srv/app/b"), said)
    holds("and what to do", "it waits for that", said)
    equal("it waits", 6, code, said)
    umount(host.path("srv/app/b"))
    host.slip("then it is put back", 0, "recover")
    unchanged(host, before)


@case("a mount is gone at the next deployment")
def _(host):
    path, other = host.path("srv"), os.path.join(T, "forgotten")
    os.makedirs(other)
    mount("--bind", other, path)
    host.slip("one", 0, "deploy", revision_of(files(a="one", b="one")))
    umount(path)
    said = host.slip("two", 0, "deploy", revision_of(files(a="two", b="one")))
    holds("it warns", "it was removed since it was installed", said)
    equal("all is there", "one", text_of(host.path("srv/app/b")))
    mount("--bind", other, path)
    host.slip("with the mount it puts all right", 0, "deploy", revision_of(files(a="three", b="one")))
    equal("on the mount", "three", text_of(other + "/app/a"))
    umount(path)


# --- several at once --------------------------------------------------------------------------------------------------


def tree_of(which):
    new = which == "two"

    def fill(app):
        files(**{"a": which, "sub__b": which, "only-" + which: which, ("turns__file" if new else "turns"): which})(app)
        os.symlink(which, app + "/link")
    return fill


@case("four file systems in one deployment")
def _(host):
    kinds = ["ext4", "xfs", "btrfs", "tmpfs"]
    for kind in kinds:
        if kind == "tmpfs":
            mount("-t", "tmpfs", "-o", "mode=755", "none", host.path(kind))
        else:
            mount("--bind", fresh("four", kind), host.path(kind))
    entries = [("app", "/%s/app" % kind) for kind in kinds]
    host.slip("one", 0, "deploy", revision_of(tree_of("one"), entries=entries))
    before = host.picture()
    host.slip("two fails", 1, "deploy", revision_of(tree_of("two"), entries=entries, hooks=FAILS))
    unchanged(host, before)
    new = revision_of(tree_of("two"), entries=entries)
    tried = kill_at(host, ["deploy", new], before, "inode", first=14)
    ok("killed %d times" % tried, tried > 1)
    host.slip("two", 0, "deploy", new)
    for kind in kinds:
        same(kind + ": as it should be", look(new + "/app"), look(host.path(kind + "/app")))
    host.slip("back", 0, "rollback")
    before = host.picture()

    # One of them has a fault in the middle: none of them changes.
    last = host.path("tmpfs")
    with host.stopped(["deploy", new], SWITCH, lambda: switched_in(host, "ext4")) as run:
        tool("mount", "-o", "remount,ro", last)
        code, said = run.go_on()
    tool("mount", "-o", "remount,rw", last)
    equal("the last one became read-only", 1, code, said)
    holds("it says which", last, said)
    same("all is as before, but for a stage that could not be removed", before,
         {path: fact for path, fact in host.picture().items() if b"/.slipway-" not in path}, said)
    host.slip("until now", 0, "recover")
    unchanged(host, before, said)

    # Half is done when the power goes, and one of them is not there at first.
    with host.stopped(["deploy", new], SWITCH, lambda: switched_in(host, "btrfs")) as run:
        run.kill(recover=False)
    half = host.picture()
    ok("half is done", differences(before, half))
    umount(host.path("xfs"))
    host.says("one is missing", 6, host.path("xfs"), "recover")
    mount("--bind", os.path.join(DISK["xfs"].path, "four"), host.path("xfs"))
    same("nothing was done to the others", half, host.picture())
    host.slip("all are there", 0, "recover")
    unchanged(host, before)
    for kind in kinds:
        umount(host.path(kind))


def switched_in(host, kind):
    path = host.path(kind + "/app/a")
    return os.path.exists(path) and text_of(path) == "two"


@case("one folder that is seen by two mounts")
def _(host):
    os.makedirs(host.path("srv/app"))
    os.makedirs(host.path("opt/app"))
    mount("--bind", host.path("srv/app"), host.path("opt/app"))

    def two_sources(one, other, hooks=None):
        bundle = revision_of(files(**one), entries=[("app", "/srv/app"), ("more", "/opt/app")], hooks=hooks)
        os.makedirs(bundle + "/more")
        files(**other)(bundle + "/more")
        return bundle
    host.slip("different names", 0, "deploy", two_sources({"a": "one", "by-one__b": "one"},
                                                           {"c": "one", "by-other__d": "one"}))
    before = host.picture()
    equal("all are there", ["a", "by-one", "by-other", "c"], sorted(os.listdir(host.path("srv/app"))))
    host.slip("others, and the validation fails", 1, "deploy",
              two_sources({"a": "two", "new": "two", "by-one__b": "two"}, {"c": "two", "by-other__d": "two"}, FAILS))
    unchanged(host, before)
    for name, code in (("x", 1), ("sub__x", 1), ("a", 3)):
        said = host.slip("the same name by both: " + name, code, "deploy", two_sources({"a": "1", name: "1"}, {name: "2"}))
        unchanged(host, before, said)
    said = host.slip("by another group", 3, "deploy", revision_of(files(a="other"), destination="/opt/app"),
                     "--group", "other")
    holds("it is in the way", "exists already", said)
    host.slip("both change", 0, "deploy", two_sources({"a": "two", "by-one__b": "two"},
                                                   {"c": "two", "by-other__d": "two"}))
    equal("all is new", ["two"] * 4, [text_of(host.path("srv/app/" + name))
                                      for name in ("a", "c", "by-one/b", "by-other/d")])
    host.slip("and all goes", 0, "remove", "--group", GROUP)
    equal("to the last file", [], os.listdir(host.path("srv/app")))
    umount(host.path("opt/app"))


@case("two mounts of one folder")
def _(host):
    os.makedirs(host.path("real"))
    for name in ("one", "two"):
        mount("--bind", host.path("real"), host.path(name))
    entries = [("app", "/one/a"), ("app", "/two/b")]
    host.slip("each has a destination", 0, "deploy", revision_of(files(a="one", gone="one"), entries=entries))
    before = host.picture()
    host.slip("another fails", 1, "deploy", revision_of(files(a="two", new="two"), entries=entries, hooks=FAILS))
    unchanged(host, before)
    kill_at(host, ["deploy", revision_of(files(a="two", new="two"), entries=entries)], before, "inode")
    host.slip("away", 0, "remove", "--group", GROUP)
    equal("all of it", [], os.listdir(host.path("real")))
    for name in ("one", "two"):
        umount(host.path(name))


def chain(app, bytes_in_all):
    """A file whose path below app has that many bytes."""
    fd = os.open(app, os.O_RDONLY)
    while bytes_in_all > 255:
        part = "p" * min(250, bytes_in_all - 2)
        os.mkdir(part, dir_fd=fd)
        fd, above = os.open(part, os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
        bytes_in_all -= len(part) + 1
    os.close(os.open("f" * bytes_in_all, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
    os.close(fd)


@case("the longest path")
def _(host):
    room = 4095 - len(host.path("srv/app")) - 1
    files_of = {}
    for length in (room, room + 1):
        files_of[length] = revision_of(lambda app: chain(app, length))
    host.slip("4095 bytes", 0, "deploy", files_of[room])
    same("it is there", look(files_of[room] + "/app"), look(host.path("srv/app")))
    before = host.picture()
    host.slip("it is replaced, and comes back", 1, "deploy", revision_of(lambda app: chain(app, room), hooks=FAILS))
    unchanged(host, before)
    said = host.slip("4096 bytes", 3, "deploy", files_of[room + 1])
    holds("it is too long", "too long", said)
    unchanged(host, before)
    host.slip("away", 0, "remove", "--group", GROUP)
    equal("all of it", {}, {k: v for k, v in host.picture().items() if b"srv/app/" in k})


run_cases()
