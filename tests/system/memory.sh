#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Scripts and the kernel's controllers of memory, processes and CPU time, in a booted host, by the worker of this build
# (memory.py). A machine that has the memory controller in the older hierarchy cannot show it: there this is skipped.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
new_host memory --bind-ro="$(realpath "$top_builddir")":/mnt --bind-ro="$(realpath "$top_srcdir")":/opt ||
	{ echo "Bail out! no host"; exit 1; }
in_host memory grep -qw memory /sys/fs/cgroup/cgroup.controllers ||
	skip_all "hosts of this machine have no memory controller (cgroup version 2)"
timeout 300 "$HOST" exec memory --env=top_builddir=/mnt --env=PYTHONDONTWRITEBYTECODE=1 -- python3 /opt/tests/system/memory.py
