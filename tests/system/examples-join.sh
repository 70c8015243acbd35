#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How hosts join, by examples/cloud-init and examples/ansible as they are: a first boot with the real cloud-init, and
# ansible-playbook over ssh, twice.
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent slipway-controld
image_packages+=(python3-venv python3-apt cloud-init openssh-server sudo) # as in examples.sh

net_up
endpoint=deploy
endpoint_host || exit 1
joined() { fleet hosts | grep -E "^$1 " | grep -F -e "$2"; }
token() { in_host deploy slipway-controld token create --quiet; }
fingerprint=$(in_host deploy slipway-controld token create --json | sed 's/.*"ca_fingerprint":"\([0-9a-f]*\)".*/\1/')
is "the endpoint's fingerprint" 64 ${#fingerprint}

# --- cloud-init ---------------------------------------------------------------------------------------------------------
"$HOST" copy "$(deb slipway)" "$(deb slipway-agent)" deploy:/srv/packages/
sums=$(in_host deploy sh -c 'cd /srv/packages && sha256sum *.deb >SHA256SUMS && sha256sum SHA256SUMS' | cut -d' ' -f1)
packages_served() { in_host deploy systemd-run --quiet --unit=packages python3 -m http.server --directory /srv/packages 8000; }
secret=$(token)
[ -n "$secret" ] || exit 1

mkdir "$T/seed"
sed -e "s|PACKAGES=https://.*|PACKAGES=http://deploy:8000|" -e "s|SHA256SUMS_SHA256=.*|SHA256SUMS_SHA256=$sums|" \
	-e "s|ENDPOINT=.*|ENDPOINT=https://deploy:8443|" -e "s|CA_FINGERPRINT=0.*|CA_FINGERPRINT=$fingerprint|" \
	-e "s|^      TOKEN$|      $secret|" "$top_srcdir/examples/cloud-init/user-data" >"$T/seed/user-data"
printf 'instance-id: i-first\nlocal-hostname: born\n' >"$T/seed/meta-data"
printf 'network: {config: disabled}\nlocale: false\n' >"$T/no-network.cfg"
hosts+=(born)
"$HOST" create born --include="$(IFS=, && echo "${image_packages[*]}")"
upper=$("$HOST" path born)/upper # of its overlay: what the machine finds at its first boot
mkdir -p "$upper/var/lib/cloud/seed/nocloud" "$upper/etc/cloud/cloud.cfg.d"
cp "$T/seed/user-data" "$T/seed/meta-data" "$upper/var/lib/cloud/seed/nocloud/"
cp "$T/no-network.cfg" "$upper/etc/cloud/cloud.cfg.d/"
exits 0 "a machine boots with the user data" boot_host born
exits 0 "which cloud-init finds right" in_host born cloud-init schema --system
exits 0 "its first boot ends while the packages are out of reach" timeout 60 "$HOST" exec born -- cloud-init status --wait
waits() { [ "$(in_host born systemctl show --property=SubState --value slipway-join)" = auto-restart ]; }
ok "they are tried again later" within 20 waits
packages_served
in_host born systemctl start slipway-join.service # now, not when the 15 s are over
ok "the host joins" within 30 joined born role=web
ok "with its tags" joined born stage=production
no_secret() { in_host born sh -c "! grep -rlF -f /root/secret /run /etc /var --exclude-dir=cloud --exclude-dir=systemd"; }
printf '%s\n' "$secret" >"$T/secret"
"$HOST" copy "$T/secret" born:/root/ # the journal would keep it as an argument
ok "the token is in no log and in no file but the user data" no_secret
is "which only root can read" 600 "$(in_host born stat -c %a /var/lib/cloud/instance/user-data.txt)"

# --- ansible ----------------------------------------------------------------------------------------------------------------
if ! command -v ansible-playbook >/dev/null || ! command -v ssh >/dev/null; then
	skip "the Ansible role installs and enrols a host" "ansible-core or openssh-client is not installed"
	done_testing
fi
new_host made || exit 1
address_of() { sed 's|/.*||' "$SYSTEMD_HOST_STATE/hosts/$1/address"; }
cp -R "$top_srcdir/examples/ansible" "$T/ansible" && chmod -R u+w "$T/ansible"
mkdir "$T/ansible/files"
cp "$(deb slipway)" "$(deb slipway-agent)" "$T/ansible/files/"
sed -i -e "s|deploy.example.com:|deploy: {ansible_host: $(address_of deploy)}|" -e "s|web1.example.com:|made: {ansible_host: $(address_of made)}|" \
	-e '/web2.example.com/d' "$T/ansible/inventory.yml"
ssh-keygen -q -t ed25519 -N '' -f "$T/key"
for name in deploy made; do
	"$HOST" copy "$T/key.pub" "$name:/root/.ssh/authorized_keys"
	in_host "$name" sh -c 'chmod 700 /root/.ssh && chown -R root: /root/.ssh && systemctl start ssh'
done
# play [OPTION]...: from the net's hub, where a person's own configuration has no say.
play() {
	timeout 120 "$HOST" net-exec lab -- env -C "$T/ansible" HOME="$T" ANSIBLE_HOST_KEY_CHECKING=False ANSIBLE_PIPELINING=True \
		ANSIBLE_REMOTE_USER=root ANSIBLE_PRIVATE_KEY_FILE="$T/key" ANSIBLE_NOCOLOR=1 \
		ANSIBLE_SSH_ARGS="-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR" \
		ansible-playbook -i inventory.yml site.yml "$@"
}
exits 0 "the role installs and enrols a host" play -vv
is "without showing the token" "" "$(grep -oE 'slt[0-9A-Z]{20,}' "$T/out" "$T/err")"
ok "the host has joined" joined made role=web
exits 0 "a second run" play
ok "changes nothing" grep -E '^made .* changed=0 .* failed=0' "$T/out"
exits 0 "settings are written" play -e '{"slipway_agent_settings": {"max_revisions": 3}}'
ok "which changes the file and has it read" grep -E '^made .* changed=2 .* failed=0' "$T/out"
is "as they were given" "max_revisions: 3" "$(in_host made grep -v '^#' /etc/slipway/agent.yml)"
is "for the daemon to read, with its secrets for nobody else" "root slipway 640" "$(in_host made stat -c '%U %G %a' /etc/slipway/agent.yml)"
exits 2 "another endpoint is refused" play -e slipway_agent_endpoint=https://other.example.com:8443
says "with what to do" "is enrolled at https://deploy:8443; 'slipway unenroll' there first" "$T/out"
done_testing
