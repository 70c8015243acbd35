# SPDX-License-Identifier: Apache-2.0
# What ./demo and ./check share: the Debian packages, building, waiting for a line. Sourced by bash with set -eu.

build_packages=(build-essential autoconf automake pkg-config python3
	libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev libarchive-dev libsystemd-dev libacl1-dev libselinux1-dev zlib1g-dev
	libmicrohttpd-dev libgnutls28-dev libsqlite3-dev)
test_packages=(libcmocka-dev strace zip unzip curl openssl awscli xfsprogs e2fsprogs btrfs-progs acl libcap2-bin nbdkit libnbd-bin fuse3 exfat-fuse exfatprogs clang-14 libclang-rt-14-dev
	git xz-utils zstd bzip2 lz4 lzip libarchive-tools p7zip-full procps mandoc man-db groff bash-completion zsh shellcheck python3-yaml python3-pip python3-venv python3-boto3 prometheus python3-prometheus-client openssh-client ansible-lint systemd-container mmdebstrap iproute2
	nginx-light radosgw ceph-mon ceph-osd ceph-common)
packaging_packages=(debhelper dpkg-dev lintian rpm rpmlint xz-utils mmdebstrap)

# need_packages WHY PACKAGE...: install those that are missing; say so first.
need_packages() {
	local why=$1 missing=() package
	shift
	command -v dpkg-query >/dev/null || return 0 # not Debian: configure will say what it lacks
	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "For $why these Debian packages are missing and will be installed now: ${missing[*]}"
	local as=()
	[ "$(id -u)" = 0 ] || as=(sudo)
	"${as[@]}" apt-get -qq update
	DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# build_slipway DIR [CONFIGURE-OPTION...]: configure once, build; quiet unless it fails.
build_slipway() {
	local dir=$1 top=$PWD log
	shift
	mkdir -p "$dir"
	log=$dir/build.log
	echo "Building Slipway in $dir"
	if {
		{ [ -x configure ] || ./autogen.sh; } &&
			{ [ -f "$dir/Makefile" ] || (cd "$dir" && "$top/configure" --quiet "$@"); } &&
			make -C "$dir" -j"$(nproc)" all
	} >"$log" 2>&1; then
		return 0
	fi
	tail -n 40 "$log"
	echo "The build failed; the whole output is in $log"
	return 1
}

# wait_for_line SECONDS FILE SED: print what the sed script prints of FILE once it prints something.
wait_for_line() {
	local end=$((SECONDS + $1)) found
	while [ $SECONDS -le $end ]; do
		found=$(sed -n "$3" "$2" 2>/dev/null | head -n 1)
		[ -z "$found" ] || { echo "$found"; return 0; }
		sleep 0.05
	done
	echo "nothing came in $2 within $1 s" >&2
	return 1
}
