#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# slipway import codedeploy in a booted host: a service that looks like the official agent's is stopped, masked and given back, as
# a unit of a package, as a SysV script and as an administrator's unit; who may read what; slipwayd never beside it.
# shellcheck disable=SC2154,SC2317 # variables of the harness; functions that are called by name
. "${top_srcdir:?}/tests/system/lib.sh"
need_hosts
need_packages_built slipway slipway-agent

group=0f5c1b1e-1111-2222-3333-444455556666
unit=codedeploy-agent.service
names=/opt/codedeploy-agent/deployment-root/deployment-instructions
agent() { in_host web "$@"; }
state() { in_host web systemctl show -p "$2" --value "$1"; }
state_is() { [ "$(state "$1" "$2")" = "$3" ]; }
log_says() { journal web -u slipwayd -o cat | grep -qF -- "$1"; }
attributes() { in_host web stat -c '%U:%G %a' "$1"; }
play() { agent python3 /root/official.py / 2 "$@"; }
# put FILE [MODE]: stdin becomes it
put() {
	cat >"$T/file" && chmod "${2:-644}" "$T/file" && "$HOST" copy "$T/file" "web:$1"
}
run='exec -a "codedeploy-agent: master 1" sleep infinity'

agent_host web
"$HOST" copy "$top_srcdir/tests/e2e/official.py" web:/root/
for n in 1 2; do
	mkdir -p "$T/r$n/app"
	echo "$n" >"$T/r$n/app/number"
	printf 'version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv/shop\n' >"$T/r$n/appspec.yml"
	"$HOST" copy "$T/r$n" web:/root/
done
play config
play install $group d-AAAAAAAA1 /root/r1
put /etc/codedeploy-agent/conf/codedeploy.onpremises.yml 600 <<'END'
region: eu-west-1
iam_user_arn: arn:aws:iam::123456789012:user/web
aws_access_key_id: AKIAEXAMPLE
aws_secret_access_key: marked-secret
END
put /lib/systemd/system/$unit <<END
[Service]
ExecStart=/bin/bash -c '$run'
[Install]
WantedBy=multi-user.target
END
agent systemctl daemon-reload
agent systemctl enable --now $unit
pid=$(state $unit MainPID)
agent_yml=$(agent cat /etc/slipway/agent.yml)

# --- a unit of a package ---------------------------------------------------------------------------------------------------------
exits 0 "it is imported" agent slipway import codedeploy
is "slipwayd goes on with its log" "slipway:slipway" "$(attributes /var/log/aws/codedeploy-agent | cut -d" " -f1)"
agent ln -s /etc/shadow /opt/codedeploy-agent/state/.pid/planted
agent chown -h slipway /opt/codedeploy-agent/state/.pid/planted
ok "the service is stopped" state_is $unit ActiveState inactive
ok "and masked" state_is $unit LoadState masked
exits 1 "its process is gone" agent test -e "/proc/$pid"
ok "slipwayd runs" within 10 state_is slipwayd.service ActiveState active
is "settings are for root and slipwayd" "root:slipway 640" "$(attributes /etc/slipway/agent.yml)"
is "so is the identity, where it was" "root:slipway 640" "$(attributes /etc/codedeploy-agent/conf/codedeploy.onpremises.yml)"
exits 1 "its secret is nowhere else" agent sh -c 'sed -n "s/^aws_secret_access_key: //p" /etc/codedeploy-agent/conf/codedeploy.onpremises.yml |
	grep -rqsf - /etc/slipway /var/lib/slipway /var/log /run/slipway'
exits 0 "the revision is as it was installed" agent slipway verify
exits 0 "the next one is deployed" agent slipway deploy /root/r2 --group $group
exits 0 "and taken back" agent slipway rollback --group $group
is "to theirs" 1 "$(agent cat /srv/shop/number)"
exits 0 "and deployed again" agent slipway redeploy --group $group --to "$(agent sh -c "basename \$(cat $names/${group}_most_recent_install)")"
exits 0 "the next one, again" agent slipway deploy /root/r2 --group $group
exits 0 "a reboot" "$HOST" reboot web
ok "changes nothing: it does not run" state_is $unit ActiveState inactive
ok "and slipwayd does" within 20 state_is slipwayd.service ActiveState active

# --- two at once -----------------------------------------------------------------------------------------------------------------
agent systemctl unmask $unit
agent systemctl start $unit
agent systemctl restart slipwayd
ok "slipwayd does not poll beside it" within 20 log_says "$unit is active, and two agents must not poll as one host"
agent systemctl stop $unit
agent systemctl mask $unit

# --- back ---------------------------------------------------------------------------------------------------------------------------
exits 0 "it is given back" agent slipway import codedeploy --undo
ok "the service runs" state_is $unit ActiveState active
ok "and will, at boot" state_is $unit UnitFileState enabled
is "agent.yml is as it was" "$agent_yml" "$(agent cat /etc/slipway/agent.yml)"
is "the identity is root's alone" "root:root 600" "$(attributes /etc/codedeploy-agent/conf/codedeploy.onpremises.yml)"
is "so are its log and its PID files" "root:root root:root" \
	"$(echo "$(attributes /var/log/aws/codedeploy-agent | cut -d" " -f1) $(attributes /opt/codedeploy-agent/state/.pid | cut -d" " -f1)")"
exits 1 "nothing that another user has put there can mislead it" agent test -L /opt/codedeploy-agent/state/.pid/planted
is "its files say what is installed" "/srv/shop /srv/shop/number" "$(agent cat "$names/$group-cleanup" | xargs)"
exits 0 "its next deployment goes on from there" play install $group d-AAAAAAAA7 /root/r1
is "and is its own" 1 "$(agent cat /srv/shop/number)"

# --- a SysV script ----------------------------------------------------------------------------------------------------------------
agent systemctl disable --now $unit
agent rm /lib/systemd/system/$unit
put /etc/init.d/codedeploy-agent 755 <<END
#!/bin/bash
### BEGIN INIT INFO
# Provides: codedeploy-agent
# Required-Start: \$remote_fs
# Required-Stop: \$remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: codedeploy-agent
### END INIT INFO
case \$1 in
start) setsid /bin/bash -c '$run' </dev/null >/dev/null 2>&1 & ;;
stop) pkill -f '^codedeploy-agent: master' || true ;;
esac
END
agent systemctl daemon-reload
agent systemctl start $unit
ok "a SysV script is a service" within 10 agent pgrep -f '^codedeploy-agent: master'
exits 0 "it is imported" agent slipway import codedeploy
ok "and masked" state_is $unit LoadState masked
exits 1 "its process is gone" agent pgrep -f '^codedeploy-agent: master'
exits 0 "it is given back" agent slipway import codedeploy --undo
ok "and runs" within 10 agent pgrep -f '^codedeploy-agent: master'
agent systemctl stop $unit
agent rm /etc/init.d/codedeploy-agent

# --- an administrator's unit, which cannot be masked ---------------------------------------------------------------------------------
put /etc/systemd/system/$unit <<END
[Service]
ExecStart=/bin/bash -c '$run'
END
agent systemctl daemon-reload
agent systemctl start $unit
exits 0 "it is imported" agent slipway import codedeploy
ok "it is stopped" state_is $unit ActiveState inactive
agent systemctl start $unit
ok "and does not start" state_is $unit ActiveState inactive
exits 0 "it is given back" agent slipway import codedeploy --undo
ok "and runs" state_is $unit ActiveState active
exits 1 "nothing of ours stays with it" agent test -e "/etc/systemd/system/$unit.d"
done_testing
