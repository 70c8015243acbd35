#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart, as root: also run by the revision that comes back when a deployment failed.
set -eu
systemctl daemon-reload
systemctl --quiet enable shop-jobs.service
systemctl reset-failed shop-jobs.service 2>/dev/null || true # earlier failures must not count against this start
if ! systemctl restart shop-jobs.service; then
	# What the service said is what explains the failure: it goes into the deployment's log and 'slipway explain'.
	journalctl --no-pager --quiet --lines=20 --output=cat --unit=shop-jobs.service >&2
	exit 1
fi
echo "shop-jobs.service runs"
