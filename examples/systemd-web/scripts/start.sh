#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart: also run when a deployment is taken back, by the revision that comes back.
set -eu
systemctl daemon-reload
systemctl --quiet enable noticeboard.service
systemctl reset-failed noticeboard.service 2>/dev/null || true # earlier failures must not count against this start
if ! systemctl restart noticeboard.service; then
	# What the application said is what explains the failure: it goes into the deployment's log and 'slipway explain'.
	journalctl --no-pager --quiet --lines=20 --output=cat --unit=noticeboard.service >&2
	exit 1
fi
echo "noticeboard.service runs, main process $(systemctl show --property=MainPID --value noticeboard.service)"
