# SPDX-License-Identifier: Apache-2.0
"""The management API by boto3. api-boto.py URL CA CREDENTIALS STEP [ARGUMENT]...: a line per check, for api-boto.sh.

all DIR TOKEN: everything that one process can see. DIR holds csr.pem; web1 succeeds, web2 fails, web3 waits for DIR/go.
patient FILE: one question, asked again and again until the endpoint is there; FILE exists after the first time.

Every answer is held against botocore's model of the service: members that it does not know or knows otherwise, values that are not in
an enumeration, faults that the operation does not have. Every operation of the model is either used here, or says that it is not offered."""
import datetime
import http.client
import json
import pathlib
import re
import ssl
import sys
import urllib.parse

import botocore
from botocore.auth import AUTH_TYPE_MAPS, SigV4Auth
from botocore.config import Config
from botocore.httpsession import URLLib3Session

from boto_lib import check, client, code_of

URL, CA, CREDENTIALS, STEP, *ARGUMENTS = sys.argv[1:]
ROLE = "arn:aws:iam::123456789012:role/R"
# Ours; what AWS itself answers beside its model; what Debian 12's model is too old for.
KNOWN = {"slipway", "type=MOST_CONCURRENCY", "terminationHookEnabled",
         "ListDeploymentTargets: InvalidTargetFilterNameException is not one of its faults"}
COMMON = {"SerializationException", "UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException",
          "OperationNotSupportedException", "UnsupportedActionForDeploymentTypeException"}
PLAIN = {"string": str, "boolean": bool, "integer": int, "long": int, "timestamp": (int, float)}


class Watch:
    """Holds every answer of a client against the model."""

    def __init__(self, codedeploy):
        self.wrong = set()
        self.used = set()
        codedeploy.meta.events.register("after-call.codedeploy", self.answer)

    def complain(self, what):
        if what.rsplit(".", 1)[-1] not in KNOWN:
            self.wrong.add(what)

    def answer(self, http_response, parsed, model, **_):
        self.used.add(model.name)
        body = json.loads(http_response.content or b"{}")
        if http_response.status_code == 200:
            if model.output_shape:
                self.walk(body, model.output_shape, model.name)
            elif body != {}:
                self.complain(f"{model.name}: an answer where the model has none")
            return
        fault = body.get("__type")
        if fault not in COMMON and fault not in [shape.name for shape in model.error_shapes]:
            self.complain(f"{model.name}: {fault} is not one of its faults")
        if not body.get("message") or set(body) != {"__type", "message"}:
            self.complain(f"{model.name}: {fault} has another form")

    def walk(self, value, shape, path):
        kind = shape.type_name
        if kind == "structure" and isinstance(value, dict):
            for name, member in value.items():
                if name in shape.members:
                    self.walk(member, shape.members[name], f"{path}.{name}")
                else:
                    self.complain(f"{path}.{name}")
        elif kind == "list" and isinstance(value, list):
            for item in value:
                self.walk(item, shape.member, path + "[]")
        elif kind in PLAIN and isinstance(value, PLAIN[kind]) and not (kind != "boolean" and isinstance(value, bool)):
            if getattr(shape, "enum", None) and value not in shape.enum:
                self.complain(f"{path}={value}")
        else:
            self.complain(f"{path} is {type(value).__name__}, not {kind}")


def fault(codedeploy, name, wanted, operation, text="", **arguments):
    """The call ends with that modelled exception, of its own class, with that text."""
    seen = "no fault"
    try:
        getattr(codedeploy, operation)(**arguments)
    except getattr(codedeploy.exceptions, wanted) as error:
        seen = wanted if text in error.response["Error"]["Message"] else error.response["Error"]["Message"]
    except botocore.exceptions.ClientError as error:
        seen = str(error)
    check(name, wanted, seen)


def pages(codedeploy, operation, member, **arguments):
    found = [page[member] for page in codedeploy.get_paginator(operation).paginate(**arguments)]
    return len(found), [name for page in found for name in page]


def is_time(value):
    return isinstance(value, datetime.datetime) and abs((datetime.datetime.now(datetime.timezone.utc) - value).total_seconds()) < 600


