#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three hosts, one after the other, and the cable of one of them is out: the deployment says which, and why.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

net_up
for name in web1 web2 web3; do agent_host $name & done
endpoint_host || exit 1
wait
in_host ctl sh -c 'printf "offline_after: 10s\npoll: 5s\n" >>/etc/slipway/control.yml && systemctl restart slipway-controld' || exit 1
for name in web1 web2 web3; do ok "$name joins" enrol $name role=web; done
make_group OneAtATime >/dev/null
served_by_all() { echo "$(served web1) $(served web2) $(served web3)"; }

make_app "$T/r1" 1
exits 0 "revision 1 is deployed, one host after the other" deploy "$T/r1"
is "all three serve it" "1 1 1" "$(served_by_all)"

# The endpoint cannot know yet: a poll of web2 seems to wait there.
"$HOST" net-cut web2
make_app "$T/r2" 2
begin=$SECONDS
exits 1 "revision 2 is deployed while web2 is unplugged" deploy "$T/r2"
ok "that is said soon" test $((SECONDS - begin)) -lt 60
fleet show "$(newest)" >"$T/show"
says "the deployment's message names the host" "First failure: host web2, event ApplicationStop" "$T/show"
says "and that it has not polled" "CodeDeploy agent is not there: the host last polled" "$T/show"
is "web1 had its turn, web2 serves what it had, web3 was not touched" "2 1 1" "$(served_by_all)"

# Now it knows.
begin=$SECONDS
exits 1 "once more" deploy "$T/r2"
ok "that is said at once" test $((SECONDS - begin)) -lt 15
fleet show "$(newest)" >"$T/show"
says "by name" "First failure: host web2, event ApplicationStop" "$T/show"
journal ctl -u slipway-controld -o cat MESSAGE_ID=a27146b5bb5c944cc6972fe15b296a1a HOST_ID=web2 >"$T/journal"
says "and in the endpoint's journal" "host 'web2'" "$T/journal"

"$HOST" net-heal web2
back() { fleet hosts | grep -qE '^web2 +online '; }
ok "with its cable in again the host is back" within 90 back
exits 0 "and revision 2 goes to its end on all three" deploy "$T/r2"
says "the deployment says so" "3 hosts: 3 succeeded" <(fleet show "$(newest)")
is "all three serve it" "2 2 2" "$(served_by_all)"
done_testing
