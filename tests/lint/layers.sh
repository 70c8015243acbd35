#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who may include whom. The borders between the folders, and that each outside library stays behind one or two files,
# are what lets a part be replaced; a compiler checks neither.
set -u
cd "${top_srcdir:-.}" || exit 1

n=0
failed=0

# check NAME OFFENDERS: no offending line is a pass.
check()
{
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
		return
	fi
	failed=1
	echo "not ok $n - $1"
	echo "$2" | sed 's/^/# /'
}

# includes FIND-ARGUMENTS: "file:line:header" of every include in those C files.
includes()
{
	find "$@" -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' {} + |
		sed -E 's/^([^:]*:[0-9]+:)[^<"]*[<"]([^>"]*)[>"].*/\1\2/'
}

# Of those lines the ones whose header begins with the pattern.
of()
{
	grep -E "^[^:]*:[0-9]+:($1)"
}

folders="common agent"
if [ -d control ]; then folders="$folders control"; fi

check "common knows neither agent nor control" "$(includes common | of '(agent|control|tests)/')"
check "agent does not know control" "$(includes agent | of '(control|tests)/')"
if [ -d control ]; then
	check "control does not know agent" "$(includes control | of '(agent|tests)/')"
fi

# lint, pack and push are the worker's own checks and packer, run by a person: two headers that the CLI may use.
allowed='^agent/cli/cmd-(lint|pack|fleet-push)\.c:[0-9]*:agent/worker/(spec|bundle)\.h$'
check "agent/daemon does not know the other programs" "$(includes agent/daemon | of 'agent/(worker|cli)/')"
check "agent/worker does not know the other programs" "$(includes agent/worker | of 'agent/(daemon|cli)/')"
check "agent/cli does not know the other programs" \
	"$(includes agent/cli | of 'agent/(daemon|worker)/' | grep -vE "$allowed")"
check "agent/worker has nothing of AWS: no network, no credentials" "$(includes agent/worker | of 'agent/(aws|fetch)/')"
check "agent/aws and agent/fetch do not know the programs" "$(includes agent/aws agent/fetch | of 'agent/(daemon|worker|cli)/')"
check "what the programs share does not know the programs" \
	"$(includes agent -maxdepth 1 | of 'agent/(daemon|worker|cli)/')"

# A module is x.c with x-*.c and its headers. jansson's values travel, and so do the loop's sources.
libraries='acl/|archive|curl/|gnutls/|microhttpd|openssl/|selinux/|sqlite3|sys/acl|yaml\.h|zlib|zstd'
# shellcheck disable=SC2086
check "each outside library is included by at most two modules" "$(includes $folders | of "$libraries" |
	sed -E 's/^([^:]*):[0-9]+:(.*)$/\2 \1/; s/(-[^/ ]*)?\.[ch]$//' | sort -u |
	awk '{ modules[$1] = modules[$1] " " $2; count[$1]++ }
		END { for (h in count) if (count[h] > 2) print h " is included by" modules[h] }' | sort)"

# shellcheck disable=SC2086
check "headers are named from the top of the tree" "$(includes $folders | of '\.\.?/')"

echo "1..$n"
exit "$failed"
