# SPDX-License-Identifier: Apache-2.0
"""Run in a booted host with the memory controller, as root: what the kernel counts of a script, how a script ends that the kernel
kills for want of memory or refuses a process, and that its limits hold."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from worker import *

os.chmod(T, 0o755)
GROUP = "default-local-deployment-group"
PLACE = "Script at specified location: s.sh "
HOG = "#!/usr/bin/python3\nhog = bytearray(%d * 1024 * 1024)\n"
CHILD = "#!/bin/sh\npython3 -c 'hog = bytearray(400 * 1024 * 1024)'\n"


def systemctl(*words):
    return subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def skip(name, why):
    ok("%s # SKIP %s" % (name, why), True)


def deploy(text, expect=1, settings="", limits="{}"):
    """Deploys a revision with this script; returns what the host keeps of it, and what the worker logged."""
    shutil.rmtree("/var/lib/slipway/host", ignore_errors=True)
    shutil.rmtree("/var/lib/slipway/deployment-root", ignore_errors=True)
    shutil.rmtree(os.path.join(T, "tree"), ignore_errors=True)
    log = os.path.join(T, "worker.err")
    if os.path.exists(log):
        os.unlink(log)
    h = Host("verbose: true\n" + settings, root="/")
    run = h.deploy({"appspec.yml": ("version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/app\nhooks:\n"
                                    "  AfterInstall:\n    - location: s.sh\n      limits: %s\n" % limits, 0o644),
                    "s.sh": (text, 0o755), "web/index.html": ("new", 0o644)})
    equal("exit status", expect, run.result["exit"], run.events)
    with open(log) as f:
        return h.state(GROUP)["last"], f.read()


def explain():
    return subprocess.run([os.path.join(BUILD, "slipway"), "explain"], stdout=subprocess.PIPE, text=True).stdout


last, log = deploy(HOG % 100, 0)
peak = [int(line.split("CPU time, ")[1].split(" KiB")[0]) for line in log.splitlines() if "of CPU time, " in line]
ok("the peak of a script's memory is known", len(peak) == 1 and 100 * 1024 <= peak[0] <= 200 * 1024, log)
equal("no slice of a script stays", "", systemctl("list-units", "--all", "--plain", "--no-legend", "slipway-hooks-*"))

# Its own limit, by a drop-in for all hooks
drop_in = "/run/systemd/system/slipway-hook-.service.d"
os.makedirs(drop_in, exist_ok=True)
with open(drop_in + "/limit.conf", "w") as f:
    f.write("[Service]\nMemoryMax=64M\nMemorySwapMax=0\n")
systemctl("daemon-reload")
last, log = deploy(HOG % 400)
why = "killed by the kernel, out of memory (its limit is 64 MiB)"
equal("a script that meets its own limit", PLACE + "failed: " + why, last["failure"]["message"].split(";")[0])
equal("as facts", [9, "its limit is 64 MiB"], [last["failure"].get("signal"), last["failure"].get("out_of_memory")])
holds("'slipway explain' says so", "  reason   " + why, explain())
last, log = deploy(CHILD)
why = "exit code 137; the kernel killed a process of it, out of memory (its limit is 64 MiB)"
equal("a script whose child does", PLACE + "failed with " + why, last["failure"]["message"][:len(PLACE + "failed with " + why)])
last, log = deploy(CHILD + "exit 0\n", 0)
holds("one that goes on without it is only warned about", "the kernel killed a process of it, out of memory (its limit", log)
last, log = deploy("#!/bin/sh\nkill -9 $$\n")
equal("signal 9 of its own is nothing of the kind", PLACE + "failed with signal 9 (Killed)", last["failure"]["message"].split(";")[0])
shutil.rmtree(drop_in)

# Its own limit, by ours
for settings, limits in (("script_memory_max: 64M\n", "{}"), ("", "{memory: 64M}"), ("script_memory_max: 64M\n", "{memory: 1G}")):
    last, log = deploy(HOG % 400, settings=settings, limits=limits)
    equal("a script that meets the limit of %s" % ", ".join(filter(None, (settings.strip(), limits.strip("{}")))), "its limit is 64 MiB",
          last["failure"].get("out_of_memory"), last["failure"])

# Processes
with open("/sys/fs/cgroup/cgroup.controllers") as f:
    controllers = f.read().split()
FORKS = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do sleep %s & done\nwait\nexit 0\n"
if "pids" in controllers:
    last, log = deploy(FORKS % "0.2", 0)
    tasks = [r.get("tasks") for s in last["steps"] for r in s.get("runs", [])]
    peaks = any("pids.peak" in names for _, _, names in os.walk("/sys/fs/cgroup/system.slice"))
    if peaks:
        ok("the most tasks that a script had at a time are known", 9 <= tasks[0] <= 11, tasks)
        holds("'slipway explain' shows them", " %d tasks" % tasks[0], explain())
    else:
        skip("the most tasks that a script had at a time are known", "this kernel has no pids.peak")
        equal("and no figure is made up", [None], tasks)
    # what it has started still runs, so that its group is there to be asked, whatever the kernel's age
    refused = FORKS.replace("wait\n", "") % "1000"
    last, log = deploy(refused, limits="{tasks: 5}")
    holds("a script that the kernel refuses a process", "; the kernel refused it a process (its limit is 5 tasks)",
          last["failure"]["message"])
    equal("as a fact", "its limit is 5 tasks", last["failure"].get("out_of_tasks"))
    holds("'slipway explain' says so", "the kernel refused it a process", " ".join(explain().split()))
    last, log = deploy("#!/usr/bin/python3\nimport os\ntry:\n    for i in range(9):\n        if os.fork() == 0:\n"
                       "            import time; time.sleep(1000)\nexcept OSError:\n    pass\n", 0, settings="script_tasks_max: 4\n")
    holds("one that goes on without it is only warned about", "the kernel refused it a process (its limit is 4 tasks)", log)
    last, log = deploy("#!/bin/sh\necho 'Cannot fork' >&2; exit 2\n", limits="{tasks: 5}")
    equal("one that only says so is believed nothing", None, last["failure"].get("out_of_tasks"))
else:
    skip("the limits of tasks", "no pids controller")

# CPU time, by what the kernel has done to the script
if "cpu" in controllers:
    GROUP_OF = "group=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)\n"
    last, log = deploy("#!/bin/sh\n" + GROUP_OF + "cat $group/cpu.max\n"
                       "until [ $(sed -n 's/^nr_throttled //p' $group/cpu.stat) -gt 0 ]; do :; done\n", 0, limits="{cpu: 10%}")
    with open("/var/lib/slipway/deployment-root/%s/%s/logs/AfterInstall-1.stdout" % (GROUP, last["deployment_id"])) as f:
        equal("a script that wants more than its share of CPU time waits", "10000 100000\n", f.read())
else:
    skip("the limits of CPU time", "no cpu controller")

# The limit of all scripts together
drop_in = "/run/systemd/system/slipway-hooks.slice.d"
os.makedirs(drop_in, exist_ok=True)
with open(drop_in + "/limit.conf", "w") as f:
    f.write("[Slice]\nMemoryMax=96M\nMemorySwapMax=0\n")
systemctl("daemon-reload")
last, log = deploy(HOG % 400)
holds("a script that meets the limit of the slice", "(the limit is 96 MiB, of slipway-hooks.slice)", last["failure"]["message"])
shutil.rmtree(drop_in)
systemctl("daemon-reload")
systemctl("stop", "slipway-hooks.slice")

# No limit: the host's own memory
last, log = deploy(HOG % (64 * 1024))
ok("more than the kernel promises is the script's own error", "exit code 1" in last["failure"]["message"], last["failure"])
done_testing()
