#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two groups whose files share parent directories: whatever one does, in whatever order, the other's files, and the
directories that they lie in, are as before."""
import itertools
import threading

from places import *

need_places()
SHARED = ["srv/shared", "srv/shared/bin", "srv/shared/etc", "srv/shared/etc/deep"]


def of(group, text, *more):
    """What a group has: a tree of its own, and files in directories that both have."""
    return files(**{"own-" + group + "__file": text, "bin__" + group: text, "etc__" + group + "__conf": text,
                    "etc__deep__" + group: text, **{name: text for name in more}})


def revision(group, text, *more, **options):
    return revision_of(of(group, text, *more), destination="/srv/shared", **options)


def only(picture, group):
    """A group's files, and the directories that both use; times and links of directories are no matter."""
    names = [name.encode() for name in SHARED]
    return {path: fact for path, fact in picture.items()
            if path in names or any(part in (group.encode(), b"own-" + group.encode()) for part in path.split(b"/"))}


def quietly(host, name, other, code, *arguments):
    """That call leaves the other group alone."""
    before = only(host.picture(), other)
    said = host.slip(name, code, *arguments)
    same("%s: %s: nothing of %s changes" % (host.name, name, other), before, only(host.picture(), other), said)
    return said


def deploy(bundle, group):
    return ["deploy", bundle, "--group", group]


@case("first installs and removals in each order")
def _(host):
    for first, removed in itertools.product("ab", "ab"):
        second, stays = ("b" if first == "a" else "a"), ("b" if removed == "a" else "a")
        one = Machine("%s first, %s removed first" % (first, removed), host.path(first + removed))
        one.slip("the first", 0, *deploy(revision(first, "one"), first))
        quietly(one, "the second fails", first, 1, *deploy(revision(second, "one", hooks=FAILS), second))
        equal("and nothing of it is left", {}, {k: v for k, v in only(one.picture(), second).items()
                                                if k.decode() not in SHARED})
        quietly(one, "the second", first, 0, *deploy(revision(second, "one"), second))
        quietly(one, "a new one of the first", second, 0, *deploy(revision(first, "two", "bin__more" + first), first))
        quietly(one, "fails", second, 1, *deploy(revision(first, "three", hooks=FAILS), first))
        quietly(one, "a new one of the second", first, 0, *deploy(revision(second, "two"), second))
        quietly(one, "the first goes back", second, 0, "rollback", "--group", first)
        quietly(one, "one is removed", stays, 0, "remove", "--group", removed)
        equal("its files are gone", {}, {k: v for k, v in only(one.picture(), removed).items()
                                         if k.decode() not in SHARED})
        quietly(one, "it comes again", stays, 0, *deploy(revision(removed, "three"), removed))
        quietly(one, "and goes", stays, 0, "remove", "--group", removed)
        one.slip("the other one goes", 0, "remove", "--group", stays)
        equal("no file is left", [], [path for path, fact in one.picture().items() if "content" in fact])


@case("a folder that only one has any more")
def _(host):
    host.slip("a makes the folders", 0, *deploy(revision("a", "one"), "a"))
    quietly(host, "b uses them", "a", 0, *deploy(revision("b", "one"), "b"))
    bare = revision_of(files(**{"own-a__file": "two"}), destination="/srv/shared")
    before = only(host.picture(), "b")
    said = host.slip("a wants them no more, and fails", 1, *deploy(
        revision_of(files(**{"own-a__file": "two"}), destination="/srv/shared", hooks=FAILS), "a"))
    same("b's are as before", before, only(host.picture(), "b"), said)
    quietly(host, "a wants them no more", "b", 0, *deploy(bare, "a"))
    said = host.slip("a wants a file there", 3, *deploy(
        revision_of(files(bin="a file"), destination="/srv/shared"), "a"))
    holds("the folder is named", host.path("srv/shared/bin"), said)
    same("nothing is touched", before, only(host.picture(), "b"))
    quietly(host, "a is removed", "b", 0, "remove", "--group", "a")
    quietly(host, "a is there again", "b", 0, *deploy(revision("a", "three"), "a"))


