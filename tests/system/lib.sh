# SPDX-License-Identifier: Apache-2.0
# What the system tests share; sourced by bash. Booted hosts with a real systemd (tests/tools/systemd-host), the packages
# installed in them, TAP as in tests/e2e/lib.sh. Every host ends with its test, however that ends.
#
#     . "$top_srcdir/tests/system/lib.sh"
#     need_hosts
#     need_packages_built slipway slipway-agent slipway-controld
#     net_up
#     endpoint_host
#     agent_host web1 && enrol web1 role=web
#     make_app "$T/r1" 1
#     exits 0 "revision 1 is deployed" deploy "$T/r1"
#     done_testing
#
# in_host NAME COMMAND... runs something in a host; within SECONDS COMMAND... waits for it (both take no shell syntax: use
# `sh -c`; neither waits for ever). After a failed check the journals of all hosts are shown.

. "$top_srcdir/tests/e2e/lib.sh"

HOST=$top_srcdir/tests/tools/systemd-host
export SYSTEMD_HOST_STATE=$T/hosts
SLIPWAY_DEBS=${SLIPWAY_DEBS:-$top_builddir/deb}

# One image for all tests: what our packages depend on, and what the applications of the tests are written in.
# A test that needs more makes its image with image_packages+=(...) before its first host: an image of its own takes 20 s.
image_packages=(libcurl4 libssl3 libyaml-0-2 libjansson4 libarchive13 libsystemd0 libacl1 zlib1g
	libmicrohttpd12 libgnutls30 libsqlite3-0 python3 curl)

# --- what a test needs ----------------------------------------------------------------------------------------------------

# need_hosts: or the whole test is skipped, with the reason.
need_hosts() {
	local why
	why=$("$HOST" check 2>&1) || skip_all "$why"
}

# deb PACKAGE: the file.
deb() {
	local file
	for file in "$SLIPWAY_DEBS/$1"_[0-9]*.deb; do
		[ ! -f "$file" ] || { echo "$file"; return 0; }
	done
	return 1
}
# need_packages_built PACKAGE...
need_packages_built() {
	local package
	for package; do
		deb "$package" >/dev/null || skip_all "no package $package in $SLIPWAY_DEBS (make deb)"
	done
}

# --- hosts ------------------------------------------------------------------------------------------------------------------

# net_up: all hosts made afterwards are on one net and know each other by name.
net=none
net_up() {
	"$HOST" net-up lab --die-with=$$ && net=lab
}

# new_host NAME [OPTION of boot]...: a booted host.
new_host() {
	local include
	include=$(IFS=, && echo "${image_packages[*]}")
	"$HOST" create "$1" --include="$include" && boot_host "$@"
}
boot_host() {
	"$HOST" boot "$1" --net=$net --die-with=$$ "${@:2}"
}
in_host() { "$HOST" exec "$1" --timeout=120 -- "${@:2}"; }
power_cut() { "$HOST" kill "$1"; }
journal() { "$HOST" journal "$@"; }

# install NAME PACKAGE...: ours, by name.
install_packages() {
	local name=$1 package files=()
	shift
	for package; do files+=("$(deb "$package")") || return 1; done
	"$HOST" install "$name" "${files[@]}" >"$T/install.log" 2>&1 || { cat "$T/install.log" >&2; return 1; }
}

# --- a fleet ----------------------------------------------------------------------------------------------------------------

endpoint=ctl # the host whose endpoint `fleet` and `enrol` talk to
# endpoint_host [OPTION of boot]...: make it.
endpoint_host() {
	new_host "$endpoint" "$@" && install_packages "$endpoint" slipway slipway-controld &&
		in_host "$endpoint" systemctl enable --now slipway-controld &&
		within 20 in_host "$endpoint" test -s /var/lib/slipway-control/admin-credentials.json
}
fleet_timeout=120
fleet() {
	"$HOST" exec "$endpoint" --timeout=$fleet_timeout --env=SLIPWAY_CREDENTIALS=/var/lib/slipway-control/admin-credentials.json \
		-- slipway fleet "$@"
}

# agent_host NAME [OPTION of boot]...: a host with the agent, not yet enrolled.
agent_host() {
	new_host "$@" && install_packages "$1" slipway slipway-agent
}
# enrol NAME TAG: with the very command that 'token create' prints.
enrol() {
	local command
	read -ra command < <(in_host "$endpoint" slipway-controld token create | grep -o 'slipway enroll .*') || return 1
	in_host "$1" "${command[@]}" --tag "$2"
}

# make_group CONFIG: application 'app' with the group 'group' of all hosts that have the tag role=web.
make_group() {
	fleet app create --app app && fleet group create --app app --group group --tag role=web --config "CodeDeployDefault.$1"
}

