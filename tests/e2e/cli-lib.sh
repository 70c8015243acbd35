# SPDX-License-Identifier: Apache-2.0
# One machine without an endpoint, for the tests of the local verbs. Sourced after lib.sh and fleet.sh (for make_revision).

# local_host NAME: configuration with a tree of its own at $T/NAME/tree.
local_host() {
	mkdir -p "$T/$1/etc/slipway" "$T/$1/tree"
	printf 'destination_root: %s\n' "$T/$1/tree" >"$T/$1/etc/slipway/agent.yml"
}

# slip ARGUMENT...: slipway on the host "host", with a deadline.
slip() { timeout 60 "$SLIPWAY" --root "$T/host" "$@"; }

# newest FIELD: of the newest deployment.
newest() { slip history -n 1 --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["deployments"][-1].get(sys.argv[1]))' "$1"; }

# same_tree NAME BEFORE: byte for byte, with types, modes and owners.
same_tree() { is "$1" "$2" "$(tree_of host)"; }
no_tree() { [ ! -e "$T/host/tree/srv" ] || [ -z "$(find "$T/host/tree/srv" -type f)" ]; }
