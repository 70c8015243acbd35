#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ValidateService: the application answers, and it is this revision that answers.
set -eu
bundle=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=/dev/null
. /etc/noticeboard/noticeboard.conf
if ! python3 "$bundle/scripts/healthy.py" "http://$NOTICEBOARD_ADDRESS:$NOTICEBOARD_PORT/health" \
	"ok $(cat "$bundle/app/revision.txt")"; then
	journalctl --no-pager --quiet --lines=20 --output=cat --unit=noticeboard.service >&2
	exit 1
fi