app=app # which one push and deploy are about
# push DIR; create DIR prints the deployment's id; deploy DIR waits for its end.
push() {
	local name
	name=$(basename "$1")
	in_host "$endpoint" rm -rf "/root/$name" && "$HOST" copy "$1" "$endpoint:/root/" &&
		fleet push "/root/$name" --app "$app" --key "$name.tgz"
}
create() { push "$1" >/dev/null && fleet deploy --app "$app" --group group --revision "s3://bundles/$(basename "$1").tgz" | grep -oE 'd-[A-Z0-9]{9}' | head -n 1; }
deploy() {
	local status=0
	push "$1" || return
	fleet deploy --app "$app" --group group --revision "s3://bundles/$(basename "$1").tgz" --watch || status=$?
	[ $status != 124 ] || { echo "no end after $fleet_timeout s; last seen:"; fleet show "$(newest)"; }
	return $status
}
newest() { fleet deployments | grep -oE 'd-[A-Z0-9]{9}' | head -n 1; } # the deployment created last
deployment_is() { fleet show "$1" | grep -q "^Deployment $1: $2"; }

# make_app DIR N: a web application that stop.sh and start.sh stop and start, with files in /srv/app, on port 8080. It is the
# careless kind: it keeps the stdout of its script. More scripts and files may be added.
make_app() {
	mkdir -p "$1/app" "$1/scripts"
	echo "$2" >"$1/app/revision"
	echo "only in $2" >"$1/app/only-$2"
	cat >"$1/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/app
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
  AfterInstall:
    - location: scripts/configure.sh
  ApplicationStart:
    - location: scripts/start.sh
  ValidateService:
    - location: scripts/validate.sh
Y
	cat >"$1/app/server.py" <<'P'
import http.server, os, sys, threading, time
os.chdir("/srv/app")
def tell():
    while True:
        print("server", os.getpid(), "lives", int(time.monotonic()), flush=True)
        time.sleep(1)
threading.Thread(target=tell, daemon=True).start()
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
P
	cat >"$1/scripts/start.sh" <<'S'
#!/bin/sh
python3 /srv/app/server.py 2>/dev/null &
echo $! >/run/app.pid
S
	cat >"$1/scripts/stop.sh" <<'S'
#!/bin/sh
[ ! -s /run/app.pid ] || kill "$(cat /run/app.pid)"
rm -f /run/app.pid
S
	printf '#!/bin/sh\ncurl -fsS --retry 50 --retry-delay 0 --retry-all-errors --retry-max-time 20 -o /dev/null http://127.0.0.1:8080/\n' >"$1/scripts/validate.sh"
	printf '#!/bin/sh\n:\n' >"$1/scripts/configure.sh"
	local script
	for script in stop configure start validate; do
		# shellcheck disable=SC2016
		sed -i '1a echo "'"$2"' $LIFECYCLE_EVENT" >>/var/tmp/events' "$1/scripts/$script.sh"
	done
	chmod +x "$1"/scripts/*
}

# hold_at DIR SCRIPT: that script waits until release NAME; held NAME: it does. A script of a rollback does not wait.
hold_at() {
	cat >>"$1/scripts/$2" <<'S'
[ -z "${SLIPWAY_ROLLBACK-}" ] || exit 0
: >/var/tmp/held
while [ ! -e /var/tmp/go ]; do sleep 0.05; done
rm -f /var/tmp/held
S
}
held() { in_host "$1" test -e /var/tmp/held; }
ready_to_hold() { in_host "$1" rm -f /var/tmp/held /var/tmp/go; }
release() { in_host "$1" touch /var/tmp/go; }

# served NAME: the revision that its application serves.
served() { in_host "$1" curl -fsS --max-time 5 http://127.0.0.1:8080/revision 2>/dev/null || echo none; }
serves() { [ "$(served "$1")" = "$2" ]; }
# tree_of NAME: everything in /srv/app, without times.
tree_of() {
	in_host "$1" sh -c 'cd /srv/app && find . -printf "%p %y %m %U %G %l\n" | sort && find . -type f -exec sha256sum {} + | sort'
}

# --- the end ------------------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2317
at_end() {
	local name
	if [ $tests_failed -gt 0 ]; then
		for name in $("$HOST" list | sed -n 's/ .*running$//p'); do
			echo "# journal of $name:"
			timeout 20 "$HOST" journal "$name" -o short-precise -n 120 -u 'slipway*' -p info 2>&1 | sed 's/^/#   /'
		done
	fi
	"$HOST" clean
}
