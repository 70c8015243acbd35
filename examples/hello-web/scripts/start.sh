#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart: start the server in the background. Its output may stay where it is: Slipway's hooks write to files.
. "$(dirname "$0")/common.sh"
if pid=$(running); then
	echo "hello-web ($pid) runs already"
	exit 0
fi
setsid "$DIR/server.py" "$PORT" &
echo $! >"$PIDFILE"
echo "hello-web ($!) started on port $PORT"
