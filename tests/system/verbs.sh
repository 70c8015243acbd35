#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a person's commands do on an installed host, where the worker runs behind its socket and in its sandbox: files of other
# users, set-id bits, ACLs, file capabilities, immutable files. What it may not do is refused in words, before anything is touched.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent
image_packages+=(acl attr e2fsprogs libcap2-bin)
new_host h && install_packages h slipway slipway-agent || { echo "Bail out! no host"; exit 1; }

h() { in_host h "$@"; }
group=default-local-deployment-group
put() { h rm -rf "/root/$(basename "$1")" && "$HOST" copy "$1" h:/root/; }
# shown PATH: owner, mode, named ACL entries, file capabilities.
shown() {
	# shellcheck disable=SC2016
	h sh -c 'stat -c "%U:%G %a" "$1"; getfacl -cEp "$1" | grep -E "^user:.+:"; getcap "$1" | sed "s/.* //"' sh "$1" | xargs
}
# is_revision N: served, and everything in place with the right owner.
# shellcheck disable=SC2317
is_revision() {
	is "$2: it serves revision $1" "$1" "$(served h)"
	is "$2: a file of another user with a set-id bit" "app:games 4750" "$(shown /srv/app/tool)"
	is "$2: a directory of another user" "app:app 700" "$(shown /srv/app/data)"
	is "$2: what a script gave away" "app:root 600" "$(shown /srv/app/data/file)"
	is "$2: what a script gave capabilities" "root:root 755 cap_net_raw=ep" "$(shown /srv/app/ping)"
	is "$2: in somebody's home" "$1" "$(h cat /home/app/revision)"
}

h useradd -m app
h chmod 700 /home/app
for n in 1 2 3; do
	make_app "$T/r$n" "$n"
	cat >>"$T/r$n/appspec.yml" <<'Y'
permissions:
  - {object: /srv/app, pattern: "tool", owner: app, group: games, mode: 4750, type: [file]}
  - {object: /srv/app, pattern: "data", owner: app, group: app, mode: 700, type: [directory]}
Y
	sed -i 's|^hooks:|  - {source: app/revision, destination: /home/app}\n&|' "$T/r$n/appspec.yml"
	mkdir "$T/r$n/app/data"
	echo "$n" >"$T/r$n/app/data/file"
	echo tool >"$T/r$n/app/tool"
	install -m 755 "$T/r$n/app/data/file" "$T/r$n/app/ping"
	echo 'setcap cap_net_raw+ep /srv/app/ping; chown app /srv/app/data/file; chmod 600 /srv/app/data/file' >>"$T/r$n/scripts/configure.sh"
	[ "$n" -lt 3 ] || echo 'exit 3' >>"$T/r$n/scripts/validate.sh"
	put "$T/r$n"
done

exits 0 "deploy" h slipway deploy /root/r1
is_revision 1 deploy
ok "by a worker of its own, behind the socket" eval 'h journalctl -q -o cat -u "slipway-worker@*" | grep -q "succeeded$"'
exits 0 "deploy of the next" h slipway deploy /root/r2
is_revision 2 "deploy of the next"
exits 0 "rollback" h slipway rollback
is_revision 1 rollback
exits 0 "redeploy" h slipway redeploy
is_revision 1 redeploy
exits 1 "a deployment that fails" h slipway deploy /root/r3
is_revision 1 "a deployment that fails"
exits 5 "one that is left in place" h slipway deploy /root/r3 --no-rollback
is_revision 3 "one that is left in place"
exits 0 "rollback from there" h slipway rollback
is_revision 1 "rollback from there"
exits 0 "recover" h slipway recover
exits 0 "remove" h slipway remove --group $group
is "remove: nothing of it is left" "" "$(h find /srv /home/app -mindepth 1 ! -name '.*')"
is "remove: nothing of it runs" none "$(served h)"
exits 1 "somebody without rights" "$HOST" exec h --user=app -- slipway remove --group $group
says "is told what to do" "try it with sudo"

# A script that floods its log: the disk does not fill, and the script notices nothing.
h sh -c 'echo "script_output_max: 1M" >>/etc/slipway/agent.yml && mkdir -p /root/flood && cd /root/flood &&
	printf "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: flood.sh\n      runas: app\n" >appspec.yml &&
	printf "#!/bin/sh\nyes | head -c 100000000\n" >flood.sh && chmod +x flood.sh'
