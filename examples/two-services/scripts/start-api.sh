#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart, as root: also run by the revision that comes back when a deployment failed.
set -eu
systemctl daemon-reload
systemctl --quiet enable shop-api.service
systemctl reset-failed shop-api.service 2>/dev/null || true # earlier failures must not count against this start
systemctl restart shop-api.service
echo "shop-api.service is started"
