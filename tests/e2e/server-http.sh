#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Peers that are slow, large, rude or gone; polls that wait; the end.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/server-lib.sh"
endpoint --set idle_timeout=3s --set poll=5s || exit 1
pid=${started[endpoint]}
peer() { python3 "$top_srcdir/tests/e2e/server-peer.py" "$url" "$ca" "$@"; }
connections() { find "/proc/$pid/fd" -lname 'socket:*' 2>/dev/null | wc -l; }
base=$(connections)
only() { [ "$(connections)" = "$1" ]; }

# Slow and rude
for what in silent trickle-headers trickle-body; do
	peer $what >"$T/$what" 2>&1 &
	slow+=($!)
done
wait "${slow[@]}"
is "a connection that says nothing is closed" closed "$(cat "$T/silent")"
is "so is one that trickles its headers" closed "$(cat "$T/trickle-headers")"
is "and one that trickles its body" closed "$(cat "$T/trickle-body")"
is "two requests use one connection" "400 400" "$(peer twice)"
is "a request that is none is refused" closed "$(peer garbage)"
is "headers above the ceiling are refused" refused "$(peer big-header)"
is "a body that announces too much" 413 "$(peer announced)"
is "a body that is too much, unannounced" 413 "$(peer chunked)"
is "a path that is a whole URL" 400 "$(peer absolute)"
is "plain HTTP is not spoken" closed "$(peer plain)"
ok "no connection is left" within 20 only "$base"

# Polls that wait
is "a host enrols" 200 "$(enroll web1 | head -n 1)"
is "another one too" 200 "$(enroll web2 | head -n 1)"
arn=arn:aws:codedeploy:us-east-1:000000000000:instance
poll() { host "$1" PollHostCommand "{\"HostIdentifier\": \"$arn/$1\"}"; }
is "a poll is answered empty at its end, idle timeout or not" "200 {}" "$(poll web1 | tr '\n' ' ' | sed 's/ *$//')"
# From here on no poll ends by itself in the time of this test.
stop endpoint
endpoint || exit 1
pid=${started[endpoint]}
# The client itself, not a shell around it: it is to be killed.
start_poll() {
	start waiting python3 "$top_srcdir/tests/e2e/client.py" "$url" POST / --ca "$ca" --cert "$T/$1.pem" --key "$T/$1.key" \
		--target CodeDeployCommandService_v20141006.PollHostCommand --body "{\"HostIdentifier\": \"$arn/$1\"}"
}
start_poll web1
ok "a poll waits" within 20 only $((base + 1))
stop waiting KILL
ok "a peer that goes away is noticed at once" within 20 only "$base"
start_poll web1
ok "a poll waits again" within 20 only $((base + 1))
ok "its host is revoked" "$CONTROLD" host revoke web1 --dir "$T/control"
ends() { grep -q "$1" "$T/waiting.out"; }
ok "the poll ends" within 20 ends AccessDenied
is "with 403" 403 "$(head -n 1 "$T/waiting.out")"

# A disk that does not write
create() { admin CreateApplication "{\"applicationName\": \"$1\"}" | head -n 1; }
is "an application is made" 200 "$(create app1)"
if strace -o /dev/null true 2>/dev/null; then
	start strace strace -f -qq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO -p "$pid"
	fails() { [ "$(create "app$RANDOM")" = 500 ]; }
	ok "a change that cannot be stored is not answered with success" within 20 fails
	before=$(admin ListApplications '{}' | tail -n +2 | json_of applications)
	is "the next one neither" 500 "$(create app2)"
	is "nothing of it is seen" "$before" "$(admin ListApplications '{}' | tail -n +2 | json_of applications)"
	stop strace INT
	is "when the disk is well again, all is" 200 "$(create app2)"
else
	skip "a change that cannot be stored" "strace does not work here"
fi

# The end
start_poll web2
ok "a poll waits at the end" within 20 only $((base + 1))
ends_well 'are lost'
ok "it is answered" within 20 ends '{}'
is "with 200" 200 "$(head -n 1 "$T/waiting.out")"
done_testing
