#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BeforeInstall, as root: what the following scripts, which run as 'shop', need. Does nothing when it is there.
set -eu
systemd-sysusers --inline 'u shop - "Shop" /var/lib/shop'
install -d -o shop -g shop -m 0750 /var/lib/shop
