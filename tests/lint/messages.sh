#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The identifiers of messages: each is in the code, used, and explained in a catalogue that journalctl accepts.
set -euo pipefail
cd "${top_srcdir:-.}"

n=0
failed=0
# check NAME TEXT: no text is a pass
check() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
		return
	fi
	failed=1
	echo "not ok $n - $1"
	echo "# ${2//$'\n'/$'\n'# }"
}

sides=agent
if [ -d control ]; then sides="agent control"; fi
all=$(sed -nE 's/^#define MESSAGE_[A-Z_]+ "([^"]*)".*/\1/p' ./{agent,control}/messages.h 2>/dev/null || true)
for side in $sides; do
	catalog=systemd/slipway-agent.catalog
	[ "$side" = agent ] || catalog=systemd/slipway-controld.catalog
	defined=$(sed -nE 's/^#define MESSAGE_[A-Z_]+ "([^"]*)".*/\1/p' "$side"/messages.h | sort)
	names=$(sed -nE 's/^#define (MESSAGE_[A-Z_]+) .*/\1/p' "$side"/messages.h)
	check "$side: there are some" "$([ -n "$defined" ] || echo none)"
	check "$side: each has 32 hexadecimal digits" "$(grep -vxE '[0-9a-f]{32}' <<<"$defined" || true)"
	check "$side: each is used" "$(for name in $names; do
		grep -rqw --include='*.c' "$name" "$side" || echo "$name"
	done)"
	check "$side: code and $catalog hold the same" \
		"$(diff <(echo "$defined") <(sed -n 's/^-- //p' $catalog | sort) || true)"
	check "$side: each entry has a subject and says something" "$(awk '
		function close_entry() { if (id && (!subject || lines < 2)) print id }
		/^-- / { close_entry(); id = $2; subject = lines = 0 }
		/^Subject: ./ { subject = 1 }
		!/^(-- |#|[A-Z][A-Za-z-]*: )/ && NF { lines++ }
		END { close_entry() }' $catalog)"
	# what @FIELD@ names must be a field that the code gives, or systemd
	check "$side: $catalog names no field that nothing sets" "$(grep -oE '@[A-Z_]+@' $catalog | tr -d @ | sort -u |
		while read -r field; do grep -rq --include='*.c' "\"$field\"" "$side" || echo "$field"; done)"
done
check "docs/systemd.md lists all of them" \
	"$(while read -r id; do grep -q "^| .$id. |" docs/systemd.md || echo "$id"; done <<<"$all")"
check "no identifier is there twice" "$(sort <<<"$all" | uniq -d)"

n=$((n + 1))
if ! command -v journalctl >/dev/null; then
	echo "ok $n - the catalogues can be read # SKIP journalctl is missing"
else
	root=$(mktemp -d)
	trap 'rm -rf "$root"' EXIT
	mkdir -p "$root/usr/lib/systemd/catalog" "$root/var/lib/systemd/catalog"
	cp systemd/*.catalog "$root/usr/lib/systemd/catalog/"
	said=$(journalctl --root="$root" --update-catalog 2>&1 || echo "failed")
	listed=$(journalctl --root="$root" --list-catalog 2>&1 | grep -c '^[0-9a-f]\{32\} Slipway:' || true)
	if [ -z "$said" ] && [ "$listed" = "$(sed -n 's/^-- //p' systemd/*.catalog | wc -l)" ]; then
		echo "ok $n - journalctl takes both catalogues"
	else
		failed=1
		echo "not ok $n - journalctl takes both catalogues"
		printf '# %s\n# %s listed\n' "$said" "$listed"
	fi
fi
echo "1..$n"
exit "$failed"
