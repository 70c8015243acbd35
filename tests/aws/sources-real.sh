#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Revisions from servers that other people wrote: radosgw, which verifies every signature of S3, and nginx.
. "${top_srcdir:?run it by make check}/tests/aws/lib.sh" || exit 1
PATH=$PATH:/usr/sbin
for tool in nginx radosgw ceph-mon ceph-osd; do
	command -v $tool >/dev/null || skip_all "needs $tool"
done
[ "$(id -u)" = 0 ] || skip_all "needs root, for radosgw"
/usr/bin/python3 -c 'import boto3' 2>/dev/null || skip_all "needs python3-boto3"

C=$T/ceph
chmod 755 "$T"
mkdir -p "$R/tree" "$T/www" "$T/r/files" "$C"/{run,mon,osd,log,rgw}
make_key() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "$@" 2>>"$T/openssl.err"; }
make_key -keyout "$T/key.pem" -out "$T/ca.pem" -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,DNS:localhost
read -r a web tls mon <<<"$(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(4)]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])
PY
)"

# One node, objects in memory.
ceph_up() {
	cat >ceph.conf <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$mon]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = $C/run
admin socket = $C/run/\$name.\$pid.asok
log file = $C/log/\$name.log
keyring = $C/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
ms bind msgr1 = false
[mon.a]
mon data = $C/mon
[osd]
osd data = $C/osd
osd objectstore = memstore
memstore device bytes = 536870912
osd class load list = *
osd class default list = *
[client]
rgw frontends = beast endpoint=127.0.0.1:$a ssl_endpoint=127.0.0.1:$tls ssl_certificate=$T/ca.pem ssl_private_key=$T/key.pem
rgw data = $C/rgw
rgw run sync thread = false
CONF
	export CEPH_CONF=$C/ceph.conf
	local fsid osd secret
	fsid=$(sed -n 's/^fsid = //p' ceph.conf) osd=$(cat /proc/sys/kernel/random/uuid)
	ceph-authtool -C keyring --gen-key -n mon. --cap mon 'allow *'
	ceph-authtool keyring --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
	monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon]" monmap
	ceph-mon -i a --mkfs --monmap monmap --keyring keyring
	start mon ceph-mon -i a -f
	secret=$(ceph-authtool --gen-print-key)
	printf '[osd.0]\n key = %s\n' "$secret" >osd/keyring
	echo "{\"cephx_secret\": \"$secret\"}" | timeout 60 ceph osd new "$osd" -i -
	ceph-osd -i 0 --mkfs --osd-uuid "$osd" --monmap monmap --keyring osd/keyring
	timeout 60 ceph osd crush add 0 1.0 root=default host="$(hostname -s)"
	start osd ceph-osd -i 0 -f --keyring osd/keyring
	start rgw radosgw -n client.admin -f
	within 60 curl -s -o /dev/null "http://127.0.0.1:$a/" || return
	timeout 60 radosgw-admin user create --uid=t --display-name=t --access-key=TESTKEY --secret=test/secret+x
}
cd "$C" || exit 1
ceph_up >"$T/up.out" 2>"$T/up.err" || skip_all "radosgw does not start: $(tail -n 1 "$T/up.err")"
cd "$T" || exit 1

cat >"$T/r/appspec.yml" <<'Y'
version: 0.0
os: linux
files:
  - source: files
    destination: /srv/app
Y
revision() { # revision SEED BYTES: $T/SEED.tgz
	openssl enc -aes-128-ctr -K "$(printf %032d "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2" >"$T/r/files/data"
	tar -C "$T/r" -czf "$T/$1.tgz" appspec.yml files
}
slip() { timeout 60 "$SLIPWAY" --root "$R" "$@"; }
installed() { cmp -s "$R/tree/srv/app/data" "$T/r/files/data"; }
settings() {
	printf '%s\n' "aws: true" "destination_root: $R/tree" "ca_file: $T/ca.pem" "s3_endpoint_override: https://127.0.0.1:$tls" \
		"on_premises_config_file: $R/etc/onpremises.yml" >"$R/etc/slipway/agent.yml"
	printf '%s\n' 'region: us-east-1' 'iam_user_arn: arn:aws:iam::111122223333:user/t' "aws_access_key_id: TESTKEY" \
		"aws_secret_access_key: '$1'" >"$R/etc/onpremises.yml"
	chmod 600 "$R/etc/onpremises.yml"
}
revision 1 100000
revision 3 12000000
revision 2 100000
versions=$(/usr/bin/python3 - "$T" "https://127.0.0.1:$tls" <<'PY'
import sys
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
folder, url = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, verify=folder + "/ca.pem", region_name="us-east-1", aws_access_key_id="TESTKEY",
                  aws_secret_access_key="test/secret+x", config=Config(s3={"addressing_style": "path"}))
