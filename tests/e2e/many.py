#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Applications that share directories, in turns and all at once: none sees anything of another.

SLIPWAY_EXHAUST=1: 1,000 deployments in turns, and 100 rounds of eight at once.
"""
import random
import threading

from worker import *

EXHAUST = bool(os.environ.get("SLIPWAY_EXHAUST"))
TURNS = 1000 if EXHAUST else 24
ROUNDS = 100 if EXHAUST else 3
APPS = ["a", "b", "c", "d", "e", "f", "g", "h"]
SHARED = ["bin", "etc/conf.d", "lib/common"]
RUN_HOOKS = ["ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"]
SEED = int(os.environ.get("SLIPWAY_SEED", random.randrange(1 << 30)))
deployments = violations = 0


def content(app, n):
    """{path below /srv: text} of revision n: what stays, what changes, what comes and goes with its directories."""
    files = {"%s/%s-stays" % (SHARED[0], app): "stays", "%s/%s" % (SHARED[1], app): "%s %d" % (app, n)}
    files["%s/%s-%d" % (SHARED[n % 3], app, n)] = "only in %d" % n
    files["%s/own/%d/deep/file" % (app, n % 4)] = "%s %d" % (app, n)
    files["together/%d/%s" % (n % 2, app)] = "%s %d" % (app, n)
    return files


def tree(app, n, fails=False):
    # What a script finds installed is its own revision, whatever the others do meanwhile.
    check = 'grep -qx "%s %d" "%s" || exit 9\n' % (app, n, "$SLIPWAY_DESTINATION_ROOT/srv/" + SHARED[1] + "/" + app)
    body = 'echo "$LIFECYCLE_EVENT %s %d $DEPLOYMENT_ID${SLIPWAY_ROLLBACK:+ rollback}" >>"$LOG.%s"\n' % (app, n, app)
    files = {"appspec.yml": ("version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv\nhooks:\n" + "".join(
        "  %s:\n    - location: %s.sh\n" % (event, event) for event in RUN_HOOKS), 0o644)}
    for event in RUN_HOOKS:
        files[event + ".sh"] = script(body + (check if event in RUN_HOOKS[2:] else "") +
                                      ("exit 3\n" if fails and event == "ValidateService" else ""))
    for path, text in content(app, n).items():
        files["web/" + path] = (text, 0o644)
    return files


def folders_of(files):
    out = set()
    for path in files:
        while path := os.path.dirname(path):
            out.add(path)
    return out


class Crowd:
    """The applications of one host, and what must be there of each."""

    def __init__(self):
        self.host, self.now = Host(), {}

    def deploy(self, app, n, fails=False):
        global deployments
        run = self.host.deploy(tree(app, n, fails), group="group-" + app, application="app-" + app)
        if not fails:
            self.now[app] = n
        deployments += 1
        return run

    def wrong(self):
        """What differs from the union of all that is installed.

        A directory that one made and another still used stays, empty, when the other leaves it, too: nobody's any more.
        """
        want = {"srv/" + path: text for app, n in self.now.items() for path, text in content(app, n).items()}
        seen = self.host.files()
        there = {os.path.relpath(folder, self.host.tree) for folder, _, _ in os.walk(os.path.join(self.host.tree, "srv"))}
        return [(path, want.get(path), seen.get(path)) for path in sorted({*want, *seen}) if want.get(path) != seen.get(path)] + \
            sorted(path for path in there ^ folders_of(want) if path not in there or not self.may_stay(path))

    def may_stay(self, path):
        return not any(names for _, _, names in os.walk(os.path.join(self.host.tree, path))) and "own" not in path

    def scripts(self, app):
        path = self.host.log + "." + app
        try:
            with open(path) as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            return []
        os.unlink(path)
        return lines


def note(bad, what, where):
    global violations
    if bad:
        violations += 1
        if violations <= 10:
            print("# violation: %s: %r" % (where, what))


def in_turns():
    """Two applications, one after the other."""
    crowd = Crowd()
    for i in range(TURNS):
        app, n = APPS[i % 2], i // 2
        run = crowd.deploy(app, n)
        note(run.result is None or run.result["exit"] != 0, run.result, "turn %d" % i)
        note(wrong := crowd.wrong(), wrong, "turn %d" % i)
        if violations:
            return


def one_of_many(crowd, app, n, fails, out):
    out[app] = crowd.deploy(app, n, fails)


def scripts_wanted(app, n, before, fails):
    lines = ["%s %s %d" % (event, app, before if event == "ApplicationStop" else n)
             for event in RUN_HOOKS if event != "ApplicationStop" or before is not None]
    if fails:
        lines.append("ApplicationStop %s %d" % (app, n))
        lines += ["%s %s %d" % (event, app, before) for event in RUN_HOOKS[2:] if before is not None]
    return lines


def judge(crowd, number, app, n, before, fails, run):
    where = "round %d, %s" % (number, app)
    note(run.result is None or run.result["exit"] != (1 if fails else 0), run.result, where)
    want = scripts_wanted(app, n, before, fails)
    ran = crowd.scripts(app)
    note([" ".join(line.split()[:3]) for line in ran] != want, (want, ran), where + ": its scripts")


def all_at_once(random_numbers):
    """Eight applications, each round a new revision of each; some fail and go back."""
    crowd = Crowd()
    for number in range(ROUNDS):
        before = dict(crowd.now)
        fails = {app: random_numbers.random() < 0.25 for app in APPS}
        out = {}
        threads = [threading.Thread(target=one_of_many, args=(crowd, app, number, fails[app], out)) for app in APPS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for app in APPS:
            judge(crowd, number, app, number, before.get(app), fails[app], out[app])
        note(wrong := crowd.wrong(), wrong, "round %d" % number)
        if violations:
            return
    lines = crowd.host.history()
    note(len(lines) != ROUNDS * len(APPS), len(lines), "history")


def delivered_often():
    """A command that is delivered to many workers at the same time runs once."""
    host = Host()
    d = Deployment(host, "d-MANY", bundle(revision("many")))
    d.all(SEVEN[:4])
    host.ran()
    threads = [threading.Thread(target=d.command, args=("AfterInstall",), kwargs={"acked": True}) for _ in APPS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal("a command that eight workers get at once runs once", ["AfterInstall many d-MANY"], host.ran())
    first = host.stored(d.command_id("AfterInstall"))
    again = d.command("AfterInstall", acked=True)
    equal("and its result stands, whoever asks again", ("Succeeded", first),
          (first["status"], host.stored(d.command_id("AfterInstall"))), again.events)


print("# SLIPWAY_SEED=%d" % SEED)
in_turns()
equal("two applications with common directories, %d deployments in turns" % TURNS, 0, violations)
all_at_once(random.Random(SEED))
equal("eight at once, %d rounds" % ROUNDS, 0, violations)
delivered_often()
print("# exhaust: many applications: %d deployments, %d violations" % (deployments, violations))
done_testing()
