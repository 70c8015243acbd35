#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands of the AWS service on a host that is not enrolled: who may give them, what they may say, what is answered."""
import base64

from worker import *

if not shutil.which("openssl"):
    print("1..0 # SKIP openssl is not installed")
    sys.exit(0)

TOKEN = "ghp_marked0123456789TOKEN"
content = bundle(revision("one"))
md5 = hashlib.md5(content).hexdigest()
host = AwsHost()
count = iter(range(1, 1000))


def new(on=None, **members):
    on = on or host
    return AwsDeployment(on, "d-%09d" % next(count), content, group=members.pop("group", "group-new"), **members)


def refused(name, code, text, d=None, on=None, **options):
    d = d or new(on)
    run = d.command("ApplicationStop", **options)
    equal(name + ": refused", [2, code], [run.result["exit"], run.result.get("code")], run.result)
    holds(name + ": with the reason", text, run.result.get("text"))
    stored = d.host.stored(d.command_id("ApplicationStop")) or {"diagnostics": {}}
    equal(name + ": the service hears a failure", ["Failed", 5], [stored.get("status"), stored["diagnostics"].get("error_code")])
    equal(name + ": nothing was acknowledged or fetched", [], run.of("ready") + run.of("fetch"))


# Who may give orders.
one = new()
pem = host.sign(one.spec())
der = base64.b64decode("".join(pem.splitlines()[1:-1]))
changed = base64.encodebytes(der.replace(one.id.encode(), b"d-000000666", 1)).decode()
altered = "-----BEGIN PKCS7-----\n%s-----END PKCS7-----\n" % changed
refused("altered after signing", "signature_mismatch", "altered after", one, payload=altered)
one = new()
refused("detached", "bad_format", "no content inside", one, payload=host.sign(one.spec(), options=()))
one = new()
refused("without the certificate", "not_trusted", "lacks its signer's certificate", one,
        payload=host.sign(one.spec(), options=("-nodetach", "-nocerts")))
one = new()
refused("no signed document", "bad_format", "not a signed document", one, payload=json.dumps(one.spec()))
one = new()
message = one.message("ApplicationStop")
message["specification"] = {"Format": "TEXT/JSON", "Payload": json.dumps(one.spec())}
run = host.local(message)
equal("TEXT/JSON: refused", [2, "signature_mismatch"], [run.result["exit"], run.result["code"]])
holds("by name", "'TEXT/JSON' is not signed", run.result["text"])
plain = Host("")
shutil.rmtree(plain.path("var/lib/slipway/host/trust"))
plain.sign = host.sign
refused("neither enrolled nor aws", "not_trusted", "agent.yml does not say 'aws'", on=plain)
enrolled = Host("aws: true\n")
enrolled.sign = host.sign
refused("an enrolled host, whatever agent.yml says", "not_trusted", "is not trusted", on=enrolled)
os.unlink(enrolled.path("var/lib/slipway/host/trust/ca.pem"))
refused("nor one whose enrolment is broken", "not_trusted", "not enrolled", on=enrolled)

mine, other = AwsHost.fingerprint("signer"), AwsHost.fingerprint("stranger")
pinned = AwsHost("aws_signer_fingerprint: '%s, %s'\n" % ("0" * 64, mine))
refused("a signer with another fingerprint", "not_trusted", other.replace(":", "").lower(), on=pinned, signer="stranger")
equal("the one with the pinned one", 0, new(pinned).command("ApplicationStop").result["exit"])
refused("a fingerprint that is none", "bad_input", "aws_signer_fingerprint", on=AwsHost("aws_signer_fingerprint: 'abc'\n"))
named = AwsHost("aws_signer_subject: 'C=US, O=Amazon.com, Inc., CN=signer'\n")
refused("a signer of another name", "not_trusted", "aws_signer_subject", on=named, signer="stranger")
equal("one of the pinned name", 0, new(named).command("ApplicationStop").result["exit"])

# What a specification may say.
arn = "arn:aws:codedeploy:us-east-1:111122223333:deployment/d-ARN0000AA"
one = AwsDeployment(host, "d-ARN0000AA", content, AgentActionOverrides={"AgentOverrides": {"FileExistsBehavior": "overwrite"}})
run = one.all(DeploymentId=arn)
equal("a whole deployment without host, end, hash and size", [0, "Succeeded"], [run.result["exit"], run.result["status"]], run.events)
equal("its scripts have the short id", [e + " one d-ARN0000AA" for e in ("BeforeInstall", "AfterInstall", "ApplicationStart",
                                                                       "ValidateService")], host.ran())
