#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipwayd started twice at the same instant; sixteen commands at once; and files of its own that are not what they were.
# SLIPWAY_EXHAUST=1: 1,000 double starts, and more sorts of damage.
. "${top_srcdir:?run it by make check}/tests/e2e/daemon-lib.sh" || exit 1

make_identity
start_peer
enrolled "$url"

# Two at the same instant: one stays, and what else has its process id does not matter.
rounds=6 kinds="empty directory fifo"
[ -z "${SLIPWAY_EXHAUST:-}" ] || rounds=1000 kinds="empty noise huge list directory fifo link"
lock=$A/daemon.lock wrong=0
alive() { ! gone "$1"; }
one_left() { gone "${started[one]}" || gone "${started[two]}"; }
for ((round = 0; round < rounds; round++)); do
	start one "$SLIPWAYD" --root "$R"
	start two "$SLIPWAYD" --root "$R"
	within 20 one_left || { wrong=$((wrong + 1)); echo "# round $round: both stay"; }
	winner=one loser=two
	gone "${started[one]}" && winner=two loser=one
	status=0
	wait "${started[$loser]}" 2>/dev/null || status=$?
	if ! alive "${started[$winner]}" || [ $status = 0 ] || ! grep -q "another slipwayd runs" "$T/$loser.err"; then
		wrong=$((wrong + 1))
		echo "# round $round: status $status of '$loser': $(head -c 300 "$T/$loser.err")"
	fi
	unset "started[$loser]"
	stop $winner KILL
	case $((round % 4)) in
	0) echo $$ >"$lock" ;; # a live process that is not slipwayd
	1) echo "${started[one]-$$}${started[two]-}" >"$lock" ;; # no process
	2) : >"$lock" ;;
	3) head -c 100 /dev/urandom >"$lock" ;;
	esac
	[ $wrong -lt 5 ] || break
done
is "two starts at the same instant, $rounds times: exactly one wins" 0 $wrong
echo "# exhaust: double starts: $rounds double starts, $wrong violations"

# Sixteen at once
start_daemon
for ((i = 1; i <= 16; i++)); do
	echo "ready go begun wait:all-go result" >"$FAKE/Event$i"
	order PollHostCommand "command c-$i a/b/c/d-$i Event$i"
done
all_begun() { [ "$(compgen -G "$FAKE/begun-*" | wc -l)" = 16 ]; }
ok "sixteen commands run at once" within 30 all_begun
is "each has its file" 16 "$(find "$A/inflight" -name '*.json' | wc -l)"
touch "$FAKE/all-go"
all_completed() { [ "$(bodies PutHostCommandComplete | grep -o '"HostCommandIdentifier":"c-[0-9]*"' | sort -u | wc -l)" = 16 ]; }
ok "each has its result" within 30 all_completed
is "and only one" 16 "$(bodies PutHostCommandComplete | wc -l)"
mixed=0
for ((i = 1; i <= 16; i++)); do
	[ "$(worker_log "\"told\": \"go\", \"command\": \"c-$i\"")" = 1 ] || mixed=$((mixed + 1))
done
is "none was run twice, or not at all" 0 $mixed
within 10 counted in_flight 0
stop daemon

# Files in the place of its own: it starts, says what it cannot use, and goes on with the rest.
name() { printf %s "$1" | sha256sum | head -c 32; }
fine=$T/fine
cp -a "$A" "$fine"
damage() {
	local path=$2
	rm -rf "$path"
	mkdir -p "$(dirname "$path")"
	case $1 in
	empty) : >"$path" ;;
	noise) head -c 4096 /dev/urandom >"$path" ;;
	huge) truncate -s 64M "$path" ;;
	list) echo '[]' >"$path" ;;
	directory) mkdir "$path" ;;
	fifo) mkfifo "$path" ;;
	link) ln -s /nonexistent/x "$path" ;;
	esac
}
completed_of() { bodies PutHostCommandComplete | grep -q "\"HostCommandIdentifier\":\"c-$1\""; }
told() { grep -q "${file##*/}" "$T/daemon.err"; }
n=100
for file in "inflight/$(name x).json" "inflight/$(name x).acked" "results/$(name x).json" "reported/$(name x).json" \
	downloads/left; do
	bad=
	for kind in $kinds; do
		damage $kind "$A/$file"
		n=$((n + 1))
		start_daemon
		order PollHostCommand "command c-$n a/b/c/d-$n Install"
		within 20 completed_of $n || bad="$bad $kind"
		stop daemon
		rm -rf "$A"
		cp -a "$fine" "$A"
	done
	is "$file, whatever it is: commands are carried out" "" "$bad"
done
for file in identity.json ca.pem keys/key.pem keys/cert.pem; do
	bad=
	for kind in $kinds; do
		damage $kind "$A/$file"
		start_daemon
		within 20 told || bad="$bad $kind"
		stop daemon
		rm -rf "$A"
		cp -a "$fine" "$A"
	done
	is "$file, whatever it is: says that it cannot be used, and which" "" "$bad"
done
n=$((n + 1))
start_daemon
order PollHostCommand "command c-$n a/b/c/d-$n Install"
ok "with all files back it works" within 20 completed_of $n
stop daemon

# Secrets that others may read: one warning for each, with the command that helps.
warned() { logged "holds the host's key and has mode 0640: others may read it; run 'chmod 0600 $A/keys/key.pem'"; }
start proxy python3 "$top_srcdir/tests/e2e/proxy.py"
proxy=$(line_of proxy 's/^listening on //p') || exit 1
echo "proxy_uri: http://user:unspoken@127.0.0.1:$proxy" >"$R/etc/slipway/agent.yml"
chmod 0644 "$R/etc/slipway/agent.yml"
chmod 0640 "$A/keys/key.pem"
start_daemon
ok "a key that others may read is warned about" within 10 warned
ok "and so is agent.yml with a proxy's password" \
	logged "holds the proxy's password and has mode 0644: others may read it; run 'chmod 0640 $R/etc/slipway/agent.yml'"
ok "which is not said" eval '! logged unspoken'
is "that is all" 2 "$(grep -c "others may read" "$T/daemon.err")"
echo bundle >"$P/bundles/b/app 1.tgz"
echo "ready go fetch result" >"$FAKE/DownloadBundle"
n=$((n + 1))
order PollHostCommand "command c-$n a/b/c/d-$n DownloadBundle"
ok "a command and its bundle come through the proxy" within 20 completed_of $n
ok "which knows the password" grep -qx "CONNECT 127.0.0.1:$port user:unspoken" "$T/proxy.out"
is "nothing else is asked for" "" "$(grep -vx -e "CONNECT 127.0.0.1:$port user:unspoken" -e 'listening on .*' "$T/proxy.out")"
eval "$(sed -n "s/.* run '\(chmod [^']*\)'.*/\1/p" "$T/daemon.err")"
kill -HUP "${started[daemon]}"
ok "with the modes that it names" within 10 logged "were read again"
echo "proxy_uri: http://127.0.0.1:9" >"$R/etc/slipway/agent.yml"
chmod 0644 "$R/etc/slipway/agent.yml"
kill -HUP "${started[daemon]}"
read_twice() { [ "$(grep -c "were read again" "$T/daemon.err")" = 2 ]; }
ok "and where there is no secret" within 10 read_twice
ok "it answers" ask status
is "the other proxy waits for the next start, which is said" 1 "$(grep -c "take effect when slipwayd starts again" "$T/daemon.err")"
is "nothing is said any more" 2 "$(grep -c "others may read" "$T/daemon.err")"
stop daemon
done_testing
