#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What somebody who owns the daemon tries. Runs in a booted host, in slipwayd's place or as its user; tests/system/hostile.sh
says when, and looks afterwards at what may not have changed.

    hostile.py make KIT COMMAND    as root: bundles, and specifications, most of them bad; COMMAND: one the daemon had in work
    hostile.py KIT ATTACK...       as slipway: each check is a line "ok NAME" or "not ok NAME"; "end" is the last one
"""
import array
import base64
import fcntl
import hashlib
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

AGENT = "/var/lib/slipway/agent"
HOST = "/var/lib/slipway/host"
WORKER = "/run/slipway/worker.sock"
SIGNER = "/var/lib/slipway-control/ca/signer.pem"
SEVEN = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart",
         "ValidateService"]
DEADLINE_S = 40
PACKET = 160 * 1024
KIT = {}
KEPT = []  # as long as this program runs


# --- the kit, made by root ----------------------------------------------------------------------------------------------------

def evil_tree():
    """Whatever of it runs or is installed leaves a mark."""
    script = ("#!/bin/sh\ntouch /var/tmp/evil\n", 0o755)
    hooks = [e for e in SEVEN if e not in ("DownloadBundle", "Install")]
    text = "version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/evil\nhooks:\n"
    text += "".join("  %s:\n    - location: evil.sh\n" % e for e in hooks)
    return {"appspec.yml": (text, 0o644), "evil.sh": script, "web/index.html": ("evil", 0o644)}


def good_tree():
    text = "version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: /srv/handed\n"
    return {"appspec.yml": (text, 0o644), "web/index.html": ("good", 0o644)}


def make(kit_dir, had_in_work):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../e2e"))
    from worker import MKSPEC, bundle
    os.makedirs(kit_dir, 0o755)
    trust = os.path.join(kit_dir, "trust")
    os.mkdir(trust, 0o700)
    subprocess.run([MKSPEC, "init", trust], check=True)
    # The endpoint's own signer, and what this host itself has: a key with a certificate of the same CA.
    for name, key, cert in (("endpoint", SIGNER, SIGNER), ("own", AGENT + "/keys/key.pem", AGENT + "/keys/cert.pem")):
        for suffix, source in ((".key", key), (".pem", cert)):
            with open(source) as i, open(os.path.join(trust, name + suffix), "w") as o:
                o.write(i.read())

    def sign(spec, signer="endpoint"):
        return subprocess.run([MKSPEC, "sign", trust, signer], input=json.dumps(spec), text=True,
                              stdout=subprocess.PIPE, check=True).stdout

    with open(os.path.join(HOST, "trust/identity.json")) as f:
        host_id = json.load(f)["host_identifier"]
    with open(had_in_work) as f:
        old = json.load(f)
    good, evil = bundle(good_tree()), bundle(evil_tree())
    good, evil = (one.ljust(4096, b"\0") for one in (good, evil))  # told apart by what is in them alone
    for name, content in (("good.tgz", good), ("evil.tgz", evil)):
        with open(os.path.join(kit_dir, name), "wb") as f:
            f.write(content)

    def spec(deployment, content=evil, group="group-handed", **changes):
        out = {
            "DeploymentId": deployment, "DeploymentGroupId": group, "DeploymentGroupName": "Group",
            "ApplicationName": "App", "AllPossibleLifecycleEvents": SEVEN,
            "Revision": {"RevisionType": "S3", "S3Revision": {"Bucket": "b", "Key": "app.tgz", "BundleType": "tgz"}},
            "Slipway": {"Host": host_id, "NotAfter": int(time.time()) + 3600,
                        "BundleSha256": hashlib.sha256(content).hexdigest(), "BundleSize": len(content)}}
        for name, value in changes.items():
            (out["Slipway"] if name in out["Slipway"] else out)[name] = value
        return out

    local = {"RevisionType": "Local Directory", "LocalRevision": {"Location": "/etc", "BundleType": "directory"}}
    bad = {
        "not signed": json.dumps(spec("d-1")),
        "signed by another CA": sign(spec("d-2"), "stranger"),
        "signed with this host's own certificate": sign(spec("d-3"), "own"),
        "for another host": sign(spec("d-4", Host=host_id + "2")),
        "expired": sign(spec("d-5", NotAfter=int(time.time()) - 60)),
        "without an end": sign(spec("d-6", NotAfter=None)),
        "without a host": sign(spec("d-7", Host=None)),
        "without SHA-256": sign(spec("d-8", BundleSha256=None)),
        "without a size": sign(spec("d-9", BundleSize=None)),
        "a directory of this host": sign(spec("d-10", Revision=local)),
        "a group that climbs": sign(spec("d-11", group="../../../etc")),
        "a deployment that climbs": sign(spec("../../../../etc/d-12")),
    }
    stranger = {}
    for part in ("ca.pem", "stranger.pem", "stranger.key"):
        with open(os.path.join(trust, part)) as f:
            stranger[part] = f.read()
    kit = {"stranger": stranger, "dir": kit_dir, "host": host_id, "group": os.listdir(HOST + "/groups")[0],
           "old": old, "bad": bad, "good": sign(spec("d-20", good)),
           "handed": [sign(spec("d-H%02d" % i, good)) for i in range(44)],
           "silent": sign(spec("d-SILENT", good, group="group-silent"))}
    with open(os.path.join(kit_dir, "kit.json"), "w") as f:
        json.dump(kit, f)


# --- saying what was seen -----------------------------------------------------------------------------------------------------

def ok(name, good, *seen):
    print("%sok %s" % ("" if good else "not ", name))
    if not good:
        for one in seen:
            print("".join("# %s\n" % line for line in str(one)[:3000].splitlines()), end="")
    sys.stdout.flush()


# --- workers ------------------------------------------------------------------------------------------------------------------

def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(WORKER) # waits while systemd's queue is full
    sock.settimeout(DEADLINE_S)
    return sock


def send(sock, message, fds=()):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], ancillary)


def receive(sock):
    """The next event; None at the end."""
    try:
        packet = sock.recv(256 * 1024)
    except ConnectionResetError:
        return None
    return json.loads(packet) if packet else None


def talk(message, fds=(), answers=None):
    """All that a worker says. answers: {event: function(sock) that answers}."""
    events = []
    with connect() as sock:
        try:
            send(sock, message, fds)
            while (event := receive(sock)) is not None:
                events.append(event)
                if answers and event["event"] in answers:
                    answers[event["event"]](sock)
        except BrokenPipeError:
            pass
    return events


def result_of(events):
    return events[-1] if events and events[-1]["event"] == "result" else {}


def count(events, name):
    return sum(e["event"] == name for e in events)


def command(payload, event="ApplicationStop", command_id=None, host=None, form="PKCS7/JSON"):
    ident = command_id or "hostile-" + os.urandom(8).hex()
    return {"verb": "command",
            "command": {"HostCommandIdentifier": ident, "HostIdentifier": host or KIT["host"],
                        "DeploymentExecutionId": "execution", "CommandName": event},
            "specification": {"Format": form, "Payload": payload}}


def go(sock):
    send(sock, {"verb": "go"})


def drop(sock):
    send(sock, {"verb": "drop"})


def never_bundle(sock):
    fd = open_kit("evil.tgz")
    send(sock, {"verb": "bundle", "type": "tgz"}, [fd])
    os.close(fd)


def open_kit(name):
    return os.open(os.path.join(KIT["dir"], name), os.O_RDONLY)


# --- attacks ------------------------------------------------------------------------------------------------------------------

def refused(name, message):
    """Neither run nor even acknowledged; whoever would let it is given the evil bundle."""
    events = talk(message, answers={"ready": go, "fetch": never_bundle})
    ok("specification: %s: refused" % name,
       result_of(events).get("exit") == 2 and not count(events, "ready") and not count(events, "fetch"), events)


def specifications():
    for name, payload in KIT["bad"].items():
        refused(name, command(payload))
    good = KIT["good"]
    refused("called plain text", command(json.dumps({"DeploymentId": "d-30"}), form="TEXT/JSON"))
    refused("signed, but called plain text", command(good, form="TEXT/JSON"))
    refused("signed, in a command for another host", command(good, host="arn:other"))
    lines = good.strip().splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    taken, altered_refused = [], 0
    for at in range(20, len(der), len(der) // 24):
        altered = der[:at] + bytes([der[at] ^ 1]) + der[at + 1:]
        payload = "\n".join([lines[0], base64.encodebytes(altered).decode().strip(), lines[-1]])
        events = talk(command(payload), answers={"ready": drop})
        # The coating is not signed: what counts is that nothing else is accepted than what is.
        taken += [(at, e) for e in events if e["event"] == "ready" and (e["deployment"], e["group"]) != ("d-20", "group-handed")]
        altered_refused += result_of(events).get("exit") == 2
    ok("specification: one bit of it altered, at 24 places: nothing but what was signed is taken",
       not taken and altered_refused > 20, altered_refused, taken)
    replay()


def replay():
    """The real one of a deployment that has ended, again: with new commands, and with the very one."""
    spec, was = KIT["old"]["specification"], KIT["old"]["command"]
    events = []
    for event in SEVEN:
        again = {"verb": "command", "acked": True, "specification": spec,
                 "command": {**was, "CommandName": event, "HostCommandIdentifier": "again-" + os.urandom(8).hex()}}
        events += talk(again, answers={"ready": go, "fetch": never_bundle})
    ok("specification: of a deployment that has ended, for new commands: nothing is run",
       not count(events, "step") and not count(events, "ready") and count(events, "result") == len(SEVEN), events)
    events = talk({"verb": "command", "specification": spec, "command": was}, answers={"ready": go})
    ok("specification: a command that has its result: that is all there is", count(events, "known") == 1 and len(events) == 2,
       events)


def verbs():
    folder = os.path.join(AGENT, "evil")
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["tar", "-xzf", os.path.join(KIT["dir"], "evil.tgz"), "-C", folder], check=True)
    fd = os.open(folder, os.O_RDONLY)
    for verb in ("deploy", "plan", "redeploy", "rollback", "remove"):
        for group in ("default-local-deployment-group", KIT["group"], "../../../etc", "/etc"):
            events = talk({"verb": verb, "group": group, "source": {"type": "directory", "name": folder}}, [fd])
            good = (result_of(events).get("exit"), result_of(events).get("code"), len(events)) == (2, "access_denied", 1)
            if not good:
                break
        ok("verb '%s': refused, whatever the group" % verb, good, events)
    os.close(fd)
    strange = ["../../../etc", "/etc", "..", ".", "", "a/../../b", "x" * 5000, "new\nline", "group-\u0000-x",
               "nobody-knows-it", "deployment-instructions"]
    seen = [(g, talk({"verb": "orphan", "group_id": g})) for g in strange]
    bad = [one for one in seen if result_of(one[1]).get("exit") not in (2, None)]
    ok("verb 'orphan' with strange groups: refused", not bad, bad)
    events = talk({"verb": "orphan", "group_id": KIT["group"]})
    ok("verb 'orphan' where nothing is open: nothing is done", result_of(events).get("exit") == 0 and len(events) == 1, events)
    events = talk({"verb": "recover", "group": "/etc", "root": "/etc", "files": False})
    ok("verb 'recover' when all is well: nothing is done", result_of(events).get("exit") == 0 and len(events) == 1, events)
    nonsense = [b"", b"{", b'{"verb":"comm', b"[" * 20000, b"\xff\xfe\x00", b'{"verb":7}', b'{"verb":"command"}', b"null",
                b'{"verb":"recover","files":"/etc"}', b'{"verb":"sh","argv":["id"]}', b'{"verb":"command\\u0000"}',
                b'{"verb":"command","command":{"HostCommandIdentifier":"../../x","HostIdentifier":"h","CommandName":"' +
                b"A" * 100000 + b'","DeploymentExecutionId":"x"},"specification":{}}', b" " * (PACKET + 1), b"x" * 200000]
    bad = [(text[:40], events) for text in nonsense if (events := talk(text)) and result_of(events).get("exit") != 2]
    ok("nonsense: refused", not bad, bad)


def memory(content):
    fd = os.memfd_create("bundle")
    os.write(fd, content)
    return fd


def read_kit(name):
    with open(os.path.join(KIT["dir"], name), "rb") as f:
        return f.read()


def hand(number, answer):
    """A deployment whose bundle is answered by answer(sock); what its commands said, until one fails."""
    seen = []
    for event in SEVEN:
        message = command(KIT["handed"][number], event, command_id="handed-%d-%s" % (number, event))
        events = talk(message, answers={"ready": go, "fetch": answer})
        seen += events
        if result_of(events).get("exit") != 0:
            break
    return seen


def one_fd(open_it, kind="tgz", more=0):
    def answer(sock):
        fd = open_it()
        send(sock, {"verb": "bundle", "type": kind}, [fd] * (1 + more))
        os.close(fd)
    return answer


def sparse():
    fd = memory(b"")
    os.ftruncate(fd, 1 << 40)
    return fd


def fifo():
    path = os.path.join(AGENT, "fifo")
    if not os.path.exists(path):
        os.mkfifo(path)
    return os.open(path, os.O_RDWR)


def link(to):
    path = os.path.join(AGENT, "link")
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(to, path)
    return os.open(path, os.O_PATH | os.O_NOFOLLOW)


def lingering(sock):
    """A socket that takes ten minutes to close, for whoever closes it last."""
    listening = socket.create_server(("127.0.0.1", 0))
    end = socket.create_connection(listening.getsockname())
    KEPT.append((listening, listening.accept()))
    end.setblocking(False)
    try:
        while True:
            end.send(b"x" * 65536)
    except BlockingIOError:
        pass
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    send(sock, {"verb": "bundle", "type": "tar"}, [end.fileno()])
    threading.Thread(target=end.close, daemon=True).start()


def bundles(first):
    """Right specifications, and other things than their bundle."""
    good, evil = read_kit("good.tgz"), read_kit("evil.tgz")
    things = [
        ("other bytes", one_fd(lambda: memory(evil))),
        ("the right bytes and more", one_fd(lambda: memory(good + evil))),
        ("too few of the right bytes", one_fd(lambda: memory(good[:-1]))),
        ("nothing", lambda sock: send(sock, {"verb": "bundle", "type": "tgz"})),
        ("a folder", one_fd(lambda: os.open("/etc", os.O_RDONLY), "directory")),
        ("a folder called a tar", one_fd(lambda: os.open("/etc", os.O_RDONLY), "tar")),
        ("the mere name of /etc/shadow", one_fd(lambda: os.open("/etc/shadow", os.O_PATH), "tar")),
        ("a symlink to /etc/shadow", one_fd(lambda: link("/etc/shadow"), "tar")),
        ("a file of root's", one_fd(lambda: os.open(HOST + "/trust/identity.json", os.O_RDONLY), "tar")),
        ("its own memory", one_fd(lambda: os.open("/proc/self/mem", os.O_RDONLY), "tar")),
        ("a FIFO", one_fd(fifo)),
        ("a device without end", one_fd(lambda: os.open("/dev/zero", os.O_RDONLY), "tar")),
        ("a terabyte of nothing", one_fd(sparse, "tar")),
        ("a socket to another worker", one_fd(lambda: connect().detach(), "tar")),
        ("a socket that lingers", lingering),
        ("250 descriptors", one_fd(lambda: memory(evil), more=249)),
        ("an answer of 200 KB", lambda sock: send(sock, b'{"verb":"bundle","type":"' + b"x" * 200000)),
        ("half an answer", lambda sock: send(sock, b'{"verb":"bun')),
        ("a type that climbs", one_fd(lambda: memory(evil), "../../tgz")),
        ("an error with a text for the terminal", lambda sock: send(sock, {"verb": "bundle-failed", "code": "x", "text": "\033[2J" * 50})),
    ]
    for i, (name, answer) in enumerate(things):
        seen = hand(first + i, answer)
        failed = result_of(seen).get("exit", -1) != 0
        ok("instead of the bundle %s: the deployment fails" % name, failed and count(seen, "fetch") == 1, seen)

    def rewritten(sock):
        fd = memory(good)
        send(sock, {"verb": "bundle", "type": "tgz"}, [fd])
        while not select.select([sock], [], [], 0)[0]:
            os.pwrite(fd, evil, 0)
            os.pwrite(fd, good, 0)
        os.pwrite(fd, evil, 0)
        os.close(fd)
    hand(first + len(things), rewritten)
    ok("a bundle that is rewritten while it is read: what was signed, or nothing",
       not os.path.exists("/srv/evil") and not os.path.exists("/var/tmp/evil"))


def attempts():
    """(what, function) that all have to fail."""
    folders = ["/", "/etc", "/etc/slipway", "/etc/systemd/system", "/run/systemd/system", "/usr/bin", "/usr/sbin",
               "/usr/libexec/slipway", "/lib/systemd/system", "/etc/cron.d", "/root", "/srv", "/srv/app", "/boot",
               "/var/lib/slipway", HOST, HOST + "/trust", HOST + "/results", HOST + "/groups", HOST + "/locks",
               HOST + "/groups/" + KIT["group"], "/var/lib/slipway/deployment-root", "/run/slipway",
               "/var/lib/slipway/deployment-root/deployment-instructions", "/var/lib/slipway-control", "/run/systemd", "/proc/1"]
    for folder in folders:
        yield "make a file in " + folder, lambda at=folder: os.open(at + "/hostile", os.O_WRONLY | os.O_CREAT)
        yield "make a directory in " + folder, lambda at=folder: os.mkdir(at + "/hostile")
        yield "make a symlink in " + folder, lambda at=folder: os.symlink("/etc", at + "/hostile")
        yield "change the mode of " + folder, lambda at=folder: os.chmod(at, 0o777)
        if folder.count("/") > 1:
            yield "move " + folder, lambda at=folder: os.rename(at, at + ".moved")
    files = ["/etc/slipway/agent.yml", "/etc/passwd", "/etc/shadow", HOST + "/trust/ca.pem", HOST + "/trust/identity.json",
             HOST + "/history.jsonl", HOST + "/groups/" + KIT["group"] + "/state.json", "/usr/sbin/slipwayd",
             "/usr/libexec/slipway/slipway-worker", "/srv/app/revision", WORKER, "/proc/sys/kernel/core_pattern", "/proc/1/mem"]
    for path in files:
        yield "write to " + path, lambda at=path: os.open(at, os.O_WRONLY)
        yield "remove " + path, lambda at=path: os.unlink(at)
        yield "put another in the place of " + path, lambda at=path: os.rename(AGENT + "/identity.json", at)
    yield "move the daemon's own directory", lambda: os.rename(AGENT, AGENT + ".moved")
    yield "listen in the workers' place", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(WORKER)
    yield "open a group's lock", lambda: os.open(HOST + "/locks/group-" + KIT["group"], os.O_RDONLY)
    yield "read /etc/shadow", lambda: os.open("/etc/shadow", os.O_RDONLY)
    yield "read /root/secret", lambda: os.open("/root/secret", os.O_RDONLY)
    yield "end PID 1", lambda: os.kill(1, signal.SIGKILL)
    yield "become root", lambda: os.setuid(0)
    yield "give a file to root", lambda: os.chown(AGENT + "/identity.json", 0, 0)


def writing():
    done = []
    for what, attempt in attempts():
        try:
            attempt()
            done.append(what)
        except OSError:
            pass
    ok("%d ways to write, move, lock or read what is root's: none" % len(list(attempts())), not done, "\n".join(done))


def bus():
    unit = ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
    start = unit + ["StartTransientUnit", "ssa(sv)a(sa(sv))", "slipway-hook-x-y-0.service", "fail", "1", "ExecStart", "a(sasb)", "1",
                    "/bin/touch", "2", "/bin/touch", "/var/tmp/evil", "false", "0"]
    tries = [["systemctl", "stop", "slipway-worker.socket"], ["systemctl", "restart", "slipwayd"],
             ["systemctl", "start", "slipway-recover"], ["systemctl", "kill", "slipway-worker.socket"],
             ["systemctl", "set-environment", "LD_PRELOAD=/var/lib/slipway/agent/x.so"], ["systemctl", "daemon-reload"],
             ["systemctl", "link", AGENT + "/evil.service"], ["systemctl", "reboot"],
             ["systemctl", "--force", "--force", "poweroff"], ["systemd-run", "--no-ask-password", "touch", "/var/tmp/evil"],
             ["hostnamectl", "--no-ask-password", "hostname", "evil"], start]
    done = []
    for argv in tries:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_S,
                           text=True)
        if r.returncode == 0:
            done.append((argv, r.stdout))
    ok("%d orders to systemd: all refused" % len(tries), not done, done)


# --- getting in the way -------------------------------------------------------------------------------------------------------

def wait_for(path):
    """A person says when it is over."""
    end = time.monotonic() + 120
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)


def tell_held():
    print("held", flush=True)
    wait_for("/var/tmp/enough")


def hold():
    """Locks of all that it may open, and a worker that waits for an answer for ever."""
    fds = []
    for folder, _, names in os.walk(HOST):
        for name in names:
            try:
                fds.append(os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NONBLOCK))
                fcntl.flock(fds[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
    with connect() as sock:
        send(sock, command(KIT["silent"]))
        event = receive(sock)
        ok("a worker waits for a silent daemon, and %d files are locked" % len(fds), event["event"] == "ready" and fds, event)
        tell_held()
        event = receive(sock)
        ok("it gives way to a person", (event["event"], event.get("exit")) == ("result", 6), event)


def hang_up(sock):
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def flood():
    """150 connections with nonsense, and when their workers are gone 850 that say nothing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    junk = []
    for i in range(150):
        sock = connect()
        junk.append(sock)
        try:
            if i < 50:
                sock.settimeout(1)
                for _ in range(16):
                    send(sock, b"{", [sock.fileno()] * 250)
            elif i < 100:
                send(sock, b'{"verb":"comm')
            else:
                send(sock, b"x" * 200000)
        except OSError:  # it is gone already, its queue is full, or too many descriptors are on their way
            hang_up(sock)
    kept = []
    for sock in junk:
        sock.settimeout(DEADLINE_S)
        try:
            while receive(sock) is not None:
                pass
        except OSError as e:
            kept.append(repr(e))
        sock.close()
    ok("thousands of descriptors, half and huge messages: each worker ends", not kept, kept)
    silent = [connect() for _ in range(850)]
    ok("%d more connections say nothing" % len(silent), len(silent) == 850)
    tell_held()


