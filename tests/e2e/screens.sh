#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The screens in docs/screens.md are what the programs print: each is made again, by a real run, and compared. What changes from run
# to run (names, times, figures) is put down to fixed values first. "screens.sh --write" writes the page's blocks anew.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"
page=$top_srcdir/docs/screens.md
mkdir "$T/screens"
cd "$T" || exit 1
: >ids

# --- an application that listens, in several revisions ----------------------------------------------------------------------
local_host host
echo 'max_revisions: 3' >>"$T/host/etc/slipway/agent.yml"
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
# release NAME: the application's revision; its scripts are changed by who calls.
release() {
	mkdir -p "$1/app" "$1/scripts"
	cat >"$1/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: app
    destination: /srv/shop
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
  AfterInstall:
    - location: scripts/configure.sh
  ApplicationStart:
    - location: scripts/start.sh
  ValidateService:
    - location: scripts/validate.sh
      timeout: 30
Y
	echo "$1" >"$1/app/index.html"
	echo "listen on $port" >"$1/app/shop.conf"
	printf '#!/bin/sh\necho "the shop is closed"\n' >"$1/scripts/stop.sh"
	printf '#!/bin/sh\necho "configured for 2 workers"\n' >"$1/scripts/configure.sh"
	printf '#!/bin/sh\necho "starting the shop"\n' >"$1/scripts/start.sh"
	printf '#!/bin/sh\necho "GET / 200"\n' >"$1/scripts/validate.sh"
	chmod 755 "$1"/scripts/*
}
pack() { tar -C "$1" --owner=0 --group=0 --sort=name -czf "$1.tgz" .; }

# --- taking one --------------------------------------------------------------------------------------------------------------
# fixed: what differs from run to run, as it stands on the page.
fixed() {
	python3 -c '
import re, sys
root, port, text = sys.argv[1], sys.argv[2], sys.stdin.read()
text = text.replace(root + "/host/tree", "").replace(root, "/home/anna/releases").replace(port, "8080")
text = re.sub(r"/\S*/deployment-archive/", ".../", text)
ids = {}
def name(m):
    return ids.setdefault(m.group(0), "d-" + "".join(chr(65 + (len(ids) * 7 + i * 5) % 26) for i in range(9)) + "-local")
known = open(sys.argv[3]).read().split()
for one in known:
    name(re.match(r".*", one))
text = re.sub(r"d-[A-Z0-9]{9}-local", name, text)
open(sys.argv[3], "w").write(" ".join(ids))
text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-21 18:40:12", text)
text = re.sub(r"\b\d+\.\d s\b", "0.1 s", text)
text = re.sub(r"peak \d+ [KM]iB", "peak 2 MiB", text)
text = re.sub(r"\b\d+(\.\d)? (k?B)\b", "1.2 kB", text)
text = re.sub(r"(\w\s+)\(\d{2,}\)", r"\1(4711)", text)
text = re.sub(r"  \d+(\.\d)? tasks?", "  2 tasks", text)
text = re.sub(r"process \d+", "process 4711", text)
text = re.sub(r"connected in \S+ ms", "connected in 0.1 ms", text)
text = re.sub(r"at least \S+ \S+\s+are\s+free", "at least 1.2 GB are free", text)
# of the machine that this runs on
text = re.sub(r"(?m)^  control groups .*\n(?: {20,}.*\n)*", "  control groups ok       version 2, controllers: cpuset cpu io memory pids\n", text)
text = re.sub(r"(?m)^  kernel .*\n(?: {10,}.*\n)*", "  kernel         ok       Linux 6.1.0-30-amd64, x86_64\n                 ok       SELinux is off\n", text)
sys.stdout.write(re.sub(r"[ \t]+$", "", text, flags=re.M))' "$T" "$port" ids
}

# screen NAME ARGUMENT...: "slipway ARGUMENT..." as a screen of that name.
screen() {
	local name=$1 code=0
	shift
	{
		echo "\$ sudo slipway $*"
		timeout 60 "$SLIPWAY" --root "$T/host" "$@" 2>&1 || code=$?
		[ $code = 0 ] || echo "[exit code $code]"
	} >"$name.raw"
	fixed <"$name.raw" >"screens/$name"
}

# --- the screens -------------------------------------------------------------------------------------------------------------
release shop-1
echo old >shop-1/app/news.html
pack shop-1
screen plan plan shop-1.tgz --group shop
screen deploy deploy shop-1.tgz --group shop
TERM=xterm "$top_srcdir/tests/e2e/terminal.py" bar.raw "$SLIPWAY" --root "$T/host" deploy shop-1.tgz --group shop >/dev/null
tr '\r' '\n' <bar.raw | sed 's/\x1b\[K//' | grep 'unpack.*100 %' | head -n 1 | fixed >screens/bar

release shop-2
echo more >shop-2/app/cart.html
screen plan-second plan shop-2 --group shop
screen deploy-second deploy shop-2 --group shop

release shop-3
printf '#!/bin/sh\necho "starting the shop"\nexec python3 "%s/server.py" %s\n' "$T" "$port" >shop-3/scripts/start.sh
cat >server.py <<'P'
import socket, sys
try:
    socket.create_server(("127.0.0.1", int(sys.argv[1])))
