#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker that lets one group adopt another's files is killed at one system call after the other that changes something. Whoever
comes next (a recovery, a worker of either group, a worker of a third) finds each file in exactly one of the two groups, and records
that agree.

SLIPWAY_EXHAUST=1 tries every call; else every third is."""
import worker
from worker import *

CALLS = ["fsync", "renameat", "renameat2", "unlinkat", "linkat", "mkdirat", "write", "pwrite64", "ftruncate", "openat"]
STRIDE = 1 if os.environ.get("SLIPWAY_EXHAUST") else 3
GROUPS = ["a", "b"]

need_strace()
host = Host()
for group in GROUPS:
    files = {"%s%d" % (group, n): group for n in range(4)}
    equal("group %s has files" % group, 0, host.deploy(revision(group, [], files=files, destination="/srv/" + group), group=group).result["exit"])
host.deploy(revision("third", [], files={"x": "x"}, destination="/opt/third"), group="third")
groups = host.path("var/lib/slipway/host/groups")
tree = host.files()


def counts():
    """Objects that each of the two has."""
    out = []
    for group in GROUPS:
        run = host.local({"verb": "verify", "group": group, "extra": False})
        out.append(run.of("verified")[0]["objects"])
        if run.result["exit"] != 0:
            ok("group %s is as it was installed" % group, False, run.events)
    return out


def records():
    """{group: ids of its adopt records}, as the history has them."""
    out = {group: [] for group in GROUPS}
    for line in host.history():
        if line["job"]["verb"] == "adopt":
            out[line["group_id"]].append(line["deployment_id"])
    return out


NEXT = [
    ("recover", lambda taker, giver: host.recover()),
    ("recover --files", lambda taker, giver: host.local({"verb": "recover", "files": True})),
    ("a worker of the one that takes", lambda taker, giver: host.local({"verb": "verify", "group": taker})),
    ("a worker of the one that gives", lambda taker, giver: host.local({"verb": "verify", "group": giver})),
    ("a worker of a third group", lambda taker, giver: host.local({"verb": "verify", "group": "third"})),
]


def check(name, before, taker, giver, killed):
    problems, now, seen = [], counts(), records()
    t, g = GROUPS.index(taker), GROUPS.index(giver)
    moved = list(before[0])
    moved[t], moved[g] = sum(moved), 0
    if now not in (before[0], moved):
        problems.append("objects: %r after %r" % (now, before[0]))
    new = [len(seen[group]) - len(before[1][group]) for group in GROUPS]
    if new != ([1, 1] if now == moved else [0, 0]):
        problems.append("objects: %r after %r, but new records: %r" % (now, before[0], new))
    for group in GROUPS:
        state = host.state(group)
        if len(set(seen[group])) != len(seen[group]) or "open" in state:
            problems.append("records of %s: %r" % (group, state))
        if now == moved and state["last"]["deployment_id"] != seen[group][-1]:
            problems.append("the last of %s is %s, not %s" % (group, state["last"]["deployment_id"], seen[group][-1]))
    if now == moved and "installed" in host.state(giver):
        problems.append("%s has still something installed" % giver)
    if not killed and now != moved:
        problems.append("it was not killed, and has done nothing")
    if host.files() != tree:
        problems.append("files were touched")
    if os.path.exists(host.path("var/lib/slipway/host/adopt")):
        problems.append("it is still to be done")
    if problems:
        ok(name, False, "\n".join(problems))
    return now


moved = tried = 0
now = counts()
taker, giver = "a", "b"
for call in CALLS:
    number = 1 + tried % STRIDE
    while True:
        before = (now, records())
        with killed(call, number):
            run = host.local({"verb": "adopt", "group": taker, "from": giver})
        who, follow = NEXT[tried % len(NEXT)]
        follow(taker, giver)
        now = check("killed at %s %d, then %s" % (call, number, who), before, taker, giver, run.result is None)
        host.recover()
        left = [path for path, _, names in os.walk(groups) if "manifest.adopt" in names]
        if left:
            ok("killed at %s %d: nothing stays" % (call, number), False, left)
        tried += 1
        if now[GROUPS.index(giver)] == 0:
            taker, giver = giver, taker
            moved += 1
        if run.result is not None:
            break
        number += STRIDE
ok("killed at %d places: each file is one group's, before or after" % (tried - len(CALLS)), tried > 2 * len(CALLS))
ok("both outcomes were seen", len(CALLS) < moved < tried, "moved: %d of %d" % (moved, tried))
equal("the next deployment of the one that has them works", 0,
      host.deploy(revision("all", [], files={"a0": "a"}, destination="/srv/a"), group=giver).result["exit"])
equal("and removes what it does not have", {"srv/a/a0": "a"}, host.files())
print("# exhaust: adopt: %d kill points, %d violations" % (tried - len(CALLS), worker.tests_failed))
done_testing()
