#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tools of the host that know the official agent find below root_dir: names, formats, modes."""
import re
import stat

from worker import *

GROUP = "group-1"


def root(host, *names):
    return os.path.join(host.path("var/lib/slipway/deployment-root"), *names)


def read(host, *names):
    try:
        with open(root(host, *names)) as f:
            return f.read()
    except FileNotFoundError:
        return None


def instructions(host, group=GROUP):
    text = read(host, "deployment-instructions", group + "-install.json")
    return text and json.loads(text)["instructions"]


def cleanup(host, group=GROUP):
    text = read(host, "deployment-instructions", group + "-cleanup")
    return text and text.splitlines()


def modes(host, *names):
    return [oct(stat.S_IMODE(os.stat(root(host, name)).st_mode))[2:] for name in names]


def revision_with(name, extra):
    tree = revision(name, extra=extra)
    text, mode = tree["appspec.yml"]
    tree["appspec.yml"] = (text + "permissions:\n  - object: /srv/app\n    pattern: '*.html'\n    mode: 640\n    owner: root\n", mode)
    return tree


# --- while a command runs, and after it ---------------------------------------------------------------------------------
host = Host()
note = 'cat "%s/ongoing-deployment/$DEPLOYMENT_ID" >>"$LOG"; echo >>"$LOG"; echo out; echo "err  " >&2; printf end' % root(host)
tree = revision_with("one", {"AfterInstall": note}) if os.geteuid() == 0 else revision("one", extra={"AfterInstall": note})
one = Deployment(host, "d-ONE", bundle(tree))
one.all(SEVEN[:3])
equal("nothing is installed before Install: no instructions", [None, None], [instructions(host), cleanup(host)])
one.command("Install")
archive = root(host, GROUP, "d-ONE", "deployment-archive")
app = os.path.join(host.tree, "srv/app")
made = [{"type": "mkdir", "directory": os.path.join(host.tree, "srv")}, {"type": "mkdir", "directory": app}]
made += [{"type": "copy", "source": "%s/web/%s" % (archive, name), "destination": "%s/%s" % (app, name)}
         for name in ("index.html", "only-one")]
if os.geteuid() == 0:
    made += [{"type": "chmod", "mode": "640", "file": app + "/index.html"},
             {"type": "chown", "owner": "root", "group": None, "file": app + "/index.html"}]


def named(list_):
    return sorted(json.dumps(one, sort_keys=True) for one in list_)


equal("the instructions are those of the official agent", named(made), named(instructions(host)))
holds("written as it writes them", '{"instructions":[{"type":"', read(host, "deployment-instructions", GROUP + "-install.json"))
equal("directories come before what is in them, names before permissions", sorted(x["type"] != "mkdir" for x in made[:2]) + ["chown"],
      [False, False, "chown"] if os.geteuid() != 0 else
      [x["type"] != "mkdir" for x in instructions(host) if x["type"] == "mkdir"] + [instructions(host)[-1]["type"]])
equal("the clean-up list names what was put in place", sorted([os.path.join(host.tree, "srv"), app, app + "/index.html", app + "/only-one"]),
      sorted(cleanup(host)))
one.command("AfterInstall")
equal("a script finds its deployment tracked", ["AfterInstall one d-ONE", one.command_id("AfterInstall")], host.ran()[-2:])
equal("between commands nothing is", [], os.listdir(root(host, "ongoing-deployment")))
one.all(SEVEN[5:])
equal("nor after the deployment", [], os.listdir(root(host, "ongoing-deployment")))

# --- logs ---------------------------------------------------------------------------------------------------------------
stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
log = read(host, GROUP, "d-ONE", "logs", "scripts.log")
wanted = ["LifecycleEvent - AfterInstall", "Script - scripts/AfterInstall.sh", r"\[stdout\]out", r"\[stdout\]end", r"\[stderr\]err  "]
ok("scripts.log has the official form", all(re.search("^%s %s$" % (stamp, x), log, re.M) for x in wanted), log)
log = read(host, "deployment-logs", "codedeploy-agent-deployments.log")
ok("so has the log of all deployments, trimmed",
   all(re.search(r"^\[%s\.\d{3}\] \[d-ONE\]%s$" % (stamp, x.rstrip()), log, re.M) for x in wanted), log)
ok("its first line is a comment", log.startswith("# Logfile created on "), log[:100])
equal("both are not for others, their directory is", ["640", "640", "755"],
      modes(host, GROUP + "/d-ONE/logs/scripts.log", "deployment-logs/codedeploy-agent-deployments.log", "deployment-logs"))

# --- a deployment that fails, a worker that dies --------------------------------------------------------------------------
before = [instructions(host), cleanup(host)]
two = Deployment(host, "d-TWO", bundle(revision("two", fails="AfterInstall")))
two.all(SEVEN[:4])
holds("Install of the next revision has its own", "d-TWO", json.dumps(instructions(host)))
two.command("AfterInstall")
equal("and its rollback brings back those before", before, [instructions(host), cleanup(host)])

