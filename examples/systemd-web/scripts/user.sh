#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BeforeInstall: the user that the application runs as. Does nothing when it is there.
set -eu
systemd-sysusers --inline 'u noticeboard - "Notice board" /var/lib/noticeboard'
