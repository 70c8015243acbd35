#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ValidateService, as root: both services run, and the API is of this revision.
set -eu
bundle=$(cd "$(dirname "$0")/.." && pwd)
if python3 "$bundle/scripts/healthy.py" http://127.0.0.1:8082/health "ok $(cat "$bundle/shop/revision.txt")" &&
	systemctl is-active --quiet shop-jobs.service; then
	echo "shop-api.service and shop-jobs.service run"
	exit 0
fi
# What the services said is what explains the failure: it goes into the deployment's log and 'slipway explain'.
journalctl --no-pager --quiet --lines=20 --output=cat --unit=shop-api.service --unit=shop-jobs.service >&2
exit 1
