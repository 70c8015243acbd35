#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A deployment root without room for the next revision: known before any script runs, and nothing of it stays. Needs root for a
mount namespace of its own."""
import base64
import gzip
import os
import subprocess
import sys

if not os.environ.get("IN_NAMESPACE"):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        print("1..0 # SKIP it needs root, and mount namespaces")
        sys.exit(0)
    os.environ["IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, __file__])

from worker import *

GROUP = "group-1"
host = Host()
root = host.path("var/lib/slipway/deployment-root")
os.makedirs(root)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", root], check=True)
atexit.register(lambda: subprocess.run(["umount", root]))


def kept():
    return sorted(os.listdir(os.path.join(root, GROUP)))


Deployment(host, "d-ONE", bundle(revision("one"))).all()
equal("a first revision has room", "one", host.files()["srv/app/index.html"])
host.ran()
before = (host.files(), kept(), os.statvfs(root).f_bfree)

large = bundle(revision("large", files={"index.html": "large", "large": "x" * 3000000}))
# The last member of that one is empty: nothing says beforehand how large it is.
silent = large + gzip.compress(b"")
dense = bundle(revision("dense", files={"dense": base64.b64encode(os.urandom(1500000)).decode()}))
for name, content, why in (("that is larger than the room there is", dense, "unpack the bundle: 1."),
                           ("whose size is known", large, "3.0 MB are needed, "),
                           ("whose size nothing tells", silent, "entry 'web/large': No space left on device after ")):
    d = Deployment(host, "d-" + name.replace(" ", ""), content)
    stop = d.command("ApplicationStop")
    stored = host.stored(d.command_id("ApplicationStop"))
    equal("a revision %s: ApplicationStop does not run" % name, ("Succeeded", []), (stored["status"], host.ran()), stored)
    equal("it is fetched, unless it is too large itself", content is not dense, bool(stop.of("fetch")))
    holds("and says why", why, stored["diagnostics"]["message"])
    holds("with the file system", "on the file system at '%s' (tmpfs on none); make room" % root, stored["diagnostics"]["message"])
    d.command("DownloadBundle")
    stored = host.stored(d.command_id("DownloadBundle"))
    equal("DownloadBundle fails", "Failed", stored["status"])
    holds("with that reason", why, stored["diagnostics"]["message"])
    equal("nothing has changed, and nothing stays", (before, []), ((host.files(), kept(), os.statvfs(root).f_bfree), host.ran()))

run = host.deploy(revision("large", files={"large": "x" * 3000000}), group=GROUP)
equal("a person's deployment ends with exit 1", [1, "ENOSPC"], [run.result["exit"], run.result["code"]])
holds("and the same words", "3.0 MB are needed, ", run.result["text"])
Deployment(host, "d-TWO", bundle(revision("two"))).all()
equal("the next one that has room works", "two", host.files()["srv/app/index.html"])
done_testing()
