#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A script of another user must get at its revision, whatever umask the person had whose command made the directories.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
chmod -R go+rX "$T"
make_revision "$T/r1" 1
sed -i '/validate.sh/a \      runas: nobody' "$T/r1/appspec.yml"
printf '#!/bin/sh\nid -un && cat "$(dirname "$0")/../app/revision" && umask\n' >"$T/r1/scripts/validate.sh"

if [ "$(id -u)" = 0 ]; then
	exits 0 "a deployment with umask 0077" bash -c 'umask 0077 && exec "$@"' - "$SLIPWAY" --root "$T/host" deploy "$T/r1"
	slip logs >"$T/logs"
	is "its script of another user ran, where its revision is, with the usual umask" "nobody 1 0022" \
		"$(sed -n 's/.*\[stdout\]//p' "$T/logs" | xargs)"
else
	sed -i '/runas/d' "$T/r1/appspec.yml"
	exits 0 "a deployment with umask 0077" bash -c 'umask 0077 && exec "$@"' - "$SLIPWAY" --root "$T/host" deploy "$T/r1"
	skip "a script of another user" "that needs root"
fi
is "everybody may enter the directories down to the revision" "" \
	"$(find "$T/host/var" -type d ! -path '*/slipway/host*' ! -perm 755 -printf '%m %p\n')"
ok "there are some" [ "$(find "$T/host/var/lib/slipway/deployment-root" -type d | wc -l)" -gt 4 ]
is "but not what the host keeps for itself" "" \
	"$(find "$T/host/var/lib/slipway/host" -type d ! -perm 750 -printf '%m %p\n')"

# Who is not root cannot have a script run by root.
as_user=()
[ "$(id -u)" != 0 ] || as_user=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups)
if "${as_user[@]}" test -x "$SLIPWAY" -a -x "$SLIPWAY_WORKER"; then
	local_host other
	make_revision "$T/r2" 2
	sed -i '/runas/d; /validate.sh/a \      runas: root' "$T/r2/appspec.yml"
	printf '#!/bin/sh\ntouch "$SLIPWAY_DESTINATION_ROOT/ran"\n' >"$T/r2/scripts/validate.sh"
	[ ${#as_user[@]} = 0 ] || chown -R nobody "$T/other" "$T/r2"
	exits 1 "runas root without being root" "${as_user[@]}" "$SLIPWAY" --root "$T/other" deploy "$T/r2"
	says "names the user" "run as user root failed" "$T/err"
	ok "and starts nothing" test ! -e "$T/other/tree/ran"
else
	skip "runas root without being root" "another user cannot get at the programs"
fi
done_testing
