# SPDX-License-Identifier: Apache-2.0
# An endpoint and hosts for the end-to-end tests, on loopback, below $T. Sourced after lib.sh.

# fleet_up: an endpoint on a port of its own; $url, $SLIPWAY_CREDENTIALS.
fleet_up() {
	"$CONTROLD" init --dir "$T/control" --name localhost >"$T/init.out" || skip_all "no endpoint"
	fingerprint=$(grep -oE '[0-9a-f]{64}' "$T/init.out" | head -n 1)
	start endpoint "$CONTROLD" serve --dir "$T/control" --listen 127.0.0.1:0
	url=$(line_of endpoint 's/^slipway-controld: listening on //p') || exit 1
	export SLIPWAY_CREDENTIALS=$T/control/admin-credentials.json
}

# fleet_again: the endpoint again, at the same port, after it was stopped.
fleet_again() {
	start endpoint "$CONTROLD" serve --dir "$T/control" --listen "${url#https://}"
	line_of endpoint 's/^slipway-controld: listening on //p' >/dev/null
}

run_fleet() { "$SLIPWAY" fleet "$@"; }

# enrolled NAME [TAG]: a host that has joined, with its own tree; its daemon does not run yet.
enrolled() {
	mkdir -p "$T/$1/etc/slipway" "$T/$1/tree"
	printf 'destination_root: %s\nhook_environment:\n  HOLD: %s\n' "$T/$1/tree" "$T/hold" >"$T/$1/etc/slipway/agent.yml"
	"$CONTROLD" token create --dir "$T/control" --quiet >"$T/token"
	"$SLIPWAY" --root "$T/$1" enroll "$url" --token-file "$T/token" --ca-fingerprint "$fingerprint" \
		--name "$1" --tag "${2:-role=web}" >/dev/null
}
daemon_up() { start "$1" "$SLIPWAYD" --root "$T/$1"; }
host_up() { enrolled "$@" && daemon_up "$1"; }

# fleet_group APP GROUP CONFIG
fleet_group() {
	run_fleet app create --app "$1" >/dev/null &&
		run_fleet group create --app "$1" --group "$2" --tag role=web --config "CodeDeployDefault.$3" >/dev/null
}

# make_revision DIR N: files of a revision and a script for each event, which writes "N EVENT" into TREE/events.
make_revision() {
	mkdir -p "$1/app" "$1/scripts"
	echo "$2" >"$1/app/revision"
	echo "only in $2" >"$1/app/only-$2"
	cat >"$1/appspec.yml" <<Y
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
	local script
	for script in stop configure start validate; do
		printf '#!/bin/sh\necho "%s $LIFECYCLE_EVENT" >>"$SLIPWAY_DESTINATION_ROOT/events"\n' "$2" >"$1/scripts/$script.sh"
		chmod +x "$1/scripts/$script.sh"
	done
}

# hold_at DIR SCRIPT: that script waits until release_hold; both_hold: two hosts wait in it.
hold_at() {
	mkdir -p "$T/hold"
	rm -f "$T/hold"/*
	cat >>"$1/scripts/$2" <<'S'
[ -z "${SLIPWAY_ROLLBACK-}" ] || exit 0
: >"$HOLD/at-$$"
while [ ! -e "$HOLD/go" ]; do sleep 0.05; done
S
}
both_hold() { [ "$(find "$T/hold" -name 'at-*' | wc -l)" = 2 ]; }
release_hold() { : >"$T/hold/go"; }

# fleet_push APP DIR; fleet_create APP GROUP DIR prints the deployment's id; fleet_deploy waits for its end.
fleet_push() { run_fleet push "$2" --app "$1" --key "$(basename "$2").tgz" >/dev/null; }
fleet_create() {
	fleet_push "$1" "$3" &&
		run_fleet deploy --app "$1" --group "$2" --revision "s3://bundles/$(basename "$3").tgz" | grep -oE 'd-[A-Z0-9]{9}' | head -n 1
}
fleet_deploy() {
	fleet_push "$1" "$3" &&
		run_fleet deploy --app "$1" --group "$2" --revision "s3://bundles/$(basename "$3").tgz" --watch
}
last_deployment() { run_fleet deployments | grep -oE 'd-[A-Z0-9]{9}' | head -n 1; }
deployment_is() { run_fleet show "$1" | grep -q "^Deployment $1: $2"; }

# What a host has: its revision, its tree, its events, its worker's pid.
installed() { cat "$T/$1/tree/srv/app/revision" 2>/dev/null || echo none; }
test_installed() { [ "$(installed "$1")" = "$2" ]; }
tree_of() { (cd "$T/$1/tree/srv" && find . -printf '%p %y %m %U %s %l\n' | grep -v ' d ' | sort && find . -type f -exec sha256sum {} + | sort); }
events_of() { sed 's/^[0-9]* //' "$T/$1/tree/events"; }
worker_of() { pgrep -f "slipway-worker .*--root $T/$1( |$)" | head -n 1; }
no_stage() { [ -z "$(find "$T" -name '.slipway-*' -print -quit)" ]; }
