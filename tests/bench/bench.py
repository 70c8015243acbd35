#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/performance.md: Slipway beside bare tools, in one run.

Rounds are interleaved and paired; what is printed are medians and ratios. Nothing is deleted between rounds (on ext4, making many
files soon after deleting many is several times slower); the whole folder goes at the end.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

APPSPEC = "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/app\n"
EVENTS = ("ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")


class Bench:
    """A temporary folder, the programs of a build, and the processes to end."""

    def __init__(self, build, folder, rounds):
        self.build = pathlib.Path(build)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="slipway-bench.", dir=folder))
        self.rounds = rounds
        self.running = []
        self.rows = []
        os.environ["SLIPWAY_WORKER"] = str(self.build / "slipway-worker")
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            os.environ.pop(name, None)

    def program(self, name):
        return str(self.build / name)

    def run(self, *command, **options):
        return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True, **options).stdout

    def start(self, *command, **options):
        process = subprocess.Popen([str(c) for c in command], **options)
        self.running.append(process)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        self.running.remove(process)

    def row(self, what, ours, theirs="", ratio="", budget=""):
        self.rows.append((what, ours, theirs, ratio, budget))
        print(f"{what:58} {ours:>18} {theirs:>22} {ratio:>8} {budget:>16}", flush=True)

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def median(values):
    return statistics.median(values)


