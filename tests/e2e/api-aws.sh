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

# The waiter of the CLI asks every 15 s: here every second.
model=/usr/lib/python3/dist-packages/awscli/botocore/data/codedeploy/2014-10-06/waiters-2.json
mkdir -p "$T/.aws/models/codedeploy/2014-10-06"
sed 's/"delay": *15/"delay": 1/' "$model" >"$T/.aws/models/codedeploy/2014-10-06/waiters-2.json"

deploy_cli() { aws_cli deploy "$@" --output json >"$T/out" 2>"$T/err"; }
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
ok "the hosts poll" within 10 online web1 web2
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

# The end
ok "delete-deployment-group" deploy_cli delete-deployment-group --application-name shop --deployment-group-name web
ok "delete-application" deploy_cli delete-application --application-name shop
ok "delete-application again" deploy_cli delete-application --application-name shop
ok "list-applications" deploy_cli list-applications
is "nothing is left" "[]" "$(did applications)"
done_testing