def filters(value):
    return [{"Key": "role", "Value": value, "Type": "KEY_AND_VALUE"}]


def applications(cd):
    check("create_application gives an id", 36, len(cd.create_application(applicationName="shop", tags=[{"Key": "k", "Value": "v"}])
                                                    ["applicationId"]))
    info = cd.get_application(applicationName="shop")["application"]
    check("get_application", ("shop", False, "Server", True),
          (info["applicationName"], info["linkedToGitHub"], info["computePlatform"], is_time(info["createTime"])))
    fault(cd, "a name that is taken", "ApplicationAlreadyExistsException", "create_application", "shop", applicationName="shop")
    fault(cd, "a name that is none", "InvalidApplicationNameException", "create_application", applicationName="a b")
    fault(cd, "an empty name", "ApplicationNameRequiredException", "list_deployments", deploymentGroupName="web")
    fault(cd, "another platform", "InvalidComputePlatformException", "create_application", "Server",
          applicationName="x", computePlatform="Lambda")
    fault(cd, "an application that is not there", "ApplicationDoesNotExistException", "get_application",
          "No application found for name: none", applicationName="none")
    check("batch_get_applications", [info], cd.batch_get_applications(applicationNames=["shop"])["applicationsInfo"])
    fault(cd, "a batch with one that is not there", "ApplicationDoesNotExistException", "batch_get_applications",
          "none", applicationNames=["shop", "none"])
    fault(cd, "a batch of 101", "BatchLimitExceededException", "batch_get_applications", applicationNames=["shop"] * 101)
    fault(cd, "a batch with a name that is none", "InvalidApplicationNameException", "batch_get_applications",
          applicationNames=["a b"])
    names = ["shop"] + [f"page{i:03}" for i in range(204)]
    for name in names[1:]:
        cd.create_application(applicationName=name)
    check("list_applications in pages", (3, sorted(names)), pages(cd, "list_applications", "applications"))
    fault(cd, "a token that is none", "InvalidNextTokenException", "list_applications", nextToken="nonsense")
    for name in names[1:]:
        cd.delete_application(applicationName=name)
    check("delete_application", ["shop"], cd.list_applications()["applications"])


def group(cd, name, role, config="AllAtOnce"):
    return cd.create_deployment_group(
        applicationName="shop", deploymentGroupName=name, serviceRoleArn=ROLE, deploymentConfigName="CodeDeployDefault." + config,
        onPremisesInstanceTagFilters=filters(role),
        autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
        alarmConfiguration={"enabled": False, "alarms": []})["deploymentGroupId"]