@case("a file that both want")
def _(host):
    host.slip("a", 0, *deploy(revision("a", "one", "bin__tool"), "a"))
    before = host.picture()
    for behaviour in ("DISALLOW", "OVERWRITE"):
        said = host.slip("b wants one of its files: " + behaviour, 3, *deploy(revision("b", "one", "bin__tool"), "b"),
                         "--file-exists-behavior", behaviour)
        holds("it is named", host.path("srv/shared/bin/tool"), said)
        same("nothing is touched", before, host.picture())


@case("the mode of a folder that both have")
def _(host):
    def with_mode(group, mode):
        def fill(app):
            of(group, "%o" % mode)(app)
            os.chmod(app + "/etc", mode)
        return fill
    host.slip("a makes it", 0, *deploy(revision_of(with_mode("a", 0o755), destination="/srv/shared"), "a"))
    quietly(host, "b does not change it", "a", 0, *deploy(revision_of(with_mode("b", 0o700), destination="/srv/shared"),
                                                          "b"))
    before = host.picture()
    host.slip("a does, and fails", 1, *deploy(revision_of(with_mode("a", 0o750), destination="/srv/shared",
                                                          hooks=FAILS), "a"))
    same("it is as before", before, host.picture())
    host.slip("a does", 0, *deploy(revision_of(with_mode("a", 0o750), destination="/srv/shared"), "a"))
    equal("it is changed", "0o750", oct(os.stat(host.path("srv/shared/etc")).st_mode & 0o7777))


@case("one inside the other's deployment")
def _(host):
    """b is deployed, or removed, by a script of a, between a's Install and its end."""
    calls = {"deploys": deploy(revision("b", "one"), "b"), "deploys anew": deploy(revision("b", "two", "bin__extra"), "b"),
             "removes": ["remove", "--group", "b"]}
    for what, arguments in calls.items():
        for fails in (True, False):
            script = "[ -z \"$SLIPWAY_ROLLBACK\" ] || exit 0\nSLIPWAY_WORKER=%s %s/slipway --root %s %s >/dev/null 2>&1 || exit 7\n" % (
                WORKER, BUILD, host.root, " ".join(arguments))
            hooks = {"AfterInstall": script, **(FAILS if fails else {})}
            said = host.slip("a %s b, and %s" % (what, "fails" if fails else "succeeds"), 1 if fails else 0,
                             *deploy(revision("a", what, "bin__only-" + what.replace(" ", "-"), hooks=hooks), "a"))
            seen = {path.decode(errors="replace"): fact for path, fact in host.picture().items() if "content" in fact}
            equal("b is there, whole" if what != "removes" else "b is gone", what != "removes",
                  all("srv/shared/" + name in seen for name in ("bin/b", "own-b/file", "etc/b/conf", "etc/deep/b")), said)
            ok("a is", fails or "srv/shared/bin/a" in seen, said)
            equal("no stage is left", [], host.stages())
            if what == "removes" and fails:
                host.slip("b once more", 0, *calls["deploys"])


@case("both at once")
def _(host):
    rounds = 40 if EXHAUST else 4
    outcomes, bundles = [], {}
    for group in "ab":
        bundles[group] = [revision(group, "one"), revision(group, "two", "bin__more-" + group),
                          revision(group, "three", hooks=FAILS)]

    def walk(group):
        for i in range(rounds):
            for which, code in ((0, 0), (2, 1), (1, 0)):
                process = host.start(deploy(bundles[group][which], group))
                said = process.communicate(timeout=4 * DEADLINE_S)[0].decode(errors="replace")
                if process.returncode != code:
                    outcomes.append((group, i, which, process.returncode, said))
            if i % 2:
                process = host.start(["remove", "--group", group])
                said = process.communicate(timeout=4 * DEADLINE_S)[0].decode(errors="replace")
                if process.returncode != 0:
                    outcomes.append((group, i, "remove", process.returncode, said))
    threads = [threading.Thread(target=walk, args=(group,)) for group in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("every one of %d ends as it should" % (2 * rounds * 3), [], outcomes)
    equal("no file is left", [], [path for path, fact in host.picture().items() if "content" in fact])
    equal("no stage is left", [], host.stages())


run_cases()