ready = os.path.join(host.root, "ready")
three = Deployment(host, "d-THREE", bundle(revision("three", extra={"AfterInstall": "touch %s; sleep 60" % ready})))
three.all(SEVEN[:4])
run = three.follow(three.start("AfterInstall"), until=lambda e: e["event"] == "step")
ok("the script runs", within(lambda: os.path.exists(ready)))
equal("a command is tracked", ["d-THREE"], os.listdir(root(host, "ongoing-deployment")))
run.kill()
with open(root(host, "deployment-instructions", GROUP + "-cleanup"), "w") as f:
    f.write("/torn")
open(root(host, "ongoing-deployment", "d-OTHER"), "w").close()
host.recover()
equal("after a crash recovery writes them again", before, [instructions(host), cleanup(host)])
equal("forgets what ran, and leaves what is not of this host", ["d-OTHER"], os.listdir(root(host, "ongoing-deployment")))

# --- as the official agent would clean up -----------------------------------------------------------------------------------
for path in reversed(cleanup(host)):
    os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
equal("its clean-up list leaves nothing of the revision", [], os.listdir(host.tree))
host.deploy(revision("local", files={"a b": "1", "with\nline": "2", "blank ": "3", 'quo"te': "4"}), group="local")
names = [os.path.basename(x) for x in cleanup(host, "local")]
ok("a name that no line can hold is left out", "a b" in names and 'quo"te' in names and "blank " not in names and
   not any("line" in x for x in names), names)
equal("not of the instructions", ["a b", "blank ", 'quo"te', "with\nline"],
      sorted(os.path.basename(x["destination"]) for x in instructions(host, "local") if x["type"] == "copy"))
equal("a local deployment is not tracked", ["d-OTHER"], os.listdir(root(host, "ongoing-deployment")))
host.local({"verb": "remove", "group": "local"})
equal("with the revision its instructions go", [None, None], [instructions(host, "local"), cleanup(host, "local")])

# --- large logs, and what the settings say --------------------------------------------------------------------------------
for folder, name in (("deployment-logs", "codedeploy-agent-deployments.log"), ("deployment-logs", "codedeploy-agent-deployments.log.0")):
    with open(root(host, folder, name), "a") as f:
        f.truncate(64 << 20)
host.deploy(revision("more"), group="local")
logs = sorted(os.listdir(root(host, "deployment-logs")))
equal("a log of 64 MiB is rolled", ["codedeploy-agent-deployments.log" + x for x in ("", ".0", ".1")], logs)
ok("and a new one begun", os.stat(root(host, "deployment-logs", logs[0])).st_size < 10000)

host = Host("program_name: other\nongoing_deployment_tracking: running\nrestrict_agent_dir_permissions: true\n"
            "hook_environment_file: %s/vars\nstrip_loader_env_in_hooks: true\n" % T)
with open(T + "/vars", "w") as f:
    f.write("export SITE=here\nLD_PRELOAD=/none.so\nDEPLOYMENT_ID=forged\n")
note = 'ls "%s/running" >>"$LOG"; echo "$SITE.$LD_PRELOAD.$DEPLOYMENT_ID" >>"$LOG"' % root(host)
four = Deployment(host, "d-FOUR", bundle(revision("four", extra={"AfterInstall": note})))
four.all()
ran = host.ran()
equal("tracking has the name that the settings give it", "d-FOUR", ran[2])
equal("scripts get the variables of the host's file, no loader's, and not those of the deployment", "here..d-FOUR", ran[3])
equal("and so does the log of all deployments", ["other-deployments.log"], os.listdir(root(host, "deployment-logs")))
equal("what is restricted is", ["711"] * 3 + ["700"] * 2 + ["750", "600", "600"],
      modes(host, ".", GROUP, GROUP + "/d-FOUR", "running", "deployment-instructions", "deployment-logs",
            "deployment-instructions/%s-cleanup" % GROUP, "deployment-instructions/%s_last_successful_install" % GROUP))
with open(host.path("etc/slipway/agent.yml")) as f:
    settings = f.read().replace("restrict_agent_dir_permissions: true", "enable_deployments_log: false")
with open(host.path("etc/slipway/agent.yml"), "w") as f:
    f.write(settings)
size = os.stat(root(host, "deployment-logs/other-deployments.log")).st_size
Deployment(host, "d-FIVE", bundle(revision("five"))).all()
equal("and open again when it is not", ["755"] * 4, modes(host, ".", GROUP, "running", "deployment-instructions"))
equal("a log that is not wanted does not grow", size, os.stat(root(host, "deployment-logs/other-deployments.log")).st_size)

done_testing()
