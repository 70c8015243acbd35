#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same packages come out of two builds. The first is what `make deb` and `make rpm` left, where that came from the
# tarball that is there, else one of its own; the second is made in a folder with a longer name, at another time, by
# another user on a host with another name, with another umask, time zone, language and number of jobs, and without ccache.
. "$top_srcdir/tests/e2e/lib.sh"

tarball=$(ls "$top_builddir"/slipway-*.tar.xz 2>/dev/null) || skip_all "there is no tarball: make dist"
unset DEB_REVISION RPM_RELEASE SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS V
there=$T/a-folder-with/a-longer/name
mkdir -p "$there"
chmod 711 "$T"

# elsewhere COMMAND...: run it as described above, as far as this user may.
as=()
if [ "$(id -u)" = 0 ]; then
	if unshare --uts true 2>/dev/null; then as+=(unshare --uts sh -c 'hostname elsewhere && exec "$@"' sh); fi
	chown 65534:65534 "$there"
	if setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$tarball" -a -x "$top_srcdir/packaging/make-deb"; then
		as+=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	fi
fi
elsewhere() {
	(umask 027 && TZ=Pacific/Auckland LC_ALL=C.UTF-8 LANG=C.UTF-8 HOME=/nonexistent USER=somebody CCACHE_DISABLE=1 \
		DEB_BUILD_OPTIONS="nocheck parallel=3" RPM_BUILD_NCPUS=3 "${as[@]}" "$@")
}

# reference KIND: where the first build is.
reference() {
	if [ "$(cat "$top_builddir/$1/made-of" 2>/dev/null)" = "$(sha256sum <"$tarball")" ]; then
		echo "$top_builddir/$1"
	else
		"$top_srcdir/packaging/make-$1" "$tarball" "$T/first/$1" >&2 && echo "$T/first/$1"
	fi
}
sums() { (cd "$1" && sha256sum -- *."$2"); }

# same KIND
same() {
	local kind=$1 first
	first=$(reference "$kind") || return 1
	elsewhere "$top_srcdir/packaging/make-$kind" "$tarball" "$there/$kind" >&2 || return 1
	[ "$(sums "$there/$kind" "$kind" | wc -l)" -ge 3 ] || return 1
	diff <(sums "$first" "$kind") <(sums "$there/$kind" "$kind")
}
if command -v dpkg-buildpackage >/dev/null; then
	ok "two builds give the same Debian packages" same deb
else
	skip "the Debian packages" "dpkg-buildpackage is not installed"
fi
if command -v rpmbuild >/dev/null; then
	ok "two builds give the same RPM packages" same rpm
else
	skip "the RPM packages" "rpmbuild is not installed"
fi
done_testing
