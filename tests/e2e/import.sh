#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway import codedeploy: installations of both generations of the official agent are taken over, deployed to, rolled back, and
# given back; and refused wherever root would believe what others have written.
# shellcheck disable=SC2154,SC2317,SC2016,SC2059 # variables of the harness; functions that are called by name; text for files
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

export SLIPWAY_SYSTEMCTL=$top_srcdir/tests/e2e/systemctl.sh FAKE_UNITS=$T/units
official=$top_srcdir/tests/e2e/official.py
field() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$T/out" "$1"; }
unit() { [ -e "$FAKE_UNITS/$1.service.$2" ]; }
# objects below a directory, with what one can see of them
all() { (cd "$1" && find . -printf '%p %y %m %s %T@\n' | LC_ALL=C sort | md5sum); }

# revision DIR NUMBER: app/ and a file into $T/host/srv; each script adds its event to a log.
revision() {
	mkdir -p "$1/app/sub" "$1/scripts"
	echo "$2" >"$1/app/number"
	echo same >"$1/app/sub/same"
	ln -s number "$1/app/link"
	echo "only in $2" >"$1/app/only-$2"
	printf '#!/bin/sh\necho "$LIFECYCLE_EVENT %s" >>%s\n' "$2" "$T/host/ran" >"$1/scripts/log.sh"
	chmod +x "$1/scripts/log.sh"
	cat >"$1/appspec.yml" <<-END
		version: 0.0
		os: linux
		files:
		  - source: app
		    destination: $T/host/srv/shop
		hooks:
		  ApplicationStop:
		    - location: scripts/log.sh
		  ApplicationStart:
		    - location: scripts/log.sh
	END
}

# new_host GENERATION: a machine with that agent, two deployments of one group, its service and ours.
new_host() {
	generation=$1
	cd=$T/host/opt/codedeploy-agent root=$cd/deployment-root names=$cd/deployment-root/deployment-instructions
	rm -rf --one-file-system "$T/host" "$FAKE_UNITS"
	mkdir -p "$FAKE_UNITS"
	touch "$FAKE_UNITS"/{codedeploy-agent,slipwayd}.service.known "$FAKE_UNITS/codedeploy-agent.service.active"
	if [ -e "$T/generation-$1" ]; then
		cp -a "$T/generation-$1" "$T/host"
		return
	fi
	mkdir -p "$T/host/srv"
	play config "log_dir=$T/host/var/log/aws/codedeploy-agent/" max_revisions=7 children=1
	play install "$group" d-AAAAAAAA1 "$T/r1"
	play install "$group" d-AAAAAAAA2 "$T/r2" --semanage "$T/host/srv/shop/number"
	cp -a "$T/host" "$T/generation-$1"
}
play() { python3 "$official" "$T/host" "$generation" "$@"; }
number() { cat "$T/host/srv/shop/number"; }

group=0f5c1b1e-1111-2222-3333-444455556666
for n in 1 2 3 4; do revision "$T/r$n" $n; done

