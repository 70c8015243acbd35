#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A parser that an archive has taken over (rogue-unpack.c) tries everything that it must not. Each deed is refused, the
# deployment fails and says why, and outside nothing has happened; also where the kernel lacks one of the walls.
. "${top_srcdir:?}/tests/e2e/lib.sh"

TOOL=$top_builddir/tests/e2e/bundle-tool
command -v python3 >/dev/null || skip_all "python3 is not here to make archives"
chmod 755 "$T"
mkdir "$T/libexec"
ln -s "$top_builddir/tests/e2e/rogue-unpack" "$T/libexec/slipway-unpack"
ln -s "$top_builddir/slipway-cli" "$T/libexec/slipway-cli"
export SLIPWAY_LIBEXEC=$T/libexec

# A place for each of those who try: its directory may be written by them, so that only the walls hold.
prepare() { # DIR OWNER
	mkdir -p "$1/o" "$1/outside"
	echo keep >"$1/outside/file"
	chmod 666 "$1/outside/file"
	chown -R "$2" "$1" 2>/dev/null || true
}
prepare "$T/own" "$(id -u)"
cd "$T" || exit
start victim sleep 600
victim=${started[victim]}

# DEED, WHERE (outside file, victim, or nothing), and what is called; "-": refused with an errno
deeds="read outside -
list /etc -
write outside -
create new -
truncate outside -
unlink outside -
rename outside -
link outside -
climb outside -
through outside -
setid outside fchmodat
setid-open outside -
chown outside -
device x mknodat
exec /bin/true execve
exec-memory x -
code x mmap
fork x clone
thread x clone3
kill victim kill
pidfd victim pidfd_open
owner victim -
ptrace victim ptrace
memory victim process_vm_readv
proc-memory victim -
inet x socket
unix x socket
netlink x socket
pass x sendmsg
mount / mount
namespace x unshare
chroot x chroot
key x add_key
bpf x bpf
uring x io_uring_setup
perf x perf_event_open
become x setresuid
other-abi x -
handler x -
much-memory x -
many-files x -
inherited x -
secret marked-secret -"
[ "$(uname -m)" = x86_64 ] && deeds=${deeds/setid outside fchmodat/setid outside chmod}