equal("its files are in place", {"srv/app/index.html": "one", "srv/app/only-one": "x"}, host.files())
equal("a success says what the official agent says",
      '{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}', host.stored(one.command_id("AfterInstall"))["payload"])
equal("that of DownloadBundle says where the bundle is from", "Succeeded: BundleSource=downloaded",
      host.stored(one.command_id("DownloadBundle"))["diagnostics"]["message"])
with open(host.path("var/lib/slipway/deployment-root/group-1/d-ARN0000AA/.bundle-source")) as f:
    equal("and so does the mark", "downloaded", f.read())
for name, text, members in (
        ("a group that climbs", "DeploymentGroupId", {"DeploymentGroupId": "../x"}),
        ("a deployment that climbs", "DeploymentId", {"DeploymentId": "../x"}),
        ("an ARN without an id", "DeploymentId", {"DeploymentId": "arn:aws:codedeploy:r:a:deployment/"}),
        ("an AppSpec that climbs", "AppSpecFilename", {"AppSpecFilename": "a/../../x.yml"}),
        ("an AppSpec of the host's", "AppSpecFilename", {"AppSpecFilename": "/etc/x.yml"}),
        ("a local revision", "local revision", {"Revision": {"RevisionType": "Local Directory",
                                                             "LocalRevision": {"Location": "/etc", "BundleType": "directory"}}}),
        ("GitHub's with a token that is not there", "OAuthToken",
         {"Revision": {"RevisionType": "GitHub", "GitHubRevision": {"Account": "a", "Repository": "r", "CommitId": "c", "Anonymous": False}}}),
        ("without a name of the application", "ApplicationName", {"ApplicationName": ""})):
    refused(name, "bad_format", text, new(), **members)
tree = revision("nested", destination="/srv/nested")
tree["conf/deploy/spec.yml"] = tree.pop("appspec.yml")
nested = AwsDeployment(host, "d-NESTED", bundle(tree), group="nested", AppSpecFilename="conf/deploy/spec.yml")
equal("an AppSpec in a folder", 0, nested.all(SEVEN[:2]).result["exit"])
run = nested.command("BeforeInstall", Revision=s3(Key="other.tgz"))
equal("another bundle in the middle of a deployment: refused", [1, "signature_mismatch"], [run.result["exit"], run.result["code"]])
run = new().command("BlockTraffic")
holds("an event of the service's own", "not a command that this agent carries out", run.result["text"])
run = new().command("ReticulateSplines")
equal("a command that nobody knows fails", [1, "Failed"], [run.result["exit"], run.result["status"]])


# The ETag, as AWS compares it; and bytes that are not what they were.
store = AwsHost()


def fetched(name, good, etag=None, told=None, text=None, body=None):
    d = new(store, Revision=s3(ETag=etag))
    d.content = body or content
    d.command("ApplicationStop", fetched={"verb": "bundle", "type": "tgz", **(told or {})})
    run = d.command("DownloadBundle")
    equal(name, 0 if good else 1, run.result["exit"], run.result)
    if text:
        holds(name + ": with the reason", text, run.result.get("text"))
    return d


fetched("its MD5", True, md5)
fetched("its MD5 in quotes", True, '"%s"' % md5, {"etag": md5})
fetched("another MD5", False, "0" * 32, text="ETag says")
fetched("one of parts cannot be computed", True, md5 + "-3", {"etag": '"%s-3"' % md5})
fetched("but the store may have another", False, md5 + "-3", {"etag": '"%s-4"' % md5}, "but the revision says")
fetched("one of an encrypted object is no MD5", True, "0" * 32, {"etag": "0" * 32, "etag_is_opaque": True})
fetched("the store's own, of other bytes", False, None, {"etag": "0" * 32}, "ETag says")
fetched("one that is no text", False, None, {"etag": "a\nb"}, "no text")
torn = bytearray(content)
torn[-6] ^= 1
fetched("a gzip stream with another checksum", False, body=bytes(torn), text="checksum")
tree = revision("tagged", extra={"AfterInstall": 'echo "etag $BUNDLE_ETAG" >>"$LOG"\n'})
tagged = AwsDeployment(store, "d-TAGGED", bundle(tree), group="group-new")
store.ran()
for event in SEVEN:
    tagged.command(event, fetched={"verb": "bundle", "type": "tgz", "etag": '"seen-1"'})
