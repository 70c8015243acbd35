#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# AWS mode as an operator has it: the packages, the unit's sandbox and the daemon's own user; the fake runs in the host.
. "${top_srcdir:?}/tests/system/lib.sh"
. "$top_srcdir/tests/aws/lib.sh"
need_hosts
need_packages_built slipway slipway-agent

start_fake # so that its certificates are there: a host has no openssl(1)
stop fake
config '{"poll": 2}'
user=arn:aws:iam::111122223333:user/web1
read -r key secret <<<"$(fake user $user)"
mkdir "$T/fake"
cp "$top_srcdir"/tests/aws/*.py "$T/fake/"

conf=/etc/codedeploy-agent/conf/codedeploy.onpremises.yml
status_has() { in_host aws slipway status --json | grep -qF -- "$1"; }
onpremises() { # onpremises MODE
	printf '%s\n' 'region: us-east-1' "iam_user_arn: $user" "aws_access_key_id: $key" "aws_secret_access_key: $secret" >"$T/onpremises"
	"$HOST" copy "$T/onpremises" aws:$conf && in_host aws chown root:slipway $conf && in_host aws chmod "$1" $conf
}

ok "a host boots, with our packages" agent_host aws
"$HOST" copy "$T/fake" aws:/opt/
"$HOST" copy "$P" aws:/opt/
in_host aws systemd-run --unit=fake-aws python3 /opt/fake/fake-aws.py /opt/aws
"$HOST" copy "$P/ca.pem" aws:/etc/slipway/ca.pem
printf '%s\n' 'aws: true' 'ca_file: /etc/slipway/ca.pem' "deploy_control_endpoint: $commands" >"$T/agent.yml"
"$HOST" copy "$T/agent.yml" aws:/etc/slipway/agent.yml
in_host aws sh -c "mkdir -p /etc/systemd/system/slipwayd.service.d ${conf%/*}; chmod 644 /etc/slipway/ca.pem; cd /etc/slipway
	chown root:slipway agent.yml; printf '[Service]\nEnvironment=AWS_EC2_METADATA_SERVICE_ENDPOINT=$imds\n' \
		>/etc/systemd/system/slipwayd.service.d/imds.conf; systemctl daemon-reload; systemctl restart slipwayd"
ok "an instance polls, in its sandbox" within 30 status_has '"state":"reachable"'
ok "with a token" status_has IMDSv2
is "the daemon is not swapped" 0 "$(in_host aws systemctl show -P MemorySwapMax slipwayd)"

onpremises 600
in_host aws systemctl restart slipwayd
ok "a file that the daemon may not read is named" within 20 status_has "chgrp slipway $conf"
onpremises 640
ok "and read as soon as it may be, without a restart" within 40 status_has '"identity":"user"'
ok "the on-premises host polls" within 20 status_has '"state":"reachable"'
is "the unit has not been started again" 0 "$(in_host aws systemctl show -P NRestarts slipwayd)"
journal aws >"$T/journal"
ok "the journal says who the host is" grep -q "this host is 'web1'" "$T/journal"
exits 1 "its keys are not in it" grep -F "$secret" "$T/journal"
is "the fake has nothing to complain of" "" "$(in_host aws sh -c 'cat /opt/aws/complaints 2>/dev/null')"
done_testing