for generation in 1 2; do
	new_host $generation
	echo "# generation $generation"
	tree=$(all "$T/host/srv") before=$(all "$T/host/opt")$(all "$T/host/etc")
	exits 0 "a dry run" slip import codedeploy --dry-run
	says "says what it would stop" "would stop and mask codedeploy-agent.service" "$T/out"
	says "take over" "would take over group $group: d-AAAAAAAA2, 6 files and directories" "$T/out"
	says "and write" "  | root_dir: $root" "$T/out"
	is "and has done nothing" "$before$tree" "$(all "$T/host/opt")$(all "$T/host/etc")$(all "$T/host/srv")"
	is "nor asked for it" "" "$(grep -v ^show "$FAKE_UNITS/asked")"

	exits 0 "the installation is imported" slip import codedeploy
	is "no installed file is touched" "$tree" "$(all "$T/host/srv")"
	ok "the other is stopped and masked" bash -c "[ ! -e $FAKE_UNITS/codedeploy-agent.service.active -a -e $FAKE_UNITS/codedeploy-agent.service.masked ]"
	ok "slipwayd runs" unit slipwayd active
	says "settings are taken over" "max_revisions: 7" "$T/host/etc/slipway/agent.yml"
	says "AWS mode is on" "aws: true" "$T/host/etc/slipway/agent.yml"
	says "what has no effect is a comment" "#children: 1" "$T/host/etc/slipway/agent.yml"
	exits 0 "nothing differs from its revision" slip verify --json
	is "and all was compared" "6 0" "$(field 'd["groups"][0]["objects"], d["groups"][0]["uncompared"]' | tr -d '(),')"
	exits 2 "a second import" slip import codedeploy
	says "is refused" "imported already"
	slip status >"$T/status"
	says "status knows what runs" "d-AAAAAAAA2" "$T/status"

	exits 0 "the next revision is deployed in the place of theirs" slip deploy "$T/r3" --group $group
	is "it is there" 3 "$(number)"
	is "what it does not have is not" "link number only-3 sub" "$(cd "$T/host/srv/shop" && echo *)"
	is "the old one's ApplicationStop has run" "ApplicationStop 2" "$(head -1 "$T/host/ran")"
	ok "it lies in the official place" test -f "$(cat "$names/${group}_last_successful_install")/deployment-archive/app/only-3"
	exits 0 "rollback goes to what the other agent had installed" slip rollback --group $group
	is "all of it" "2 link number only-2 sub" "$(number) $(cd "$T/host/srv/shop" && echo *)"
	exits 0 "without drift" slip verify
	exits 0 "an earlier one of theirs can be had by its name" slip redeploy --group $group --to d-AAAAAAAA1
	is "and is there" 1 "$(number)"
	exits 0 "the next one" slip deploy "$T/r4" --group $group
	exits 0 "back to the one before" slip rollback --group $group
	is "whose archive is another deployment's" 1 "$(number)"

	exits 0 "a dry run of the way back" slip import codedeploy --undo --dry-run
	says "says so" "would start codedeploy-agent.service" "$T/out"
	says "with its group" "would give back group $group: $(slip status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["groups"][0]["installed"])'), 6 files and directories" "$T/out"
	says "and what is stopped before" "would stop slipwayd.service" "$T/out"
	says "and what becomes of settings" "would restore that there is no agent.yml" "$T/out"
	ok "and does nothing" unit slipwayd active
	exits 0 "it goes back" slip import codedeploy --undo
	says "group by group" "gave back group $group" "$T/out"
	ok "the official agent runs" unit codedeploy-agent active
	ok "ours does not poll" bash -c "! grep -q aws: $T/host/etc/slipway/agent.yml 2>/dev/null"
	ok "no group is left here" test -z "$(ls "$T/host/var/lib/slipway/host/groups")"
	last=$(cat "$names/${group}_last_successful_install")
	ok "its pointer says what is installed" test -f "$last/deployment-archive/app/only-1"
	ok "which is its own, and no link" test ! -L "$last/deployment-archive"
	is "the clean-up file has every object" "$(cd "$T/host/srv" && find shop | LC_ALL=C sort)" \
		"$(tr -d '\0' <"$names/$group-cleanup" | grep -v ^semanage | sed "s,^$T/host/srv/,," | LC_ALL=C sort)"
	is "and the rule of semanage" "semanage$T/host/srv/shop/number" "$(tr -d '\0' <"$names/$group-cleanup" | tail -1)"
	ok "the instructions name source and destination" python3 -c "
import json, os, sys
done = json.load(open('$names/$group-install.json'))['instructions']
copies = [x for x in done if x['type'] == 'copy']
sys.exit(not (len(copies) == 4 and all(os.path.lexists(x['source']) and os.path.lexists(x['destination']) for x in copies)))"
	exits 0 "its next deployment finds nothing in its way" play install "$group" d-AAAAAAAA9 "$T/r2"
	is "and leaves only its own" "2 link number only-2 sub" "$(number) $(cd "$T/host/srv/shop" && echo *)"
	exits 0 "and it can be imported again" slip import codedeploy
	exits 0 "with what it has deployed" slip verify
	exits 2 "nothing else can be imported" slip import puppet
done
ok "never did both run" test ! -e "$FAKE_UNITS/both"

# --- settings of a person stay ------------------------------------------------------------------------------------------------
new_host 2
mkdir -p "$T/host/etc/slipway"
echo "max_parallel: 3" >"$T/host/etc/slipway/agent.yml"
exits 0 "a host with an agent.yml" slip import codedeploy
says "is told where that is" "agent.yml.before-import" "$T/out"
is "it is kept" "max_parallel: 3" "$(cat "$T/host/etc/slipway/agent.yml.before-import")"
exits 0 "and comes back" slip import codedeploy --undo
is "as it was" "max_parallel: 3" "$(cat "$T/host/etc/slipway/agent.yml")"
exits 2 "a second undo" slip import codedeploy --undo
says "has nothing to do" "nothing was imported"

