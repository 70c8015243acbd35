#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Contexts for real: boots a Debian machine with SELinux's policy in qemu (without KVM, so it takes 5 to 15 minutes) and runs job.sh in
# it with the packages of `make deb`. By hand: `make check-selinux`, as root, with qemu-system-x86, mmdebstrap and e2fsprogs.
# SLIPWAY_DEBS: where the packages are. SLIPWAY_SELINUX_IMAGE: where the machine is kept (0.6 GB); made when it is not there.
set -euo pipefail
: "${top_srcdir:?}" "${top_builddir:?}"
image=${SLIPWAY_SELINUX_IMAGE:-${XDG_CACHE_HOME:-$HOME/.cache}/slipway-selinux}
debs=${SLIPWAY_DEBS:-$top_builddir/deb}
for tool in qemu-system-x86_64 mmdebstrap mke2fs; do
	command -v "$tool" >/dev/null || { echo "1..0 # SKIP $tool is missing"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP that needs root"; exit 0; }
T=$(mktemp -d)
trap 'rm -rf --one-file-system "$T"' EXIT

make_image()
{
	local root=$T/root packages=systemd,systemd-sysv,dbus,udev,kmod,zstd,linux-image-cloud-amd64,initramfs-tools,iproute2,procps
	packages+=,e2fsprogs,selinux-policy-default,policycoreutils,selinux-basics,auditd
	packages+=,libcurl4,libssl3,libyaml-0-2,libjansson4,libarchive13,libsystemd0,libacl1,zlib1g
	mkdir -p "$root"
	# shellcheck disable=SC2016
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
		mmdebstrap --quiet --variant=minbase --include="$packages" bookworm - - | tar -C "$root" -xf -
	cp "$root"/boot/vmlinuz-* "$image/vmlinuz"
	cp "$root"/boot/initrd.img-* "$image/initrd"
	echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
	cat >"$root/etc/systemd/system/job.service" <<'U'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/sh -c 'mkdir /job; tar -C /job -xf /dev/vdb; cd /job; ./job.sh; echo "JOB-RC=$$?"'
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
U
	ln -s ../job.service "$root/etc/systemd/system/multi-user.target.wants/"
	# Labels as the policy has them; written without SELinux, they are attributes like others.
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind "$1" "$1" && mount -t proc proc "$1/proc" && exec chroot "$1" /sbin/setfiles -F \
		-e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /' - "$root" >/dev/null
	truncate -s 3G "$T/disk.ext4"
	mke2fs -q -F -t ext4 -d "$root" "$T/disk.ext4"
	mv "$T/disk.ext4" "$image/disk.ext4"
	rm -rf --one-file-system "$root"
}

mkdir -p "$image"
[ -e "$image/disk.ext4" ] || make_image
mkdir "$T/job"
cp "$top_srcdir/tests/selinux/job.sh" "$debs"/slipway_*.deb "$debs"/slipway-agent_[0-9]*.deb "$T/job/"
tar -C "$T/job" -cf "$T/job.tar" .
timeout -k 1 "${SLIPWAY_SELINUX_LIMIT:-1800}" qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
	-nodefaults -no-reboot -display none -serial stdio -nic none -device virtio-rng-pci \
	-kernel "$image/vmlinuz" -initrd "$image/initrd" \
	-append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 systemd.mask=serial-getty@ttyS0.service lsm=selinux,bpf selinux=1" \
	-drive "file=$image/disk.ext4,if=virtio,format=raw,snapshot=on" \
	-drive "file=$T/job.tar,if=virtio,format=raw,readonly=on" </dev/null | tee "$T/log"
exit "$(tr -d '\r' <"$T/log" | sed -n 's/^JOB-RC=//p' | tail -n 1 | grep . || echo 125)"
