#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the official agents leave on a host, laid out as the reference says, by playing their Install: remove what the cleanup file
lists (from its end), refuse what is in the way, copy, write the instruction files and the pointers.

    official.py ROOT GENERATION config [KEY=VALUE...]       /etc/codedeploy-agent and the directories; GENERATION: 1 (Ruby), 2 (Rust)
    official.py ROOT GENERATION install GROUP DEPLOYMENT REVISION [--semanage PATH]
    official.py ROOT GENERATION download GROUP DEPLOYMENT REVISION      one that failed before Install

An AppSpec is read as far as tests need it: its files section, one source and destination after the other."""
import json
import os
import re
import shutil
import sys

root, generation = os.path.abspath(sys.argv[1]).rstrip("/"), sys.argv[2]
opt = root + "/opt/codedeploy-agent"
base = opt + "/deployment-root"
instructions = base + "/deployment-instructions"
os.umask(0o022)


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def config(pairs):
    values = {"log_aws_wire": "false", "log_dir": root + "/var/log/aws/codedeploy-agent/", "pid_dir": opt + "/state/.pid/",
              "program_name": "codedeploy-agent", "root_dir": base, "verbose": "false", "wait_between_runs": "1", "proxy_uri": "",
              "max_revisions": "5"}
    if generation == "2":
        values.update({"disable_imds_v1": "false", "enable_archive_reuse": "true", "wait_between_runs": "30"})
    values.update(pair.split("=", 1) for pair in pairs)
    for path in (root + "/etc/codedeploy-agent/conf", opt + "/state/.pid", opt + "/bin", base + "/ongoing-deployment", instructions,
                 base + "/deployment-logs", root + "/var/log/aws/codedeploy-agent"):
        os.makedirs(path, exist_ok=True)
    colon = ":" if generation == "1" else ""
    write(root + "/etc/codedeploy-agent/conf/codedeployagent.yml",
          "---\n" + "".join("%s%s: %s\n" % (colon, key, value) for key, value in values.items()))
    write(opt + "/.version", "agent_version: %s\n" % ("OFFICIAL_1.8.1-22_deb" if generation == "1" else "2.1.0"))
    if generation == "1":
        write(opt + "/state/.pid/codedeploy-agent.pid.lock", "")


def clean_up(path):
    if not os.path.exists(path):
        return
    lines = open(path).read().split("\n")
    for line in reversed(lines[:-1]):
        if not line.strip() or line.startswith("semanage\0"):
            continue
        if os.path.isdir(line) and not os.path.islink(line):
            try:
                os.rmdir(line)
            except OSError:
                pass
        elif os.path.lexists(line):
            os.unlink(line)
    os.unlink(path)


def mappings(archive):
    text = open(archive + "/appspec.yml").read()
    return re.findall(r"- source: (\S+)\s+destination: (\S+)", text)


def plan(archive):
    """(kind, source, destination), in the order of execution."""
    todo, made = [], set()

    def mkdir(path):
        if not os.path.isdir(path) and path not in made:
            mkdir(os.path.dirname(path))
            made.add(path)
            todo.append(("mkdir", None, path))

    def copy(source, path):
        if os.path.lexists(path):
            sys.exit("The deployment failed because a specified file already exists at this location: " + path)
        todo.append(("copy", source, path))

    def walk(source, path):
        mkdir(path)
        for name in os.listdir(source):
            one = os.path.join(source, name)
            (walk if os.path.isdir(one) else copy)(one, os.path.join(path, name))

    for source, destination in mappings(archive):
        source = os.path.normpath(os.path.join(archive, source.lstrip("/")))
        if os.path.isdir(source):
            walk(source, destination.rstrip("/"))
        else:
            mkdir(destination.rstrip("/"))
            copy(source, os.path.join(destination, os.path.basename(source)))
    return todo


def download(group, deployment, revision):
    place = "%s/%s/%s" % (base, group, deployment)
    os.makedirs(place + "/logs")
    shutil.copytree(revision, place + "/deployment-archive", symlinks=True)
    write(place + "/bundle.tar", "the bundle")
    write(place + "/logs/scripts.log", "2026-01-02 03:04:05 LifecycleEvent - ApplicationStop\n")
    if generation == "2":
        write(place + "/.bundle-source", "downloaded")
    write("%s/%s_most_recent_install" % (instructions, group), place)
    return place


def install(group, deployment, revision, labels):
    place = download(group, deployment, revision)
    cleanup = "%s/%s-cleanup" % (instructions, group)
    clean_up(cleanup)
    todo = plan(place + "/deployment-archive")
    orders = [{"type": "mkdir", "directory": path} if kind == "mkdir" else {"type": "copy", "source": source, "destination": path}
              for kind, source, path in todo]
    write("%s/%s-install.json" % (instructions, group), json.dumps({"instructions": orders}, separators=(",", ":")))
    for kind, source, path in todo:
        if kind == "mkdir":
            os.mkdir(path)
        else:
            shutil.copy2(source, path, follow_symlinks=False)
    write(cleanup, "".join(path + "\n" for _, _, path in todo) + "".join("semanage\0%s\n" % path for path in labels))
    write("%s/%s_last_successful_install" % (instructions, group), place)


verb, arguments = sys.argv[3], sys.argv[4:]
if verb == "config":
    config(arguments)
elif verb == "download":
    download(*arguments)
else:
    at = arguments.index("--semanage") if "--semanage" in arguments else len(arguments)
    install(*arguments[:at][:3], arguments[at + 1:])
