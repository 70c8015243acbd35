#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Scripts as services of PID 1, in a booted host, by the worker of this build (no package is needed). The checks are in
# hooks.py, which runs in the host and plays daemon and CLI.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
image_packages+=(strace)
new_host hooks --bind-ro="$(realpath "$top_builddir")":/mnt --bind-ro="$(realpath "$top_srcdir")":/opt ||
	{ echo "Bail out! no host"; exit 1; }
timeout 500 "$HOST" exec hooks --env=top_builddir=/mnt --env=PYTHONDONTWRITEBYTECODE=1 -- python3 /opt/tests/system/hooks.py
