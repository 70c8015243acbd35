#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# AfterInstall: settings for a host that has none yet. The file is not in appspec.yml, so it stays as people edited it,
# through every later revision and also through 'slipway remove'.
set -eu
bundle=$(cd "$(dirname "$0")/.." && pwd)
conf=/etc/noticeboard/noticeboard.conf
if [ -e "$conf" ]; then
	echo "$conf is there and stays as it is"
	exit 0
fi
install -d -m 0755 /etc/noticeboard
# Under another name first: a file that is there is complete.
install -m 0640 -g noticeboard "$bundle/config/noticeboard.conf" "$conf.new"
mv "$conf.new" "$conf"
echo "wrote $conf"
