#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From the packages to a served application: an endpoint on one host, the agent on another, joined by a net.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld

net_up
agent_host web1 &
ok "the endpoint is installed and serves" endpoint_host
wait $!
is "no unit failed on the endpoint's host" "" "$(in_host ctl systemctl list-units --failed --plain --no-legend)"
is "no unit failed on the agent's host" "" "$(in_host web1 systemctl list-units --failed --plain --no-legend)"
is "the daemon that has not joined waits" active "$(in_host web1 systemctl is-active slipwayd)"
in_host web1 systemctl status slipwayd >"$T/status"
says "and says for what" "enroll" "$T/status"

before=$(in_host web1 systemctl show -P MainPID slipwayd)
exits 0 "the host joins with the command that 'token create' prints" enrol web1 role=web
ok "the endpoint lists it" eval 'fleet hosts | grep -q web1'
is "the daemon went on without a restart" "$before" "$(in_host web1 systemctl show -P MainPID slipwayd)"
make_group AllAtOnce >/dev/null

make_app "$T/r1" 1
exits 0 "revision 1 is deployed" deploy "$T/r1"
is "it is served" 1 "$(served web1)"
server=$(in_host web1 cat /run/app.pid)
started_s=$SECONDS
server_unit() { in_host web1 sh -c 'sed "s|.*/||" "/proc/$(cat /run/app.pid)/cgroup" | tail -n 1'; }
unit=$(server_unit)
ok "the application lives in its script's own service" grep -qE '^slipway-hook-d-[A-Z0-9]{9}-ApplicationStart-[0-9]+\.service$' <<<"$unit"
ok "which is in its slice" eval 'in_host web1 systemctl show -P ControlGroup "$unit" | grep -q "^/slipway.slice/slipway-hooks.slice/"'
in_host web1 slipway status >"$T/status"
says "slipway status shows it" app "$T/status"

in_host web1 systemctl restart slipwayd
is "the application survives a restart of the daemon" "$server 1" "$(in_host web1 cat /run/app.pid) $(served web1)"
in_host web1 systemctl kill -s KILL slipwayd
ok "systemd starts a killed daemon again" within 20 in_host web1 systemctl is-active slipwayd
is "the application survives that" "$server 1" "$(in_host web1 cat /run/app.pid) $(served web1)"

# Output of the server, which has its script's stdout: it writes a line each second.
output_of() { in_host web1 sh -c 'cat "$(readlink "/proc/$1/fd/1")"' sh "$server"; }
ok "the server's output goes to a file" in_host web1 sh -c 'test -f "$(readlink /proc/$0/fd/1)"' "$server"

# Meanwhile, a second application's deployments on the same host, by other scripts: the first one runs on.
mkdir -p "$T/o1"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: f\n    destination: /srv/other\n' >"$T/o1/appspec.yml"
echo other >"$T/o1/f"
fleet app create --app other >/dev/null
fleet group create --app other --group group --tag role=web --config CodeDeployDefault.AllAtOnce >/dev/null
app=other
exits 0 "another application is deployed beside it" deploy "$T/o1"
app=app
is "both are there" "1 other" "$(served web1) $(in_host web1 cat /srv/other/f)"

ok "the daemon may not write where root's state is" eval '! "$HOST" exec web1 --user=slipway -- sh -c ": >/var/lib/slipway/host/x" 2>/dev/null'
is "the daemon has no privilege" 0000000000000000 "$(in_host web1 sh -c 'sed -n "s/^CapEff:\t//p" /proc/$(systemctl show -P MainPID slipwayd)/status')"
ok "the endpoint's directory is its own" in_host ctl sh -c '[ "$(stat -c "%U %a" /var/lib/slipway-control)" = "slipway-control 700" ]'
ok "root's 'token create' left nothing of root in it" in_host ctl sh -c '[ -z "$(find /var/lib/slipway-control ! -user slipway-control)" ]'

in_host web1 journalctl -o cat -u slipwayd -u 'slipway-worker@*' >"$T/journal"
says "the journal of the agent tells of the deployment" "ValidateService" "$T/journal"

# The first server's 60 s.
logs_after() { [ "$(output_of | sed -n 's/.* lives //p' | tail -n 1)" -ge "$1" ]; }
first=$(output_of | sed -n 's/.* lives //p' | head -n 1)
ok "60 s after its script the server still writes to what it inherited" within $((started_s + 75 - SECONDS)) logs_after $((first + 60))
is "and lost no line" 0 "$(output_of | sed -n 's/.* lives //p' | awk 'NR > 1 && $1 - last > 2 { gaps++ } { last = $1 } END { print gaps + 0 }')"

make_app "$T/r2" 2
exits 0 "revision 2 replaces it" deploy "$T/r2"
is "it is served" 2 "$(served web1)"
ok "by another server" test "$(in_host web1 cat /run/app.pid)" != "$server"
ok "and nothing of the first one is left" in_host web1 sh -c '! kill -0 "$1"' sh "$server"

# Scripts leave units behind only while something runs in them: here the present server's, in its slice.
for n in 3 4 5 6 7; do
	make_app "$T/r$n" $n
	deploy "$T/r$n" >"$T/out" || sed 's/^/# /' "$T/out"
done
is "five more revisions later the last one is served" 7 "$(served web1)"
unit=$(server_unit)
units_of() { in_host web1 systemctl list-units --all --plain --no-legend "$1" | sed 's/ .*//'; }
is "and PID 1 keeps its server's unit, and none of those before" "$unit" "$(units_of 'slipway-hook-*')"
is "in the one slice that is left" "$(in_host web1 systemctl show -P Slice "$unit")" "$(units_of 'slipway-hooks-*.slice')"

# A server that ends by itself leaves an empty unit; it goes with the next deployment.
in_host web1 sh -c 'kill "$(cat /run/app.pid)"'
exited() { [ "$(in_host web1 systemctl show -P SubState "$unit")" = exited ] && ! in_host web1 curl -fsS http://127.0.0.1:8080/; }
ok "a server ends by itself" within 20 exited
make_app "$T/r8" 8
exits 0 "the next deployment works" deploy "$T/r8"
is "and the empty unit is gone, the new server's is there" "$(server_unit)" "$(units_of 'slipway-hook-*')"
done_testing