# --- a group with nothing but files, and one without anything ------------------------------------------------------------------
new_host 1
rm -r "$root/$group/d-AAAAAAAA2/deployment-archive/appspec.yml"
play download first d-BBBBBBBB1 "$T/r1"
exits 0 "a revision without its AppSpec" slip import codedeploy
ok "a group that never installed anything is none" test ! -e "$T/host/var/lib/slipway/host/groups/first"
exits 0 "is no obstacle for the next one" slip deploy "$T/r3" --group $group
is "which replaces its files" "link number only-3 sub" "$(cd "$T/host/srv/shop" && echo *)"

# --- refused, and nothing touched -----------------------------------------------------------------------------------------------
# refused CODE NAME TEXT: the import is refused with it
refused() {
	local before
	before=$(all "$T/host/opt")$(all "$T/host/srv")
	exits "$1" "refused: $2" slip import codedeploy
	says "  which says why" "$3"
	is "  nothing is touched" "$before" "$(all "$T/host/opt")$(all "$T/host/srv")"
	ok "  the other runs on" unit codedeploy-agent active
	ok "  and nothing is recorded" test ! -e "$T/host/var/lib/slipway/host/import.json"
}
# hostile NAME TEXT COMMAND...: after the command in the directory of the instructions
hostile() {
	local name=$1 text=$2
	shift 2
	new_host 1
	(cd "$names" && "$@")
	refused 3 "$name" "$text"
}
add() { printf "$1" "${@:2}" >>"$group-cleanup"; }
outside() { echo "$T/host/srv/x" >"$T/outside" && rm "$group-cleanup" && ln -s "$T/outside" "$group-cleanup"; }
huge() { truncate -s 300M "$group-cleanup"; }
fifo() { rm "$group-cleanup" && mkfifo "$group-cleanup"; }
point() { printf '%s' "$2" >"${group}_$1"; }
dir_link() { mv "$root/$group" "$T/host/elsewhere" && ln -s "$T/host/elsewhere" "$root/$group"; }
long() { python3 -c 'print("/" + "x" * 5000)' >>"$group-cleanup"; }

hostile "a path that climbs" "is no path that may be removed" add '%s/../../etc/passwd\n' "$T/host/srv"
hostile "a relative one" "is no path that may be removed" add 'srv/x\n'
hostile "the root" "is no path that may be removed" add '/\n'
hostile "one with a NUL" "goes on behind a NUL" add '/srv/x\0/y\n'
hostile "one that is too long" "is no path that may be removed" long
hostile "one of our own" "belongs to an agent" add '%s/etc/slipway/agent.yml\n' "$T/host"
hostile "one of the official agent" "belongs to an agent" add '%s\n' "$T/host/opt/codedeploy-agent/deployment-root/x"
hostile "a clean-up file that is a link" "-cleanup'" outside
hostile "or a pipe" "-cleanup'" fifo
hostile "or has 300 MB" "-cleanup'" huge
hostile "or may be written by others" "chmod go-w" chmod 0666 "$group-cleanup"
hostile "its directory may be" "chmod go-w" chmod 0777 .
hostile "a pointer elsewhere" "no deployment in" point last_successful_install /etc/passwd
hostile "to another group" "no deployment in" point last_successful_install "$T/host/opt/codedeploy-agent/deployment-root/other/d-1"
hostile "that climbs" "holds no path" point most_recent_install "$T/host/opt/codedeploy-agent/deployment-root/$group/../../x"
hostile "that goes deeper" "no deployment in" point most_recent_install "$T/host/opt/codedeploy-agent/deployment-root/$group/d-1/x"
hostile "a group that is a link" "is no directory of the official agent" dir_link
hostile "a group whose name is none" "cannot be the id" touch ".x-cleanup" "a b-cleanup"
if [ "$(id -u)" = 0 ]; then
	hostile "a clean-up file of another user's" "only root's is believed" chown 65534 "$group-cleanup"
fi

new_host 1
printf '%s' i-123 >"$root/ongoing-deployment/d-CCCCCCCC1"
refused 6 "a deployment is going on" "d-CCCCCCCC1"
rm "$FAKE_UNITS/codedeploy-agent.service.active"
exits 6 "one that an agent has left that does not run" slip import codedeploy
says "  is named, and what helps" "start it, so that it closes it, or remove '$root/ongoing-deployment/d-CCCCCCCC1'"
touch "$FAKE_UNITS/codedeploy-agent.service.active"
touch -d '2 days ago' "$root/ongoing-deployment/d-CCCCCCCC1"
exits 0 "one of the day before yesterday counts as none, as with theirs" slip import codedeploy

