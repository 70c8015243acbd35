#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scripts without a service manager: what they are told, in which order they run, their limits, what they leave running, and that
nothing they print or are called drives a terminal. As services: tests/system/hooks.py."""
import pty
import re

from worker import *

SLIPWAY = os.path.join(BUILD, "slipway")
GROUP = "default-local-deployment-group"


def tree_of(hooks, **scripts):
    """A revision with these hooks (YAML) and scripts; '_' in a name is '.'."""
    tree = {"appspec.yml": ("version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/app\nhooks:\n" + hooks, 0o644),
            "web/index.html": ("x", 0o644)}
    tree.update({name.replace("_", "."): script(text) for name, text in scripts.items()})
    return tree


def one(text, event="AfterInstall", more=""):
    return tree_of("  %s:\n    - location: s.sh\n%s" % (event, more), s_sh=text)


def last(host, group=GROUP):
    return host.state(group)["last"]


def logs(host, run, name, group=GROUP):
    with open(host.path("var/lib/slipway/deployment-root/%s/%s/logs/%s" % (group, run.result["deployment"], name)), "rb") as f:
        return f.read()


# --- what a script is told --------------------------------------------------------------------------------------------
DUMP = {event: "env -0 >$LOG.env\n" for event in SEVEN}
ALWAYS = {"LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID"}
OWN = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LOG", "SLIPWAY_DESTINATION_ROOT"}


def told(host):
    with open(host.log + ".env") as f:
        env = dict(line.split("=", 1) for line in f.read().split("\0") if line)
    return {name: value for name, value in env.items() if name not in ("PWD", "_", "OLDPWD", "SHLVL")}


S3 = {"Bucket": "my-bucket", "Key": "a/b.tgz", "BundleType": "tgz"}
for name, where, more in (
        ("S3", {"RevisionType": "S3", "S3Revision": S3}, {"BUNDLE_BUCKET": "my-bucket", "BUNDLE_KEY": "a/b.tgz"}),
        ("S3 with version and ETag", {"RevisionType": "S3", "S3Revision": {**S3, "Version": "v 1", "ETag": "e-1"}},
         {"BUNDLE_BUCKET": "my-bucket", "BUNDLE_KEY": "a/b.tgz", "BUNDLE_VERSION": "v 1", "BUNDLE_ETAG": "e-1"}),
        ("GitHub", {"RevisionType": "GitHub", "GitHubRevision": {"Account": "a", "Repository": "r", "CommitId": "c" * 40}},
         {"BUNDLE_COMMIT": "c" * 40})):
    host = Host()
    run = Deployment(host, "d-ENV", bundle(revision("env", extra=DUMP)), Revision=where).all()
    equal("told by the daemon, %s: the deployment" % name, 0, run.result["exit"], run.result)
    seen = told(host)
    equal("told by the daemon, %s: nothing but what is documented" % name, ALWAYS | OWN | set(more), set(seen))
    equal("told by the daemon, %s: the values" % name, {"LIFECYCLE_EVENT": "ValidateService", "DEPLOYMENT_ID": "d-ENV",
                                                        "APPLICATION_NAME": "App", "DEPLOYMENT_GROUP_NAME": "Group",
                                                        "DEPLOYMENT_GROUP_ID": "group-1", **more},
          {key: value for key, value in seen.items() if key in ALWAYS | set(more)})
host = Host()
run = host.deploy(revision("env", extra=DUMP), application="shop", group_name="Fleet")
seen = told(host)
equal("told of a local revision: nothing of a bundle", ALWAYS | OWN, set(seen))
equal("told of a local revision: the values", ["ValidateService", run.result["deployment"], "shop", "Fleet", GROUP],
      [seen[key] for key in ("LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID")])

# Nothing that loads code, or changes how a shell reads a script, comes from whoever starts the worker; what the host's own
# hook_environment says stays.
host = Host()
host.deploy(revision("env", extra=DUMP), env={"LD_LIBRARY_PATH": "/evil", "IFS": "x", "BASH_ENV": "/evil", "ENV": "/evil",
                                              "PATH": "/evil:" + os.environ["PATH"], "PYTHONPATH": "/evil"})
seen = told(host)
equal("told nothing that the worker was told", ALWAYS | OWN, set(seen))
equal("the PATH is a fixed one", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", seen["PATH"])
host = Host("  LD_LIBRARY_PATH: /opt/lib\n  PATH: /usr/bin:/bin:/opt/bin\n  DEPLOYMENT_ID: mine\n")
host.deploy(revision("env", extra=DUMP))
seen = told(host)
equal("told what hook_environment says", ["/opt/lib", "/usr/bin:/bin:/opt/bin"], [seen["LD_LIBRARY_PATH"], seen["PATH"]])
ok("which cannot replace what is documented", seen["DEPLOYMENT_ID"].endswith("-local"), seen)

# --- which scripts run ------------------------------------------------------------------------------------------------
host = Host()
THREE = "  AfterInstall:\n    - location: a.sh\n    - {location: b.sh, sudo: true}\n    - location: c.sh\n"
SAY = 'echo "%s" >>"$LOG"\n'
run = host.deploy(tree_of(THREE, a_sh=SAY % "a", b_sh=SAY % "b", c_sh=SAY % "c"))
equal("scripts of an event run in their order", [0, ["a", "b", "c"]], [run.result["exit"], host.ran()])
holds("'sudo' changes nothing, and that is said", "'sudo' changes nothing", run.of("problem")[0]["text"])
equal("each has its facts", [("a.sh", True), ("b.sh", True), ("c.sh", True)],
      [(r["script"], r["ok"]) for s in last(host)["steps"] for r in s.get("runs", [])])
equal("of which the kernel gives none, none is recorded", [None] * 3,
      [r.get("tasks") for s in last(host)["steps"] for r in s.get("runs", [])])
run = host.deploy(tree_of(THREE, a_sh=SAY % "a", b_sh=SAY % "b" + "exit 3\n", c_sh=SAY % "c"))
equal("the first that fails ends the event, the others are those of the rollback", [1, ["a", "b", "a", "b", "c"]],
      [run.result["exit"], host.ran()])
equal("and is named", ["b.sh", 3], [last(host)["failure"]["script_name"], last(host)["failure"]["exit_code"]])
run = host.deploy(tree_of("  AfterInstall: []\n  ApplicationStart:\n  ValidateService:\n    - location: a.sh\n", a_sh=SAY % "a"))
equal("an empty list and nothing at all are events without scripts", [0, ["a"]], [run.result["exit"], host.ran()])
equal("they are skipped", ["skipped", "skipped"],
      [s["status"] for s in last(host)["steps"] if s["event"] in ("AfterInstall", "ApplicationStart")])
sums = "  AfterInstall:\n    - {location: a.sh, timeout: 3000}\n    - {location: a.sh, timeout: 601}\n"
run = host.deploy(tree_of(sums, a_sh=SAY % "a"))
equal("timeouts that are more than an event has are warned about", [0, True],
      [run.result["exit"], any("sum up to 3601 seconds" in p["text"] for p in run.of("problem"))])

host = Host()
custom = tree_of("  AfterInstall:\n    - location: a.sh\n  Migrate:\n    - location: b.sh\n", a_sh=SAY % "a", b_sh=SAY % "b")
for name, events, words in (
        ("a custom event that is none of the deployment's", SEVEN, "'Migrate' is no lifecycle event of this deployment"),
        ("a custom event of the deployment without scripts", SEVEN + ["Migrate", "Warm"], "event 'Warm' of this deployment has no hooks")):
    d = Deployment(host, "d-%d" % len(events), bundle(custom), AllPossibleLifecycleEvents=events)
    run = d.all()
    equal(name + ": DownloadBundle fails", ["Failed", 5], [run.result["status"], host.stored(d.command_id("DownloadBundle"))["diagnostics"]["error_code"]])
    holds(name + ": says why", words, host.stored(d.command_id("DownloadBundle"))["diagnostics"]["message"])
equal("and no script ran", [], host.ran())
d = Deployment(host, "d-GOOD", bundle(custom), AllPossibleLifecycleEvents=SEVEN + ["Migrate"])
equal("one that has both is deployed", "Succeeded", d.all().result["status"])
equal("with the scripts of its standard events", ["a"], host.ran())

# --- the AppSpec's name ------------------------------------------------------------------------------------------------


def named(name, revision_name):
    """A revision whose AppSpec is there under that name only."""
    tree = revision(revision_name)
    tree[name] = tree.pop("appspec.yml")
    return bundle(tree)


# Each revision's own name holds for its scripts, also when the next one has another.
host = Host()
for number, (name, members) in enumerate((("appspec.yaml", {}), ("conf/deploy.yml", {"AppSpecFilename": "conf/deploy.yml"}),
                                          ("appspec.yml", {}))):
    d = Deployment(host, "d-%d" % number, named(name, "r%d" % number), **members)
    equal("an AppSpec called %s: deployed" % name, "Succeeded", d.all().result["status"])
    old = ["ApplicationStop r%d %s" % (number - 1, d.id)] if number else []
    equal("an AppSpec called %s: every event runs its scripts, the first those of the revision before" % name,
          old + ["%s r%d %s" % (e, number, d.id) for e in SEVEN if e not in ("ApplicationStop", "DownloadBundle", "Install")], host.ran())
os.unlink(host.path("var/lib/slipway/deployment-root/group-1/d-2/deployment-archive/appspec.yml"))
d = Deployment(host, "d-3", named("appspec.yml", "r3"))
run = d.command("ApplicationStop")
equal("a revision that has lost its AppSpec keeps the next one from nothing: its ApplicationStop runs nothing", ["Succeeded", []],
      [run.result["status"], host.ran()], run.events)
ok("and says why", any("'appspec.yml'" in p["text"] for p in run.of("problem")), run.events)
equal("the next one is deployed", "Succeeded", d.all(SEVEN[1:]).result["status"])

# --- accounts ---------------------------------------------------------------------------------------------------------
host = Host()
run = host.deploy(tree_of("  AfterInstall:\n    - {location: a.sh, runas: nobody-here}\n", a_sh="touch $LOG.ran\n"))
failure = last(host)["failure"]
equal("an unknown 'runas' is a failed script", [1, 4], [run.result["exit"], failure["error_code"]])
holds("which names the user", "run as user nobody-here failed: there is no user 'nobody-here' on this host", failure["message"])
ok("and is not started", not os.path.exists(host.log + ".ran"))
os.unlink(os.path.join(T, "worker.err"))
host = Host("verbose: true\n")
run = host.deploy(tree_of("  AfterInstall:\n    - {location: a.sh, sudo: true}\n    - {location: a.sh, runas: nobody-here}\n", a_sh=":\n"))
with open(os.path.join(T, "worker.err")) as f:
    started = [line for line in f.read().splitlines() if " is started for " in line]
me = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True).stdout.strip()
equal("before each script a line says which it is, who starts it and as whom",
      ["info: script 'a.sh' is started for AfterInstall of '%s' as user '%s', by '%s', sudo: yes" % (run.result["deployment"], me, me),
       "info: script 'a.sh' is started for AfterInstall of '%s' as user 'nobody-here', by '%s', sudo: no"
       % (run.result["deployment"], me)], started)

# --- what it leaves running -------------------------------------------------------------------------------------------
# The child is blocked until it is let go, and holds the output all the while: the deployment's end is there before.
host = Host()
go = os.path.join(T, "go")
os.mkfifo(go)
run = host.deploy(one("(read word <%s; echo late) &\necho $! >$LOG.child\n" % go, "ApplicationStart"))
equal("a script with a child that holds its stdout has ended", 0, run.result["exit"], run.result)
with open(host.log + ".child") as f:
    child = int(f.read())
ok("while the child lives and holds it", os.readlink("/proc/%d/fd/1" % child).endswith("/ApplicationStart-1.stdout"))
holds("it is named", "(%d)" % child, [s for s in last(host)["steps"] if s["event"] == "ApplicationStart"][0]["message"])
with open(go, "w") as f:
    f.write("now\n")
ok("what it writes later is there", within(lambda: logs(host, run, "ApplicationStart-1.stdout") == b"late\n"))


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


RUNAWAY = ("(setsid %s sh -c '%s echo $$ >%s.new; mv %s.new %s; while :; do sleep 1000; done; :' &)\n"
           "while [ ! -s %s ]; do sleep 0.01; done\n")


def runaway(name, how="", first=""):
    path = os.path.join(T, name)
    return RUNAWAY % ((how, first) + (path,) * 4)


def pid_of(name):
    with open(os.path.join(T, name)) as f:
        return int(f.read())


host = Host()
run = host.deploy(one(runaway("survivor", "env -i", 'trap "" TERM;') + "sleep 1000\n", more="      timeout: 3\n"))
equal("a script that ran into its timeout", 3, last(host)["failure"]["error_code"])
equal("leaves nobody: no session of its own, no lost parent, no deaf ear helps", False, is_alive(pid_of("survivor")))
run = host.deploy(one(runaway("server"), "ApplicationStart"))
pid = pid_of("server")
ok("one that has ended leaves what it started, and names it",
   is_alive(pid) and "(%d)" % pid in [s for s in last(host)["steps"] if s["event"] == "ApplicationStart"][0]["message"])
host.local({"verb": "remove"})
equal("'remove' stops it, wherever it has gone", False, is_alive(pid))

# Its worker dies: the next one finds the script, and what has left its session.
host = Host()
with tempfile.TemporaryFile() as f:
    f.write(bundle(one(runaway("orphan") + "echo before\nsleep 1000\n")))
    f.flush()
    run = host.start({"verb": "deploy", "source": {"type": "tgz", "name": "app.tgz"}}, f.fileno())
while run.next().get("line") != "before":
    pass
run.kill()
pid = pid_of("orphan")
ok("a script whose worker was killed goes on", is_alive(pid))
host.recover()
equal("until recovery ends it, and what it has started", False, is_alive(pid))

host = Host()
for number in (1, 2, 9, 15):
    run = host.deploy(one("ulimit -c 0\nkill -%d 0\n" % number))
    equal("signal %d to its own process group: the worker lives, the result names it" % number, [1, 4, number],
          [run.result["exit"], last(host)["failure"]["error_code"], last(host)["failure"].get("signal")], run.result)

# --- limits -----------------------------------------------------------------------------------------------------------
LIMITS = "      limits: {memory: 512M, tasks: 100, cpu: 150%, nice: 5}\n"
host = Host()
run = host.deploy(one("nice >$LOG.nice; sh -c nice >>$LOG.nice\n", more=LIMITS))
with open(host.log + ".nice") as f:
    equal("a nice value holds, also for what the script starts", "5\n5\n", f.read())
equal("of the others one warning says that they do not", [("appspec.yml:9:15", True)],
      [(p["where"], "only 'nice' holds" in p["text"]) for p in run.of("problem")])
host = Host("script_nice: 7\nscript_memory_max: 256M\n")
run = host.deploy(one("nice >$LOG.nice\n", more=LIMITS))
with open(host.log + ".nice") as f:
    equal("of host and AppSpec the stricter one counts", "7\n", f.read())
texts = [p["text"] for p in run.of("problem")]
equal("a laxer one is cut with a warning", 1,
      len([t for t in texts if "'nice' is less than this host allows, and is cut to its script_nice: 7" in t]), texts)
equal("for memory, too", 1, len([t for t in texts if "cut to its script_memory_max: 268435456 bytes" in t]), texts)
with open(os.path.join(T, "appspec.yml"), "w") as f:
    f.write(one("", more=LIMITS)["appspec.yml"][0])
lint = subprocess.run([SLIPWAY, "--root", host.root, "lint", os.path.join(T, "appspec.yml")], stdout=subprocess.PIPE, text=True)
holds("'slipway lint' tells it with its place", "warning: appspec.yml:9:15: 'nice' is less than this host allows", lint.stdout)
lint = subprocess.run([SLIPWAY, "--root", Host().root, "lint", os.path.join(T, "appspec.yml")], stdout=subprocess.PIPE, text=True)
equal("and nothing on a host without limits", "no mistakes found\n", lint.stdout)

# --- a terminal -------------------------------------------------------------------------------------------------------
HOSTILE = ("\x1b]0;title\x07", "\x1b[2J\x1b[31m", "\x9b2J", "over\rwritten", "back\x08\x08space", "bell\x07", "\x0e\x0f", "\x7f",
           "\u202eevil\u202c", "\u2066x\u2069", "\u200f", "\u2028", "\x85")
noise = b"".join(text.encode() + b"\n" for text in HOSTILE) + b"\x9b31m\xff\xfe\xc3\n\x00nul\n"


def on_terminal(host, *words):
    """Everything that 'slipway' shows on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(SLIPWAY_WORKER=WORKER, TERM="xterm")
        os.execv(SLIPWAY, [SLIPWAY, "--root", host.root, *words])
    seen = b""
    while select.select([fd], [], [], DEADLINE_S)[0]:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(fd)
    os.waitpid(pid, 0)
    return seen


