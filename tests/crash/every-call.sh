#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The kill test dies at every call that it knows of. Does it know of all? strace counts what the kernel sees of an
# install, an undo and a settle; the numbers must agree. Then strace itself kills at some of the calls (all of them with
# SLIPWAY_EXHAUST=1): the kernel's view of "the n-th call".
set -u
. "${top_srcdir:?}/tests/crash/lib.sh"
calls=mkdir,mkdirat,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,rename,renameat,renameat2,chmod,fchmod,fchmodat
calls=$calls,chown,fchown,fchownat,utimensat,write,pwrite64,writev,pwritev,copy_file_range,sendfile,truncate,ftruncate
calls=$calls,fallocate,fsync,fdatasync,syncfs,sync,fsetxattr,setxattr,fremovexattr,mknodat,open,openat,creat

export ASAN_OPTIONS=detect_leaks=0 # the leak checker does not work under a tracer
strace -qq -e trace=none true 2>/dev/null || { echo "1..0 # SKIP strace cannot be used here"; exit 0; }

# What changes something: of the opens, only those that may create; not our own printing (descriptors 1 and 2).
changing()
{
	grep -v -e '^open.*O_RDONLY' -e '^openat([^)]*O_PATH' -e '^write([12],' "$1" |
		grep -c -v -e '^openat(.*O_RDWR|[A-Z_|]*O_NOFOLLOW|O_CLOEXEC) =' -e '^+++' -e '^---'
}

make_world
for act in install undo install settle; do
	known=$(strace -qq -o "$dir/trace" -e trace="$calls" "$txn" "$dir" $act)
	seen=$(changing "$dir/trace")
	[ "$known" = "$seen" ] && r=0 || r=1
	ok $r "the kill test knows every call of $act ($known, the kernel saw $seen)"
	echo "$known" >"$dir/$act"
done
"$txn" "$dir" check settle >/dev/null; ok $? "after all of them the world is whole"

# strace kills at the k-th call of one name.
step=29
[ -z "${SLIPWAY_EXHAUST:-}" ] || step=1
kills=0 old=0 new=0 bad=0
for call in renameat2 renameat linkat unlinkat mkdirat symlinkat utimensat fsync syncfs pwrite64 write fchmod; do
	k=1
	while :; do
		strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$k "$txn" "$dir" install \
			>/dev/null 2>&1
		status=$?
		[ $status != 0 ] || break
		[ $status = 137 ] || { bad=$((bad + 1)); echo "# $call number $k: status $status"; break; }
		case $("$txn" "$dir" check install 2>&1) in
		old) old=$((old + 1)) ;;
		new) new=$((new + 1)) ;;
		*) bad=$((bad + 1)); echo "# violation at $call number $k" ;;
		esac
		kills=$((kills + 1)) k=$((k + step))
	done
	"$txn" "$dir" check install >/dev/null 2>&1 || bad=$((bad + 1))
done
[ $bad = 0 ] && [ $old -gt 0 ] && [ $new -gt 0 ]
ok $? "killed by strace at $kills calls: $old old, $new new, $bad violations"
echo "# exhaust: every-call: $kills kill points, $bad violations"
echo "1..$n"
[ $bad = 0 ]
