#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart, as root: also run by the revision that comes back when a deployment failed.
set -eu
systemctl daemon-reload
systemctl --quiet enable shop-jobs.service
systemctl reset-failed shop-jobs.service 2>/dev/null || true # earlier failures must not count against this start
systemctl restart shop-jobs.service
echo "shop-jobs.service is started"
