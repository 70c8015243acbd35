#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Permissions of an AppSpec on real files: each ACL is the one that setfacl --set gives, unchanged ones are kept, changed ones are
# taken back, and what cannot be is refused before anything is touched.
. "${top_srcdir:?}/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"
command -v setfacl >/dev/null || skip_all "package acl is missing"

local_host host
tree=$T/host/tree
app=$tree/srv/app
group=$(getent group | cut -d: -f1 | grep -vx root | head -n 1)

# name, file or directory, mode, acls of the AppSpec, and all that setfacl is told: what is missing comes from the mode, and a mask
# from the group.
rows="
one        f 640  u:nobody:rw                 u::rw,g::r,o::-,u:nobody:rw,m::r
by-name    f 664  nobody:7                    u::rw,g::rw,o::r,u:nobody:rwx,m::rw
group      f 600  g:$group:rx,nobody:         u::rw,g::-,o::-,g:$group:rx,u:nobody:-,m::-
masked     f 640  user:nobody:rwx,m:rx        u::rw,g::r,o::-,u:nobody:rwx,m::rx
mask-alone f 777  mask::r                     u::rwx,g::rwx,o::rwx,m::r
ids        f 644  u:4000000000:r,u:7:w,g:9:x  u::rw,g::r,o::r,u:4000000000:r,u:7:w,g:9:x,m::r
twice      f 666  u:7:r,u:7:w                 u::rw,g::rw,o::rw,u:7:w,m::rw
none       f 751  -                           u::rwx,g::rx,o::x
set-id     f 6755 u:7:rx                      u::rwx,g::rx,o::rx,u:7:rx,m::rx
folder     d 750  u:7:rwx                     u::rwx,g::rx,o::-,u:7:rwx,m::rx
bequeath   d 2770 d:u:7:rwx,d:o::-            u::rwx,g::rwx,o::-,d:u::rwx,d:g::rwx,d:o::-,d:u:7:rwx,d:m::rwx
both       d 755  g:9:rx,d:g:9:rwx,d:m:rx     u::rwx,g::rx,o::rx,g:9:rx,m::rx,d:u::rwx,d:g::rx,d:o::rx,d:g:9:rwx,d:m::rx
default    d 711  default:other:r,d:g::x      u::rwx,g::x,o::x,d:u::rwx,d:g::x,d:o::r
"
each_row() { while read -r name type mode acls wanted; do [ -z "$name" ] || "$@"; done <<<"$rows"; }

# shellcheck disable=SC2317
add_row() {
	if [ "$type" = f ]; then echo "$name" >"$dir/app/$name"; else mkdir "$dir/app/$name" && echo in >"$dir/app/$name/inside"; fi
	printf '  - {object: /srv/app, pattern: %s, mode: "%s", acls: [%s]}\n' "$name" "$mode" \
		"$([ "$acls" = - ] || sed 's/,/", "/g; s/.*/"&"/' <<<"$acls")" >>"$dir/appspec.yml"
}

# shellcheck disable=SC2317
want_row() {
	if [ "$type" = f ]; then : >"$T/wanted/$name"; else mkdir "$T/wanted/$name"; fi
	chmod "$mode" "$T/wanted/$name" && setfacl --set "$wanted" "$T/wanted/$name" || exit 1
}

# shellcheck disable=SC2317
compare_row() { is "$name: $acls on $mode" "$(acl_of "$T/wanted/$name")" "$(acl_of "$app/$name")"; }

acl_of() { getfacl -cpEn "$1" | tr '\n' ' '; }
state() { (cd "$tree" && find . -printf '%p %y %m %U %i\n' | LC_ALL=C sort && find . ! -type l -print0 | sort -z | xargs -0 getfacl -pn); }

mkdir "$tree/srv" "$T/wanted"
dir=$T/r1
make_revision "$dir" 1
echo permissions: >>"$dir/appspec.yml"
each_row add_row
each_row want_row

exits 0 "a revision with ACLs" slip deploy "$T/r1"
each_row compare_row
is "the set-id bits are there" 6755 "$(stat -c %a "$app/set-id")"
is "what the deployment itself puts into a directory does not inherit its default ACL" "user::rw- group::r-- other::r--  " \
	"$(acl_of "$app/bequeath/inside")"
echo later >"$app/bequeath/later"
case $(acl_of "$app/bequeath/later") in *user:7:rwx*) bequeathed=yes ;; *) bequeathed=no ;; esac
is "what is made there later does" yes "$bequeathed"
rm "$app/bequeath/later"