s3.create_bucket(Bucket="bundles")
s3.put_bucket_versioning(Bucket="bundles", VersioningConfiguration={"Status": "Enabled"})
key = "a b/ü+(1)&=~'.tgz"
print(s3.put_object(Bucket="bundles", Key=key, Body=open(folder + "/1.tgz", "rb"))["VersionId"])
print(s3.put_object(Bucket="bundles", Key=key, Body=open(folder + "/2.tgz", "rb"))["VersionId"])
s3.upload_file(folder + "/3.tgz", "bundles", "parts.tgz", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
print(s3.head_object(Bucket="bundles", Key="parts.tgz")["ETag"])
PY
)
{ read -r first && read -r second && read -r parts; } <<<"$versions"
odd="s3://bundles/a b/ü+(1)&=~'.tgz"
settings test/secret+x
exits 0 "radosgw accepts our signature of an odd key" slip deploy "$odd"
ok "it is installed" installed
revision 1 100000
exits 0 "of an older version" slip deploy "$odd?versionId=$first"
ok "it is installed" installed
revision 2 100000
exits 0 "of the newer one" slip deploy "$odd?versionId=$second"
ok "it is installed" installed
exits 0 "an object that was uploaded in parts, with its ETag" slip deploy "s3://bundles/parts.tgz?etag=$parts"
revision 3 12000000
ok "it is installed" installed
exits 1 "with another one" slip deploy "s3://bundles/parts.tgz?etag=${parts%-*}-9\""
says "is refused" "the object was replaced since"
settings another-secret
exits 1 "a wrong secret" slip deploy "$odd"
says "is refused by radosgw" "SignatureDoesNotMatch"
settings test/secret+x

# nginx: Range with a validator, and a connection that it ends in the middle.
cp "$T/3.tgz" "$T/www/app.tgz"
sum=$(sha256sum "$T/3.tgz" | cut -d' ' -f1)
cat >"$T/nginx.conf" <<N
user root; daemon off; pid $T/nginx.pid; error_log $T/nginx.err; worker_processes 1; events {}
http {
	log_format ranges '\$status \$http_range'; access_log $T/access ranges;
	client_body_temp_path $T/b; proxy_temp_path $T/p; fastcgi_temp_path $T/f; uwsgi_temp_path $T/u; scgi_temp_path $T/s;
	server { listen 127.0.0.1:$web ssl; ssl_certificate $T/ca.pem; ssl_certificate_key $T/key.pem; root $T/www; }
}
N
start nginx nginx -c "$T/nginx.conf" -e "$T/nginx.err"
within 20 curl -s -o /dev/null --cacert "$T/ca.pem" "https://127.0.0.1:$web/"
exits 0 "deploy from nginx" slip deploy "https://127.0.0.1:$web/app.tgz" --sha256 "$sum"
ok "it is installed" installed
# Between the two something that cuts the first two connections, below TLS.
cat >"$T/cutter.py" <<'PY'
import socket
import sys
import threading
port, cuts = int(sys.argv[1]), [3000000, 4000000]
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
def pump(a, b, limit):
    try:
        while data := a.recv(65536 if limit is None else min(65536, limit)):
            b.sendall(data)
            limit = limit and limit - len(data)
            if limit == 0:
                break
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
while True:
    near, _ = server.accept()
    far = socket.create_connection(("127.0.0.1", port))
    limit = cuts.pop(0) if cuts else None
    threading.Thread(target=pump, args=(near, far, None), daemon=True).start()
    threading.Thread(target=pump, args=(far, near, limit), daemon=True).start()
PY
start cutter python3 "$T/cutter.py" "$web"
cutter=$(line_of cutter '/^[0-9]/p')
: >"$T/access"
exits 0 "through something that cuts below TLS" slip deploy "https://127.0.0.1:$cutter/app.tgz#sha256=$sum"
ok "it is installed" installed
answers() { [ "$(wc -l <"$T/access")" = "$1" ]; }
ok "three answers" within 10 answers 3
is "two of them the rest of it" 2 "$(grep -c '^206 bytes=[1-9]' "$T/access")"
done_testing