def groups(cd):
    names = sorted(["good", "bad", "slow", "many", "empty"] + [f"page{i:03}" for i in range(100)])
    ids = [group(cd, name, {"good": "web1", "bad": "web2", "slow": "web3"}.get(name, name)) for name in names]
    check("each group has an id of its own", len(names), len(set(ids)))
    check("list_deployment_groups in pages", (2, names), pages(cd, "list_deployment_groups", "deploymentGroups", applicationName="shop"))
    info = cd.get_deployment_group(applicationName="shop", deploymentGroupName="good")["deploymentGroupInfo"]
    check("get_deployment_group", ("shop", "good", ROLE, filters("web1"), "IN_PLACE"),
          (info["applicationName"], info["deploymentGroupName"], info["serviceRoleArn"], info["onPremisesInstanceTagFilters"],
           info["deploymentStyle"]["deploymentType"]))
    batch = cd.batch_get_deployment_groups(applicationName="shop", deploymentGroupNames=["good", "none"])
    check("batch_get_deployment_groups", ([info], "not found: none"), (batch["deploymentGroupsInfo"], batch["errorMessage"]))
    cd.create_deployment_group(
        applicationName="shop", deploymentGroupName="sets", serviceRoleArn=ROLE,
        onPremisesTagSet={"onPremisesTagSetList": [filters("a"), filters("b")]}, ec2TagSet={"ec2TagSetList": [filters("c")]})
    info = cd.get_deployment_group(applicationName="shop", deploymentGroupName="sets")["deploymentGroupInfo"]
    check("a group by tag sets", [filters("a"), filters("b")], info["onPremisesTagSet"]["onPremisesTagSetList"])
    check("its configuration is the default", "CodeDeployDefault.OneAtATime", info["deploymentConfigName"])
    cd.update_deployment_group(applicationName="shop", currentDeploymentGroupName="sets", newDeploymentGroupName="renamed",
                               deploymentConfigName="CodeDeployDefault.AllAtOnce", ec2TagSet={"ec2TagSetList": []},
                               onPremisesTagSet={"onPremisesTagSetList": []}, onPremisesInstanceTagFilters=filters("d"))
    after = cd.get_deployment_group(applicationName="shop", deploymentGroupName="renamed")["deploymentGroupInfo"]
    check("update_deployment_group", (info["deploymentGroupId"], ROLE, "CodeDeployDefault.AllAtOnce", filters("d"), []),
          (after["deploymentGroupId"], after["serviceRoleArn"], after["deploymentConfigName"], after["onPremisesInstanceTagFilters"],
           after["onPremisesTagSet"]["onPremisesTagSetList"]))
    fault(cd, "the old name is gone", "DeploymentGroupDoesNotExistException", "update_deployment_group", "sets",
          applicationName="shop", currentDeploymentGroupName="sets")
    fault(cd, "a new name that is taken", "DeploymentGroupAlreadyExistsException", "update_deployment_group", "good",
          applicationName="shop", currentDeploymentGroupName="renamed", newDeploymentGroupName="good")
    fault(cd, "an update that does not fit what is there", "InvalidOnPremisesTagCombinationException", "update_deployment_group",
          applicationName="shop", currentDeploymentGroupName="renamed", onPremisesTagSet={"onPremisesTagSetList": [filters("a")]})
    fault(cd, "a group that is there", "DeploymentGroupAlreadyExistsException", "create_deployment_group",
          applicationName="shop", deploymentGroupName="good", serviceRoleArn=ROLE)
    fault(cd, "a group that is not there", "DeploymentGroupDoesNotExistException", "get_deployment_group",
          applicationName="shop", deploymentGroupName="none")
    fault(cd, "a role that is none", "InvalidRoleException", "create_deployment_group",
          applicationName="shop", deploymentGroupName="x", serviceRoleArn="nobody")
    fault(cd, "filters twice", "InvalidOnPremisesTagCombinationException", "create_deployment_group", applicationName="shop",
          deploymentGroupName="x", serviceRoleArn=ROLE, onPremisesInstanceTagFilters=filters("a"),
          onPremisesTagSet={"onPremisesTagSetList": [filters("a")]})
    fault(cd, "blue/green", "InvalidDeploymentStyleException", "create_deployment_group", applicationName="shop",
          deploymentGroupName="x", serviceRoleArn=ROLE,
          deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"})
    fault(cd, "a configuration that is not there", "DeploymentConfigDoesNotExistException", "create_deployment_group",
          applicationName="shop", deploymentGroupName="x", serviceRoleArn=ROLE, deploymentConfigName="none")
    fault(cd, "a token of another list", "InvalidNextTokenException", "list_deployment_groups", applicationName="shop",
          nextToken="nonsense")
    check("delete_deployment_group", [], cd.delete_deployment_group(
        applicationName="shop", deploymentGroupName="renamed")["hooksNotCleanedUp"])


def configs(cd):
    names = ["CodeDeployDefault." + name for name in ("AllAtOnce", "HalfAtATime", "OneAtATime")]
    check("list_deployment_configs", (1, names), pages(cd, "list_deployment_configs", "deploymentConfigsList"))
    hosts = [cd.get_deployment_config(deploymentConfigName=name)["deploymentConfigInfo"]["minimumHealthyHosts"] for name in names]
    check("get_deployment_config", [("FLEET_PERCENT", 0), ("FLEET_PERCENT", 50), ("MOST_CONCURRENCY", 1)],
          [(h["type"], h["value"]) for h in hosts])
    fault(cd, "a configuration that is none", "DeploymentConfigDoesNotExistException", "get_deployment_config", deploymentConfigName="x")


def enroll(names, token, csr):
    url = urllib.parse.urlsplit(URL)
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=ssl.create_default_context(cafile=CA), timeout=60)
    for name in names:
        connection.request("POST", "/slipway/v1/enroll", json.dumps({"Token": token, "Name": name, "Csr": csr}))
        answer = connection.getresponse()
        assert (answer.status, answer.read())[0] == 200, name