new_host 1
echo "$root/ongoing-deployment/d-CCCCCCCC2" >"$FAKE_UNITS/last-command"
exits 6 "a deployment that began while it was being stopped" slip import codedeploy
says "  is named" "d-CCCCCCCC2"
ok "  the other runs again" unit codedeploy-agent active
ok "  and is not masked" bash -c "! [ -e $FAKE_UNITS/codedeploy-agent.service.masked ]"
ok "  nothing is recorded" test ! -e "$T/host/var/lib/slipway/host/import.json"

new_host 1
echo "$root/ongoing-deployment/d-CCCCCCCC2" >"$FAKE_UNITS/last-command"
echo "start codedeploy-agent.service" >"$FAKE_UNITS/kill-at"
exits 137 "killed when the other was to run again" slip import codedeploy
exits 6 "the same command finds that deployment" slip import codedeploy
says "  and what helps" "'slipway import codedeploy --undo' starts it again"
rm "$root/ongoing-deployment/d-CCCCCCCC2"
exits 0 "it can be given back" slip import codedeploy --undo
ok "  the other runs again" unit codedeploy-agent active

new_host 1
: >"$names/${group}_most_recent_install"
exits 0 "a pointer that a crash has left empty counts as missing" slip import codedeploy
exits 0 "and nothing differs" slip verify

# --- the last step ----------------------------------------------------------------------------------------------------------------
for code in 1 137; do
	how=$([ $code = 1 ] && echo fail || echo kill)
	new_host 1
	echo "restart slipwayd.service" >"$FAKE_UNITS/$how-at"
	exits "$code" "slipwayd cannot start: $how" slip import codedeploy
	exits 0 "a dry run of the rest" slip import codedeploy --dry-run
	says "says what is left" "would start slipwayd.service" "$T/out"
	ok "and does nothing" test ! -e "$FAKE_UNITS/slipwayd.service.active"
	exits 0 "the same command goes on" slip import codedeploy --json
	ok "slipwayd runs" unit slipwayd active
	exits 2 "and then it is done" slip import codedeploy
done

new_host 2
exits 0 "a group that is here already" slip deploy "$T/r1" --group $group --file-exists-behavior OVERWRITE
refused 3 "its files may be anybody's" "has a group '$group' already"

# between the look at the groups and the first lock
if strace -o /dev/null true 2>/dev/null; then
	new_host 2
	printf '#!/bin/sh\necho $$ >%s\nexec strace -qq -o %s -e trace=flock -e inject=flock:error=EINTR:signal=STOP:when=1 %s "$@"\n' \
		"$T/strace.pid" "$T/strace" "$SLIPWAY_WORKER" >"$T/late-worker"
	chmod +x "$T/late-worker"
	start import env SLIPWAY_WORKER="$T/late-worker" ASAN_OPTIONS=detect_leaks=0 "$SLIPWAY" --root "$T/host" import codedeploy
	ok "an import that is about to lock a group" within 20 grep -q "stopped by SIGSTOP" "$T/strace"
	tracer=$(cat "$T/strace.pid")
	exits 0 "which comes up here" slip deploy "$T/r1" --group $group --file-exists-behavior OVERWRITE
	xargs kill -CONT <"/proc/$tracer/task/$tracer/children"
	code=0
	wait "${started[import]}" || code=$?
	is "is refused" 3 "$code"
	says "says why" "has a group '$group' already" "$T/import.err"
	ok "the other runs again" unit codedeploy-agent active
	exits 0 "the records of that group are there" slip verify --group $group
	is "and it has its deployment" 1 "$(number)"
else
	skip "a group that comes up before its lock" "strace does not work here"
fi

new_host 2
echo 'version: 0.0' >"$T/empty.yml"
mkdir -p "$T/empty" && printf 'version: 0.0\nos: linux\n' >"$T/empty/appspec.yml"
exits 0 "another group of ours" slip deploy "$T/empty" --group ours
refused 3 "its revisions would not be found" "slipway remove --group ours"
exits 0 "it is removed" slip remove --group ours
exits 0 "then it is no obstacle" slip import codedeploy

