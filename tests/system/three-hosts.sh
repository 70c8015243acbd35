#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three hosts, one after the other, and the cable of one of them is out: the deployment says which, and why.
. "$top_srcdir/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

net_up
for name in web1 web2 web3; do agent_host $name & done
endpoint_host || exit 1
wait
in_host ctl sh -c 'printf "%b\n" "offline_after: 10s\npoll: 5s" >>/etc/slipway/control.yml && systemctl restart slipway-controld' || exit 1
for name in web1 web2 web3; do ok "$name joins" enrol $name role=web; done
make_group OneAtATime >/dev/null

make_app "$T/r1" 1
exits 0 "revision 1 is deployed, one host after the other" deploy "$T/r1"
is "all three serve it" "1 1 1" "$(served web1) $(served web2) $(served web3)"

"$HOST" net-cut web2
make_app "$T/r2" 2
begin=$SECONDS
exits 1 "revision 2 is deployed while web2 is unplugged" deploy "$T/r2"
ok "that is said soon" test $((SECONDS - begin)) -lt 60
fleet show "$(fleet deployments | grep -oE 'd-[A-Z0-9]{9}' | head -n 1)" >"$T/show"
says "the deployment's message names the host" "web2" <(grep -i "failed" "$T/show")
says "and that it has not polled" "polled" <(grep web2 "$T/show")
is "the unplugged host serves what it had" 1 "$(served web2)"

"$HOST" net-heal web2
again() { deploy "$T/r2" >/dev/null; }
ok "with its cable in again the same deployment works" within 60 again
is "all three serve revision 2" "2 2 2" "$(served web1) $(served web2) $(served web3)"
done_testing
