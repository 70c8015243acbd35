#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a person sees on a terminal: bars and live lines that fit, are drawn in place and leave nothing behind; logs -f.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
HOLD=$T/hold
mkdir "$HOLD"
echo "hook_environment: {HOLD: $HOLD}" >>"$T/host/etc/slipway/agent.yml"

# in_tty NAME [OPTION]... COMMAND...: its bytes are in $T/NAME.raw, what is on the screen at the end in $T/NAME.
in_tty() {
	local name=$1 options=()
	shift
	while [[ $1 = --* ]]; do
		[ "$1" = --at ] && { options+=("$1" "$2" "$3"); shift 3; continue; }
		options+=("$1" "$2")
		shift 2
	done
	TERM=${TERMINAL-xterm} "$top_srcdir/tests/e2e/terminal.py" "${options[@]}" "$T/$name.raw" "$SLIPWAY" --root "$T/host" "$@" >"$T/$name"
}

make_revision "$T/r" 1
mkdir "$T/r/app/many"
for i in $(seq 300); do echo "$i" >"$T/r/app/many/$i"; done
head -c 3000000 /dev/urandom >"$T/r/app/blob"
tar -C "$T/r" -czf "$T/r.tgz" .

# --- bars -------------------------------------------------------------------------------------------------------------
in_tty deploy deploy "$T/r.tgz"
says "the bundle is unpacked with a bar" "  unpack    [" "$T/deploy.raw"
says "up to its end" "] 100 %" "$T/deploy.raw"
says "the install has one" "  install   [" "$T/deploy.raw"
is "at the end only the steps are on the screen" "" "$(grep -vE '^  [A-Z][A-Za-z]+ +(ok|skipped) |^  [0-9]+ created|^done: ' "$T/deploy")"
TERMINAL=dumb in_tty dumb deploy "$T/r.tgz"
is "a dumb terminal gets no control sequence" 0 "$(LC_ALL=C grep -c $'[\x1b\r]' "$T/dumb.raw")"
in_tty json deploy --json "$T/r.tgz"
is "nor does JSON" 0 "$(LC_ALL=C grep -c $'[\x1b\r]' "$T/json.raw")"
slip deploy "$T/r.tgz" >"$T/out"
is "nor a file" 0 "$(LC_ALL=C grep -c $'[\x1b\r]' "$T/out")"
in_tty narrow --size 40x10 deploy "$T/r.tgz"
is "in 40 columns nothing is left behind either" "" "$(grep -E '^  (unpack|copy|plan|install)' "$T/narrow")"
in_tty directory deploy "$T/r"
says "a directory has a bar, too" "  unpack    [" "$T/directory.raw"

# --- a script that runs: its live line, a smaller terminal, Ctrl-C ------------------------------------------------------
make_revision "$T/r2" 2
cat >"$T/r2/scripts/start.sh" <<'S'
#!/bin/sh
: >"$HOLD/at"
echo "first line of a script that says a lot, and says it in more words than there are columns on this terminal"
while [ ! -e "$HOLD/go" ]; do sleep 0.05; done
echo "second line, which is long as well and would be broken at the end of a line, were it not cut before that"
while [ ! -e "$HOLD/end" ]; do sleep 0.05; done
printf 'last\033[2J\n' >&2
exit 3
S
in_tty failed --at "first line" 40x10 --at "first line" "touch:$HOLD/go" --at "second line" "touch:$HOLD/end" deploy "$T/r2"
is "it fails" 1 $?
is "a live line never breaks" 0 "$(grep -v '^    | ' "$T/failed" | grep -c 'of a script that\|which is long')"
says "the script's last line was shown" "second line, which" "$T/failed.raw"
is "no sequence of the script's reaches the terminal" 0 "$(grep -c $'\x1b\\[2J' "$T/failed.raw")"
rm "$HOLD"/*
in_tty interrupted --at "first line" SIGINT deploy "$T/r2"
is "Ctrl-C ends it as a signal does" 130 $?
is "and leaves no live line" 0 "$(grep -c 'first line' "$T/interrupted")"
says "but says what goes on" "it goes on without this terminal" "$T/interrupted"
touch "$HOLD/go" "$HOLD/end"
# shellcheck disable=SC2317
closed() { slip status --json | grep -q '"open"' && return 1; return 0; }
ok "the deployment ends without it" within 20 closed

# --- logs -f ----------------------------------------------------------------------------------------------------------
rm "$HOLD"/*
start deployed "$SLIPWAY" --root "$T/host" deploy "$T/r2"
within 20 test -e "$HOLD/at"
in_tty logs --at "first line" "touch:$HOLD/go" --at "second line" "touch:$HOLD/end" logs -f
is "logs -f ends with the deployment" 0 $?
says "each line comes while the script runs" "second line, which is long as well" "$T/logs.raw"
says "up to the last one, made harmless" "last?[2J" "$T/logs"
touch "$HOLD/go" "$HOLD/end"
ok "and so does the deployment" within 20 gone "${started[deployed]}"
rm "$HOLD"/*
start deployed "$SLIPWAY" --root "$T/host" deploy "$T/r2"
within 20 test -e "$HOLD/at"
in_tty cut --at "first line" SIGINT logs -f
is "Ctrl-C ends logs -f" 130 $?
touch "$HOLD/go" "$HOLD/end"
ok "the deployment ends" within 20 gone "${started[deployed]}"
done_testing