new_host 1
rm "$FAKE_UNITS/codedeploy-agent.service.active"
start rival bash -c 'exec -a "codedeploy-agent: master" sleep 600'
titled() { grep -q codedeploy-agent: "/proc/${started[rival]}/cmdline"; }
within 10 titled
echo "${started[rival]}" >"$cd/state/.pid/codedeploy-agent.pid"
exits 3 "an agent that runs without systemd" slip import codedeploy
says "is to be stopped first" "codedeploy-agent stop"
touch "$FAKE_UNITS/codedeploy-agent.service.active"
exits 6 "one whose process does not end when systemd stops it" slip import codedeploy
says "  is told" "its process has not ended ('$cd/state/.pid/codedeploy-agent.pid')"
ok "  the service runs again" unit codedeploy-agent active
ok "  and nothing is recorded" test ! -e "$T/host/var/lib/slipway/host/import.json"
rm "$FAKE_UNITS/codedeploy-agent.service.active"
mkdir -p "$T/host/etc/slipway"
echo "aws: true" >"$T/host/etc/slipway/agent.yml"
start slipwayd env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1 "$SLIPWAYD" --root "$T/host"
ok "slipwayd does not poll as long as it runs" within 20 grep -q "the official agent runs as PID ${started[rival]}" "$T/slipwayd.err"
says "and says what helps" "slipway import codedeploy" "$T/slipwayd.err"
stop slipwayd
mkdir "$T/pids"
mv "$cd/state/.pid/codedeploy-agent.pid" "$T/pids/renamed.pid"
printf 'aws: true\npid_dir: %s\nprogram_name: renamed\n' "$T/pids" >"$T/host/etc/slipway/agent.yml"
AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1 slip doctor >"$T/out" || :
says "doctor finds it where agent.yml says" "runs as PID ${started[rival]}" "$T/out"
mv "$T/pids/renamed.pid" "$cd/state/.pid/codedeploy-agent.pid"
echo "aws: true" >"$T/host/etc/slipway/agent.yml"
kill "${started[rival]}"
within 10 gone "${started[rival]}"
start slipwayd env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1 "$SLIPWAYD" --root "$T/host"
ok "without it, it asks who this host is" within 20 grep -q "AWS cannot be asked" "$T/slipwayd.err"
ok "whatever stands in its PID file" bash -c "! grep -q 'official agent' '$T/slipwayd.err'"
stop slipwayd
rm "$T/host/etc/slipway/agent.yml"
exits 0 "it has gone" slip import codedeploy
ok "a service that did not run is masked, too" unit codedeploy-agent masked
exits 0 "undone" slip import codedeploy --undo
ok "and it does not run afterwards" bash -c "! [ -e $FAKE_UNITS/codedeploy-agent.service.active ]"

# --- how it is configured -------------------------------------------------------------------------------------------------------
new_host 1
printf ':root_dir: relative\n' >"$T/host/etc/codedeploy-agent/conf/codedeployagent.yml"
exits 2 "a root_dir that is none" slip import codedeploy
says "is named" "no absolute path"
printf ': [broken\n' >"$T/host/etc/codedeploy-agent/conf/codedeployagent.yml"
exits 2 "a broken file" slip import codedeploy
says "is named with its line" "codedeployagent.yml:"
mkdir -p "$T/conf"
printf ':root_dir: %s\n:max_revisions: -4\n:proxy_uri: "http://u:p@h:1#x"\n:weird: [a]\n' "$root" >"$T/conf/codedeployagent.yml"
exits 0 "a directory with the file" slip import codedeploy --from "$T/conf" --json
is "each group is told" "$group" "$(field 'd["groups"][0]["group_id"]')"
is "and what could not be taken over" 2 "$(field 'len(d["not_taken_over"])')"
says "what is quoted stays so" 'proxy_uri: "http://u:p@h:1#x"' "$T/host/etc/slipway/agent.yml"
rm -rf "$T/nothing" && mkdir "$T/nothing"
exits 0 "undone again" slip import codedeploy --undo --json
printf ':root_dir: %s\n' "$T/nothing/root" >"$T/conf/codedeployagent.yml"
exits 2 "a deployment root that is not there" slip import codedeploy --from "$T/conf"
says "is named, and what helps" "there is no deployment root '$T/nothing/root', as $T/conf/codedeployagent.yml has it: put 'root_dir' right"
ok "nothing is recorded" test ! -e "$T/host/var/lib/slipway/host/import.json"
exits 2 "a host without an official agent" slip import codedeploy --from "$T/nothing"
says "is told" "there is no official agent here"
new_host 1
printf -- '---\nregion: eu-west-1\n' >"$T/managed.yml"
ln -s "$T/managed.yml" "$T/host/etc/codedeploy-agent/conf/codedeploy.onpremises.yml"
exits 0 "an on-premises file that is a link" slip import codedeploy
done_testing
