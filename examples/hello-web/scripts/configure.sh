#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# AfterInstall: write the settings that differ from host to host.
. "$(dirname "$0")/common.sh"
cat >"$DIR/settings.ini" <<INI
[host]
name = ${HOST_LABEL:-$(uname -n)}
INI
echo "wrote $DIR/settings.ini"
