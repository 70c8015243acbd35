#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every kind of object in the place of every other: ours, somebody else's, and names and files that are rare."""
import itertools
import re

from worker import *

KINDS = ["file", "directory", "link-file", "link-directory", "dangling"]
CELLS = list(itertools.product(KINDS, KINDS))
MODES = {"old": (0o640, 0o711), "new": (0o755, 0o750), "foreign": (0o604, 0o705)}
OUTSIDE = os.path.join(T, "outside")
GROUP = "default-local-deployment-group"


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def make(path, kind, which):
    """An object of that kind; no two of "old", "new" and "foreign" are alike."""
    file_mode, dir_mode = MODES[which]
    if kind == "file":
        write(path, "the %s file\n" % which, file_mode)
    elif kind == "directory":
        os.makedirs(os.path.join(path, "only-%s.d/empty" % which))
        write(os.path.join(path, "only-%s.d/file" % which), which, file_mode)
        if which != "foreign":
            write(os.path.join(path, "same"), which, file_mode)
        os.chmod(path, dir_mode)
    else:
        os.symlink(os.path.join(OUTSIDE, which, kind), path)


def look(top, owners=False, folder_times=False):
    """{path: what is there}: type, mode, link text, content; owners: also owner and time."""
    seen = {}
    for folder, folders, files, fd in os.fwalk(top):
        for name in folders + files:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            kind, what = oct(st.st_mode), None
            if kind.startswith("0o12"):
                what = os.readlink(name, dir_fd=fd)
            elif kind.startswith("0o10"):
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            fact = [kind, what]
            if owners:
                fact += [st.st_uid, st.st_gid]
            if owners and (folder_times or not kind.startswith("0o4")):
                fact.append(st.st_mtime_ns)
            seen[os.path.relpath(os.path.join(folder, name), top)] = fact
    return seen


def below(seen, name):
    return {path: fact for path, fact in seen.items() if path == name or path.startswith(name + "/")}


def same(name, want, seen, *more):
    differs = {path: (want.get(path), seen.get(path)) for path in {*want, *seen} if want.get(path) != seen.get(path)}
    ok(name, not differs, "path: (wanted, seen): %r" % differs, *more)


def make_bundle(name, fill, behaviour=None, fails=False):
    """A directory to deploy; fill(app) makes what is installed in /srv/app."""
    path = os.path.join(T, name)
    os.makedirs(path + "/app")
    fill(path + "/app")
    text = "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/app\n"
    if behaviour:
        text += "file_exists_behavior: %s\n" % behaviour
    if fails:
        text += "hooks:\n  ValidateService:\n    - location: validate.sh\n"
        write(path + "/validate.sh", "#!/bin/sh\nexit 3\n", 0o755)
    write(path + "/appspec.yml", text)
    return path


class Machine:
    def __init__(self, name):
        self.root = os.path.join(T, name)
        self.app = os.path.join(self.root, "tree/srv/app")
        os.makedirs(self.root + "/etc/slipway")
        os.makedirs(self.root + "/tree")
        write(self.root + "/etc/slipway/agent.yml", "destination_root: %s/tree\n" % self.root)

    def slip(self, name, want, *arguments):
        """Its exit code is a check; returns what it printed."""
        run = subprocess.run([os.path.join(BUILD, "slipway"), "--root", self.root, *arguments], timeout=DEADLINE_S,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "SLIPWAY_WORKER": WORKER})
        said = run.stdout.decode(errors="replace")
        equal(name, want, run.returncode, said)
        return said

    def stages(self):
        return [name for _, folders, _ in os.walk(self.root + "/tree") for name in folders if name.startswith(".slipway-")]


def cell_name(there, wanted):
    return "%s-to-%s" % (there, wanted)


for which in MODES:
    os.makedirs(os.path.join(OUTSIDE, which, "link-directory"))
    write(os.path.join(OUTSIDE, which, "link-file"), "precious", 0o600)
    write(os.path.join(OUTSIDE, which, "link-directory/file"), "precious", 0o600)
outside = look(OUTSIDE, True, True)

# --- what stands there is of the revision before --------------------------------------------------------------------


def fill_with(which):
    def fill(app):
        for cell in CELLS:
            make(os.path.join(app, cell_name(*cell)), cell[which == "new"], which)
    return fill


