# SPDX-License-Identifier: Apache-2.0
# What the end-to-end tests share; sourced by bash. A test sources it, calls ok/is/run_ok for each check, and ends with done_testing.
# It has a temporary directory $T of its own and ends every process that it started with `start`.
#
#     . "$top_srcdir/tests/e2e/lib.sh"
#     start endpoint "$CONTROLD" serve --dir "$T/control" --listen 127.0.0.1:0
#     url=$(line_of endpoint 's/.*listening on //p')
#     run_ok "a host is listed" "$SLIPWAY" fleet hosts
#     done_testing

set -uo pipefail
: "${top_srcdir:?run it by 'make check', or set top_srcdir and top_builddir}" "${top_builddir:?}"

SLIPWAY=$top_builddir/slipway
SLIPWAYD=$top_builddir/slipwayd
CONTROLD=$top_builddir/slipway-controld
export SLIPWAY_WORKER=$top_builddir/slipway-worker
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY SSL_CERT_FILE CURL_CA_BUNDLE AWS_CA_BUNDLE

T=$(mktemp -d "${TMPDIR:-/tmp}/slipway-test.XXXXXX")
tests_run=0 tests_failed=0
declare -A started=()

# shellcheck disable=SC2317
clean_up() {
	local status=$? pid
	[ $BASHPID = $$ ] || return # a child met a signal between its fork and its exec
	set +e
	for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
	for pid in "${started[@]}"; do
		within 10 gone "$pid" || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	declare -F at_end >/dev/null && at_end # a test's own clean-up
	[ -n "${KEEP-}" ] && echo "# kept: $T" || rm -rf --one-file-system "$T"
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# skip_all REASON: end the whole test as skipped.
skip_all() { echo "1..0 # SKIP $*"; exit 0; }

# ok NAME COMMAND...: the check passes when the command succeeds. Its output is shown when it does not.
ok() {
	local name=$1 out
	shift
	tests_run=$((tests_run + 1))
	if out=$("$@" 2>&1); then
		echo "ok $tests_run - $name"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $name"
		printf '%s\n' "command: $*" "$out" | head -c 4000 | sed 's/^/# /'
	fi
}

# is NAME EXPECTED SEEN
is() {
	tests_run=$((tests_run + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $tests_run - $1"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $1"
		printf '%s\n' "expected: $2" "seen:     $3" | head -c 4000 | sed 's/^/# /'
	fi
}

# exits CODE NAME COMMAND...: the command ends with that code; its output is in $T/out and $T/err.
exits() {
	local want=$1 name=$2 got=0
	shift 2
	"$@" >"$T/out" 2>"$T/err" || got=$?
	is "$name" "exit $want" "exit $got"
	[ "$got" = "$want" ] || head -c 3000 "$T/err" "$T/out" | sed 's/^/# /'
}

# says NAME TEXT [FILE]: the file ($T/err) holds that text.
says() {
	local file=${3:-$T/err}
	tests_run=$((tests_run + 1))
	if grep -qF -- "$2" "$file"; then
		echo "ok $tests_run - $1"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $1"
		{ echo "looked for: $2"; head -c 3000 "$file"; } | sed 's/^/# /'
	fi
}

skip() { tests_run=$((tests_run + 1)); echo "ok $tests_run - $1 # SKIP $2"; }

# within SECONDS COMMAND...: try until it succeeds; fails at the deadline.
within() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# gone PID: it has ended (a zombie counts as ended).
gone() { [ ! -e "/proc/$1/stat" ] || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null || echo Z)" = Z ]; }

# start NAME COMMAND...: in the background; output in $T/NAME.out and $T/NAME.err, pid in ${started[NAME]}.
start() {
	local name=$1
	shift
	# Now, not when the new process gets to it: nobody may read what an earlier one of this name said.
	: >"$T/$name.out" >"$T/$name.err"
	"$@" >>"$T/$name.out" 2>>"$T/$name.err" </dev/null &
	started[$name]=$!
}

# stop NAME [SIGNAL]: end it and wait.
stop() {
	local pid=${started[$1]}
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	within 10 gone "$pid" || kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	unset "started[$1]"
}

# line_of NAME SED [SECONDS]: what the sed script prints of its output, as soon as it prints something.
line_of() {
	within "${3:-20}" has_line "$1" "$2" || { echo "# nothing came from '$1'" >&2; sed 's/^/# /' "$T/$1.err" >&2; return 1; }
	sed -n "$2" "$T/$1.out" | head -n 1
}
has_line() { [ -n "$(sed -n "$2" "$T/$1.out")" ]; }

done_testing() {
	echo "1..$tests_run"
	[ $tests_failed -eq 0 ]
	exit
}
