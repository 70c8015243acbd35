#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker and PID 1 over the bus, in a booted host, by the worker of this build (bus.py): many short scripts, and restarts of
# PID 1 and of the bus.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
new_host bus --bind-ro="$(realpath "$top_builddir")":/mnt --bind-ro="$(realpath "$top_srcdir")":/opt ||
	{ echo "Bail out! no host"; exit 1; }

# By itself: in_host does not outlive a restart of the bus.
in_host bus systemd-run --quiet --collect --unit=test --setenv=top_builddir=/mnt --setenv=PYTHONDONTWRITEBYTECODE=1 \
	--setenv=SCRIPTS="${SCRIPTS:-40}" --setenv=TIMES="${TIMES:-2}" --property=RuntimeMaxSec=280 \
	sh -c 'python3 /opt/tests/system/bus.py >/root/out 2>&1; echo $? >/root/status' || exit 1
# What it prints is what counts, not how in_host ends.
# shellcheck disable=SC2317
ended() { status=$(in_host bus cat /root/status) && [ -n "$status" ]; }
within 300 ended || { echo "Bail out! the test does not end"; in_host bus tail -n 20 /root/out; exit 1; }
in_host bus cat /root/out
exit "$status"