SWAPS = {"downloads": "/etc", "inflight": "/etc", "results": "/root", "reported": "/etc/systemd/system", "keys": "/etc",
         "keys.1": "/etc", "identity.json": "/etc/shadow", "ca.pem": "/root/secret", "daemon.lock": "/etc/shadow", "answer.json": None,
         "keys.new": "/etc"}


def swap():
    """Nothing in the daemon's directories is what it was."""
    for name, to in SWAPS.items():
        path = os.path.join(AGENT, name)
        if os.path.lexists(path):
            os.rename(path, path + ".kept")
        if to:
            os.symlink(to, path)
        else:
            os.mkfifo(path)
    os.rename("/run/slipway/agent/agent.sock", "/run/slipway/agent/kept.sock")
    os.symlink(WORKER, "/run/slipway/agent/agent.sock")
    ok("all is swapped", True)


def swap_back():
    for name in SWAPS:
        path = os.path.join(AGENT, name)
        if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
            os.unlink(path)
        if os.path.lexists(path + ".kept") and not os.path.lexists(path):
            os.rename(path + ".kept", path)
    # Some of it stays for the next daemon to find.
    for name, to in (("1" * 32 + ".json", "/etc/shadow"), ("2" * 32 + ".json", "/root"), ("3" * 32 + ".json.acked", "/etc/passwd")):
        os.symlink(to, os.path.join(AGENT, "inflight", name))
    os.mkfifo(os.path.join(AGENT, "inflight", "4" * 32 + ".json"))
    ok("all is back", True)


