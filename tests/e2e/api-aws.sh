#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The stock aws CLI against the management API: from an application to a deployment that it waits for, errors as it shows them,
# and what this version does not offer.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
. "$top_srcdir/tests/e2e/api-lib.sh"
[ -x /usr/bin/aws ] || skip_all "the aws CLI of Debian (/usr/bin/aws) is missing"
endpoint || exit 1
api_up
joined web1 web2 || exit 1
for name in web1 web2; do speaks "$name"; done
is "a host that will fail" 200 "$(enroll web3 "$(token --tag role=bad)" | head -n 1)"
is "a host that takes long" 200 "$(enroll web4 "$(token --tag role=slow)" | head -n 1)"

# The waiter of the CLI asks every 15 s: here every second.
model=/usr/lib/python3/dist-packages/awscli/botocore/data/codedeploy/2014-10-06/waiters-2.json
mkdir -p "$T/.aws/models/codedeploy/2014-10-06"
sed 's/"delay": *15/"delay": 1/' "$model" >"$T/.aws/models/codedeploy/2014-10-06/waiters-2.json"

deploy_cli() { aws_cli deploy "$@" --output json >"$T/out" 2>"$T/err"; }
deploy_table() { aws_cli deploy "$@" --output table >"$T/out" 2>"$T/err"; }
did() { json_of "$@" <"$T/out"; }
fails() { # NAME CODE TEXT ARGUMENT...
	local name=$1 code=$2 text=$3
	shift 3
	exits 254 "$name" aws_cli deploy "$@"
	says "... as the CLI shows it" "An error occurred ($code) when calling the "
	says "... in words" "$text"
}

# From nothing to a deployment
ok "create-application" deploy_cli create-application --application-name shop --tags Key=team,Value=shop
ok "create-deployment-group" deploy_cli create-deployment-group --application-name shop --deployment-group-name web \
	--service-role-arn arn:aws:iam::123456789012:role/R --deployment-config-name CodeDeployDefault.AllAtOnce \
	--on-premises-instance-tag-filters Key=role,Value=web,Type=KEY_AND_VALUE
is "it has an id" 36 "$(did deploymentGroupId | tr -d '\n' | wc -c)"
ok "get-deployment-group" deploy_cli get-deployment-group --application-name shop --deployment-group-name web
is "shows its filter" web "$(did deploymentGroupInfo onPremisesInstanceTagFilters 0 Value)"
location=(--s3-location bucket=bundles,key=shop.zip,bundleType=zip)
ok "register-application-revision" deploy_cli register-application-revision --application-name shop "${location[@]}"
ok "the hosts poll" within 20 online web1 web2
ok "create-deployment" deploy_cli create-deployment --application-name shop --deployment-group-name web "${location[@]}" \
	--description "the first" --file-exists-behavior OVERWRITE
id=$(did deploymentId)
ok "wait deployment-successful" deploy_cli wait deployment-successful --deployment-id "$id"
ok "get-deployment" deploy_cli get-deployment --deployment-id "$id"
is "it has succeeded on both" "Succeeded 2" "$(did deploymentInfo status) $(did deploymentInfo deploymentOverview Succeeded)"
is "its times are understood" 3 "$(grep -cE '"(create|start|complete)Time": "20[0-9-]+T' "$T/out")"
ok "list-deployment-targets" deploy_cli list-deployment-targets --deployment-id "$id"
is "both hosts are targets" '["web1", "web2"]' "$(did targetIds)"
ok "batch-get-deployment-targets" deploy_cli batch-get-deployment-targets --deployment-id "$id" --target-ids web1 web2
is "each has seven events" 14 "$(grep -c lifecycleEventName "$T/out")"
ok "list-deployments" deploy_cli list-deployments --application-name shop --deployment-group-name web --include-only-statuses Succeeded
is "has it" "$id" "$(did deployments 0)"

# As scripts ask
text() { aws_cli deploy "$@" --output text 2>&1; }
is "--query and text" "Succeeded	2" "$(text get-deployment --deployment-id "$id" \
	--query 'deploymentInfo.[status,deploymentOverview.Succeeded]')"
is "a list as text" "TARGETIDS	web1
TARGETIDS	web2" "$(text list-deployment-targets --deployment-id "$id" | sort)"
is "failures of targets, by a query" "None" "$(text batch-get-deployment-targets --deployment-id "$id" --target-ids web1 web2 \
	--query "deploymentTargets[?instanceTarget.status!='Succeeded'].instanceTarget.targetId | [0]")"
