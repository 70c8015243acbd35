#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# README.md, as written: its fenced blocks of shell, in order. The first builds the packages from the release on this machine, the
# others run in a fresh host, in that tree: an application served without a server, then by an endpoint, and all taken away.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
tarball=$top_builddir/$("$SLIPWAY" --version | tr ' ' -).tar.xz
[ -f "$tarball" ] || skip_all "no release in $tarball (make dist)"
image_packages+=(python3-venv python3-apt cloud-init openssh-server sudo awscli) # as in examples.sh, and what a pipeline has

mkdir "$T/tree" "$T/blocks"
tar -xf "$tarball" --strip-components=1 -C "$T/tree"
awk -v dir="$T/blocks" '/^```sh$/ { file = dir "/" ++n; next } /^```$/ { file = "" } file { print >file }' "$T/tree/README.md"
is "the README has its blocks" "1 2 3 4 5 6 7 8" "$(ls "$T/blocks" | xargs)"
# The first one, by root: where there is no sudo its word is passed over.
command -v sudo >/dev/null || printf '#!/bin/sh\nexec "$@"\n' >"$T/sudo"
[ ! -e "$T/sudo" ] || chmod +x "$T/sudo"
exits 0 "the packages are built" env -C "$T/tree" PATH="$T:$PATH" DEBIAN_FRONTEND=noninteractive bash -e -x "$T/blocks/1"

new_host fresh || exit 1
"$HOST" copy "$T/tree/examples" fresh:/root/slipway/
"$HOST" copy "$T"/tree/build/deb/slipway*.deb fresh:/root/slipway/build/deb/
"$HOST" copy "$T/blocks" fresh:/srv/
in_host fresh sh -c 'echo 127.0.0.1 deploy.example.com >>/etc/hosts
useradd -m someone && cp -R /root/slipway/examples /home/someone/ && chmod -R a+rX /srv/blocks'
block() { in_host fresh env -C /root/slipway HOME=/root bash -e -x "/srv/blocks/$1"; }
page() { in_host fresh curl -fsS --max-time 5 "http://127.0.0.1:$1"; }

exits 0 "the agent's packages are installed" block 2
is "the daemon waits for an enrolment" active "$(in_host fresh systemctl is-active slipwayd)"
exits 0 "a first application is deployed, deployed again and rolled back" block 3
says "it served" "Notice board, revision 1" "$T/out"
exits 0 "somebody tries it in a directory" "$HOST" exec fresh --user=someone -- env -C /home/someone bash -e -x /srv/blocks/4
says "without being root" "Hello. This is revision 1" "$T/out"
exits 0 "the endpoint is installed and started" block 5
read -ra command < <(grep -o 'slipway enroll .*' "$T/out")
is "under its name" https://deploy.example.com:8443 "${command[2]}"
says "which the credentials have as well" '"https://deploy.example.com:8443"' <(in_host fresh cat /var/lib/slipway-control/admin-credentials.json)
exits 0 "the command that it prints enrols a host" in_host fresh "${command[@]}" --tag role=web
exits 0 "an application is pushed and deployed" block 6
is "and is served" "ok 1" "$(page 8082/health)"
is "beside the first" "Notice board, revision 1" "$(page 8081/)"
exits 0 "the aws CLI deploys as well" block 7
is "with success" 2 "$(endpoint=fresh fleet deployments | grep -c ' Succeeded ')"
exits 0 "it is taken away" block 8
is "nothing is served" "" "$(page 8081/ 2>&1 | grep revision; page 8082/health 2>&1 | grep ok)"
is "nothing is left of Slipway" "" "$(in_host fresh sh -c 'ls -d /etc/slipway /var/lib/slipway* /run/slipway* /usr/sbin/slipway* 2>/dev/null')"
done_testing