make_archives() { # PLACE
	python3 - "$1" "$victim" "$deeds" <<'P'
import io, sys, tarfile
place, victim, deeds = sys.argv[1:]
for line in deeds.splitlines():
    deed, where, _ = line.split()
    where = {'outside': place + '/outside/file', 'new': place + '/outside/new', 'victim': victim}.get(where, where)
    with tarfile.open(f'{place}/{deed}.tar', 'w') as t:
        for name, data in (('appspec.yml', b'version: 0.0\nos: linux\n'), (f'rogue:{deed}:{where}', b'')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
P
}

state_of() { stat -c '%n %a %u %s %Y %h' "$1/outside" "$1/outside/file"; cat "$1/outside/file"; ls -A "$1/outside"; }

# tries WHO PLACE EXACT COMMAND...: every deed; EXACT: the call must be named
tries() {
	local who=$1 place=$2 exact=$3 deed call before got said bad=""
	shift 3
	before=$(state_of "$place")
	while read -r deed _ call; do
		got=0
		said=$(MARKED=marked-secret "$@" unpack tar "$place/$deed.tar" "$place/o" 7<>"$place/outside/file") || got=$?
		[ $got = 1 ] || bad+="$deed: exit $got ($said)"$'\n'
		case $said in
		*ESCAPED* | *"no such deed"*) bad+="$deed: $said"$'\n' ;;
		*"tried $call(), which it may not"* | *"refused $deed: "* | *"tried a system call of another kind"*) ;;
		*) bad+="$deed: $said"$'\n' ;;
		esac
		[ "$exact" = no ] || [ "$call" = - ] || [[ $said == *"bad_input: bundle '$deed.tar': "*"tried $call(), "* ]] ||
			bad+="$deed: does not name $call: $said"$'\n'
		[ -z "$(ls -A "$place/o")" ] || { bad+="$deed: something stays"$'\n'; rm -rf "${place:?}/o"/* "${place:?}/o"/.a*; }
	done <<<"$deeds"
	tried=$((tried + $(wc -l <<<"$deeds"))) escaped=$((escaped + $(grep -c . <<<"$bad")))
	is "$who: every deed is refused by name" "" "$bad"
	is "$who: nothing outside is touched" "$before" "$(state_of "$place")"
	is "$who: the other process lives" yes "$(kill -0 "$victim" && echo yes)"
}

tried=0 escaped=0
make_archives "$T/own"
probe=$("$TOOL" unpack tar own/read.tar own/o)
says "the parser is the rogue one" "refused read" <(echo "$probe")
sanitizers=$(grep -c '^#define SANITIZERS' "$top_builddir/config.h")
if [ "$sanitizers" != 0 ]; then # they leave memory unlimited, and standard error open
	deeds=$(grep -v -e '^much-memory' -e '^inherited' <<<"$deeds")
fi
foreign=$("$TOOL" unpack tar own/inet.tar own/o)
[[ $foreign == *"tried socket()"* ]] && exact=yes || exact=no # a foreign machine by qemu has no filter
tries "$(id -un)" "$T/own" "$exact" "$TOOL"
# What reaches nobody by itself is not refused without the filter; and each wall by itself gets a sample.
all=$deeds
unfiltered() { grep -v -E '^(code|fork|thread|pidfd|owner|inet|unix|netlink|pass|key|bpf|perf|handler) ' <<<"$all"; }
some='^(read|write|chown|setid-open|kill|proc-memory|mount) '
[ -z "${SLIPWAY_EXHAUST-}" ] || some=
sample() { grep -E "$some"; }
without() { # WHO PLACE LACKS COMMAND...
	deeds=$([ "$3" = seccomp ] && unfiltered || echo "$all")
	deeds=$(sample <<<"$deeds")
	tries "$1 without $3" "$2" no "${@:4}" "without=$3"
	deeds=$all
}
if [ "$(id -u)" = 0 ]; then walls="landlock seccomp"; else walls="landlock seccomp unshare"; fi
for lacks in $walls; do
	[ "$exact" = yes ] || continue
	without "$(id -un)" "$T/own" "$lacks" "$TOOL"
done
lacking() { # NAME LACKS...
	local name=$1 lacks options=()
	shift
	for lacks; do options+=("without=$lacks"); done
	exits 1 "$name: nothing is unpacked" "$TOOL" "${options[@]}" unpack tar own/read.tar own/o
	says "$name: and the reason is told" "the process that unpacks bundles cannot be shut in" out
}
lacking "neither Landlock nor chroot" landlock chroot
lacking "neither seccomp nor chroot" chroot seccomp
lacking "neither seccomp nor namespaces" unshare seccomp

if [ "$(id -u)" = 0 ]; then
	lacking "root without chroot" chroot
	somebody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	prepare "$T/user" 65534
	make_archives "$T/user"
	chown -R 65534 user
	kill "$victim"
	start user-victim "${somebody[@]}" sleep 600
	victim=${started[user-victim]}
	make_archives "$T/user"
	tries "a user" "$T/user" no "${somebody[@]}" "$TOOL"
	for lacks in landlock seccomp unshare; do
		[ "$exact" = no ] || without "a user" "$T/user" "$lacks" "${somebody[@]}" "$TOOL"
	done
fi

# As a whole: the deployment fails, and says it
mkdir host
exits 2 "a deployment with such a bundle fails" "$SLIPWAY" --root host deploy own/inet.tar
cat out err >said
if [ "$exact" = yes ]; then
	says "and names the call" "tried socket(), which it may not" said
fi
[ -z "${SLIPWAY_EXHAUST-}" ] || echo "# exhaust: a parser that misbehaves: $tried deeds, $escaped violations"
done_testing