def hosts(cd, directory, token):
    many = [f"host{i:03}" for i in range(105)]
    enroll(many, token, (directory / "csr.pem").read_text())
    cd.add_tags_to_on_premises_instances(instanceNames=many[:100], tags=[{"Key": "role", "Value": "many"}])
    cd.add_tags_to_on_premises_instances(instanceNames=many[100:], tags=[{"Key": "role", "Value": "many"}])
    cd.add_tags_to_on_premises_instances(instanceNames=many[:2], tags=[{"Key": "zone", "Value": "b"}])
    cd.remove_tags_from_on_premises_instances(instanceNames=many[1:2], tags=[{"Key": "zone", "Value": "b"}])
    check("list_on_premises_instances in pages", (2, many + ["web1", "web2", "web3"]),
          pages(cd, "list_on_premises_instances", "instanceNames"))
    check("by tag", ["host000"], cd.list_on_premises_instances(
        tagFilters=[{"Key": "zone", "Value": "b", "Type": "KEY_AND_VALUE"}])["instanceNames"])
    check("by status", [], cd.list_on_premises_instances(registrationStatus="Deregistered")["instanceNames"])
    info = cd.get_on_premises_instance(instanceName="host000")["instanceInfo"]
    check("get_on_premises_instance", (True, [{"Key": "role", "Value": "many"}, {"Key": "zone", "Value": "b"}]),
          (is_time(info["registerTime"]), info["tags"]))
    check("batch_get_on_premises_instances", many[:2], [each["instanceName"] for each in cd.batch_get_on_premises_instances(
        instanceNames=[*many[:2], "none"])["instanceInfos"]])
    fault(cd, "a host that is not there", "InstanceNotRegisteredException", "get_on_premises_instance", instanceName="none")
    fault(cd, "too many hosts", "InstanceLimitExceededException", "add_tags_to_on_premises_instances",
          instanceNames=many[:101], tags=[{"Key": "k", "Value": "v"}])
    fault(cd, "too many tags", "TagLimitExceededException", "add_tags_to_on_premises_instances",
          instanceNames=many[:1], tags=[{"Key": f"k{i}", "Value": "v"} for i in range(10)])
    fault(cd, "no tags", "TagRequiredException", "remove_tags_from_on_premises_instances", instanceNames=many[:1], tags=[])
    fault(cd, "a status that is none", "InvalidRegistrationStatusException", "list_on_premises_instances", registrationStatus="x")
    fault(cd, "a filter that is none", "InvalidTagFilterException", "list_on_premises_instances", tagFilters=[{"Type": "x"}])
    fault(cd, "a token that is none", "InvalidNextTokenException", "list_on_premises_instances", nextToken="x")


REVISION = {"revisionType": "S3", "s3Location": {"bucket": "bundles", "key": "shop.zip", "bundleType": "zip"}}
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "we/shop", "commitId": "0123456789" * 4}}


def place(key):
    return {"revisionType": "S3", "s3Location": {**REVISION["s3Location"], "key": key}}


def deploy(cd, name, **more):
    return cd.create_deployment(applicationName="shop", deploymentGroupName=name, **{"revision": REVISION, **more})["deploymentId"]