host = Machine("ours")
bundles = {which: make_bundle(which, fill_with(which)) for which in ("old", "new")}
bad = {which: make_bundle("bad-" + which, fill_with(which), fails=True) for which in ("old", "new")}
host.slip("the old revision is deployed", 0, "deploy", bundles["old"])
same("it is as in the bundle", look(bundles["old"] + "/app"), look(host.app))
for there, wanted in (("old", "new"), ("new", "old")):
    before = look(host.app, True)
    host.slip("%s over %s, its validation fails" % (wanted, there), 1, "deploy", bad[wanted])
    back = look(host.app, True)
    for cell in CELLS:
        name = cell_name(*cell)
        same("%s: %s over %s is taken back" % (name, wanted, there), below(before, name), below(back, name))
    equal("nothing else is there", sorted(before), sorted(back))
    host.slip("%s over %s" % (wanted, there), 0, "deploy", bundles[wanted])
    seen, want = look(host.app), look(bundles[wanted] + "/app")
    for cell in CELLS:
        name = cell_name(*cell)
        same("%s: %s over %s" % (name, wanted, there), below(want, name), below(seen, name))
    equal("and nothing else", sorted(want), sorted(seen))
same("what links led to is untouched", outside, look(OUTSIDE, True, True))
equal("no stage is left", [], host.stages())

# What gives way must be ours to the last object.
for there, wanted in CELLS:
    if there == "directory" != wanted:
        mine = os.path.join(host.app, cell_name(there, wanted), "only-old.d/mine")
        write(mine, "by hand")
        before = look(host.app, True, True)
        said = host.slip("%s: with a file by hand in it" % cell_name(there, wanted), 3, "deploy", bundles["new"])
        holds("the file is named", mine, said)
        same("nothing is touched", before, look(host.app, True, True))
        os.unlink(mine)
host.slip("once it is gone", 0, "deploy", bundles["new"])
same("the new tree is there", look(bundles["new"] + "/app"), look(host.app))
host.slip("and taken away", 0, "remove", "--group", GROUP)
ok("to the last directory", not os.path.exists(host.app))

# --- what stands there is somebody else's ---------------------------------------------------------------------------


def verdict(there, wanted, behaviour):
    """What becomes of the two. A directory is no file that could be overwritten or retained."""
    if wanted == "directory":
        return {"directory": "joined", "link-directory": "followed", "file": "but it is a file"}.get(there, "leads to none")
    if there == "directory":
        return "a directory stands where a file is to be installed"
    return {"DISALLOW": "file_exists_behavior is DISALLOW", "OVERWRITE": "replaced", "RETAIN": "kept"}[behaviour]


ACCEPTED = ["joined", "followed", "replaced", "kept"]


def one_cell(there, wanted):
    def fill(app):
        write(app + "/good", "harmless")
        make(os.path.join(app, cell_name(there, wanted)), wanted, "new")
    return fill


def accepted_cells(behaviour):
    return [cell for cell in CELLS if verdict(*cell, behaviour) in ACCEPTED]


def fill_accepted(behaviour):
    def fill(app):
        for there, wanted in accepted_cells(behaviour):
            make(os.path.join(app, cell_name(there, wanted)), wanted, "new")
    return fill


def joined(foreign, new, name):
    """A directory that was there keeps its mode and what is in it."""
    return {**below(new, name), **below(foreign, name)}


