# SPDX-License-Identifier: Apache-2.0
"""Run in a booted host, as root: the worker's waiting for what PID 1 tells it over the bus, while PID 1 and the bus are restarted."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from worker import *

os.chmod(T, 0o755)
os.makedirs("/var/lib/slipway", exist_ok=True)
os.chmod("/var/lib/slipway", 0o755)


def systemctl(*words):
    return subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def host():
    """A machine on which nothing was ever deployed."""
    for name in ("host", "deployment-root"):
        shutil.rmtree("/var/lib/slipway/" + name, ignore_errors=True)
    shutil.rmtree(os.path.join(T, "tree"), ignore_errors=True)
    return Host(root="/")


def scripts(*texts):
    """A revision with these scripts, one after the other."""
    tree = {"web/index.html": ("new", 0o644)}
    appspec = "version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/app\nhooks:\n  AfterInstall:\n"
    for n, text in enumerate(texts):
        tree["s%d.sh" % n] = script(text)
        appspec += "    - location: s%d.sh\n" % n
    tree["appspec.yml"] = (appspec, 0o644)
    return tree


def lines(run):
    return [e["line"] for e in run.of("output")]


def start(h, tree):
    with tempfile.TemporaryFile() as f:
        f.write(bundle(tree))
        f.flush()
        return h.start({"verb": "deploy", "source": {"type": "tgz", "name": "app.tgz"}}, f.fileno())


def within_s(name, limit, begin):
    took = time.monotonic() - begin
    ok("%s: at once" % name, took < limit, "%.1f s" % took)
    print("# %s: %.2f s" % (name, took), flush=True)


# --- a script that ends at once, again and again ---------------------------------------------------------------------------

COUNT = int(os.environ.get("SCRIPTS", "40"))
run = start(host(), scripts(*["echo %d\n" % n for n in range(COUNT)]))
times = [time.monotonic()]
while run.next():
    if run.events[-1]["event"] == "output":
        times.append(time.monotonic())
run.end()
equal("%d scripts in a row" % COUNT, [0, [str(n) for n in range(COUNT)]], [run.result["exit"], lines(run)])
gaps = [b - a for a, b in zip(times[1:], times[2:])]
# A notice that is lost is made up for by a look around, 10 s later (LOOK_AGAIN_US). Busy machines take a second or two.
ok("for none of them was the next look around needed", max(gaps) < 9, gaps)
print("# %d scripts: %.2f s, longest %.3f s" % (COUNT, times[-1] - times[1], max(gaps)))

# --- PID 1 and the bus are restarted ---------------------------------------------------------------------------------------

RESTARTS = {"daemon-reload": ["daemon-reload"], "daemon-reexec": ["daemon-reexec"], "restart of the bus": ["restart", "dbus"]}
for name, words in RESTARTS.items():
    for n in range(int(os.environ.get("TIMES", "2"))):
        systemctl("reset-failed", "dbus")  # more than five starts in ten seconds would be refused
        begin = time.monotonic()
        run = start(host(), scripts("systemctl %s\necho one\nexit 0\n" % " ".join(words), "echo two\n")).end()
        equal("%s by a script that ends then" % name, [0, ["one", "two"]], [run.result["exit"], lines(run)], run.events)
        within_s(name, 15, begin)

    h = host()
    run = start(h, scripts("echo begins\nwhile [ ! -e %s/go ]; do sleep 0.02; done\nrm %s/go\necho ends\nexit 7\n" % (T, T)))
    run.until("output")
    begin = time.monotonic()
    systemctl(*words)
    open(T + "/go", "w").close()
    run.end()
    equal("%s in the middle of a script" % name, [1, ["begins", "ends"]], [run.result["exit"], lines(run)], run.events)
    holds("%s: the real result" % name, "exit code 7", h.state("default-local-deployment-group")["last"]["failure"]["message"])
    within_s(name, 15, begin)

# Both at the worst time for a server: when it is asked what its script has left running.
for name, words in RESTARTS.items():
    systemctl("reset-failed", "dbus")
    run = start(host(), scripts("sleep 1000 >/dev/null &\necho $! >%s/server\nsystemctl %s\n" % (T, " ".join(words)))).end()
    with open(T + "/server") as f:
        pid = f.read().strip()
    with open("/proc/%s/cgroup" % pid) as f:
        unit = f.read().strip().rsplit("/", 1)[1]
    holds("%s: a server that the script has started lives, in its unit" % name, "AfterInstall-1.service", unit)
    message = [e.get("message") for e in run.of("step") if e["step"] == "AfterInstall" and e["state"] == "succeeded"]
    equal("%s: and is told by name" % name, ["left running: sleep (%s)" % pid], message, run.events)
    systemctl("stop", unit)

# At any moment of many scripts.
for name, words in RESTARTS.items():
    over = threading.Event()

    def again():
        while not over.wait(0.3):
            systemctl("reset-failed", "dbus")
            systemctl(*words)

    begin = time.monotonic()
    meanwhile = threading.Thread(target=again)
    meanwhile.start()
    run = start(host(), scripts(*["echo %d\n" % n for n in range(COUNT // 4)])).end()
    over.set()
    meanwhile.join()
    equal("%s again and again" % name, [0, [str(n) for n in range(COUNT // 4)]], [run.result["exit"], lines(run)], run.events)
    print("# %s again and again: %.1f s" % (name, time.monotonic() - begin))

# No bus at all for as long as the script runs.
h = host()
run = start(h, scripts("echo begins\nwhile systemctl -q is-active dbus; do sleep 0.02; done\necho ended >%s/ended\n" % T))
run.until("output")
systemctl("stop", "dbus.socket", "dbus.service")
ok("a script that ends while there is no bus", within(lambda: os.path.exists(T + "/ended")))
systemctl("start", "dbus.socket")
begin = time.monotonic()
equal("has its result when there is one again", 0, run.end().result["exit"], run.events)
within_s("no bus", 15, begin)

equal("nothing of all this stays", "", systemctl("list-units", "--all", "--plain", "--no-legend", "slipway-hook-*"))
done_testing()
