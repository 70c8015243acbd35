#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStop, as root, run from the revision that is installed. Disabled as well, so that nothing starts half a
# deployment after a reboot; start-api.sh enables it again.
set -eu
if [ ! -e /etc/systemd/system/shop-api.service ]; then
	echo "shop-api.service is not installed"
	exit 0
fi
systemctl --quiet disable --now shop-api.service
echo "shop-api.service is stopped"
