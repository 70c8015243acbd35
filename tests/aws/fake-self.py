#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The fake of AWS is right: what it accepts, what it refuses, what it does on order. A tester that is too kind proves nothing."""
import datetime
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.environ["top_srcdir"] + "/tests/aws")
import sigv4  # noqa: E402

FAKE = os.environ["top_srcdir"] + "/tests/aws/fake-aws.py"
BASE = tempfile.mkdtemp(prefix="slipway-test.")
HOST = "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc1234def567890"
count = failed = 0


def equal(name, expected, seen):
    global count, failed
    count += 1
    failed += expected != seen
    print(f"{'ok' if expected == seen else 'not ok'} {count} - {name}")
    if expected != seen:
        print(f"# expected: {expected!r}\n# seen:     {seen!r}")


def fake(*arguments):
    return subprocess.run([sys.executable, FAKE, BASE, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def config(**members):
    with open(f"{BASE}/config.json", "w") as f:
        json.dump(members, f)


def order(operation, text):
    os.makedirs(f"{BASE}/queue/{operation}", exist_ok=True)
    with open(f"{BASE}/queue/{operation}/{len(os.listdir(f'{BASE}/queue/{operation}')):06}", "w") as f:
        f.write(text)


def complaints():
    """How many there are, and none afterwards."""
    try:
        with open(f"{BASE}/complaints") as f:
            lines = f.readlines()
        os.unlink(f"{BASE}/complaints")
        return len(lines)
    except FileNotFoundError:
        return 0


def connect(base):
    url = urllib.parse.urlparse(base)
    if url.scheme == "http":
        return http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    return http.client.HTTPSConnection(url.hostname, url.port, timeout=20, context=ssl.create_default_context(cafile=f"{BASE}/ca.pem"))


def ask(base, method, path, body=b"", headers=()):
    """(status, body, headers)."""
    connection = connect(base)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    headers = list(headers)
    if not any(name == "Host" for name, _ in headers):
        headers.insert(0, ("Host", urllib.parse.urlparse(base).netloc))
    for name, value in headers:
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    response = connection.getresponse()
    return response.status, response.read(), response.headers


def signed(server, key, method="POST", path="/", body=b"", extra=(), region="us-east-1", service=None, late=0, spoil=None,
           leave=()):
    """One signed request. spoil(headers) changes it after signing; leave: headers that are sent but not signed."""
    ident, secret, *token = key
    service = service or {"commands": "codedeploy-commands", "secure": "codedeploy-commands-secure", "s3": "s3"}[server]
    date = (datetime.datetime.utcnow() + datetime.timedelta(seconds=late)).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    headers = [("Host", urllib.parse.urlparse(URL[server]).netloc), ("X-Amz-Date", date), ("X-Amz-Content-Sha256", payload),
               *extra, *(("X-Amz-Security-Token", t) for t in token)]
    names = sorted(name.lower() for name, _ in headers if name not in leave)
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    where, _, query = path.partition("?")
    made = sigv4.signature({"method": method, "path": where, "query": query, "headers": headers, "payload": payload,
                            "s3": server == "s3"}, names, scope, date, secret)
    headers.append(("Authorization", f"AWS4-HMAC-SHA256 Credential={ident}/{scope}, SignedHeaders={';'.join(names)}, "
                                     f"Signature={made}"))
    if spoil:
        headers = spoil(headers)
    return ask(URL[server], method, path, body, headers)


def command(operation, key=None, server="commands", prefix=None, **more):
    """(status, answer or fault type) of a request to the command service."""
    given = more.pop("given", {"HostIdentifier": HOST})
    prefix = prefix or {"commands": "CodeDeployCommandService_v20141006", "secure": "CodeDeployCommandService"}[server]
    extra = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", f"{prefix}.{operation}"),
             ("x-amz-codedeploy-agent-version", "OFFICIAL_1.8.0-17_deb")]
    status, body, _ = signed(server, key or ROLE, body=json.dumps(given).encode(), extra=more.pop("extra", extra), **more)
    answer = json.loads(body or b"{}")
    return (status, answer.get("__type") if status != 200 else answer)


def imds(path, method="GET", **headers):
    return ask(URL["imds"], method, path, headers=[(k.replace("_", "-"), v) for k, v in headers.items()])


def role():
    token = imds("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")[1].decode()
    name = imds("/latest/meta-data/iam/security-credentials/", X_aws_ec2_metadata_token=token)[1].decode()
    doc = json.loads(imds(f"/latest/meta-data/iam/security-credentials/{name}", X_aws_ec2_metadata_token=token)[1])
    return doc["AccessKeyId"], doc["SecretAccessKey"], doc["Token"]


def replaced(name, value):
    return lambda headers: [(n, value if n == name else v) for n, v in headers]


def test_signatures():
    equal("a signed poll is answered", (200, {}), command("PollHostCommand"))
    equal("so is one of the other stack", (200, {}), command("PollHostCommand", server="secure"))
    equal("nobody complains", 0, complaints())
    broken = {
        "another body than was signed": {"spoil": replaced("X-Amz-Content-Sha256", "0" * 64)},
        "another host": {"spoil": replaced("Host", "elsewhere")},
        "another target": {"spoil": replaced("X-Amz-Target", "CodeDeployCommandService_v20141006.PostHostCommandUpdate")},
        "another version": {"spoil": replaced("x-amz-codedeploy-agent-version", "1")},
        "a version that is not signed": {"leave": ("x-amz-codedeploy-agent-version",)},
        "a session token that is not signed": {"leave": ("X-Amz-Security-Token",)},
        "another region": {"region": "eu-west-1"},
        "another service": {"service": "codedeploy"},
        "another secret": {"key": (ROLE[0], "x" * 30, ROLE[2])},
    }
    for name, how in broken.items():
        equal(f"{name} is refused", (400, "InvalidSignatureException"), command("PollHostCommand", **how))
    equal("an unknown session token is refused", (400, "UnrecognizedClientException"),
          command("PollHostCommand", key=(*ROLE[:2], "x")))
    equal("so is none", (400, "UnrecognizedClientException"), command("PollHostCommand", key=ROLE[:2]))
    equal("no signature is refused", (400, "MissingAuthenticationTokenException"),
          command("PollHostCommand", spoil=lambda headers: headers[:-1]))
    equal("each of these is a complaint", len(broken) + 3, complaints())
    for late in (-1200, 1200):
        equal(f"a clock that is {late} s off is refused", (400, "InvalidSignatureException"), command("PollHostCommand", late=late))
    for server, prefix in (("commands", "CodeDeployCommandService"), ("secure", "CodeDeployCommandService_v20141006")):
        equal(f"the other stack's prefix at {server} is refused", (400, "UnknownOperationException"),
              command("PollHostCommand", server=server, prefix=prefix))
    equal("which is no complaint", 0, complaints())
    equal("another host's name is refused", (400, "AccessDeniedException"),
          command("PollHostCommand", given={"HostIdentifier": HOST + "1"}))
    complaints()


def test_keys():
    arn = "arn:aws:iam::111122223333:user/web"
    user = fake("user", arn)
    equal("a user's keys are accepted", 200, command("PollHostCommand", key=user, given={"HostIdentifier": arn})[0])
    equal("a session's too", 200, command("PollHostCommand", key=fake("session", arn), given={"HostIdentifier": arn})[0])
    equal("nobody complains of that", 0, complaints())
    fake("mark", user[0], "refused")
    equal("refused ones are not", (400, "UnrecognizedClientException"),
          command("PollHostCommand", key=user, given={"HostIdentifier": arn}))
    fake("mark", "current", "expired")
    equal("expired ones are not", (400, "ExpiredTokenException"), command("PollHostCommand"))
    fake("role")
    equal("new ones come from IMDS", False, role()[0] == ROLE[0])
    equal("and are accepted", 200, command("PollHostCommand", key=role())[0])
    fake("mark", ROLE[0], "good")
    equal("the old ones stay", 200, command("PollHostCommand")[0])


def test_commands():
    ident = "id-1"
    order("PollHostCommand", f"command {ident} d-1 Install")
    status, answer = command("PollHostCommand")
    equal("an ordered command is handed out", [ident, "Install", HOST],
          [answer["HostCommand"].get(m) for m in ("HostCommandIdentifier", "CommandName", "HostIdentifier")])
    given = {"HostIdentifier": HOST, "DeploymentExecutionId": answer["HostCommand"]["DeploymentExecutionId"]}
    envelope = command("GetDeploymentSpecification", given=given)[1]["DeploymentSpecification"]["GenericEnvelope"]

    def verified(payload):
        run = subprocess.run(["openssl", "smime", "-verify", "-inform", "PEM", "-noverify"], input=payload.encode(),
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return run.returncode == 0 and json.loads(run.stdout)["DeploymentId"]
    equal("its specification is signed", ("PKCS7/JSON", "d-1"), (envelope["Format"], verified(envelope["Payload"])))
    for how in ("altered", "unsigned", "detached"):
        order("GetDeploymentSpecification", f"signed {how}")
        payload = command("GetDeploymentSpecification", given=given)[1]["DeploymentSpecification"]["GenericEnvelope"]["Payload"]
        equal(f"or {how}", False, verified(payload))
    payload = {"error_code": 0, "script_name": "", "message": "m", "log": ""}
    done = {"HostCommandIdentifier": ident, "CommandStatus": "Succeeded",
            "Diagnostics": {"Format": "JSON", "Payload": json.dumps(payload)}}
    ack = {"HostCommandIdentifier": ident, "Diagnostics": {"Format": "JSON", "Payload": '{"IsCommandNoop":false}'}}
    equal("it is acknowledged", {"CommandStatus": "InProgress"}, command("PutHostCommandAcknowledgement", given=ack)[1])
    equal("and completed", (200, {}), command("PutHostCommandComplete", given=done))
    command("PutHostCommandComplete", given=done)
    equal("a second acknowledgement says so", {"CommandStatus": "Succeeded"}, command("PutHostCommandAcknowledgement", given=ack)[1])
    equal("nobody complains of the same result again", 0, complaints())
    command("PutHostCommandComplete", given={**done, "CommandStatus": "Failed"})
    equal("but of another one", 1, complaints())


def test_orders():
    for text, expected in {"throttle": (400, "ThrottlingException"), "throttle-429": (429, None),
                           "json 503 {}": (503, None), "fault 400 X y": (400, "X")}.items():
        order("PollHostCommand", text)
        equal(f"'{text}' is obeyed", expected, command("PollHostCommand"))
    order("PollHostCommand", "times 2 throttle")
    equal("twice", [400, 400, 200], [command("PollHostCommand")[0] for _ in range(3)])
    for text, error in {"close": http.client.RemoteDisconnected, "cut 1": http.client.IncompleteRead}.items():
        order("PollHostCommand", text)
        try:
            equal(text, "no answer", command("PollHostCommand"))
        except error:
            equal(f"'{text}' is obeyed", True, True)
    config(clock=1200, poll=0)
    equal("its clock can be wrong", (400, "InvalidSignatureException"), command("PollHostCommand"))
    config(poll=0)


def test_imds():
    page = "/latest/meta-data/services/partition"
    equal("IMDS without a token", (200, b"aws"), imds(page)[:2])
    config(poll=0, imds_v1=False)
    equal("is refused on order", 401, imds(page)[0])
    equal("and so is a wrong one", 401, imds(page, X_aws_ec2_metadata_token="x")[0])
    with open(f"{BASE}/log") as f:
        equal("both are in the log", ["none", "none", "bad"],
              [line["token"] for line in map(json.loads, f) if line["operation"] == "partition"])
    config(poll=0)


def test_files():
    os.makedirs(f"{BASE}/s3/bucket")
    with open(f"{BASE}/s3/bucket/a b+c.tgz", "wb") as f:
        f.write(b"0123456789")
    path = "/bucket/a%20b%2Bc.tgz"
    status, body, headers = signed("s3", ROLE, "GET", path)
    equal("an object", (200, b"0123456789"), (status, body))
    again = [("Range", "bytes=4-"), ("If-Range", headers["ETag"])]
    equal("the rest of it", (206, b"456789"), signed("s3", ROLE, "GET", path, extra=again)[:2])
    equal("not of another one", (200, b"0123456789"),
          signed("s3", ROLE, "GET", path, extra=[("Range", "bytes=4-"), ("If-Range", '"x"')])[:2])
    equal("without a signature", 403, ask(URL["s3"], "GET", path)[0])
    os.makedirs(f"{BASE}/github/me/app")
    with open(f"{BASE}/github/me/app/main.tar.gz", "wb") as f:
        f.write(b"tar")
    config(github_token="ghp_1", github_private=["me/app"])
    agent = ("User-Agent", "x")
    where = "/repos/me/app/tarball/main"
    equal("a private repository is not found", 404, ask(URL["github"], "GET", where, headers=[agent])[0])
    equal("with a wrong token", 401, ask(URL["github"], "GET", where, headers=[agent, ("Authorization", "token x")])[0])
    status, _, headers = ask(URL["github"], "GET", where, headers=[agent, ("Authorization", "token ghp_1")])
    equal("with the right one it redirects", 302, status)
    there = urllib.parse.urlparse(headers["Location"])
    equal("to another host", "localhost", there.hostname)
    there = f"{there.path}?{there.query}"
    equal("to the file", (200, b"tar"), ask(URL["github"], "GET", there, headers=[agent])[:2])
    complaints()
    ask(URL["github"], "GET", there, headers=[agent, ("Authorization", "token ghp_1")])
    equal("which wants no token", 1, complaints())


def test_proxy():
    config(poll=0, proxy_user="me", proxy_password="pw")
    url = urllib.parse.urlparse(URL["proxy"])

    def through(authorization=""):
        with socket.create_connection((url.hostname, url.port), timeout=20) as s:
            s.sendall(f"CONNECT codedeploy-commands.us-east-1.amazonaws.com:443 HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode())
            line = s.recv(4096).split(b"\r\n")[0]
            if b" 200 " in line:
                context = ssl.create_default_context(cafile=f"{BASE}/ca.pem")
                context.wrap_socket(s, server_hostname="codedeploy-commands.us-east-1.amazonaws.com").close()
            return line.split()[1]
    equal("the proxy wants its password", b"407", through())
    equal("and leads AWS's names to the fake", b"200", through("Proxy-Authorization: Basic bWU6cHc=\r\n"))


server = subprocess.Popen([sys.executable, FAKE, BASE], stdout=subprocess.PIPE, text=True)
try:
    URL = dict(line.split() for line in iter(server.stdout.readline, "ready\n"))
    config(poll=0)
    ROLE = role()
    for test in (test_signatures, test_keys, test_commands, test_orders, test_imds, test_files, test_proxy):
        test()
finally:
    server.terminate()
    server.wait()
    shutil.rmtree(BASE)
print(f"1..{count}")
sys.exit(1 if failed else 0)
