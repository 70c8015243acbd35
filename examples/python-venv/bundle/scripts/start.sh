#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStart: also run when a deployment is taken back, by the revision that comes back.
set -eu
systemctl daemon-reload
systemctl --quiet enable greeter.service
systemctl reset-failed greeter.service 2>/dev/null || true # earlier failures must not count against this start
systemctl restart greeter.service
echo "greeter.service is started"
