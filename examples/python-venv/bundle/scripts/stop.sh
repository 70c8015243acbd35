#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ApplicationStop: run from the revision that is installed, before it is replaced or removed. Disabled as well, so that
# nothing starts half a deployment after a reboot; start.sh enables it again.
set -eu
if [ ! -e /etc/systemd/system/greeter.service ]; then
	echo "greeter.service is not installed"
	exit 0
fi
systemctl --quiet disable --now greeter.service
echo "greeter.service is stopped"