singles = {cell: make_bundle("one-" + cell_name(*cell), one_cell(*cell)) for cell in CELLS}
for behaviour in ("DISALLOW", "OVERWRITE", "RETAIN"):
    host = Machine("foreign-" + behaviour)
    os.makedirs(host.app)
    for cell in CELLS:
        make(os.path.join(host.app, cell_name(*cell)), cell[0], "foreign")
    foreign = look(host.app)
    untouched = look(host.app, True, True)
    for cell in CELLS:
        what, name = verdict(*cell, behaviour), cell_name(*cell)
        if what in ACCEPTED:
            continue
        said = host.slip("%s, foreign, %s: refused" % (name, behaviour), 3, "deploy", singles[cell],
                         "--file-exists-behavior", behaviour)
        ok("it is named, with the reason", any(os.path.join(host.app, name) in line and what in line
                                               for line in said.splitlines()), what, said)
        same("nothing is touched", untouched, look(host.app, True, True))

    good = make_bundle("good-" + behaviour, fill_accepted(behaviour), behaviour)
    before = look(host.app, True)
    host.slip("%s: what is accepted, its validation fails" % behaviour, 1, "deploy",
              make_bundle("fails-" + behaviour, fill_accepted(behaviour), behaviour, fails=True))
    same("all that is foreign is back", before, look(host.app, True))
    same("also where links lead", {k: v[:4] for k, v in outside.items()}, {k: v[:4] for k, v in look(OUTSIDE, True).items()})

    host.slip("%s: what is accepted" % behaviour, 0, "deploy", good)
    seen, new = look(host.app), look(good + "/app")
    want = dict(foreign)
    for cell in accepted_cells(behaviour):
        what, name = verdict(*cell, behaviour), cell_name(*cell)
        if what == "replaced":
            want = {path: fact for path, fact in want.items() if path not in below(want, name)}
            want.update(below(new, name))
        elif what == "joined":
            want.update(joined(foreign, new, name))
        elif what == "followed":
            led = os.path.join(OUTSIDE, "foreign/link-directory")
            same("%s, foreign, %s: what the link leads to gets the files" % (name, behaviour),
                 {**{k[len("foreign/link-directory/"):]: v[:2] for k, v in outside.items()
                     if k.startswith("foreign/link-directory/")},
                  **{k[len(name) + 1:]: v for k, v in below(new, name).items() if k != name}}, look(led))
        same("%s, foreign, %s: %s" % (name, behaviour, what), below(want, name), below(seen, name))
    equal("%s: and nothing else" % behaviour, sorted(want), sorted(seen))
    host.slip("%s: and taken away" % behaviour, 0, "remove", "--group", GROUP)
    replaced = [cell_name(*c) for c in accepted_cells(behaviour) if verdict(*c, behaviour) == "replaced"]
    same("%s: what was not replaced stays" % behaviour,
         {path: fact for path, fact in foreign.items() if path not in replaced}, look(host.app))
    same("%s: where links lead all is as before" % behaviour, {k: v[:2] for k, v in outside.items()}, look(OUTSIDE))
    equal("%s: no stage is left" % behaviour, [], host.stages())

# --- what stands there was changed by hand since ----------------------------------------------------------------------
HAND = list(itertools.product(KINDS, KINDS, KINDS))


def hand_name(cell):
    return "%s-by-hand-%s-to-%s" % cell


def hand_verdict(before, by_hand, wanted):
    """A file or link of ours that became another one is put right; a directory or the place of one is not ours alone."""
    if wanted == "directory":
        if by_hand == "directory" or before != "directory":
            return "joined" if by_hand == "directory" else "replaced"
        return verdict(by_hand, wanted, "DISALLOW")
    if by_hand == "directory":
        return "but this is not ours" if before == "directory" else verdict(by_hand, wanted, "DISALLOW")
    return verdict(by_hand, wanted, "DISALLOW") if before == "directory" else "replaced"


def fill_hand(place, which, cells):
    def fill(app):
        for cell in cells:
            make(os.path.join(app, hand_name(cell)), cell[place], which)
    return fill


host = Machine("by-hand")
host.slip("before somebody changes it", 0, "deploy", make_bundle("hand-old", fill_hand(0, "old", HAND)))
for cell in HAND:
    path = os.path.join(host.app, hand_name(cell))
    shutil.rmtree(path) if cell[0] == "directory" else os.unlink(path)
    make(path, cell[1], "foreign")
before, untouched = look(host.app), look(host.app, True, True)
accepted = [cell for cell in HAND if hand_verdict(*cell) in ACCEPTED]
for kind in KINDS:
    cells = [cell for cell in HAND if cell not in accepted and cell[2] == kind]
    said = host.slip("to %s, where that is refused" % kind, 3, "deploy",
                     make_bundle("hand-bad-" + kind, fill_hand(2, "new", cells))).splitlines()
    for cell in cells:
        ok("%s: refused by name" % hand_name(cell), any(os.path.join(host.app, hand_name(cell)) in line and
                                                       hand_verdict(*cell) in line for line in said), hand_verdict(*cell), said)
    same("nothing is touched", untouched, look(host.app, True, True))
good = make_bundle("hand-good", fill_hand(2, "new", accepted))
host.slip("what is accepted", 0, "deploy", good)
seen, new = look(host.app), look(good + "/app")
for cell in accepted:
    what, name = hand_verdict(*cell), hand_name(cell)
    want = below(new, name)
    if what == "joined":
        want = joined(before, new, name)
        want[name] = (new if cell[0] == "directory" else before)[name]
    elif what == "followed":
        want = below(before, name)
    same("%s: %s" % (name, what), want, below(seen, name))
host.slip("and taken away", 0, "remove", "--group", GROUP)
same("where links led all is as before", {k: v[:2] for k, v in outside.items()}, look(OUTSIDE))
equal("no stage is left", [], host.stages())

# --- what a script made is in the way back ----------------------------------------------------------------------------
ALIKE = ["n" * 240 + end for end in "ab"]


def fill_alike(kind, which):
    def fill(app):
        for name in ALIKE:
            make(os.path.join(app, name), kind, which)
    return fill