def plant():
    """An answer of the endpoint for the next enrolment, with another CA."""
    with open(os.path.join(AGENT, "identity.json")) as f:
        identity = json.load(f)
    stranger = KIT["stranger"]
    answer = {"Name": identity["name"], "HostIdentifier": identity["host_identifier"], "Region": identity["region"],
              "Certificate": stranger["stranger.pem"], "Ca": stranger["ca.pem"],
              "endpoint": identity["endpoint"], "ca_fingerprint": identity["ca_fingerprint"]}
    os.makedirs(os.path.join(AGENT, "keys.new"), exist_ok=True)
    for name, text in (("keys.new/key.pem", stranger["stranger.key"]), ("answer.json", json.dumps(answer))):
        with open(os.path.join(AGENT, name), "w") as f:
            f.write(text)
    ok("an answer is there for the next enrolment", True)


def main(argv):
    if argv[1] == "make":
        make(argv[2], argv[3])
        return
    with open(os.path.join(argv[1], "kit.json")) as f:
        KIT.update(json.load(f))
    ATTACKS = {"specifications": specifications, "verbs": verbs, "bundles": lambda: bundles(0), "bundles-again": lambda: bundles(len(KIT["handed"]) // 2),
               "writing": writing, "bus": bus, "hold": hold, "flood": flood, "swap": swap, "swap-back": swap_back,
               "plant": plant}
    for name in argv[2:]:
        try:
            ATTACKS[name]()
        except Exception as e:  # whatever it is, the test has to hear of it
            ok("%s: comes to its end" % name, False, repr(e))
    print("end")


main(sys.argv)