def smaps(pid):
    """PSS and private dirty of a process, in KiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return tuple(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) for name in ("Pss", "Private_Dirty"))


def within(seconds, test, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = test()
        if found:
            return found
        time.sleep(0.02)
    sys.exit(f"{what}: nothing within {seconds} s")


# --- an endpoint and hosts ---------------------------------------------------------------------------------------------


class Fleet:
    def __init__(self, bench):
        self.bench = bench
        self.control = bench.dir / "control"
        init = bench.run(bench.program("slipway-controld"), "init", "--dir", self.control, "--name", "localhost")
        self.fingerprint = re.search(r"[0-9a-f]{64}", init).group(0)
        server = bench.start(bench.program("slipway-controld"), "serve", "--dir", self.control, "--listen", "127.0.0.1:0",
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = re.search(r"https://\S+", server.stdout.readline()).group(0)
        os.environ["SLIPWAY_CREDENTIALS"] = str(self.control / "admin-credentials.json")

    def enrol(self, name):
        root = self.bench.dir / name
        (root / "etc/slipway").mkdir(parents=True)
        (root / "etc/slipway/agent.yml").write_text(f"destination_root: {root}/tree\n", encoding="ascii")
        (root / "tree").mkdir()
        token = self.bench.run(self.bench.program("slipway-controld"), "token", "create", "--dir", self.control, "--quiet").strip()
        self.bench.run(self.bench.program("slipway"), "--root", root, "enroll", self.url, "--token", token,
                       "--ca-fingerprint", self.fingerprint, "--name", name, "--tag", f"host={name}")
        return root

    def fleet(self, *words):
        return self.bench.run(self.bench.program("slipway"), "fleet", *words)


def identity(root):
    """endpoint, CA, certificate, key and identifier of an enrolled host, as slipway whoami knows them."""
    agent = root / "var/lib/slipway/agent"
    known = json.loads((agent / "identity.json").read_text(encoding="utf-8"))
    find = lambda name: next(p for p in sorted(agent.rglob(name)))
    return known, find("ca.pem"), find("cert.pem"), find("key.pem")


def bench_idle(bench, fleet):
    ours_root, bare_root = fleet.enrol("idle"), fleet.enrol("bare")
    known, ca, cert, key = identity(bare_root)
    pairs = []
    for _ in range(bench.rounds):
        ours = bench.start(bench.program("slipwayd"), "--root", ours_root, stderr=subprocess.DEVNULL)
        bare = bench.start(bench.program("tests/bench/bare"), known["endpoint"], ca, cert, key, known["host_identifier"])
        time.sleep(4)
        pairs.append((smaps(ours.pid), smaps(bare.pid)))
        bench.stop(ours)
        bench.stop(bare)
    for i, name in enumerate(("PSS", "private dirty")):
        a, b = median([p[0][i] for p in pairs]), median([p[1][i] for p in pairs])
        ratio = median([p[0][i] / p[1][i] for p in pairs])
        bench.row(f"idle memory, {name}", f"{a / 1024:.1f} MiB", f"{b / 1024:.1f} MiB (bare)", f"{ratio:.2f}", "1.15" if i == 0 else "")
    return ours_root


def bench_start(bench, fleet, root):
    """From exec to the first poll's arrival, at a listener that has the endpoint's own certificate."""
    path = next((root / "var/lib/slipway/agent").glob("identity.json"))
    kept = path.read_text(encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(fleet.control / "ca/server.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    known = json.loads(kept)
    known["endpoint"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
    path.write_text(json.dumps(known), encoding="utf-8")
    times = []
    for _ in range(bench.rounds * 2 + 1):
        began = time.monotonic()
        process = bench.start(bench.program("slipwayd"), "--root", root, stderr=subprocess.DEVNULL)
        with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.settimeout(20)
            peer.recv(4096)
            times.append(time.monotonic() - began)
            bench.stop(process)
    path.write_text(kept, encoding="utf-8")
    bench.row("start to first poll sent", f"{median(times) * 1000:.0f} ms", "", "", "50 ms")


def bench_events(bench, fleet, root):
    """Seven events with empty scripts, one host, over TLS: from CreateDeployment to its completion."""
    revision = bench.dir / "empty"
    (revision / "app").mkdir(parents=True)
    (revision / "app/file").write_text("x\n", encoding="ascii")
    (revision / "scripts").mkdir()
    script = revision / "scripts/empty.sh"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    script.chmod(0o755)
    hooks = "".join(f"  {event}:\n    - location: scripts/empty.sh\n" for event in EVENTS)
    (revision / "appspec.yml").write_text(APPSPEC + "hooks:\n" + hooks, encoding="ascii")
    daemon = bench.start(bench.program("slipwayd"), "--root", root, stderr=subprocess.DEVNULL)
    fleet.fleet("app", "create", "--app", "bench")
    fleet.fleet("group", "create", "--app", "bench", "--group", "all", "--tag", f"host={root.name}", "--config", "CodeDeployDefault.AllAtOnce")
    time.sleep(4)
    before = smaps(daemon.pid)[1]
    times = []
    count = bench.rounds * 4 + 1
    for n in range(count):
        (revision / "app/file").write_text(f"{n}\n", encoding="ascii")
        fleet.fleet("push", revision, "--app", "bench", "--key", f"empty-{n}.tgz")
        made = fleet.fleet("deploy", "--app", "bench", "--group", "all", "--revision", f"s3://bundles/empty-{n}.tgz")
        deployment = re.search(r"d-[A-Z0-9]{9}", made).group(0)
        info = within(30, lambda: done(fleet, deployment), "seven events")
        if info["status"] != "Succeeded":
            sys.exit(f"seven events: {info}")
        times.append(info["info"]["completeTime"] - info["info"]["createTime"])
    bench.row("seven empty events, one host, over TLS", f"{median(times):.2f} s", "", "", "0.3 s")
    time.sleep(4)
    after = smaps(daemon.pid)[1]
    bench.row(f"idle memory after {count} deployments, private dirty", f"{after / 1024:.1f} MiB", f"{before / 1024:.1f} MiB (before)", f"{after / before:.2f}")
    bench.stop(daemon)


def done(fleet, deployment):
    info = json.loads(fleet.fleet("show", deployment, "--json"))
    return info if info["status"] in ("Succeeded", "Failed", "Stopped") else None


# --- deployments on the host ------------------------------------------------------------------------------------------


def make_many(folder, count, seed=1):
    """count files of 0 to 16 KiB in 200 folders, half of it compressible."""
    chance = random.Random(seed)
    for n in range(count):
        path = folder / "app" / f"d{n % 200:03}" / f"f{n:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = chance.randrange(0, 16384)
        path.write_bytes(chance.randbytes(size // 2) + b"slipway " * (size // 16))
    (folder / "appspec.yml").write_text(APPSPEC, encoding="ascii")


def make_big(folder, megabytes):
    (folder / "app").mkdir(parents=True)
    with open(folder / "app/big", "wb") as out:
        for _ in range(megabytes):
            out.write(os.urandom(1 << 20))
    (folder / "appspec.yml").write_text(APPSPEC, encoding="ascii")


def pack(folder, target):
    with tarfile.open(target, "w:gz", compresslevel=6) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


def file_md5(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


def fresh_root(bench, name):
    root = bench.dir / name
    (root / "etc/slipway").mkdir(parents=True)
    (root / "tree").mkdir()
    (root / "etc/slipway/agent.yml").write_text(f"destination_root: {root}/tree\n", encoding="ascii")
    return root


def timed(bench, *command, **options):
    os.sync()
    began = time.monotonic()
    bench.run(*command, **options)
    return time.monotonic() - began


class Peak(threading.Thread):
    """The highest sum of PSS over our processes while something runs; the one that unpacks names no root."""

    def __init__(self, bench, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.over = str(root), 0, threading.Event()
        self.unpack = os.path.realpath(bench.program("slipway-unpack"))

    def run(self):
        while not self.over.wait(0.02):
            total = 0
            for proc in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    exe = os.readlink(proc / "exe")
                    if exe == self.unpack or "slipway" in exe and self.root.encode() in (proc / "cmdline").read_bytes():
                        total += smaps(proc.name)[0]
                except (OSError, AttributeError):
                    pass
            self.peak = max(self.peak, total)


def bench_bundle(bench, name, bundle, budget, again_budget):
    ours, theirs, again = [], [], []
    for n in range(bench.rounds):
        root = fresh_root(bench, f"{name}-ours-{n}")
        plain = bench.dir / f"{name}-bare-{n}"
        (plain / "unpacked").mkdir(parents=True)
        bare = lambda: theirs.append(timed(bench, "sh", "-c", f"tar -xzf '{bundle}' -C '{plain}/unpacked' && "
                                           f"cp -a '{plain}/unpacked/app' '{plain}/installed' && sync"))
        slip = lambda: ours.append(timed(bench, bench.program("slipway"), "--root", root, "deploy", bundle, stderr=subprocess.DEVNULL))
        for part in (bare, slip) if n % 2 else (slip, bare):
            part()
        again.append(timed(bench, bench.program("slipway"), "--root", root, "redeploy", stderr=subprocess.DEVNULL))
    pair = median([a / b for a, b in zip(ours, theirs)])
    bench.row(f"{name}: first deployment", f"{median(ours):.2f} s", f"{median(theirs):.2f} s (tar+cp+sync)", f"{pair:.2f}", budget)
    bench.row(f"{name}: unchanged redeploy", f"{median(again):.2f} s", f"{median(ours):.2f} s (first)",
              f"{median([a / b for a, b in zip(again, ours)]):.2f}", again_budget)
    bench_peak(bench, name, bundle)


def bench_peak(bench, name, bundle):
    root = fresh_root(bench, f"{name}-peak")
    watch = Peak(bench, root)
    watch.start()
    bench.run(bench.program("slipway"), "--root", root, "deploy", bundle, stderr=subprocess.DEVNULL)
    watch.over.set()
    watch.join()
    bench.row(f"{name}: peak memory of all our processes, PSS", f"{watch.peak / 1024:.1f} MiB", "", "", "32 MB")


def bench_rollback(bench):
    """Back to the revision before, all 2,000 files of which are others; beside it the copying of as many, and a sync."""
    ours, theirs = [], []
    for name, seed in (("old", 1), ("new", 2)):
        make_many(bench.dir / f"two-{name}", 2000, seed)
    for n in range(bench.rounds):
        root = fresh_root(bench, f"rollback-{n}")
        for name in ("old", "new"):
            bench.run(bench.program("slipway"), "--root", root, "deploy", bench.dir / f"two-{name}", stderr=subprocess.DEVNULL)
        theirs.append(timed(bench, "sh", "-c", f"cp -a '{bench.dir}/two-old/app' '{bench.dir}/copied-{n}' && sync"))
        ours.append(timed(bench, bench.program("slipway"), "--root", root, "rollback", stderr=subprocess.DEVNULL))
    bench.row("local rollback of 2,000 files", f"{median(ours):.2f} s", f"{median(theirs):.2f} s (cp+sync)",
              f"{median([a / b for a, b in zip(ours, theirs)]):.2f}", "2 s")


def bench_busy(bench):
    """A tiny deployment while somebody else writes as fast as the disk takes it; beside it a copy of the file and a sync of the
    file system, which waits for the other's data."""
    folder = bench.dir / "busy"
    (folder / "app").mkdir(parents=True)
    (folder / "appspec.yml").write_text(APPSPEC, encoding="ascii")
    root, ours, theirs = fresh_root(bench, "busy-root"), [], []
    writer = bench.start("sh", "-c", f"while :; do dd if=/dev/zero of='{bench.dir}/others' bs=1M count=512 conv=notrunc; done",
                         stderr=subprocess.DEVNULL)
    time.sleep(2)
    for n in range(bench.rounds * 2 + 1):
        (folder / "app/file").write_text(f"{n}\n", encoding="ascii")
        for times, command in ((ours, (bench.program("slipway"), "--root", root, "deploy", folder)),
                               (theirs, ("sh", "-c", f"cp '{folder}/app/file' '{bench.dir}/copied' && sync -f '{bench.dir}/copied'"))):
            began = time.monotonic()
            bench.run(*command, stderr=subprocess.DEVNULL)
            times.append(time.monotonic() - began)
    bench.stop(writer)
    subprocess.run(["pkill", "-f", f"of={bench.dir}/others"], check=False)
    bench.row("a tiny directory beside a busy writer", f"{median(ours) * 1000:.0f} ms", f"{median(theirs) * 1000:.0f} ms (cp+sync -f)",
              f"{median([a / b for a, b in zip(ours, theirs)]):.2f}")


