#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# explain and status on an installed host, where scripts are services and the worker sees neither their network nor into other
# processes: who holds a port, what still runs of an earlier deployment, and a deployment at which nobody works.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent
new_host h && install_packages h slipway slipway-agent || { echo "Bail out! no host"; exit 1; }

h() { in_host h "$@"; }
# revision START: one whose ApplicationStart does this.
revision() {
	rm -rf "$T/r"
	mkdir -p "$T/r/app" "$T/r/scripts"
	echo 1 >"$T/r/app/file"
	printf '#!/bin/sh\n%s\n' "$1" >"$T/r/scripts/start.sh"
	chmod 755 "$T/r/scripts/start.sh"
	cat >"$T/r/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/app
hooks:
  ApplicationStart:
    - location: scripts/start.sh
Y
	h rm -rf /root/r && "$HOST" copy "$T/r" h:/root/
}
explained() { h slipway explain >"$T/explain"; }

# --- a service of the host holds the port -------------------------------------------------------------------------------
h systemd-run -q --unit=other -p User=games python3 -m http.server 8099
ok "another service listens" within 20 in_host h curl -s http://127.0.0.1:8099/
revision 'echo "serving port 8099"; exec python3 -m http.server 8099'
exits 1 "a deployment fails" h slipway deploy /root/r
explained
says "the port and whose process holds it are recorded" "port 8099 is in use: a process of user 'games'" "$T/explain"
says "root is told which one" ", of other.service" "$T/explain"
h systemctl stop other

# --- an earlier deployment does -----------------------------------------------------------------------------------------
revision 'python3 -m http.server 8099 & until curl -s http://127.0.0.1:8099/ >/dev/null; do sleep 0.1; done'
exits 0 "a deployment leaves its server running" h slipway deploy /root/r
id=$(h slipway status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["groups"][0]["installed"])')
revision 'echo "serving port 8099"; exec python3 -m http.server 8099'
exits 1 "the next one fails" h slipway deploy /root/r
explained
says "the port is recorded" "port 8099 is in use" "$T/explain"
says "and root is told whose server it is" "started by ApplicationStart of $id" "$T/explain"

h slipway remove --group default-local-deployment-group >/dev/null
# --- nobody works at it -------------------------------------------------------------------------------------------------
revision ': >/root/at; sleep 300'
h systemd-run -q --unit=person slipway deploy /root/r
ok "a script runs" within 20 in_host h test -e /root/at
h slipway status >"$T/status"
says "status shows it" "'slipway logs -f' shows its output" "$T/status"
h systemctl kill -s KILL person.service
h systemctl kill -s KILL 'slipway-worker@*.service'
shows_interrupted() { h slipway status | grep -q "it is half way, and nobody works at it"; }
ok "when its worker is killed, status says so" within 20 shows_interrupted
exits 0 "and that is cleared up as it says" h slipway recover
h slipway status >"$T/status"
says "then it is rolled back" "rolled back" "$T/status"
done_testing