ok("scripts are told the ETag of the download where the specification has none", "etag seen-1" in store.ran())

# A token is nowhere.
github = {"RevisionType": "GitHub", "GitHubRevision": {"Account": "a", "Repository": "r", "CommitId": "c0ffee", "BundleType": "tar"}}
secret = AwsDeployment(host, "d-TOKEN", content, Revision=github, GitHubAccessToken=TOKEN)
equal("a revision of GitHub's with a token", 0, secret.all(SEVEN).result["exit"])
found = subprocess.run(["grep", "-rl", TOKEN, T], stdout=subprocess.PIPE, text=True).stdout
equal("is on no disk afterwards", "", found)

# What is a no-op, in truth.
quiet = AwsHost()
some = AwsDeployment(quiet, "d-SOME", bundle(revision("some", events=["AfterInstall", "ApplicationStop", "ValidateService", "AfterAllowTraffic"])))
told = {}
for event in SEVEN + ["BeforeAllowTraffic", "AfterAllowTraffic"]:
    run = some.command(event, AllPossibleLifecycleEvents=SEVEN + ["AfterAllowTraffic"])
    told[event] = [e["noop"] for e in run.of("ready")]
equal("only hooks without scripts are none", ["ApplicationStop", "BeforeInstall", "ApplicationStart", "BeforeAllowTraffic"],
      [e for e in told if told[e] == [True]], told)
after = AwsDeployment(quiet, "d-AFTER", bundle(revision("after")))
with open(quiet.path("var/lib/slipway/deployment-root/group-1/d-SOME/deployment-archive/appspec.yml"), "w") as f:
    f.write("version: 9\n")
run = after.command("ApplicationStop", answer="drop")
equal("one whose AppSpec cannot be read is real", [False], [e["noop"] for e in run.of("ready")])

# A deployment that only restarts: the revision that is here is used again.
again = AwsHost("max_revisions: 2\n")
first = AwsDeployment(again, "d-FIRST", bundle(revision("first")))
tag = hashlib.md5(first.content).hexdigest()
first.members["Revision"] = s3(ETag=tag)
first.all()
again.ran()
chain = ["d-FIRST"]
for number, name in enumerate(("d-SECOND", "d-THIRD", "d-FOURTH")):
    restart = AwsDeployment(again, name, b"", ReuseArchiveFromDeploymentId=("arn:aws:codedeploy:r:a:deployment/" if number else "") + chain[-1])
    runs = [restart.command(event) for event in SEVEN]
    equal(name + ", made of the one before: nothing is downloaded", [[], [0] * 7],
          [[e for run in runs for e in run.of("fetch")], [run.result["exit"] for run in runs]], runs[0].events)
    equal(name + ": what the service counts", "Succeeded: BundleSource=archive-reuse",
          again.stored(restart.command_id("DownloadBundle"))["diagnostics"]["message"])
    equal(name + ": its scripts run", [e + " first " + name for e in SEVEN if e not in ("DownloadBundle", "Install")], again.ran())
    chain.append(name)
equal("the files are as they were", {"srv/app/index.html": "first", "srv/app/only-first": "x"}, again.files())
group = again.path("var/lib/slipway/deployment-root/group-1/")
with open(group + "d-FOURTH/.bundle-etag") as one, open(group + "d-FOURTH/.bundle-source") as two:
    equal("the marks went along", (tag, "archive-reuse"), (one.read(), two.read()))
ok("one copy serves all, as long as one of them is kept", os.path.isdir(group + "d-FIRST/deployment-archive") and
   not os.path.exists(group + "d-SECOND"), os.listdir(group))
lost = AwsDeployment(again, "d-LOST", bundle(revision("lost")), ReuseArchiveFromDeploymentId="d-SECOND")
equal("one that is not kept any more is downloaded", [1, 0], [len(lost.command(SEVEN[0]).of("fetch")), lost.all(SEVEN[1:]).result["exit"]])
equal("which is said", "Succeeded: BundleSource=downloaded", again.stored(lost.command_id("DownloadBundle"))["diagnostics"]["message"])
with open(again.path("etc/slipway/agent.yml"), "a") as f:
    f.write("enable_archive_reuse: false\n")
run = AwsDeployment(again, "d-OFF", bundle(revision("off")), ReuseArchiveFromDeploymentId="d-LOST").command("ApplicationStop")
equal("the option switches it off", 1, len(run.of("fetch")))
done_testing()
