# SPDX-License-Identifier: Apache-2.0
# What the scripts share: where the service is installed, which port it has, and how to find its process.
# SLIPWAY_DESTINATION_ROOT is empty on a host of its own; PORT comes from hook_environment in agent.yml.
set -eu
DIR="${SLIPWAY_DESTINATION_ROOT:-}/srv/hello-web"
PIDFILE="$DIR/hello-web.pid"
PORT="${PORT:-8080}"

# Prints the pid when the process in the pid file is our server.
running() {
	pid=$(cat "$PIDFILE" 2>/dev/null) || return 1
	tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$DIR/server.py" || return 1
	echo "$pid"
}
