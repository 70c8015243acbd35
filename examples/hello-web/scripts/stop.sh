#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStop: end the server that runs, and wait until it has gone.
. "$(dirname "$0")/common.sh"
pid=$(running) || { echo "hello-web does not run"; exit 0; }
kill "$pid"
tries=0
while running >/dev/null; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || { echo "hello-web ($pid) did not stop within 10 s" >&2; exit 1; }
	sleep 0.1
done
rm -f "$PIDFILE"
echo "hello-web ($pid) stopped"