host = Machine("aside")
host.slip("two long names", 0, "deploy", make_bundle("alike-old", fill_alike("file", "old")))
before = look(host.app, True)
bad = make_bundle("alike-new", fill_alike("directory", "new"), fails=True)
write(bad + "/validate.sh", '#!/bin/sh\nfor d in "$SLIPWAY_DESTINATION_ROOT"/srv/app/*; do : >"$d/by-script"; done\nexit 3\n', 0o755)
host.slip("become directories in which a script writes, then fails", 1, "deploy", bad)
back = look(host.app, True)
same("the old files are back", before, {path: fact for path, fact in back.items() if ".kept-" not in path})
equal("what the script wrote is kept, twice", 2, len([path for path in back if path.endswith("/by-script")]))

# --- rare files and names -------------------------------------------------------------------------------------------
HUGE = 32 << 20


def make_long(app, length):
    """A file whose path below app has so many bytes, made step by step: no call takes the whole path."""
    fd = os.open(app, os.O_RDONLY)
    while length > 250:
        part = "p" * min(200, length - 40)
        os.mkdir(part, dir_fd=fd)
        inner = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, length = inner, length - len(part) - 1
    with open(os.open("f" * length, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd), "w") as f:
        f.write("deep")
    os.close(fd)


def fill_rare(length):
    def fill(app):
        with open(app + "/sparse", "wb") as f:
            f.truncate(HUGE)
            f.seek(HUGE // 2)
            f.write(b"in the middle")
        write(app + "/hard-1", "one inode", 0o600)
        os.link(app + "/hard-1", app + "/hard-2")
        write(app + "/empty", "", 0o400)
        os.makedirs(app + "/empty.d/empty.d")
        os.chmod(app + "/empty.d/empty.d", 0o700)
        for name in (b"caf\xe9", b"\xff\xfe", b"two\nlines", b" blanks ", b"tab\t", b"back\\slash", b"\x01\x7f", b"-rf", b"..."):
            write(os.fsencode(app) + b"/" + name, "named")
            os.makedirs(os.fsencode(app) + b"/d-" + name + b"/" + name)
            os.symlink(name, os.fsencode(app) + b"/l-" + name)
        make_long(app, length)
    return fill


host = Machine("rare")
rare = make_bundle("rare-bundle", fill_rare(4000 - len(host.app) - 1))
plain = make_bundle("plain-bundle", lambda app: write(app + "/hard-2", "another"))
tgz = os.path.join(T, "rare.tgz")
subprocess.run(["tar", "-czSf", tgz, "-C", rare, "."], check=True)
want = look(rare + "/app")
equal("the longest path has 4000 bytes", 4000, max(len(host.app) + 1 + len(os.fsencode(path)) for path in want))
packed = [os.path.join(T, "packed." + ext) for ext in ("tgz", "zip")]
for path in packed:
    host.slip("slipway packs it as " + os.path.basename(path), 0, "pack", rare, "-o", path)
for bundle_path in (rare, tgz, *packed):
    host.slip("rare files, from " + os.path.basename(bundle_path), 0, "deploy", bundle_path)
    same("are as in the bundle", want, look(host.app))
    stats = [os.stat(path + "/sparse") for path in (rare + "/app", host.app)]
    if bundle_path not in packed:
        ok("a hole stays a hole", stats[1].st_blocks <= stats[0].st_blocks + 256, *map(str, stats))
    equal("hard links are files of their own", [1, 1], [os.stat(host.app + "/hard-%d" % i).st_nlink for i in (1, 2)])
    said = host.slip("the same again", 0, "deploy", bundle_path)
    same("is the same", want, look(host.app))
    host.slip("it gives way to a plain one", 0, "deploy", plain)
    same("altogether", look(plain + "/app"), look(host.app))
before = look(host.app, True)
host.slip("a failing one", 1, "deploy", make_bundle("rare-fails", fill_rare(4000 - len(host.app) - 1), fails=True))
same("leaves nothing", before, look(host.app, True))
# One byte more than a path may have with its NUL; in the bundle the same names are fewer bytes.
too_long = make_bundle("x", fill_rare(4096 - len(host.app) - 1))
said = host.slip("a path of 4096 bytes is refused", 3, "deploy", too_long)
ok("by name", re.search(r"ppp/?.*too long", said, re.S), said)
same("nothing is touched", before, look(host.app, True))
host.slip("all is taken away", 0, "remove", "--group", GROUP)
ok("to the last directory", not os.path.exists(host.app))
equal("no stage is left", [], host.stages())
done_testing()
