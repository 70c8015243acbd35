#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The test hosts themselves: what the other system tests take for granted.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts

net_up
ok "two hosts boot" eval 'new_host a & first=$!; new_host b & wait $! && wait $first'
is "a real systemd runs" running "$(in_host a systemctl is-system-running)"
exits 9 "a command's exit status comes back" in_host a sh -c 'exit 9'
exits 124 "a command has a deadline" "$HOST" exec a --timeout=1 -- sleep 60
# shellcheck disable=SC2016
is "arguments arrive as they are" '1 %n "$"' "$(in_host a sh -c 'X=1; echo "$X %n" \"\$\"' | tr -s ' ')"
is "a command's user and environment" "nobody b" "$("$HOST" exec a --user=nobody --env=A=b -- sh -c 'echo $(id -un) $A')"
is "a command is a service of its own" 1 "$(in_host a grep -c '^0::/system.slice/run-.*\.service$' /proc/self/cgroup)"

mkdir "$T/d"
echo one >"$T/d/f"
chmod 750 "$T/d/f"
"$HOST" copy "$T/d" a:/opt/
"$HOST" copy "$T/d/f" a:/etc/one.conf
is "files are copied in, with their mode" "one 750" "$(in_host a sh -c 'echo $(cat /etc/one.conf) $(stat -c %a /opt/d/f)')"
"$HOST" copy a:/opt/d "$T/"
is "and out" one "$(cat "$T/d/f")"

# A port where nobody listens refuses at once; a cut cable says nothing.
reach() { in_host a timeout 2 bash -c '</dev/tcp/b/9'; }
exits 1 "hosts of a net reach each other by name" reach
"$HOST" net-cut b
exits 124 "a cut cable" reach
"$HOST" net-heal b
exits 1 "and a healed one" reach

in_host a sh -c 'echo kept >/root/kept && sync'
ok "a host reboots" "$HOST" reboot a
is "and is up again, with its files" kept "$(in_host a cat /root/kept)"
power_cut a
exits 1 "nothing runs without power" in_host a true
ok "it boots again" boot_host a
is "with its files" kept "$(in_host a cat /root/kept)"
exits 1 "it is at its place in the net" in_host b timeout 2 bash -c '</dev/tcp/a/9'

bash -c '"$1" create c --include="$2" && "$1" boot c --die-with=$$ && kill -KILL $$' bash "$HOST" "$(IFS=, && echo "${image_packages[*]}")" 2>/dev/null
stopped() { "$HOST" list | grep -q "^$1 *stopped"; }
ok "a host ends with its test, even with a killed one" within 10 stopped c

"$HOST" clean
is "no host is left" "" "$("$HOST" list)"
is "no mount" 0 "$(grep -c "$T" /proc/self/mounts)"
is "no process" "" "$(pgrep -f -- "--directory=$T/")"
done_testing