ok "a table" deploy_table get-deployment --deployment-id "$id"
ok "has its rows" grep -E '\| +status +\| +Succeeded' "$T/out"
for i in {101..203}; do call CreateApplication "{\"applicationName\": \"a$i\"}" >/dev/null; done
is "pages are put together" 104 "$(text list-applications --query 'applications' | wc -w)"
ok "--max-items" deploy_cli list-applications --max-items 101
is "gives so many" 101 "$(did applications | wc -w)"
token=$(did NextToken)
is "the rest comes by --starting-token" '["a202", "a203", "shop"]' \
	"$(deploy_cli list-applications --starting-token "$token" && did applications)"
fails "a token that is none" InvalidNextTokenException "this nextToken was not given out for this list" \
	list-applications --next-token x
for i in {101..203}; do call DeleteApplication "{\"applicationName\": \"a$i\"}" >/dev/null; done

# A deployment that fails, and one that is stopped
speaks web3 --fail Install
speaks web4 --hold Install "$T/go"
for name in bad slow; do
	deploy_cli create-deployment-group --application-name shop --deployment-group-name $name --service-role-arn arn:aws:iam::123456789012:role/R \
		--on-premises-instance-tag-filters Key=role,Value=$name,Type=KEY_AND_VALUE
done
ok "create-deployment to a host that will fail" deploy_cli create-deployment --application-name shop --deployment-group-name bad "${location[@]}"
bad=$(did deploymentId)
exits 255 "wait deployment-successful fails" aws_cli deploy wait deployment-successful --deployment-id "$bad"
says "... in its words" 'Waiter DeploymentSuccessful failed: Waiter encountered a terminal failure state'
is "errorInformation says why" "First failure: host 'web3', event 'Install', script 'scripts/check.sh'" \
	"$(text get-deployment --deployment-id "$bad" --query deploymentInfo.errorInformation.message | grep -oE "First failure: [^:]*")"
ok "create-deployment to a host that takes long" deploy_cli create-deployment --application-name shop --deployment-group-name slow "${location[@]}"
slow=$(did deploymentId)
fails "a second one at the same time" DeploymentLimitExceededException \
	"The Deployment Group 'slow' already has an active Deployment '$slow'" \
	create-deployment --application-name shop --deployment-group-name slow "${location[@]}"
ok "the host is at Install" within 20 grep -q Install "$T/web4.out"
ok "stop-deployment" deploy_cli stop-deployment --deployment-id "$slow"
is "waits for the event" Pending "$(did status)"
touch "$T/go"
exits 255 "wait deployment-successful fails then, too" aws_cli deploy wait deployment-successful --deployment-id "$slow"
exits 255 "and of a deployment that is not there" aws_cli deploy wait deployment-successful --deployment-id d-USUAELQEX
says "... with the fault" DeploymentDoesNotExistException

# Hosts
ok "add-tags-to-on-premises-instances" deploy_cli add-tags-to-on-premises-instances --instance-names web2 --tags Key=zone,Value=b
ok "list-on-premises-instances" deploy_cli list-on-premises-instances --tag-filters Key=zone,Value=b,Type=KEY_AND_VALUE
is "finds it" '["web2"]' "$(did instanceNames)"
ok "get-on-premises-instance" deploy_cli get-on-premises-instance --instance-name web2
is "shows its tags" '[{"Key": "role", "Value": "web"}, {"Key": "zone", "Value": "b"}]' "$(did instanceInfo tags)"

# Errors
fails "an unknown application" ApplicationDoesNotExistException "No application found for name: x" \
	get-application --application-name x
fails "an unknown deployment" DeploymentDoesNotExistException "The deployment d-USUAELQEX could not be found" \
	get-deployment --deployment-id d-USUAELQEX
fails "a role that is none" InvalidRoleException "Cannot assume role provided." \
	create-deployment-group --application-name shop --deployment-group-name x --service-role-arn nobody
fails "a finished deployment is not stopped" DeploymentAlreadyCompletedException "The deployment $id has already completed" \
	stop-deployment --deployment-id "$id"
fails "what is not in this version says so" OperationNotSupportedException "UpdateApplication is not offered by this version" \
	update-application --application-name shop --new-application-name store

secret=wrong fails "a wrong secret" InvalidSignatureException "The request signature we calculated does not match" list-applications
key_id=SLIPNOBODY fails "an unknown key" UnrecognizedClientException "The security token included in the request is invalid." \
	list-applications
exits 252 "an option that is none" aws_cli deploy get-application --nonsense

# The end
ok "delete-deployment-group" deploy_cli delete-deployment-group --application-name shop --deployment-group-name web
ok "delete-application" deploy_cli delete-application --application-name shop
ok "delete-application again" deploy_cli delete-application --application-name shop
ok "list-applications" deploy_cli list-applications
is "nothing is left" "[]" "$(did applications)"
done_testing