def bench_size(bench):
    """Stripped, as packages install them."""
    def stripped(name):
        bench.run("strip", "-o", bench.dir / name, bench.program(name))
        return (bench.dir / name).stat().st_size
    agent = sum(stripped(name) for name in ("slipwayd", "slipway-worker", "slipway-unpack"))
    line = sum(stripped(name) for name in ("slipway", "slipway-cli"))
    bench.row("installed size: the agent's programs", f"{agent / 1e6:.2f} MB", f"{line / 1e6:.2f} MB (the CLI)", "", "1 MB")


def bench_tiny(bench):
    folder = bench.dir / "tiny"
    (folder / "app").mkdir(parents=True)
    (folder / "app/file").write_text("x\n", encoding="ascii")
    (folder / "appspec.yml").write_text(APPSPEC, encoding="ascii")
    bundle = bench.dir / "tiny.tgz"
    pack(folder, bundle)
    times = []
    for n in range(bench.rounds * 4 + 1):
        root = fresh_root(bench, f"tiny-{n}")
        times.append(timed(bench, bench.program("slipway"), "--root", root, "deploy", bundle, stderr=subprocess.DEVNULL))
    bench.row("a tiny bundle by the command line, whole process", f"{median(times) * 1000:.0f} ms", "", "", "30 ms")