def wait(cd, deployment):
    """What the waiter says, and the status that it saw last."""
    try:
        cd.get_waiter("deployment_successful").wait(deploymentId=deployment, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    except botocore.exceptions.WaiterError as error:
        return "error", error.last_response["deploymentInfo"]["status"]
    return "good", cd.get_deployment(deploymentId=deployment)["deploymentInfo"]["status"]


def good_and_bad(cd):
    good = deploy(cd, "good", description="the first", fileExistsBehavior="OVERWRITE", ignoreApplicationStopFailures=True)
    check("the waiter of a deployment that succeeds", ("good", "Succeeded"), wait(cd, good))
    info = cd.get_deployment(deploymentId=good)["deploymentInfo"]
    check("its times", [True] * 3, [is_time(info[name]) for name in ("createTime", "startTime", "completeTime")])
    check("what was asked for is told", ("the first", "OVERWRITE", True, REVISION, "user"),
          (info["description"], info["fileExistsBehavior"], info["ignoreApplicationStopFailures"], info["revision"], info["creator"]))
    check("its overview", {"Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 0, "Skipped": 0, "Ready": 0},
          info["deploymentOverview"])
    target = cd.get_deployment_target(deploymentId=good, targetId="web1")["deploymentTarget"]["instanceTarget"]
    check("its target", ("Succeeded", 7, True), (target["status"], len(target["lifecycleEvents"]), is_time(target["lastUpdatedAt"])))
    check("with times of each event", [True] * 14,
          [is_time(event[name]) for event in target["lifecycleEvents"] for name in ("startTime", "endTime")])
    bad = deploy(cd, "bad")
    check("the waiter of one that fails", ("error", "Failed"), wait(cd, bad))
    info = cd.get_deployment(deploymentId=bad)["deploymentInfo"]
    check("its error", "HEALTH_CONSTRAINTS", info["errorInformation"]["code"])
    [target] = cd.batch_get_deployment_targets(deploymentId=bad, targetIds=["web2"])["deploymentTargets"]
    check("the script that failed", [("Install", "ScriptFailed", "scripts/check.sh")],
          [(e["lifecycleEventName"], e["diagnostics"]["errorCode"], e["diagnostics"]["scriptName"])
           for e in target["instanceTarget"]["lifecycleEvents"] if e["status"] == "Failed"])
    last = cd.get_deployment_group(applicationName="shop", deploymentGroupName="bad")["deploymentGroupInfo"]
    check("the group tells its last deployment", (bad, "Failed", False),
          (last["lastAttemptedDeployment"]["deploymentId"], last["lastAttemptedDeployment"]["status"], "lastSuccessfulDeployment" in last))
    fault(cd, "a finished one is not stopped", "DeploymentAlreadyCompletedException", "stop_deployment", deploymentId=good)
    return good, bad


def lost_answer(cd, **_):
    """The request of the first attempt is sent and performed, its answer never arrives."""
    def lose(request, **_):
        cd.meta.events.unregister("before-send.codedeploy.CreateDeployment", lose)
        URLLib3Session(verify=CA).send(request)
        raise botocore.exceptions.ConnectionClosedError(endpoint_url=request.url, request=request)
    cd.meta.events.register("before-send.codedeploy.CreateDeployment", lose)


def stopped(cd, directory):
    again = client("codedeploy", URL, CA, CREDENTIALS, config=Config(retries={"max_attempts": 3}))
    lost_answer(again)
    text = ""
    try:
        deploy(again, "slow")
    except again.exceptions.DeploymentLimitExceededException as error:
        text = error.response["Error"]["Message"]
    running = cd.list_deployments(applicationName="shop", deploymentGroupName="slow")["deployments"]
    check("a retry after a lost answer makes no second deployment", 1, len(running))
    check("and the fault names the first", f"The Deployment Group 'slow' already has an active Deployment '{running[0]}'", text)
    slow = running[0]
    check("a deployment that runs is no final one", "InProgress", cd.get_deployment(deploymentId=slow)["deploymentInfo"]["status"])
    cd.get_deployment_target(deploymentId=slow, targetId="web3")
    at_install(cd, slow)
    check("stop_deployment waits for the event that runs", "Pending", cd.stop_deployment(
        deploymentId=slow, autoRollbackEnabled=True)["status"])
    (directory / "go").touch()
    check("the waiter of one that is stopped", ("error", "Stopped"), wait(cd, slow))
    info = cd.get_deployment(deploymentId=slow)["deploymentInfo"]
    check("why", ("MANUAL_STOP", True), (info["errorInformation"]["code"], "rollbackMessage" in info["rollbackInfo"]))
    return slow


def at_install(cd, deployment):
    end = datetime.datetime.now() + datetime.timedelta(seconds=30)
    while datetime.datetime.now() < end:
        target = cd.get_deployment_target(deploymentId=deployment, targetId="web3")["deploymentTarget"]["instanceTarget"]
        if [e for e in target["lifecycleEvents"] if (e["lifecycleEventName"], e["status"]) == ("Install", "InProgress")]:
            return
    raise TimeoutError("web3 did not come to Install")


def lists(cd, earlier):
    many = deploy(cd, "many", revision=GITHUB)
    check("hosts that never polled fail it", ("error", "Failed"), wait(cd, many))
    count, targets = pages(cd, "list_deployment_targets", "targetIds", deploymentId=many)
    check("list_deployment_targets in pages", (2, 105, 105), (count, len(targets), len(set(targets))))
    check("by status", (105, []), tuple(
        pages(cd, "list_deployment_targets", "targetIds", deploymentId=many, targetFilters={"TargetStatus": wanted})[1]
        if wanted == ["Succeeded"] else
        len(pages(cd, "list_deployment_targets", "targetIds", deploymentId=many, targetFilters={"TargetStatus": wanted})[1])
        for wanted in (["Failed", "Skipped"], ["Succeeded"])))
    check("25 targets at once", 25, len(cd.batch_get_deployment_targets(deploymentId=many, targetIds=targets[:25])["deploymentTargets"]))
    fault(cd, "but not 26", "DeploymentTargetListSizeExceededException", "batch_get_deployment_targets",
          deploymentId=many, targetIds=targets[:26])
    fault(cd, "a target that is none", "DeploymentTargetDoesNotExistException", "get_deployment_target", deploymentId=many, targetId="web1")
    fault(cd, "a target filter that is none", "InvalidTargetFilterNameException", "list_deployment_targets",
          deploymentId=many, targetFilters={"x": ["y"]})
    fault(cd, "a target status that is none", "InvalidInstanceStatusException", "list_deployment_targets",
          deploymentId=many, targetFilters={"TargetStatus": ["y"]})
    fault(cd, "a token that is none", "InvalidNextTokenException", "list_deployment_targets", deploymentId=many, nextToken="x")

    empty = [deploy(cd, "empty") for _ in range(105)]
    info = cd.get_deployment(deploymentId=empty[0])["deploymentInfo"]
    check("a deployment to nobody", ("Failed", "NO_INSTANCES"), (info["status"], info["errorInformation"]["code"]))
    check("batch_get_deployments", [info, cd.get_deployment(deploymentId=many)["deploymentInfo"]],
          cd.batch_get_deployments(deploymentIds=[empty[0], "d-USUAELQEX", many])["deploymentsInfo"])
    everything = empty[::-1] + [many] + earlier[::-1]
    check("list_deployments in pages, newest first", (2, everything), pages(cd, "list_deployments", "deployments"))
    scope = {"applicationName": "shop", "deploymentGroupName": "empty"}
    check("of one group", (2, empty[::-1]), pages(cd, "list_deployments", "deployments", **scope))
    check("by status", [earlier[0]], cd.list_deployments(includeOnlyStatuses=["Succeeded"])["deployments"])
    check("by statuses", [earlier[2], earlier[0]], cd.list_deployments(includeOnlyStatuses=["Succeeded", "Stopped"])["deployments"])
    created = {name: cd.get_deployment(deploymentId=name)["deploymentInfo"]["createTime"] for name in everything}
    start = created[many].replace(microsecond=0)
    check("since a time", [name for name in everything if created[name] >= start],
          pages(cd, "list_deployments", "deployments", createTimeRange={"start": start})[1])
    check("before a time", [name for name in everything if created[name] < start],
          pages(cd, "list_deployments", "deployments", createTimeRange={"end": start})[1])
    fault(cd, "a time range backwards", "InvalidTimeRangeException", "list_deployments",
          createTimeRange={"start": start, "end": start - datetime.timedelta(days=1)})
    fault(cd, "a status that is none", "InvalidDeploymentStatusException", "list_deployments", includeOnlyStatuses=["x"])
    fault(cd, "a token that is none", "InvalidNextTokenException", "list_deployments", nextToken="x")
    token = cd.list_deployments()["nextToken"]
    fault(cd, "a token that was cut", "InvalidNextTokenException", "list_deployments", nextToken=token[:-1])
    fault(cd, "a token of another list", "InvalidNextTokenException", "list_applications", nextToken=token)


def revisions(cd):
    cd.register_application_revision(applicationName="shop", revision=REVISION, description="by hand")
    answer = cd.get_application_revision(applicationName="shop", revision=REVISION)
    check("get_application_revision", (REVISION, "by hand", ["bad", "empty", "good", "slow"], [True] * 3),
          (answer["revision"], answer["revisionInfo"]["description"], answer["revisionInfo"]["deploymentGroups"],
           [is_time(answer["revisionInfo"][name]) for name in ("registerTime", "firstUsedTime", "lastUsedTime")]))
    fresh = [place(f"releases/{i:03}.zip") for i in range(205)]
    for revision in fresh:
        cd.register_application_revision(applicationName="shop", revision=revision)
    fault(cd, "a revision that is not registered", "RevisionDoesNotExistException", "get_application_revision",
          applicationName="shop", revision=place("none.zip"))
    batch = cd.batch_get_application_revisions(applicationName="shop", revisions=[fresh[0], place("none.zip"), GITHUB])
    check("batch_get_application_revisions", ([fresh[0], GITHUB], True),
          ([each["revisionLocation"] for each in batch["revisions"]], "none.zip" in batch["errorMessage"]))
    fault(cd, "26 at once", "BatchLimitExceededException", "batch_get_application_revisions", applicationName="shop",
          revisions=fresh[:26])

    def listed(**more):
        return pages(cd, "list_application_revisions", "revisions", applicationName="shop", **more)
    check("list_application_revisions in pages, oldest first", (3, [REVISION, GITHUB, *fresh]), listed(sortBy="registerTime"))
    check("newest first", (3, [*fresh[::-1], GITHUB, REVISION]), listed(sortBy="registerTime", sortOrder="descending"))
    check("by use", [REVISION, GITHUB], listed(sortBy="lastUsedTime", sortOrder="descending")[1][:2])
    check("by first use", [GITHUB, REVISION], listed(sortBy="firstUsedTime", sortOrder="descending")[1][:2])
    check("those that groups have", (1, [REVISION, GITHUB]), listed(deployed="include"))
    check("and the others", (3, fresh), listed(deployed="exclude"))
    check("by bucket and prefix", fresh[100:200], listed(s3Bucket="bundles", s3KeyPrefix="releases/1")[1])
    check("of a bucket without any", (1, []), listed(s3Bucket="other"))
    fault(cd, "a prefix without bucket", "BucketNameFilterRequiredException", "list_application_revisions", applicationName="shop",
          s3KeyPrefix="x")
    fault(cd, "an order that is none", "InvalidSortOrderException", "list_application_revisions", applicationName="shop", sortOrder="x")
    fault(cd, "a column that is none", "InvalidSortByException", "list_application_revisions", applicationName="shop", sortBy="x")
    fault(cd, "a state that is none", "InvalidDeployedStateFilterException", "list_application_revisions", applicationName="shop",
          deployed="x")
    fault(cd, "a token that is none", "InvalidNextTokenException", "list_application_revisions", applicationName="shop", nextToken="x")
    fault(cd, "a revision that is none", "InvalidRevisionException", "register_application_revision",
          applicationName="shop", revision={"revisionType": "S3"})
    fault(cd, "a revision for Lambda", "InvalidRevisionException", "create_deployment", applicationName="shop",
          deploymentGroupName="empty", revision={"revisionType": "String", "string": {"content": "x"}})
    fault(cd, "no revision", "RevisionRequiredException", "create_deployment", applicationName="shop", deploymentGroupName="empty")
    fault(cd, "no group", "DeploymentGroupNameRequiredException", "create_deployment", applicationName="shop", revision=REVISION)
    fault(cd, "a long description", "DescriptionTooLongException", "create_deployment", applicationName="shop",
          deploymentGroupName="empty", revision=REVISION, description="x" * 257)
    fault(cd, "a behaviour that is none", "InvalidFileExistsBehaviorException", "create_deployment", applicationName="shop",
          deploymentGroupName="empty", revision=REVISION, fileExistsBehavior="x")
    fault(cd, "targets of a blue/green deployment", "InvalidTargetInstancesException", "create_deployment", applicationName="shop",
          deploymentGroupName="empty", revision=REVISION, targetInstances={"tagFilters": filters("x")})
    fault(cd, "a deployment that is not there", "DeploymentDoesNotExistException", "get_deployment",
          "The deployment d-USUAELQEX could not be found", deploymentId="d-USUAELQEX")
    fault(cd, "an id that is none", "InvalidDeploymentIdException", "get_deployment", deploymentId="x")


def strangers(cd):
    keys = json.load(open(CREDENTIALS))
    unknown = client("codedeploy", URL, CA, {**keys, "access_key_id": "SLIPNOBODY"})
    check("an unknown key", "UnrecognizedClientException", code_of(unknown.list_applications))
    wrong = client("codedeploy", URL, CA, {**keys, "secret_access_key": "wrong"})
    check("a wrong secret", "InvalidSignatureException", code_of(wrong.list_applications))
    nobody = client("codedeploy", URL, CA, keys, config=Config(signature_version=botocore.UNSIGNED))
    check("no signature", "MissingAuthenticationTokenException", code_of(nobody.list_applications))
    for minutes, wanted in ((-6, "Signature expired: "), (6, "Signature not yet current: "), (-4, "no error")):
        check(f"a clock that is {minutes} minutes off", True, skewed(cd, minutes).startswith(wanted))


def skewed(cd, minutes):
    """What is answered to a client whose clock is wrong."""
    AUTH_TYPE_MAPS["v4"] = SigV4Auth  # not the one of awscrt, which has a clock of its own
    modify = SigV4Auth._modify_request_before_signing

    def late(self, request):
        wrong = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        request.context["timestamp"] = wrong.strftime("%Y%m%dT%H%M%SZ")
        modify(self, request)
    SigV4Auth._modify_request_before_signing = late
    try:
        cd.list_applications()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidSignatureException", error
        return error.response["Error"]["Message"]
    finally:
        SigV4Auth._modify_request_before_signing = modify
    return "no error"


def some(shape):
    """The least that an operation takes."""
    if shape.type_name == "structure":
        return {name: some(shape.members[name]) for name in shape.required_members}
    return [some(shape.member)] if shape.type_name == "list" else "Succeeded"


def rest(cd, watch):
    offered = set(watch.used)
    refused = {"OperationNotSupportedException": 0, "UnsupportedActionForDeploymentTypeException": 0}
    for name in cd.meta.service_model.operation_names:
        if name in offered:
            continue
        method = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
        try:
            getattr(cd, method)(**some(cd.meta.service_model.operation_model(name).input_shape))
            check(f"{name} is used here or is not offered", "a fault", "none")
        except botocore.exceptions.ClientError as error:
            answer = error.response["Error"]
            good = answer["Code"] in refused and answer["Message"] == f"{name} is not offered by this version"
            check(f"{name} says that it is not offered", True, good or answer)
    check("every answer is as the model has it", [], sorted(watch.wrong))


def everything(directory, token):
    cd = client("codedeploy", URL, CA, CREDENTIALS)
    watch = Watch(cd)
    directory = pathlib.Path(directory)
    applications(cd)
    groups(cd)
    configs(cd)
    hosts(cd, directory, token)
    earlier = [*good_and_bad(cd), stopped(cd, directory)]
    lists(cd, earlier)
    revisions(cd)
    strangers(cd)
    cd.delete_application(applicationName="shop")
    check("nothing is left", [], cd.list_applications()["applications"] + cd.list_deployments()["deployments"])
    rest(cd, watch)


def patient(file):
    cd = client("codedeploy", URL, CA, CREDENTIALS, config=Config(retries={"mode": "standard", "max_attempts": 10}))
    cd.meta.events.register("needs-retry.codedeploy", lambda **_: pathlib.Path(file).touch())
    check("a client that asks again gets its answer", [], cd.list_applications()["applications"])


{"all": everything, "patient": patient}[STEP](*ARGUMENTS)
