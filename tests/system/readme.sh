#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# README.md, as written: its fenced blocks of shell run in order in a fresh host, in a tree whose packages are built. The
# enrolment between the last two is the command that 'token create' printed.
. "$top_srcdir/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld
image_packages+=(python3-venv python3-apt cloud-init openssh-server sudo) # as in examples.sh

new_host fresh || exit 1
"$HOST" copy "$top_srcdir/examples" fresh:/root/slipway/
"$HOST" copy "$(deb slipway)" "$(deb slipway-agent)" "$(deb slipway-controld)" fresh:/root/slipway/build/deb/
in_host fresh sh -c 'echo 127.0.0.1 deploy.example.com >>/etc/hosts'

mkdir "$T/blocks"
awk -v dir="$T/blocks" '/^```sh$/ { file = dir "/" ++n; next } /^```$/ { file = "" } file { print >file }' "$top_srcdir/README.md"
is "the README has its blocks" "1 2 3 4" "$(ls "$T/blocks" | xargs)"
"$HOST" copy "$T/blocks" fresh:/root/
block() { in_host fresh env -C /root/slipway HOME=/root bash -e -x "/root/blocks/$1"; }

exits 0 "the agent's packages are installed" block 1
is "the daemon waits for an enrolment" active "$(in_host fresh systemctl is-active slipwayd)"
exits 0 "a first application is deployed, deployed again and rolled back" block 2
says "it served" "Notice board, revision 1" "$T/out"
exits 0 "the endpoint is installed and started" block 3
read -ra command < <(grep -o 'slipway enroll .*' "$T/out")
exits 0 "the command that it prints enrols a host" in_host fresh "${command[@]}" --tag role=web
exits 0 "an application is pushed and deployed" block 4
is "and is served" "ok 1" "$(in_host fresh curl -fsS http://127.0.0.1:8082/health)"
is "beside the first" "Notice board, revision 1" "$(in_host fresh curl -fsS http://127.0.0.1:8081/)"
done_testing