class Source:
    """A host in AWS (tests/aws/fake-aws.py) whose bundles lie on an nginx with TLS."""

    def __init__(self, bench, *bundles):
        self.bench, self.root, self.fake = bench, fresh_root(bench, "fetch"), bench.dir / "fetch-aws"
        self.www, self.number = bench.dir / "fetch-www", 0
        (self.www / "bucket").mkdir(parents=True)
        self.fake.mkdir()
        key, self.ca = bench.dir / "fetch.key", bench.dir / "fetch.pem"
        bench.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2, "-subj",
                  "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.ca, stderr=subprocess.DEVNULL)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"https://127.0.0.1:{free.getsockname()[1]}"
        conf = bench.dir / "fetch.conf"
        places = "".join(f"{n}_temp_path {bench.dir}/fetch-{n}; " for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # S3's ETag of an object is its MD5, which slipwayd compares.
        etags = "".join(f"{bundle.stat().st_size} '\"{file_md5(bundle)}\"'; " for bundle in bundles)
        conf.write_text(f"daemon off; master_process off; pid {bench.dir}/fetch.pid; error_log {bench.dir}/fetch.err; events {{}} {'user root; ' * (os.getuid() == 0)}\n"
                        f"http {{ access_log off; sendfile on; {places} map $sent_http_content_length $md5 {{ {etags}}} etag off; "
                        f"server {{ add_header ETag $md5; listen {self.url[8:]} ssl; "
                        f"ssl_certificate {self.ca}; ssl_certificate_key {key}; root {self.www}; }} }}\n", encoding="ascii")
        bench.start(shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"), "-c", conf, "-e", f"{bench.dir}/fetch.err")
        top = pathlib.Path(__file__).resolve().parents[2]
        fake = bench.start(sys.executable, top / "tests/aws/fake-aws.py", self.fake, stdout=subprocess.PIPE, text=True)
        lines = dict(line.split() for line in iter(fake.stdout.readline, "ready\n"))
        both = bench.dir / "fetch-cas.pem"
        both.write_bytes((self.fake / "ca.pem").read_bytes() + self.ca.read_bytes())
        with open(self.root / "etc/slipway/agent.yml", "a", encoding="ascii") as settings:
            settings.write(f"aws: true\nca_file: {both}\ndeploy_control_endpoint: {lines['commands']}\ns3_endpoint_override: {self.url}\n"
                           f"on_premises_config_file: {self.root}/none\n")
        bench.start(bench.program("slipwayd"), "--root", self.root, stderr=subprocess.DEVNULL,
                    env={**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": lines["imds"]})

    def events(self, operation):
        log = [json.loads(line) for line in (self.fake / "log").read_text(encoding="utf-8").splitlines()] if (self.fake / "log").exists() else []
        return [e["time"] for e in log[self.seen:] if e["operation"] == operation]

    def deploy(self):
        """From the acknowledgement of the first command to its end: fetched, verified, unpacked, planned and on the disk."""
        self.number += 1
        self.seen = len((self.fake / "log").read_text(encoding="utf-8").splitlines()) if (self.fake / "log").exists() else 0
        (self.fake / "deployments").mkdir(exist_ok=True)
        new = self.fake / "deployments" / ".new"
        new.write_text("{}", encoding="ascii")
        new.rename(self.fake / "deployments" / f"d-{self.number}.json")
        within(600, lambda: len(self.events("PutHostCommandComplete")) >= 7, "a deployment in AWS")
        return self.events("PutHostCommandComplete")[0] - self.events("PutHostCommandAcknowledgement")[0]


def bench_fetch(bench):
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        bench.row("fetch: not measured, needs nginx", "")
        return
    bundles = []
    for megabytes in (500, 1000):
        make_big(bench.dir / f"fetch-{megabytes}", megabytes)
        bundles.append(bench.dir / f"fetch-{megabytes}.tgz")
        pack(bench.dir / f"fetch-{megabytes}", bundles[-1])
    source = Source(bench, *bundles)
    bundle = source.www / "bucket/app.tgz"
    bundles[0].rename(bundle)
    ours, theirs = [], []
    for n in range(bench.rounds):
        plain = bench.dir / f"fetch-bare-{n}"
        plain.mkdir()
        bare = lambda: theirs.append(timed(bench, "sh", "-c", f"curl -s --cacert '{source.ca}' {source.url}/bucket/app.tgz | "
                                           f"tar -xz -C '{plain}' && sync -f '{plain}'"))
        slip = lambda: ours.append(source.deploy())
        for part in (bare, slip) if n % 2 else (slip, bare):
            part()
        bench.run("cmp", next(plain.rglob("app/*")), next((source.root / "tree").rglob("srv/app/*")))
    bench.row("500 MB tgz: fetch, verify, unpack", f"{median(ours):.2f} s", f"{median(theirs):.2f} s (curl | tar)",
              f"{median([a / b for a, b in zip(ours, theirs)]):.2f}", "1.0")
    bundles[1].rename(bundle)
    watch = Peak(bench, source.root)
    watch.start()
    source.deploy()
    watch.over.set()
    watch.join()
    bench.row("1 GB tgz from S3: peak memory of all our processes", f"{watch.peak / 1024:.1f} MiB", "", "", "32 MB")


def machine():
    """What the figures were measured on, and how busy it was."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="ascii"))
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} x {model.group(1) if model else os.uname().machine}, {int(memory.group(1)) >> 20} GiB, "
            f"Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", required=True, help="the build tree")
    options.add_argument("--folder", default="/var/tmp", help="where to work: a real file system (default /var/tmp)")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", default="size,fleet,tiny,busy,rollback,fetch,many,big,peak", help="parts, separated by commas (default: all)")
    chosen = options.parse_args()
    parts = chosen.only.split(",")
    bench = Bench(chosen.build, chosen.folder, chosen.rounds)
    try:
        print(f"{machine()}; {chosen.rounds} rounds in {bench.dir.parent}")
        print(f"{'what':58} {'Slipway':>18} {'beside it':>22} {'ratio':>8} {'budget':>16}")
        if "fleet" in parts:
            fleet = Fleet(bench)
            root = bench_idle(bench, fleet)
            bench_start(bench, fleet, root)
            bench_events(bench, fleet, root)
        for part, run in (("size", bench_size), ("tiny", bench_tiny), ("busy", bench_busy), ("rollback", bench_rollback), ("fetch", bench_fetch)):
            if part in parts:
                run(bench)
        for part, make, size, name, *budgets in (("many", make_many, 20000, "20,000 files, tgz", "1.3", "0.33"),
                                                 ("big", make_big, 500, "500 MB file, tgz", "0.6", "")):
            if part in parts:
                make(bench.dir / part, size)
                pack(bench.dir / part, bench.dir / f"{part}.tgz")
                bench_bundle(bench, name, bench.dir / f"{part}.tgz", *budgets)
        for make, size, name in ((make_many, 100000, "100,000 files, tgz"), (make_big, 1000, "1 GB file, tgz")) if "peak" in parts else ():
            make(bench.dir / name.split()[0], size)
            pack(bench.dir / name.split()[0], bench.dir / f"{size}.tgz")
            bench_peak(bench, name, bench.dir / f"{size}.tgz")
    finally:
        bench.close()


main()