exits 0 "a script that prints 100 MB" h slipway deploy /root/flood --group flood
out="/var/lib/slipway/deployment-root/flood/*/logs/AfterInstall-1.stdout"
ok "takes little of the disk" [ "$(h sh -c "du -k $out" | cut -f1)" -lt 8192 ]
ok "and its log says what is missing" h sh -c "grep -aqE '^\[slipway\] [0-9]+ bytes of output were left out here' $out"
h slipway remove --group flood >/dev/null

# What a bundle brings besides content and mode
h sh -c 'mkdir -p /root/b/app && cd /root/b && printf "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/app\n" >appspec.yml &&
	cd app && touch acl cap note && echo theirs >owned && chown app:games owned && setfacl -m u:app:rw acl && setcap cap_net_raw+ep cap &&
	setfattr -n user.note -v x note && cd .. && tar --xattrs --xattrs-include="*" --acls -czf ../b.tgz . && chmod 4755 app/note && tar -czf ../setid.tgz .'
exits 0 "a bundle with owners, ACLs, capabilities, attributes" h slipway deploy /root/b.tgz
says "it is told what a script has to set" "file capabilities are not installed, of 1 in the bundle; set them in a script (setcap)"
is "the owner is installed" "app:games 644" "$(shown /srv/app/owned)"
is "the others are not, as with the official agent" "root:root 644 root:root 644 " \
	"$(shown /srv/app/acl) $(shown /srv/app/cap) $(h getfattr -n user.note /srv/app/note 2>/dev/null)"
exits 2 "set-id bits of a bundle are refused" h slipway deploy /root/setid.tgz
says "with the option that permits them" "set allow_setid to accept such entries"
h sh -c 'echo "allow_setid: true" >>/etc/slipway/agent.yml'
exits 0 "and with it they are not" h slipway deploy /root/setid.tgz
is "and are installed" "root:root 4755" "$(shown /srv/app/note)"

# What is there already
h chattr +i /srv/app/owned
h sh -c 'cd /root/b && echo new >app/owned && chmod 755 app/note && tar -czf ../b.tgz .'
exits 3 "an immutable file is refused by the plan" h slipway deploy /root/b.tgz
says "by name" "/srv/app/owned: '/srv/app/owned' is immutable or append-only; 'chattr -ia' it first"
is "nothing was touched" "root:root 4755" "$(shown /srv/app/note)"
h chattr -i /srv/app/owned
h chattr +a /srv/app
exits 1 "from a directory that gives nothing away nothing is removed" h slipway remove --group $group
says "with its name" "'/srv/app' is immutable or append-only"
h chattr -a /srv/app
exits 0 "then it goes" h slipway remove --group $group
h sh -c 'mkdir /srv/app && chown app /srv/app && chmod 2700 /srv/app && setfacl -d -m u:nobody:rwx /srv/app && cd /srv/app && echo theirs >owned &&
	chown app owned && chmod 600 owned'
exits 3 "a file that is nobody's is not overwritten" h slipway deploy /root/b.tgz
exits 0 "unless it is wanted" h slipway deploy /root/b.tgz --file-exists-behavior OVERWRITE
is "what is new inherits group and ACL of its directory" "app:root 640 user:nobody:rwx" "$(shown /srv/app/owned)"
is "which stays as it was" "app:root 2700" "$(shown /srv/app | sed 's/ user.*//')"

# A parser that an archive has taken over, inside of the worker's sandbox
if [ -x "$top_builddir/tests/e2e/rogue-unpack" ]; then
	put "$top_builddir/tests/e2e/rogue-unpack"
	# shellcheck disable=SC2016
	h sh -c 'install -m 755 /root/rogue-unpack "$(dpkg -L slipway slipway-agent | grep /slipway-unpack$)"'
	for deed in inet:socket fork:clone kill:kill mount:mount; do
		# shellcheck disable=SC2016
		h sh -c 'cd /root && rm -rf c && mkdir c && cd c && cp ../b/appspec.yml . && touch "rogue:$1:1" && tar -cf ../c.tar appspec.yml "rogue:$1:1"' sh "${deed%:*}"
		exits 2 "${deed%:*} by a parser that misbehaves" h slipway deploy /root/c.tar --group rogue
		tr -s '\n ' ' ' <"$T/err" >"$T/said"
		says "is refused, and named" "tried ${deed#*:}(), which it may not" "$T/said"
	done
else
	skip "a parser that misbehaves" "make check has not built it"
fi
done_testing
