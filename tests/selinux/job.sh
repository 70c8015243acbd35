#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Contexts of an AppSpec on a host with SELinux, run as root inside the machine that run.sh boots: packages beside this
# file, first in permissive, then in enforcing mode. TAP.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
n=0 failed=0
is() # NAME EXPECTED GOT
{
	n=$((n + 1))
	[ "$2" = "$3" ] && echo "ok $n - $1" && return
	failed=1
	echo "not ok $n - $1"
	printf '# expected: %s\n#      got: %s\n' "$2" "$3"
}
type_of() { stat -c %C "$1" | cut -d: -f3; }
label_of() { stat -c %C "$1"; }

# revision NAME TYPE USER_LINE: site with a page and a folder; TYPE "" asks for no context.
revision()
{
	mkdir -p "$1/site/folder" "$1/bin" "$1/etc"
	echo page >"$1/site/index.html"
	echo inside >"$1/site/folder/page"
	echo "$1" >"$1/site/plain"
	printf '#!/bin/sh\necho tool\n' >"$1/bin/slipway-tool"
	echo setting >"$1/etc/slipway-site.conf"
	printf '#!/bin/sh\nid -Z\ncat /proc/self/attr/current\n' >"$1/after.sh"
	chmod 755 "$1/bin/slipway-tool" "$1/after.sh"
	{
		printf 'version: 0.0\nos: linux\nfiles:\n'
		printf '  - {source: site, destination: /srv/site}\n  - {source: bin, destination: /usr/local/bin}\n'
		printf '  - {source: etc, destination: /etc}\n'
		if [ -n "$2" ]; then
			printf 'permissions:\n  - object: /srv/site\n    pattern: index.html\n    context: {type: %s, range: s0}\n' "$2"
			printf '  - object: /srv/site\n    pattern: folder\n    type: [directory]\n    context: {type: %s%s}\n' "$2" "$3"
		fi
		printf 'hooks:\n  AfterInstall:\n    - location: after.sh\n'
	} >"$1/appspec.yml"
}
deploy() { timeout 120 slipway deploy "$1" --group site >log 2>&1; echo $?; }
contexts() { echo "$(type_of /srv/site/index.html) $(type_of /srv/site/folder) $(type_of /srv/site/plain)"; }

echo "# $(uname -r), policy $(sestatus | sed -n 's/Loaded policy name: *//p'), mode $(getenforce)"
dpkg -i ./*.deb >dpkg.log 2>&1 || { tail -5 dpkg.log; echo "Bail out! packages"; exit 1; }
is "the worker is labelled as a program" bin_t "$(type_of /usr/libexec/slipway/slipway-worker 2>/dev/null || type_of /usr/lib/slipway/slipway-worker)"
revision r1 etc_t ''
revision r2 usr_t ', user: system_u, range: "s0:c0,c1"'
revision r3 '' ''
revision bad no_such_type_t ''
for mode in 0 1; do
	setenforce $mode
	said="$(getenforce): "
	is "${said}a deployment with contexts" 0 "$(deploy r1)"
	[ "$failed" = 0 ] || cat log
	is "${said}they are on a file and a directory, and only there" "etc_t etc_t var_t" "$(contexts)"
	is "${said}what lies in that directory inherits as in the place" var_t "$(type_of /srv/site/folder/page)"
	is "${said}a file below /etc is labelled as there" etc_t "$(type_of /etc/slipway-site.conf)"
	is "${said}a file below /usr/local/bin is labelled as there" bin_t "$(type_of /usr/local/bin/slipway-tool)"
	slipway logs 2>/dev/null | sed -n 's/.*\[stdout\]/# its script runs as /p' | sort -u
	is "${said}the same again changes nothing" 0 "$(slipway plan r1 --group site | grep -Ec "^ *(create|replace|metadata) ")"
	is "${said}other contexts" 0 "$(deploy r2)"
	is "${said}are there" "usr_t usr_t var_t" "$(contexts)"
	is "${said}with user and range" system_u:object_r:usr_t:s0:c0,c1 "$(label_of /srv/site/folder)"
	is "${said}a type that the policy does not know is refused" 3 "$(deploy bad)"
	grep -m1 no_such log | sed 's/^/# /'
	is "${said}and nothing is touched" "usr_t usr_t var_t" "$(contexts)"
	timeout 200 slipway rollback --group site >log 2>&1
	is "${said}rolled back" "etc_t etc_t var_t" "$(contexts)"
	sed -i 's/^id.*/exit 1/' r2/after.sh
	is "${said}a deployment that fails" 1 "$(deploy r2)"
	sed -i 's/^exit 1/id -Z/' r2/after.sh
	is "${said}leaves the old contexts" "etc_t etc_t var_t" "$(contexts)"
	is "${said}a revision without contexts" 0 "$(deploy r3)"
	is "${said}goes back to the policy's labels" "var_t var_t var_t" "$(contexts)"
done
setenforce 0
journalctl -k -b --no-pager -o cat 2>/dev/null | grep -a 'avc:.*denied' | grep -ao 'comm="[^"]*".*\|scontext.*' |
	sed 's/ino=[0-9]*//; s/pid=[0-9]* //' | sort | uniq -c | sort -rn | head -15 | sed 's/^/# denied: /'
ausearch -m avc --raw 2>/dev/null | grep -ao 'denied.*' | sed 's/pid=[0-9]* //; s/ino=[0-9]* //' | grep -a slipway |
	sort | uniq -c | sort -rn | head -15 | sed 's/^/# denied: /'
echo "1..$n"
[ "$failed" = 0 ]