except OSError:
    sys.exit("shop: bind() to 127.0.0.1:%s failed (98: Address already in use)" % sys.argv[1])
P
start other python3 -c "import socket
s = socket.create_server(('127.0.0.1', $port))
print('listens', flush=True)
s.accept()"
line_of other '/listens/p' >/dev/null
screen failure deploy shop-3 --group shop
stop other
screen explain explain
screen status status
screen history history -n 3

release shop-4
printf '#!/bin/sh\necho "checking the shop"\nuwsgi-check --all\n' >shop-4/scripts/validate.sh
slip deploy shop-4 --group shop >/dev/null 2>&1
screen explain-command explain

release shop-5
sed -i 's/$/\r/' shop-5/scripts/configure.sh
slip deploy shop-5 --group shop >/dev/null 2>&1
screen explain-crlf explain

release shop-6
sed -i 's/timeout: 30/timeout: 1/' shop-6/appspec.yml
printf '#!/bin/sh\necho "waiting for the database"\nexec sleep 100\n' >shop-6/scripts/validate.sh
slip deploy shop-6 --group shop >/dev/null 2>&1
screen explain-timeout explain

screen logs logs -f
screen left deploy shop-4 --group shop --no-rollback
screen left-status status
screen rollback rollback --group shop

echo "changed by hand" >host/tree/srv/shop/shop.conf
rm host/tree/srv/shop/index.html
screen verify verify --group shop
slip redeploy --group shop >/dev/null 2>&1

# the previous revision does not start any more, either
release shop-7
printf '#!/bin/sh\necho "no"\nexit 1\n' >shop-7/scripts/validate.sh
printf '#!/bin/sh\ntouch %s/gone\n' "$T" >shop-7/scripts/configure.sh
release shop-8
printf '#!/bin/sh\necho "starting the shop"\n[ ! -e %s/gone ] || cat /etc/shop/licence\n' "$T" >shop-8/scripts/start.sh
slip deploy shop-8 --group shop >/dev/null 2>&1
screen undo deploy shop-7 --group shop
screen undo-status status
rm gone
screen redeploy redeploy --group shop

mkdir -p host/tree/srv/wiki
echo mine >host/tree/srv/wiki/index.html
release wiki
sed -i 's,/srv/shop,/srv/wiki,' wiki/appspec.yml
screen refused deploy wiki --group wiki
release blog
sed -i 's,/srv/shop,/srv/blog,' blog/appspec.yml
slip deploy blog --group blog >/dev/null 2>&1
release blog-2
sed -i 's,/srv/shop,/srv/blog,' blog-2/appspec.yml
screen plan-refused plan blog-2 --group journal
screen adopt adopt --group journal --from blog
screen remove remove --group shop

# nobody listens at the endpoint any more
agent=host/var/lib/slipway/agent
mkdir -p $agent/keys.0 host/var/lib/slipway/host/trust
ln -s keys.0 $agent/keys
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout $agent/keys/key.pem \
	-out $agent/keys/cert.pem -subj /CN=web1 2>/dev/null
cp $agent/keys/cert.pem host/var/lib/slipway/host/trust/ca.pem
cat >$agent/identity.json <<J
{"version":1,"endpoint":"https://127.0.0.1:$port","name":"web1","host_identifier":"arn:aws:codedeploy:local:1:instance/web1",
 "region":"local","enrolled":1,
 "ca_fingerprint":"$(openssl x509 -in $agent/keys/cert.pem -noout -fingerprint -sha256 | sed 's/.*=//')"}
J
screen doctor doctor

# --- the page ------------------------------------------------------------------------------------------------------------------
blocks() { # blocks write|check: the page with its blocks made anew; or what differs in words, not in how lines are broken
	python3 - "$1" "$page" screens <<'P'
import os, re, sys
mode, page, folder = sys.argv[1:]
text = open(page, encoding="utf-8").read()
made = {name: open(os.path.join(folder, name), encoding="utf-8").read() for name in os.listdir(folder)}
shown = re.findall(r"<!-- screen: ([\w-]+) -->\n```\n(.*?)```\n", text, re.S)
if mode == "write":
    new = lambda m: "<!-- screen: %s -->\n```\n%s```\n" % (m.group(1), made[m.group(1)])
    text = re.sub(r"<!-- screen: ([\w-]+) -->\n```\n(.*?)```\n", new, text, flags=re.S)
    open(page, "w", encoding="utf-8").write(text)
    sys.exit()
for name, block in shown:
    if name not in made:
        print("%s: nothing makes this screen" % name)
    elif block.split() != made[name].split():
        print("%s: it is\n%s\nand the page says\n%s" % (name, made[name], block))
for name in sorted(set(made) - {name for name, block in shown}):
    print("%s: it is not on the page" % name)
P
}
if [ "${1-}" = --write ]; then
	blocks write
	exit
fi
for name in screens/*; do
	ok "${name#screens/} was made" test -s "$name"
done
is "the screens of docs/screens.md are what is printed (tests/e2e/screens.sh --write makes them anew)" "" "$(blocks check)"
is "none is wider than 80 columns, but for names of files" "" "$(grep -vhE '/home/anna|\.\.\./|^(error|warning): ' screens/* | grep -E '.{81}')"
done_testing