# --- unchanged, changed, taken back -------------------------------------------------------------------------------------------
state >"$T/before"
exits 0 "the same again" slip deploy "$T/r1"
state >"$T/after"
ok "touches nothing" cmp "$T/before" "$T/after"

cp -a "$T/r1" "$T/r2"
sed -i 's/u:7:r/u:8:r/g; s/g:9:/g:10:/g; s/^\(.*pattern: masked,.*\), acls: .*}/\1}/' "$T/r2/appspec.yml"
printf '#!/bin/sh\nexit 1\n' >"$T/r2/scripts/validate.sh"
exits 1 "other ACLs, whose validation fails" slip deploy "$T/r2"
state | sed 's/ [0-9]*$//' >"$T/after"
sed 's/ [0-9]*$//' "$T/before" >"$T/expected"
ok "every ACL is as it was" cmp "$T/expected" "$T/after"
cp "$T/r1/scripts/validate.sh" "$T/r2/scripts/validate.sh"
exits 0 "and without that mistake" slip deploy "$T/r2"
is "a named user has changed" "user::rwx user:8:rwx group::r-x mask::r-x other::---  " "$(acl_of "$app/folder")"
is "an ACL that is not asked for any more is gone" "user::rw- group::r-- other::---  " "$(acl_of "$app/masked")"
exits 0 "nothing has drifted" slip verify
setfacl -m u:12:r "$app/one" "$app/folder"
exits 0 "an ACL that somebody set" slip deploy "$T/r2"
is "is put right on a file" "$(acl_of "$T/wanted/one")" "$(acl_of "$app/one")"
is "and on a directory" "user::rwx user:8:rwx group::r-x mask::r-x other::---  " "$(acl_of "$app/folder")"

# --- refused -------------------------------------------------------------------------------------------------------------------
state >"$T/before"
refuse() { # NAME PERMISSION TEXT...
	local name=$1
	rm -rf "$T/bad"
	make_revision "$T/bad" 1
	printf 'permissions:\n  - %s\n' "$2" >>"$T/bad/appspec.yml"
	shift 2
	exits 3 "$name is refused" slip deploy "$T/bad"
	for text; do says "$name: $text" "$text"; done
}
refuse "an unknown user" '{object: /srv/app, acls: ["nobody-is-called-so:rw"]}' \
	"line 16: there is no user 'nobody-is-called-so'"
refuse "an unknown group" '{object: /srv/app, acls: ["g:nobody-is-called-so:rw"]}' "there is no group 'nobody-is-called-so'"
refuse "a default entry for files" '{object: /srv/app, acls: ["d:u:7:rw"]}' "$app/revision" "only directories have default ACL entries"
state >"$T/after"
ok "and nothing was touched" cmp "$T/before" "$T/after"
if [ "$(id -u)" = 0 ]; then
	mkdir "$tree/ram"
	sed -i 's,/srv/app,/ram/app,; s/- {object.*/- {object: \/ram\/app, acls: ["u:7:rw"]}/' "$T/bad/appspec.yml"
	# shellcheck disable=SC2016
	exits 3 "a file system without ACLs is refused" unshare -m bash -c 'mount -t ramfs none "$1/ram" && shift && exec "$@"' - \
		"$tree" timeout 60 "$SLIPWAY" --root "$T/host" deploy "$T/bad" --group ram
	says "with the object" "$tree/ram/app/revision"
	says "and the mount" "the file system at '$tree/ram' has no ACLs"
else
	skip "a file system without ACLs" "that needs root"
fi

# --- what lint says --------------------------------------------------------------------------------------------------------------
printf 'version: 0.0\nos: linux\nfiles: [{source: app, destination: /srv}]\npermissions:\n' >"$T/appspec.yml"
printf '  - {object: /srv, mode: "0600", acls: ["u:bob:rw"]}\n  - {object: /srv/x, acls: ["d:u:bob:rw"]}\n' >>"$T/appspec.yml"
printf '  - {object: /srv/y, context: {type: unconfined_t, range: s0}}\n' >>"$T/appspec.yml"
slip lint "$T/appspec.yml" >"$T/out" 2>&1
says "lint: without a mask" "warning: appspec.yml:5:5: without a 'mask:' entry" "$T/out"
says "lint: default entries" "warning: appspec.yml:6:5: default ACL entries are refused for a file" "$T/out"
says "lint: a type without confinement" "'unconfined_t' is the type of a process without confinement" "$T/out"
done_testing
