#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A proxy for each purpose: commands, S3, GitHub; exceptions; the environment; and the metadata service, which is never asked
# through one.
. "${top_srcdir:?run it by make check}/tests/aws/lib.sh" || exit 1
start_fake
dead=http://127.0.0.1:9
# Whatever is asked through the environment's proxies fails; nothing here is, but where a test says so.
export http_proxy=$dead https_proxy=$dead HTTPS_PROXY=$dead all_proxy=$dead
mkdir -p "$R/tree" "$P/s3/bucket" "$P/github/o/r" "$T/hub/o-r-0123456/files"
echo x >"$T/hub/o-r-0123456/files/x"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: files\n    destination: /srv/app\n' >"$T/hub/o-r-0123456/appspec.yml"
tar -C "$T/hub/o-r-0123456" -czf "$P/s3/bucket/app.tgz" .
tar -C "$T/hub" -czf "$P/github/o/r/v1.tar.gz" o-r-0123456
# shellcheck disable=SC2317
slip() { timeout 60 "$SLIPWAY" --root "$R" "$@"; }
# settings LINE...
settings() {
	: >"$P/log"
	aws_settings "destination_root: $R/tree" "$@"
}
# through: the ports that the proxy was asked for
through() { sed -nE '/"operation": "CONNECT"/s/.*"path": "[^"]*:([0-9]+)".*/\1/p' "$P/log" | sort -u | xargs; }

settings "proxy_uri: $dead" "proxy_uri_s3: $proxy"
exits 0 "S3 by a proxy of its own" slip plan s3://bucket/app.tgz
is "which was asked for it, and for nothing else" "${s3##*:}" "$(through)"
settings "proxy_uri: $dead" "proxy_uri_github: $proxy"
exits 0 "GitHub by a proxy of its own" slip plan github:o/r@v1
is "which was asked for it" "${github##*:}" "$(through)"
settings "proxy_uri: $proxy"
exits 0 "one proxy for all: S3" slip plan s3://bucket/app.tgz
exits 0 "GitHub" slip plan github:o/r@v1
exits 0 "and what doctor asks" slip doctor
is "each went through it" "$(printf '%s\n' "${s3##*:}" "${github##*:}" "${commands##*:}" | sort -u | xargs)" "$(through)"
settings "proxy_uri: $dead" "no_proxy: '127.0.0.0/8'"
exits 0 "an exception" slip plan s3://bucket/app.tgz
exits 0 "for commands, too" slip doctor
is "goes around it" "" "$(through)"
settings "proxy_uri: $dead" "proxy_uri_commands: $proxy"
# shellcheck disable=SC2119
start_daemon
ok "the daemon polls through the proxy for commands" within 20 at_least 1 PollHostCommand
is "and asks it for nothing else" "${commands##*:}" "$(through)"
stop daemon

settings
https_proxy=$proxy exits 0 "without a key the environment says which" slip plan s3://bucket/app.tgz
is "and it was asked" "${s3##*:}" "$(through)"
settings "proxy_uri_s3: $proxy"
exits 0 "with a key it does not" slip plan s3://bucket/app.tgz
exits 13 "but for what has none" slip doctor

# The proxy knows where each of AWS's names is.
settings "proxy_uri_s3: $proxy"
sed -i '/^s3_endpoint_override/d' "$R/etc/slipway/agent.yml"
AWS_USE_FIPS_ENDPOINT=TRUE exits 0 "S3 by FIPS" slip plan s3://bucket/app.tgz
is "whatever letters the environment says it in" "s3-fips.us-east-1.amazonaws.com:443" \
	"$(sed -nE '/"operation": "CONNECT"/s/.*"path": "([^"]*)".*/\1/p' "$P/log" | sort -u | xargs)"
is "the metadata service was asked by nobody's proxy" "" "$(complaints | grep -i imds)"
done_testing
