#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The official agent's options on bundles, in agent.yml: each refuses what it names before a script runs, while the old
# revision is untouched, and lets it through where it is off.
. "${top_srcdir:?}/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
base=$(cat "$T/host/etc/slipway/agent.yml")
options() { printf '%s\n' "$base" "$@" >"$T/host/etc/slipway/agent.yml"; }
revision() { rm -rf "$T/r"; make_revision "$T/r" "$1"; }
pack() { tar -C "$T/r" -czf "$T/r.tgz" .; }
umask 022

make_revision "$T/old" old
exits 0 "a first revision" slip deploy "$T/old"
events=$(cat "$T/host/tree/events")
before=$(tree_of host)
refused() { # NAME TEXT SOURCE
	exits 2 "$1 is refused" slip deploy "$3"
	tr -s '\n ' ' ' <"$T/err" >"$T/said"
	says "$1: the reason" "$2" "$T/said"
	same_tree "$1: the old revision is untouched" "$before"
	is "$1: no script ran" "$events" "$(cat "$T/host/tree/events")"
}

revision links
ln -s revision "$T/r/app/link"
pack
options "reject_symlinks_in_bundle: true"
refused "a symbolic link" "entry 'app/link' is a symbolic link to 'revision', which reject_symlinks_in_bundle refuses" "$T/r.tgz"
refused "one in a directory" "entry 'app/link' is a symbolic link" "$T/r"
rm "$T/r/app/link"
ln "$T/r/app/revision" "$T/r/app/second"
pack
refused "a hard link" "is a hard link to './app/" "$T/r.tgz"

revision outward
ln -s ../../../etc/passwd "$T/r/app/up"
pack
options "reject_path_traversal_in_bundle: true"
refused "a link that climbs out" "entry 'app/up' is a symbolic link that leads out of the bundle" "$T/r.tgz"
ln -sfn /etc/passwd "$T/r/app/up"
refused "one to an absolute path" "entry 'app/up' is a symbolic link that leads out of the bundle" "$T/r"
rm "$T/r/app/up"
ln -s . "$T/r/app/here"
ln -s here/here/.. "$T/r/app/inside"
ln -s here/../.. "$T/r/app/chain"
refused "one through another" "entry 'app/chain' is a symbolic link that leads out" "$T/r"
rm "$T/r/app/chain"
sed -i 's|/srv/app|/srv/x/../app|' "$T/r/appspec.yml"
refused "'..' in a destination" "a path with '..', which reject_path_traversal_in_bundle refuses" "$T/r"

revision setid
chmod 4755 "$T/r/app/revision"
pack
options "allow_setid: true" "reject_unsafe_permissions_in_bundle: true"
refused "a set-id bit, in spite of allow_setid," "has a set-id bit (mode 4755), which reject_unsafe_permissions_in_bundle" "$T/r.tgz"
chmod 755 "$T/r/app/revision"
printf 'permissions:\n  - object: /srv/app\n    mode: 2755\n' >>"$T/r/appspec.yml"
refused "one of the AppSpec" "mode 2755 has a set-id bit, which reject_unsafe_permissions_in_bundle refuses" "$T/r"

revision context
printf 'permissions:\n  - object: /srv/app\n    context: {type: unconfined_t}\n' >>"$T/r/appspec.yml"
options "reject_unconfined_selinux_in_bundle: true"
refused "a type without confinement" "'unconfined_t' is the type of a process without confinement, which reject_un" "$T/r"

revision target
ln -s revision "$T/r/app/link"
printf 'permissions:\n  - object: /srv/app\n    mode: 640\n' >>"$T/r/appspec.yml"
options "reject_symlink_permission_targets: true"
exits 3 "permissions of a link are refused" slip deploy "$T/r"
tr -s '\n ' ' ' <"$T/err" >"$T/said"
says "by the name of the link" "/srv/app/link" "$T/said"
says "and the option's" "reject_symlink_permission_targets" "$T/said"
same_tree "the old revision is untouched" "$before"

revision size
head -c 3000 /dev/zero >"$T/r/app/zeros"
pack
(cd "$T/r" && python3 -m zipfile -c ../r.zip . >/dev/null)
options "archive_max_extraction_size: 2KB"
refused "more than a tgz may unpack to" "more than 2000 bytes" "$T/r.tgz"
refused "more than a zip says it unpacks to" "more than 2000 bytes" "$T/r.zip"
options "archive_max_bytes: 1MB" "archive_max_extraction_size: 2KiB"
refused "the smaller ceiling" "more than 2048 bytes" "$T/r"

# What is on the host already
revision kept
ln -s revision "$T/r/app/link"
options "local_rollback: true"
exits 0 "without an option a link is fine" slip deploy "$T/r"
before=$(tree_of host)
events=$(cat "$T/host/tree/events")
options "reject_symlinks_in_bundle: true"
exits 2 "with it what is kept is refused, too" slip redeploy
tr -s '\n ' ' ' <"$T/err" >"$T/said"
says "by its name" "entry 'app/link' is a symbolic link" "$T/said"
same_tree "what runs is untouched" "$before"
is "no script ran" "$events" "$(cat "$T/host/tree/events")"
exits 0 "another revision" slip deploy "$T/old"
exits 0 "but a rollback goes back to it" slip rollback
is "to it" kept "$(cat "$T/host/tree/srv/app/revision")"

if [ "$(id -u)" = 0 ]; then
	revision owners
	pack
	tar -C "$T/r" --owner=12345 --group=12346 -czf "$T/r.tgz" .
	options "ignore_ownership_in_bundle: true"
	exits 0 "a bundle with owners" slip deploy "$T/r.tgz"
	is "is root's, with the option" "0 0" "$(stat -c '%u %g' "$T/host/tree/srv/app/revision")"
	options
	exits 0 "without it" slip deploy "$T/r.tgz"
	is "owners are those of the bundle" "12345 12346" "$(stat -c '%u %g' "$T/host/tree/srv/app/revision")"
else
	skip "owners" "not root"
fi
done_testing
