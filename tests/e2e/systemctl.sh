#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A service manager with two services, whose state is in files of $FAKE_UNITS: UNIT.active, UNIT.masked, UNIT.known. What was asked is
# in the file "asked"; at the request that stands in the file "kill-at" whoever asks is killed.
set -euo pipefail
state=$FAKE_UNITS
unit=${2-}
has() { [ -e "$state/$unit.$1" ]; }
echo "$*" >>"$state/asked"
if [ -e "$state/kill-at" ] && [ "$*" = "$(cat "$state/kill-at")" ]; then
	rm "$state/kill-at"
	kill -KILL $PPID
	exit 1
fi
if [ -e "$state/fail-at" ] && [ "$*" = "$(cat "$state/fail-at")" ]; then
	rm "$state/fail-at"
	echo "Job for $unit failed." >&2
	exit 1
fi
case $1 in
show)
	load=not-found
	if has masked; then load=masked; elif has known; then load=loaded; fi
	echo "LoadState=$load"
	if has active; then echo ActiveState=active; else echo ActiveState=inactive; fi
	echo "FragmentPath=/lib/systemd/system/$unit"
	;;
stop)
	rm -f "$state/$unit.active"
	# its last poll has brought a command
	if [ -e "$state/last-command" ]; then touch "$(cat "$state/last-command")"; fi
	;;
start | restart)
	if has masked; then
		echo "Failed to start $unit: Unit $unit is masked." >&2
		exit 1
	fi
	touch "$state/$unit.active"
	;;
mask) touch "$state/$unit.masked" ;;
unmask) rm -f "$state/$unit.masked" ;;
daemon-reload) ;;
*) exit 1 ;;
esac
# both at once would be two that poll as one host
[ ! -e "$state/codedeploy-agent.service.active" ] || [ ! -e "$state/slipwayd.service.active" ] || touch "$state/both"
