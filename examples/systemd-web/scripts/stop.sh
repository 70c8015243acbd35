#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStop: run from the revision that is installed, before it is replaced or removed. Disabled as well, so that
# nothing starts half a deployment after a reboot; start.sh enables it again.
set -eu
if [ ! -e /etc/systemd/system/noticeboard.service ]; then
	echo "noticeboard.service is not installed"
	exit 0
fi
systemctl --quiet disable --now noticeboard.service
echo "noticeboard.service is stopped"
