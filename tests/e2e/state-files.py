#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever lies in the place of a file that the host keeps (nothing, noise, another type, a directory, a FIFO, a link): every
command ends, says what is wrong with which file, harms no application, and with the file back all is as before.

SLIPWAY_EXHAUST=1: every file with every damage; else a ninth of them, others each day."""
import re

from worker import *

CLI = os.path.join(BUILD, "slipway")
GROUP = "default-local-deployment-group"
EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
COMMANDS = [["status"], ["history"], ["recover"], ["deploy", "REVISION"]] + EXHAUST * [["explain"], ["rollback"]]
OUTSIDE = os.path.join(T, "outside")
SECONDS = 30


def write(path, content):
    with open(path, "wb") as f:
        f.write(content)


DAMAGES = {
    "empty": lambda path: write(path, b""),
    "noise": lambda path: write(path, bytes((i * 7919 >> 3) & 255 for i in range(300))),
    "16 MiB": lambda path: write(path, b"\0" * (16 << 20)),
    "a list": lambda path: write(path, b"[]\n"),
    "another version": lambda path: write(path, b'{"version": 99}\n'),
    "half": lambda path: write(path, original(path)[:len(original(path)) // 2]),
    "a bit": lambda path: write(path, flip(original(path))),
    "a directory": lambda path: os.makedirs(path + "/inside"),
    "a FIFO": os.mkfifo,
    "a link": lambda path: os.symlink(OUTSIDE, path),
    "missing": lambda path: None,
}
originals = {}


def original(path):
    return originals[path]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1:] if content else b"\1"


def prepare():
    """A host with two revisions and a failed deployment."""
    host = Host("max_revisions: 3\n")
    for name in ("one", "two"):
        host.deploy(revision(name))
    host.deploy(revision("bad", fails="ValidateService"))
    return host


def open_one(host):
    """A deployment of an endpoint, in its middle. Its journal knows where it is: this cannot be copied."""
    Deployment(host, "d-OPEN", bundle(revision("open", destination="/srv/open"))).all(SEVEN[:5])
    return host


def copy_of(base):
    """The same host somewhere else: its settings say where."""
    host = object.__new__(Host)
    host.__dict__.update(base.__dict__)
    host.root = tempfile.mkdtemp(prefix="copy.", dir=T)
    host.arguments = ["--root", host.root]
    subprocess.run(["cp", "-a", base.root + "/.", host.root], check=True)
    host.tree, host.log = os.path.join(host.root, "tree"), os.path.join(host.root, "log")
    settings = host.path("etc/slipway/agent.yml")
    with open(settings) as f:
        text = f.read().replace(base.root, host.root)
    with open(settings, "w") as f:
        f.write(text)
    return host


def kept_files(host):
    base = host.path("var/lib/slipway/host")
    out = []
    for folder, _, names in os.walk(base):
        out += [os.path.join(folder, name) for name in names]
    return sorted(os.path.relpath(path, host.root) for path in out)


def slip(host, *arguments):
    try:
        done = subprocess.run([CLI, "--root", host.root, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    except subprocess.TimeoutExpired as late:
        return "hangs", (late.output or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def whole(files):
    """Each application is one of its revisions, or not there; which."""
    for app, names in (("app", ("one", "two", "new", "bad")), ("open", ("open",))):
        have = {os.path.relpath(path, "srv/" + app): text for path, text in files.items() if path.startswith("srv/%s/" % app)}
        if have and have not in [{"index.html": name, "only-" + name: "x"} for name in names]:
            return False
    return True


def put_back(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def one(base, relative, damage, new):
    host = open_one(copy_of(base))
    path = host.path(relative)
    with open(path, "rb") as f:
        originals[path] = f.read()
    put_back(path)
    DAMAGES[damage](path)
    before, bad = host.files(), []
    for command in COMMANDS:
        earlier = host.files()
        status, text = slip(host, *[new if word == "REVISION" else word for word in command])
        if status == "hangs" or status not in range(7) or "Sanitizer" in text or "runtime error" in text:
            bad.append("%s: %s %s" % (command[0], status, text))
        if status not in (0, 1) and not re.search(r"[a-z]", text):
            bad.append("%s: exit %s without a word" % (command[0], status))
        if not whole(host.files()):
            bad.append("%s: a mixed tree: %r, before %r" % (command[0], host.files(), before))
        if command[0] in ("status", "history", "explain") and host.files() != earlier:
            bad.append("%s changed the tree" % command[0])
    if os.path.exists(OUTSIDE) and open(OUTSIDE).read() != "outside\n":
        bad.append("it wrote through a link")
    # A person removes what lies there.
    put_back(path)
    status, text = slip(host, "recover")
    status, text = slip(host, "deploy", new) if status == 0 else (status, text)
    if status not in (0, 3) or not whole(host.files()):  # 3: without its manifest the files are nobody's
        bad.append("once it is gone: exit %s: %s, %r" % (status, text, host.files()))
    shutil.rmtree(host.root)
    return bad


def main():
    with open(OUTSIDE, "w") as f:
        f.write("outside\n")
    new = os.path.join(T, "new")
    for path, (text, mode) in revision("new").items():
        os.makedirs(os.path.dirname(os.path.join(new, path)), exist_ok=True)
        with open(os.path.join(new, path), "w") as f:
            f.write(text)
        os.chmod(os.path.join(new, path), mode)
    base = prepare()
    cells = [(path, damage) for path in kept_files(open_one(copy_of(base))) for damage in DAMAGES]
    if not EXHAUST:
        cells = cells[int(time.time() // 86400) % 9::9]
    failures = 0
    for path in sorted({path for path, _ in cells}):
        bad = {damage: found for where, damage in cells if where == path and (found := one(base, path, damage, new))}
        failures += len(bad)
        ok("%s: %d damages" % (path, len([1 for where, _ in cells if where == path])), not bad,
           *["%s: %s" % (damage, line) for damage, lines in bad.items() for line in lines])
    print("# exhaust: damaged files: %d damaged files, %d violations" % (len(cells), failures))
    done_testing()


main()
