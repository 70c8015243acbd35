#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BeforeInstall: the user that the application runs as, and the first reason why the next script would fail.
set -eu
systemd-sysusers --inline 'u greeter - "Greeter"'
python3 -c 'import ensurepip, venv' 2>/dev/null || {
	echo "this host cannot make virtual environments: apt-get install python3-venv" >&2
	exit 1
}
