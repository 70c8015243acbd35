# SPDX-License-Identifier: Apache-2.0
"""Real file systems below a deployment, for tests: a mount namespace of our own, loop mounts, exact pictures of a tree,
and a worker that stops in the middle of an installation.

    need_places()                          ends the test as skipped where it cannot run
    disk = Disk("ext4")                    mounted at disk.path
    host = Machine("name", disk.path)      a host whose destinations lie there
    host.slip("it is deployed", 0, "deploy", bundle)
    with host.stopped(["deploy", bundle], "renameat2", lambda: ...) as run: ...; run.go_on() or run.kill()
"""
import ctypes
import fcntl
import shutil
import stat
import struct

from worker import *

EXHAUST = os.environ.get("SLIPWAY_EXHAUST") == "1"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
GROUP = "default-local-deployment-group"
mounted = []


def clean_places():
    """Before the temporary folder is removed: nothing of ours may be mounted in it. The kernel does the rest when the
    last process of the namespace ends."""
    for path in reversed(mounted):
        subprocess.run(["umount", "-l", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def have(*tools):
    return all(shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") for tool in tools)


def need(*tools):
    """run_cases() skips the case."""
    for name in tools:
        if not have(name):
            raise FileNotFoundError(2, "not installed", name)


def skip(name, why):
    ok("%s # SKIP %s" % (name, why), True)


def skip_all(why):
    print("1..0 # SKIP " + why)
    sys.exit(0)


kills = kills_failed = cases = 0


def killed(name, good, *seen):
    """A check after a kill; only a failure is told."""
    global kills, kills_failed
    kills += 1
    if not good:
        kills_failed += 1
        ok(name, False, *seen)


def end_places():
    """What make exhaust adds up, and the end."""
    name = os.path.basename(sys.argv[0]).rsplit(".", 1)[0]
    if EXHAUST:
        print("# exhaust: %s: %d kill points, %d violations" % (name, kills, kills_failed))
        print("# exhaust: %s: %d cases of file systems, %d violations" % (name, cases, tests_failed_now() - kills_failed))
    done_testing()


def tests_failed_now():
    return sys.modules["worker"].tests_failed


def one_case():
    global cases
    cases += 1


def need_places():
    """A mount namespace of our own, and memory for what is no matter of the test."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if os.geteuid() != 0:
        skip_all("mounting needs root")
    if LIBC.unshare(CLONE_NEWNS) != 0 or LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        skip_all("this process may not mount")
    atexit.register(clean_places)
    try:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", T)
        Disk("ext4", "first")
    except subprocess.CalledProcessError:
        skip_all("there are no loop devices")


def tool(*argv):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()


def mount(*argv):
    """The last argument is where; made when it is missing."""
    if not os.path.lexists(argv[-1]):
        os.makedirs(argv[-1])
    try:
        tool("mount", *argv)
    except subprocess.CalledProcessError:
        kind = argv[argv.index("-t") + 1] if "-t" in argv else None
        if kind and not knows(kind):
            raise FileNotFoundError(2, "unknown", "file system %s in this kernel" % kind) from None
        raise
    mounted.append(argv[-1])
    return argv[-1]


def knows(kind):
    with open("/proc/filesystems") as f:
        return any(line.split()[-1] == kind for line in f)


def umount(path, *options):
    """Someone may look at every new mount for a moment."""
    def gone():
        return subprocess.run(["umount", *options, path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    if not within(gone, 20):
        raise RuntimeError("umount " + path)
    mounted.remove(path)


class Disk:
    """A file system in a file. kind: ext4, xfs, btrfs."""
    SIZES = {"ext4": 64, "xfs": 320, "btrfs": 128}

    def __init__(self, kind, name=None, size_mb=None, mkfs=(), options=""):
        self.name, self.kind = name or kind, kind
        self.image, self.path = os.path.join(T, self.name + ".img"), os.path.join(T, self.name)
        with open(self.image, "wb") as f:
            f.truncate((size_mb or self.SIZES[kind]) << 20)
        tool("mkfs." + kind, "-q", *(["-F"] if kind == "ext4" else ["-f"]), *mkfs, self.image)
        self.options = "loop" + ("," + options if options else "")
        self.mount()

    def mount(self):
        mount("-t", self.kind, "-o", self.options, self.image, self.path)

    def umount(self):
        umount(self.path)


class FailingDisk(Disk):
    """Its writes fail with EIO while failing() is on. Needs nbdkit; FileNotFoundError where there is none."""

    def __init__(self, kind, name, size_mb):
        need("nbdkit", "nbdfuse")
        if not os.path.exists("/dev/fuse"):
            raise FileNotFoundError(2, "not there", "FUSE")
        self.folder, self.switch = os.path.join(T, name + ".nbd"), os.path.join(T, name + ".fails")
        os.makedirs(self.folder)
        self.server = subprocess.Popen(
            ["nbdfuse", self.folder + "/disk", "--command", "nbdkit", "-s", "--filter=error", "memory", "%dM" % size_mb,
             "error=EIO", "error-pwrite-rate=100%", "error-file=" + self.switch],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.add(self.server.pid)
        if not within(lambda: os.path.exists(self.folder + "/disk")):
            raise TimeoutError("nbdfuse")
        self.name, self.kind = name, kind
        self.image, self.path = self.folder + "/disk", os.path.join(T, name)
        tool("mkfs." + kind, "-q", *(["-F"] if kind == "ext4" else ["-f"]), self.image)
        self.options = "loop"
        self.mount()

    def failing(self, on):
        if on:
            write(self.switch, "")
        else:
            os.unlink(self.switch)

    def end(self):
        umount(self.path)
        self.server.terminate()
        self.server.wait(DEADLINE_S)
        running.discard(self.server.pid)


def write(path, text, mode=0o644):
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, mode)


def content_of(fd, size):
    """A hash, and which megabytes hold data."""
    digest, data, at = hashlib.sha256(), [], 0
    while True:
        part = os.read(fd, 1 << 20)
        if not part:
            break
        digest.update(part)
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        data.append(at >> 20)
        at = max((at | 0xfffff) + 1, os.lseek(fd, at, os.SEEK_HOLE))
    return digest.hexdigest(), sorted(set(data))


def xattrs_of(dirfd, name):
    """By a path through /proc, as a symlink's own and a long path's would be out of reach."""
    path = b"/proc/self/fd/%d/%s" % (dirfd, name)
    try:
        os.listxattr(path, follow_symlinks=False)
    except OSError:
        return None
    return {key: os.getxattr(path, key, follow_symlinks=False).hex()
            for key in os.listxattr(path, follow_symlinks=False) if not key.startswith("security.selinux")}


FS_IOC_FSGETXATTR, HAS_XATTRS = 0x801c581f, 0x80000000


def flags_of(fd):
    """Of the file system: its flags and the project, where it has such."""
    room = bytearray(28)
    try:
        fcntl.ioctl(fd, FS_IOC_FSGETXATTR, room)
    except OSError:
        return None
    flags, _, _, project = struct.unpack_from("IIII", room)
    return flags & ~HAS_XATTRS, project


def look(top, exact=False, except_for=(), times=True):
    """{path: what is there}: type, mode, link text, content, holes. exact: also owner, time, xattrs, links, inode."""
    seen = {}

    def one(dirfd, name, path):
        st = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        fact = {"mode": oct(st.st_mode)}
        if stat.S_ISLNK(st.st_mode):
            fact["text"] = os.readlink(name, dir_fd=dirfd)
        elif stat.S_ISREG(st.st_mode):
            fd = os.open(name, os.O_RDONLY, dir_fd=dirfd)
            fact["content"], fact["data"] = content_of(fd, st.st_size)
            if exact:
                fact["flags"] = flags_of(fd)
            os.close(fd)
        if exact:
            fact.update(owner=(st.st_uid, st.st_gid), xattrs=xattrs_of(dirfd, name))
            if not stat.S_ISDIR(st.st_mode):
                fact["links"] = st.st_nlink
                if times:
                    fact["mtime"] = st.st_mtime_ns
            if exact == "inode":
                fact["inode"] = st.st_ino
        seen[path] = fact
        if stat.S_ISDIR(st.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=dirfd)
            if exact:
                fact["flags"] = flags_of(fd)
            for child in os.listdir(b"/proc/self/fd/%d" % fd):
                if child not in except_for:
                    one(fd, child, path + b"/" + child if path else child)
            os.close(fd)

    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for child in os.listdir(b"/proc/self/fd/%d" % fd):
        if child not in except_for:
            one(fd, child, child)
    os.close(fd)
    return seen


def differences(want, seen):
    return {path: (want.get(path), seen.get(path)) for path in {*want, *seen} if want.get(path) != seen.get(path)}


def same(name, want, seen, *more):
    differs = differences(want, seen)
    ok(name, not differs, "path: (wanted, seen): %r" % differs, *more)


def bundle_of(name, fill, destination="/srv/app", hooks=None, behaviour=None, entries=None):
    """A directory to deploy. fill(app) makes what is installed; hooks: {event: script text}; entries: [(source,
    destination)] instead of the one."""
    path = os.path.join(T, name)
    os.makedirs(path + "/app")
    fill(path + "/app")
    text = "version: 0.0\nos: linux\nfiles:\n"
    for source, where in entries or [("app", destination)]:
        text += "  - source: %s\n    destination: %s\n" % (source, where)
    if behaviour:
        text += "file_exists_behavior: %s\n" % behaviour
    if hooks:
        text += "hooks:\n"
    for event, script_text in (hooks or {}).items():
        text += "  %s:\n    - location: %s.sh\n" % (event, event)
        write("%s/%s.sh" % (path, event), "#!/bin/sh\n%s\n" % script_text, 0o755)
    write(path + "/appspec.yml", text)
    return path


FAILS = {"ValidateService": "exit 3"}

# Run instead of the worker: it gets a signal at some calls while $ARM says so, or does not start while $BROKEN is.
WRAPPER = """#!/bin/bash
[ ! -e "$BROKEN" ] || exit 1
if [ -e "$ARM" ]; then
	read -r calls signal <"$ARM"
	rm "$ARM"
	echo $$ >"$ARM.pid"
	exec strace -D -I 1 -qq -o "$ARM.log" -e trace="$calls" -e inject="$calls:signal=$signal" $CONFINE "$WORKER" "$@"
fi
exec $CONFINE "$WORKER" "$@"
"""
# The powers that slipway-worker@.service leaves to it.
CONFINE = "setpriv --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+mknod,+setpcap,+sys_chroot"


class Machine:
    """tree: the folder that is its destination root."""
    count = 0

    def __init__(self, name, tree, settings="", root=None, confined=False):
        Machine.count += 1
        self.name, self.tree, self.confine = name, tree, CONFINE if confined else ""
        own = os.path.join(T, "host.%d" % Machine.count)
        self.root = root or own
        self.arm, self.broken, self.wrapper = own + ".arm", own + ".broken", own + ".worker"
        write(self.wrapper, WRAPPER, 0o755)
        os.makedirs(self.root + "/etc/slipway", exist_ok=True)
        os.makedirs(tree, exist_ok=True)
        write(self.root + "/etc/slipway/agent.yml", "destination_root: %s\n%s" % (tree, settings))

    def path(self, name):
        return os.path.join(self.tree, name.lstrip("/"))

    def start(self, arguments):
        env = {**os.environ, "SLIPWAY_WORKER": self.wrapper, "WORKER": WORKER, "ARM": self.arm, "BROKEN": self.broken,
               "CONFINE": self.confine, "LC_ALL": "C.UTF-8"}
        return subprocess.Popen([os.path.join(BUILD, "slipway"), "--root", self.root, *arguments],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)

    def slip(self, name, want, *arguments):
        """Its exit code is a check; returns what it printed."""
        process = self.start(arguments)
        said = process.communicate(timeout=DEADLINE_S)[0].decode(errors="replace")
        equal("%s: %s" % (self.name, name), want, process.returncode, said)
        return said

    def says(self, name, want, text, *arguments):
        said = self.slip(name, want, *arguments)
        holds("%s: %s: it says so" % (self.name, name), text, said)
        return said

    def stopped(self, arguments, calls, until):
        return Stopped(self, arguments, calls, until)

    def picture(self, exact="inode", **more):
        return look(self.tree, exact, **more)

    def stages(self, *tops):
        return [name for top in tops or [self.tree] for name in look(top) if b".slipway-" in name]


class NeverStopped(RuntimeError):
    """It came to its end before."""


class Stopped:
    """`slipway` whose worker stands still after one of these calls, the first after which until() is true."""

    def __init__(self, host, arguments, calls, until):
        self.host, self.until, self.done = host, until, False
        write(host.arm, calls + " STOP\n")
        self.process = host.start(arguments)

    def stops(self):
        try:
            with open(self.host.arm + ".log") as f:
                return f.read().count("stopped by SIGSTOP")
        except FileNotFoundError:
            return 0

    def __enter__(self):
        seen = 0
        while True:
            if not within(lambda: self.stops() > seen or self.process.poll() is not None):
                raise TimeoutError("the worker never stopped")
            if self.process.poll() is not None:
                raise NeverStopped(self.process.communicate()[0].decode(errors="replace"))
            seen = self.stops()
            with open(self.host.arm + ".pid") as f:
                self.worker = int(f.read())
            if self.until():
                return self
            os.kill(self.worker, signal.SIGCONT)

    def let_go(self):
        """The tracer dies, and the worker stops no more."""
        with open("/proc/%d/status" % self.worker) as f:
            tracer = [int(line.split()[1]) for line in f if line.startswith("TracerPid")][0]
        os.kill(tracer, signal.SIGKILL)

        def untraced():
            with open("/proc/%d/status" % self.worker) as f:
                return "TracerPid:\t0\n" in f.read()
        within(untraced)

    def go_on(self):
        """To the end: exit code and what it said."""
        self.let_go()
        os.kill(self.worker, signal.SIGCONT)
        return self.end()

    def kill(self, recover=True):
        """kill -9; recover: the CLI may start the next worker, which recovers."""
        if not recover:
            write(self.host.broken, "")
        self.let_go()
        os.kill(self.worker, signal.SIGKILL)
        code, said = self.end()
        if not recover:
            os.unlink(self.host.broken)
        return code, said

    def end(self):
        self.done = True
        said = self.process.communicate(timeout=DEADLINE_S)[0].decode(errors="replace")
        os.unlink(self.host.arm + ".log")
        return self.process.returncode, said

    def __exit__(self, *_):
        if not self.done and self.process.poll() is None:
            os.kill(self.worker, signal.SIGKILL)
            self.process.kill()
            self.process.communicate()


# Cases: @case("name") def _(host). Each has a folder of its own on a disk that all of them share.
CASES = []


def case(name, kind="ext4"):
    def add(run):
        CASES.append((name, run, kind))
        return run
    return add


DISK = {}


def fresh(name, kind="ext4"):
    """A folder on a disk that all cases of its kind share."""
    if kind not in DISK:
        DISK[kind] = Disk(kind)
    path = os.path.join(DISK[kind].path, name.replace(" ", "-").replace(",", ""))
    os.makedirs(path)
    return path


def files(**content):
    """A function that makes these: {name: text}; "a__b" is b in the folder a, text None a folder, text = mode only there."""
    def fill(app):
        for name, text in content.items():
            path = os.path.join(app, *name.split("__"))
            os.makedirs(path if text is None else os.path.dirname(path), exist_ok=True)
            if text is not None:
                write(path, text)
    return fill


count = 0


def revision_of(*arguments, **more):
    global count
    count += 1
    return bundle_of("bundle.%d" % count, *arguments, **more)


def text_of(path):
    with open(path) as f:
        return f.read()


def bind_over(path, text="mounted"):
    """Something else is mounted over that file or folder; returns where it really is."""
    global count
    count += 1
    other = os.path.join(T, "other.%d" % count)
    if os.path.isdir(path):
        os.mkdir(other, 0o700)
        write(other + "/inside", text)
    else:
        write(other, text)
    mount("--bind", other, path)
    return other


def unchanged(host, before, *more):
    same("%s: nothing is touched" % host.name, before, host.picture(), *more)
    equal("%s: no stage is left" % host.name, [], host.stages())


def switched(host, text="two"):
    return lambda: os.path.exists(host.path("srv/app/a")) and text_of(host.path("srv/app/a")) == text


SWITCH = "renameat,renameat2"


CHANGES = ["mkdirat", "linkat", "renameat", "renameat2", "unlinkat", "fsetxattr", "fchown", "fchmod", "fsync", "syncfs"]


def kill_at(host, arguments, before, exact=True, calls=("renameat2",), first=4, step=7, most=2, each=1):
    """kill -9 before some of these calls, each time with a recovery: all is as before. In make exhaust before each-th
    of all calls, until the new tree is complete; then back to the old one. Returns how often. Exit code 6: killed before
    it had the command."""
    if EXHAUST:
        calls, first, step, most = CHANGES, 1, each, 10000
    tried = 0
    for call in calls:
        for wait in range(first, first + step * most, step):
            write(host.arm, "%s KILL:when=%d\n" % (call, wait))
            process = host.start(arguments)
            said = process.communicate(timeout=DEADLINE_S)[0].decode(errors="replace")
            if process.returncode == 0:
                host.slip("it is complete before %s number %d; back" % (call, wait), 0, "rollback")
                before = host.picture(exact)
                break
            differs = differences(before, host.picture(exact))
            killed("%s: killed before %s number %d" % (host.name, call, wait),
                   process.returncode in (1, 6) and not differs, process.returncode, said, "%r" % differs)
            tried += 1
    return tried


def run_cases():
    """SLIPWAY_CASE: only those with that in their name."""
    only = os.environ.get("SLIPWAY_CASE", "")
    for name, run, kind in CASES:
        if only not in name:
            continue
        try:
            run(Machine(name, fresh(name, kind)))
            one_case()
        except FileNotFoundError as missing:
            if "/" in missing.filename:
                raise
            skip(name, "there is no " + missing.filename)
    end_places()
