#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a worker does not run: specifications that are not signed for this host, now, by the endpoint."""
import fcntl

from worker import *

host = Host()
content = bundle(revision("one"))


def refused(name, code, text, d, **options):
    run = d.command("ApplicationStop", **options)
    command = options.get("command_id") or d.command_id("ApplicationStop")
    equal(name + ": refused", [2, code], [run.result["exit"], run.result.get("code")], run.result)
    holds(name + ": with the reason", text, run.result.get("text"))
    stored = host.stored(command) or {"diagnostics": {}}
    equal(name + ": the endpoint hears a failure", ["Failed", 5],
          [stored.get("status"), stored["diagnostics"].get("error_code")], run.events)
    holds(name + ": and why", text, stored["diagnostics"].get("message"))
    equal(name + ": nothing was acknowledged, fetched or recorded", ([], [], False),
          (run.of("ready"), run.of("fetch"), os.path.exists(host.path("var/lib/slipway/host/groups/" + d.group))))


def d(number):
    return Deployment(host, "d-%d" % number, content)


refused("signed by another CA", "not_trusted", "", d(1), signer="stranger")
refused("signed with a host certificate", "not_trusted", "", d(2), signer="host")
refused("signed by an expired signer", "expired", "", d(3), signer="expired")
refused("for another host", "access_denied", "this is '" + HOST_ID, d(4), Host="arn:other")
refused("a command for another host", "access_denied", "arn:other", d(5), host="arn:other")
refused("expired", "expired", "was valid until", d(6), NotAfter=int(time.time()) - 60)
refused("without an end", "expired", "until when", d(7), NotAfter=0)
refused("without the bundle's hash", "bad_format", "SHA-256", d(30), BundleSha256=None)
refused("without the bundle's size", "bad_format", "how many bytes", d(31), BundleSize=None)
refused("not signed at all", "bad_format", "", d(8), payload=json.dumps(d(8).spec()))

pem = host.sign(d(9).spec()).splitlines()
middle = len(pem) // 2
pem[middle] = pem[middle][::-1]
run = d(9).command("ApplicationStop", payload="\n".join(pem))
equal("altered after signing: refused", 2, run.result["exit"], run.result)
equal("altered after signing: nothing was asked for", [], run.of("ready") + run.of("fetch"))

text = json.loads(json.dumps(d(10).message("ApplicationStop")))
text["specification"] = {"Format": "TEXT/JSON", "Payload": json.dumps(d(10).spec())}
run = host.local(text)
equal("plain text: refused", [2, "signature_mismatch"], [run.result["exit"], run.result["code"]])

local = {"RevisionType": "Local Directory", "LocalRevision": {"Location": "/etc", "BundleType": "directory"}}
refused("a local revision from the endpoint", "bad_format", "local revision", d(11), Revision=local)
refused("a group that climbs", "bad_format", "DeploymentGroupId", d(12), DeploymentGroupId="../../etc")
refused("a deployment that climbs", "bad_format", "DeploymentId", d(13), DeploymentId="..")
run = d(14).command("ApplicationStop", DeploymentGroupId="deployment-instructions")
equal("a group named as the layout's own folder: refused", 2, run.result["exit"])
run = host.local({"verb": "command"})
equal("a command without content: refused", 2, run.result["exit"])
run = host.local({"verb": "format-the-disk"})
equal("a verb that nobody knows: refused", 2, run.result["exit"])

# An answer to "fetch" that is no bundle, or not the one that was signed.
def handed(name, number, open_it, after=None, kind="tgz"):
    """DownloadBundle is answered with the descriptor of open_it(); after() runs when it was sent."""
    one = Deployment(host, "d-%d" % number, content, group="group-handed")

    def give(run):
        fd = open_it()
        run.send({"verb": "bundle", "type": kind}, fd)
        if after:
            after(fd)
        os.close(fd)

    run = one.command("ApplicationStop", fetched=give)
    failed = one.command("DownloadBundle") if run.result and run.result["exit"] == 0 else run
    ok(name + ": not taken for the bundle", failed.result is not None and failed.result["exit"] != 0 and not host.files()
       and len(run.of("fetch")) == 1,
       run.events, failed.events)


def other_bytes():
    fd = os.memfd_create("bundle")
    os.write(fd, bundle(revision("other")))
    return fd


def right_bytes():
    fd = os.memfd_create("bundle")
    os.write(fd, content)
    return fd


def fifo():
    path = os.path.join(T, "fifo")
    if not os.path.exists(path):
        os.mkfifo(path)
    return os.open(path, os.O_RDWR)


