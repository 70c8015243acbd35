#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The applications of examples/, as they are, on a host with a real systemd: a first revision, a second, one that fails and
# is taken back, and removal.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent
image_packages+=(python3-venv python3-apt cloud-init openssh-server sudo) # readme.sh and join.sh share this image

agent_host app || exit 1

# revision NAME DIR: a copy of an example in $T/NAME, for the test to change.
revision() { cp -R "$2" "$T/$1"; }
# send NAME, local_deploy NAME: on the host, by the command line.
send() { "$HOST" copy "$T/$1" app:/root/; }
local_deploy() { send "$2" && in_host app slipway deploy "/root/$2" --group "$1"; }
page() { in_host app curl -fsS --max-time 5 "$@"; }
main_pid() { in_host app systemctl show --property=MainPID --value "$1"; }
explain() { in_host app slipway explain >"$T/explain" 2>&1; }
gone_from_host() { in_host app sh -c "! ls $* 2>/dev/null"; }

# --- systemd-web ----------------------------------------------------------------------------------------------------------
revision web1 "$top_srcdir/examples/systemd-web"
exits 0 "systemd-web is deployed" local_deploy web web1
is "it serves" "Notice board, revision 1" "$(page http://127.0.0.1:8081/)"
is "as a unit of its own" "active enabled" "$(in_host app sh -c 'echo $(systemctl is-active noticeboard) $(systemctl is-enabled noticeboard)')"
is "the program is root's, readable for its group" "root noticeboard 750
root noticeboard 640" "$(in_host app stat -c '%U %G %a' /opt/noticeboard/noticeboard.py /opt/noticeboard/revision.txt)"
in_host app sed -i 's/^NOTICEBOARD_TITLE=.*/NOTICEBOARD_TITLE="Ours"/' /etc/noticeboard/noticeboard.conf
ok "a notice is pinned" page -d "the first notice" http://127.0.0.1:8081/

revision web2 "$top_srcdir/examples/systemd-web"
echo 2 >"$T/web2/app/revision.txt"
exits 0 "a second revision is deployed" local_deploy web web2
is "settings and data are kept" "Ours, revision 2
the first notice" "$(page http://127.0.0.1:8081/)"

revision web3 "$T/web2"
echo 3 >"$T/web3/app/revision.txt"
sed -i 's/^say_ready/no_such_&/; s/    say_ready()/    raise SystemExit("the notices are unreadable")/' "$T/web3/app/noticeboard.py"
exits 1 "a revision that cannot start is taken back" local_deploy web web3
is "revision 2 serves again" "Ours, revision 2" "$(page http://127.0.0.1:8081/ | head -n 1)"
explain
says "and the reason is the application's own" "the notices are unreadable" "$T/explain"
exits 0 "it is removed" in_host app slipway remove --group web
ok "with its unit and program" gone_from_host /opt/noticeboard /etc/systemd/system/noticeboard.service /etc/systemd/system/*.wants/noticeboard.service
ok "not with its data and settings" in_host app test -s /var/lib/noticeboard/notices.txt -a -s /etc/noticeboard/noticeboard.conf

# --- two-services -----------------------------------------------------------------------------------------------------------
revision shop1 "$top_srcdir/examples/two-services"
exits 0 "two-services is deployed" local_deploy shop shop1
is "the order that validated it is forgotten" 404 "$(in_host app curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8082/orders/1)"
is "what 'runas: shop' made is shop's" "shop shop" "$(in_host app stat -c '%U %G' /var/lib/shop/shop.db)"
order=$(page -d "a chair" http://127.0.0.1:8082/orders)

revision shop2 "$top_srcdir/examples/two-services"
echo 2 >"$T/shop2/shop/revision.txt"
echo "ALTER TABLE orders ADD COLUMN price INTEGER;" >"$T/shop2/shop/sql/002-price.sql"
exits 0 "a second revision is deployed" local_deploy shop shop2
says "which brings the database up to date" "applied 002-price.sql" <(in_host app slipway logs)
says "and has made a copy of it" "made /var/lib/shop/backup-" <(in_host app slipway logs)
is "orders are kept" "a chair: done" "$(page "http://127.0.0.1:8082$order")"

revision shop3 "$T/shop2"
echo 3 >"$T/shop3/shop/revision.txt"
echo 'raise SystemExit("the warehouse is not reachable")' >"$T/shop3/shop/jobs.py"
sed -i '1i #!/usr/bin/env python3' "$T/shop3/shop/jobs.py"
exits 1 "a revision of which one service fails is taken back" local_deploy shop shop3
explain
says "for the reason that the service gave" "the warehouse is not reachable" "$T/explain"
is "both services run, of revision 2" "ok 2 active active" \
	"$(page http://127.0.0.1:8082/health | tr '\n' ' ')$(in_host app systemctl is-active shop-api shop-jobs | xargs)"
exits 0 "it is removed" in_host app slipway remove --group shop
ok "with both units" gone_from_host '/opt/shop /etc/systemd/system/shop-*'

# --- python-venv --------------------------------------------------------------------------------------------------------------
venv_of() { in_host app readlink /opt/greeter/current; }
cp -R "$top_srcdir/examples/python-venv" "$T/greeter"
build() { timeout 120 "$T/greeter/build.sh" "$T/$1"; }
if build venv1 >"$T/build.log" 2>&1; then
	exits 0 "python-venv is deployed, without a package index" local_deploy greeter venv1
	is "it serves" "Hello from version 1.0.0." "$(page http://127.0.0.1:8083/)"
	first=$(venv_of)

	sed -i 's/^version = .*/version = "1.1.0"/' "$T/greeter/pyproject.toml"
	ok "a second version is built" build venv2
	exits 0 "and deployed" local_deploy greeter venv2
	is "it serves" "Hello from version 1.1.0." "$(page http://127.0.0.1:8083/)"
	second=$(venv_of)
	ok "from an environment of its own" [ "$first" != "$second" ]

	revision venv3 "$T/venv2"
	rm "$T"/venv3/wheels/waitress-*
	exits 1 "a revision that lacks a wheel is taken back" local_deploy greeter venv3
	explain
	says "and pip says what it lacks" "requires waitress" "$T/explain"
	is "the second version serves from its environment" "Hello from version 1.1.0. $second" "$(page http://127.0.0.1:8083/) $(venv_of)"

	exits 0 "rollback to the first version" in_host app slipway rollback --group greeter
	is "it serves from its environment" "Hello from version 1.0.0. $first" "$(page http://127.0.0.1:8083/) $(venv_of)"
	exits 0 "it is removed" in_host app slipway remove --group greeter
	exits 3 "and its unit is stopped" in_host app systemctl is-active --quiet greeter.service
else
	sed 's/^/# /' "$T/build.log"
	skip "python-venv is deployed, upgraded, taken back and removed" "its wheels cannot be had: no Python package index"
fi

done_testing
