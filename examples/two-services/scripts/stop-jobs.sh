#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStop, as root, run from the revision that is installed. Disabled as well, so that nothing starts half a
# deployment after a reboot; start-jobs.sh enables it again.
set -eu
if [ ! -e /etc/systemd/system/shop-jobs.service ]; then
	echo "shop-jobs.service is not installed"
	exit 0
fi
systemctl --quiet disable --now shop-jobs.service
echo "shop-jobs.service is stopped"
