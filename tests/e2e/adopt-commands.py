#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A deployment group of an endpoint was made anew, under another id: its first deployment is refused and names the command that
helps; after that it works. Both groups must be idle."""
import shlex
import struct
import zlib

from worker import *

SLIPWAY = os.path.join(BUILD, "slipway")


def slipway(*arguments):
    run = subprocess.run([SLIPWAY, "--root", host.root, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S)
    return run.returncode, run.stdout


def deployment(name, group, group_name):
    return Deployment(host, "d-" + name, bundle(revision(name)), group, DeploymentGroupName=group_name, ApplicationName="My App")


host = Host()
equal("the old group deploys", 0, deployment("one", "group-old", "prod").all().result["exit"])
host.ran()
files = host.files()
first = deployment("two", "group-new", "prod-2")
run = first.all()
equal("the first deployment of the new one is refused at", "DownloadBundle", run.result["event_name"])
equal("files are as they were", files, host.files())
told = host.stored(first.command_id("DownloadBundle"))["diagnostics"]["message"]
holds("the endpoint is told why", "group 'My App/prod' owns 1 of these paths", told)
holds("and which command helps", "slipway adopt --group ", told)
command = told[told.index("slipway adopt"):].split(";")[0]
code, text = slipway("status", "--json")
equal("the new group is known", ["My App/prod-2", "My App/prod"], [g["group"] for g in json.loads(text)["groups"]])
words = shlex.split(command)[1:]
taker = words[words.index("--group") + 1]
ok("the command names it so that it can be typed", taker in ("group-new", "My App/prod-2"), words)

# an endpoint's deployment that is going on, between two commands of it
going_on = deployment("three", "group-old", "prod")
going_on.all(SEVEN[:2])
code, text = slipway("adopt", "--group", "My App/prod-2", "--from", "My App/prod")
equal("while the old one deploys it is busy", 6, code, text)
equal("it goes on", 0, going_on.all(SEVEN[2:]).result["exit"])
host.ran()
files = host.files()

code, text = slipway("adopt", "--group", taker, "--from", "My App/prod")
equal("then the new group adopts", 0, code, text)
equal("no file is touched", files, host.files())
equal("and no script runs", [], host.ran())
equal("the official layout's pointer goes with the files", None, host.pointer("last_successful_install", "group-old"))
equal("the next deployment of the new one works", 0, deployment("four", "group-new", "prod-2").all().result["exit"])
equal("its files are there, the old ones gone", {"srv/app/index.html": "four", "srv/app/only-four": "x"}, host.files())
equal("nothing of the old one's stop scripts ran", [], [note for note in host.ran() if " three " in note])
run = deployment("five", "group-old", "prod").all()
equal("the old one is refused now", "DownloadBundle", run.result["event_name"])
equal("the new one goes on", 0, deployment("six", "group-new", "prod-2").all().result["exit"])
equal("a failure goes back to its own", "", Deployment(host, "d-bad", bundle(revision("bad", fails="ValidateService")), "group-new").all().result.get("error", ""))
equal("which is back", "six", host.files().get("srv/app/index.html"))

# a manifest that a release before ACLs has written: the records end after the path, and the version is 1
owner = "group-new"
path = host.path("var/lib/slipway/host/groups/%s/manifest" % owner)
with open(path, "rb") as f:
    data = f.read()
out, at = struct.pack("<8sI", b"SLIPWAYM", 1), 16
out += struct.pack("<I", zlib.crc32(out))
while at < len(data):
    length = struct.unpack_from("<I", data, at)[0]
    payload = data[at + 8:at + 8 + length]
    at += 8 + length
    if payload[0] == 1:
        payload = payload[:46 + 2 + struct.unpack_from("<H", payload, 46)[0] + 1]
    head = struct.pack("<I", len(payload))
    out += head + struct.pack("<I", zlib.crc32(head + payload)) + payload
with open(path, "wb") as f:
    f.write(out)
ok("it is another one", len(out) < len(data) and data[8] == 2, data)
equal("it can be verified", 0, host.local({"verb": "verify", "group": owner}).result["exit"])
equal("and adopted", 0, slipway("adopt", "--group", "heir", "--from", owner)[0])
run = host.local({"verb": "verify", "group": "heir"})
equal("its objects are as they were", (0, max(1, run.of("verified")[0]["objects"])), (run.result["exit"], run.of("verified")[0]["objects"]), run.events)
equal("and come back", 0, slipway("adopt", "--group", owner, "--from", "heir")[0])

# two who want it both ways at once
sides = [("group-new", "group-old"), ("group-old", "group-new")]
for round in range(10):
    runs = [host.start({"verb": "adopt", "group": taker, "from": giver}) for taker, giver in sides]
    codes = [run.end().result["exit"] for run in runs]
    if not set(codes) <= {0, 2, 6}:
        ok("both at once", False, codes)
    counts = [host.local({"verb": "verify", "group": group, "extra": False}).of("verified")[0]["objects"] for group, _ in sides]
    if sorted(counts) != [0, max(counts)]:
        ok("both at once leave each file to one", False, counts)
ok("two who adopt from each other at once do not wait for ever", True)
done_testing()