def drives(seen):
    """What of it is not text. The line that is drawn again and again is ours."""
    text = seen.replace(b"\r\x1b[K", b"").replace(b"\r\n", b"\n")
    bad = re.findall(rb"[\x00-\x08\x0b-\x1f\x7f]", text)
    try:
        bad += re.findall("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text.decode())
    except UnicodeDecodeError as e:
        bad.append(str(e))
    return bad


EVIL = "a\x1b[31m\u202eb.sh"
host = Host()
source = os.path.join(T, "evil")
os.makedirs(os.path.join(source, "web\x1b[1m"))
with open(os.path.join(source, "web\x1b[1m", "new\rname\u202e"), "w") as f:
    f.write("x")
with open(os.path.join(source, "appspec.yml"), "w") as f:
    f.write("version: 0.0\nos: linux\nfiles:\n  - source: \"web\\e[1m\"\n    destination: \"/srv/\\e[7m\"\nhooks:\n"
            "  AfterInstall:\n    - location: %s\n"
            "  ApplicationStart:\n    - {location: start.sh, runas: \"x\\e[8m\"}\n" % json.dumps(EVIL))
with open(os.path.join(source, "noise"), "wb") as f:
    f.write(noise)
for name, text in ((EVIL, "cat \"${0%/*}/noise\"; cat \"${0%/*}/noise\" >&2\nsleep 0.3\ncat \"${0%/*}/noise\"\n"
                    "(exec -a \"$(printf 'd\\033[31m')\" sleep 1000) &\n"), ("start.sh", "")):
    with open(os.path.join(source, name), "w") as f:
        f.write("#!/bin/bash\n" + text)
    os.chmod(os.path.join(source, name), 0o755 if name == "start.sh" else 0o644)  # a warning names the other
shown = {"plan": on_terminal(host, "plan", source), "lint": on_terminal(host, "lint", source),
         "deploy": on_terminal(host, "deploy", source)}
with open(os.path.join(T, "appspec.yml"), "w") as f:
    f.write("version: \"\\e[1m\"\nos: \"\\e[2m\"\nhooks:\n  \"Own\\e[5m\":\n    - location: \"a\\e[6m\"\n      \"k\\e[7m\": \"\\u202e\"\n"
            "      timeout: \"\\u202e1\"\n      limits: {tasks: \"\\e\"}\n")
shown["lint of nonsense"] = on_terminal(host, "lint", os.path.join(T, "appspec.yml"))
run = last(host)["deployment_id"]
for words in (["explain"], ["logs"], ["logs", "-f"], ["status"], ["history"], ["explain", run], ["explain", "no\x1b[31m\u202e"],
              ["deploy", source + "\x1b[2J"], ["verify"]):
    shown[" ".join(words)] = on_terminal(host, *words)
for words, seen in shown.items():
    equal("on a terminal nothing of a revision is obeyed: %s" % ascii(words.replace(run, "ID").replace(source, "SOURCE")),
          [], drives(seen), repr(seen))
ok("the output is shown, made harmless", b"over?written" in shown["logs"] and b"?evil?" in shown["logs"], repr(shown["logs"]))
ok("and the script's name", b"a?[31m?b.sh" in shown["explain"] or b"a?[31m?b.sh" in shown["logs"], repr(shown["explain"]))
with open(host.path("var/lib/slipway/deployment-root/%s/%s/logs/AfterInstall-1.stdout" % (GROUP, run)), "rb") as f:
    equal("on disk the bytes stay as they were", noise * 2, f.read())
with open(host.path("var/lib/slipway/deployment-root/%s/%s/logs/scripts.log" % (GROUP, run)), "rb") as f:
    log = f.read()
    equal("also in scripts.log", 3, sum(1 for _ in re.finditer(re.escape(b"]\x1b[2J\x1b[31m\n"), log)), repr(log))
done_testing()
