# SPDX-License-Identifier: Apache-2.0
"""Run in a booted host with the memory controller, as root: what the kernel counts of a script, and how a script ends that the
kernel kills for want of memory."""
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


def deploy(text, expect=1):
    """Deploys a revision with this script; returns what the host keeps of it, and what the worker logged."""
    shutil.rmtree("/var/lib/slipway/host", ignore_errors=True)
    shutil.rmtree("/var/lib/slipway/deployment-root", ignore_errors=True)
    shutil.rmtree(os.path.join(T, "tree"), ignore_errors=True)
    log = os.path.join(T, "worker.err")
    if os.path.exists(log):
        os.unlink(log)
    h = Host("verbose: true\n", root="/")
    run = h.deploy({"appspec.yml": ("version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/app\nhooks:\n"
                                    "  AfterInstall:\n    - location: s.sh\n", 0o644),
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