handed("other bytes", 40, other_bytes)
handed("a FIFO", 41, fifo)
handed("a directory", 42, lambda: os.open("/etc", os.O_RDONLY))
handed("a device", 43, lambda: os.open("/dev/zero", os.O_RDONLY))
handed("a device that has no end", 46, lambda: os.open("/dev/zero", os.O_RDONLY), kind="tar")
handed("a file of /proc", 44, lambda: os.open("/proc/self/maps", os.O_RDONLY))
handed("a socket", 45, lambda: socket.socket(socket.AF_UNIX).detach())

# Right bytes that are rewritten meanwhile: what runs is what was signed, or nothing.
evil = bundle(revision("evil"))
swapped = Host()
one = Deployment(swapped, "d-50", content)


def rewrite(run):
    fd = right_bytes()
    run.send({"verb": "bundle", "type": "tgz"}, fd)
    while not select.select([run.sock], [], [], 0)[0] and run.process.poll() is None:
        os.pwrite(fd, evil, 0)
        os.pwrite(fd, content, 0)
    os.pwrite(fd, evil, 0)
    os.close(fd)


one.all(fetched=rewrite)
ok("a bundle that is rewritten while it is read: never other bytes", "evil" not in "".join(swapped.files().values())
   and not any("evil" in line for line in swapped.ran()), swapped.files())

# A good specification again, after a newer deployment: it does not bring the old revision back.
other = Host()
old, new = Deployment(other, "d-OLD", content), Deployment(other, "d-NEW", bundle(revision("two")))
equal("an old and a new deployment run", [0, 0], [old.all().result["exit"], new.all().result["exit"]])
other.ran()
for event in SEVEN:
    run = old.command(event, command_id="replayed-" + event)
equal("the old one again: nothing runs, nothing is installed", ([], "two"), (other.ran(), other.files()["srv/app/index.html"]))

# A daemon that does not answer keeps nobody on the host from the group: until it answers, nothing has run.
busy = Host()
one = Deployment(busy, "d-60", content, group="default-local-deployment-group")
for number, (word, until) in enumerate((("'go'", "ready"), ("the bundle", "fetch"))):
    silent = one.start("ApplicationStop")
    silent.until("ready")
    if until == "fetch":
        silent.send({"verb": "go"})
        silent.until("fetch")
    second = one.command("ApplicationStop", command_id="second-%d" % number)
    holds("a daemon that owes " + word + ": another command of its own does not get the group", "waits for slipwayd",
          second.result.get("text"), second.result)
    equal("a person does", 0, busy.deploy(revision("by-hand-%d" % number)).result["exit"])
    silent.end()
    equal("the waiting command is to be sent again", [6, "busy", None],
          [silent.result["exit"], silent.result.get("code"), silent.result.get("file")], silent.events)
with open(busy.path("var/lib/slipway/host/locks/claim-default-local-deployment-group")) as claim:
    fcntl.flock(claim, fcntl.LOCK_EX)
    early = one.command("ApplicationStop", command_id="early")
    equal("nor does it get in before a person who waits", [6, "busy", []],
          [early.result["exit"], early.result.get("code"), early.of("ready")], early.events)
busy.ran()
equal("and runs then", 0, one.all().result["exit"])
equal("as the only one of the daemon's", [e + " one d-60" for e in SEVEN if e not in ("ApplicationStop", "DownloadBundle", "Install")],
      [line for line in busy.ran() if "d-60" in line and "ApplicationStop" not in line])

# The daemon's own account may not give orders.
def as_nobody(message):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 0)
        os.setresuid(65534, 65534, 0)
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        theirs = os.dup(b.fileno())
        worker = subprocess.Popen(["sh", "-c", 'exec "$0" --root "$1" 3<&%d' % theirs, WORKER, host.root],
                                  pass_fds=[theirs], stderr=subprocess.DEVNULL)
        b.close()
        os.close(theirs)
        a.settimeout(DEADLINE_S)
        a.send(json.dumps(message).encode())
        answer = json.loads(a.recv(65536))
        worker.wait(DEADLINE_S)
        os._exit(0 if answer.get("code") == "access_denied" and answer["exit"] == 2 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if os.geteuid() == 0:
    for verb in ("deploy", "plan", "redeploy", "rollback", "remove"):
        equal("an unsigned '%s' from another account: refused" % verb, 0,
              as_nobody({"verb": verb, "group": "group-1", "source": {"type": "directory", "name": "/etc"}}))

# Root without a network.
needed = subprocess.run(["ldd", WORKER], stdout=subprocess.PIPE, text=True).stdout
equal("the worker links no HTTP library", [True, False], ["libcrypto" in needed, "curl" in needed])

os.unlink(host.path("var/lib/slipway/host/trust/ca.pem"))
refused("a host that is not enrolled", "not_trusted", "not enrolled", d(15))
host.enrol()
run = d(16).all()
equal("after all that a good one runs", 0, run.result["exit"], run.result)
equal("and nothing else ever did", {"srv/app/index.html": "one", "srv/app/only-one": "x"}, host.files())
done_testing()
