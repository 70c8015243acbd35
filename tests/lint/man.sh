#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual: every page is correct mdoc and renders, and says neither more nor less than the programs' own tables: commands,
# options and their values, settings with type and default, keys of the AppSpec, lifecycle events.
. "${top_srcdir:?}/tests/e2e/lib.sh"
man=$top_srcdir/man

for tool in mandoc man; do
	command -v $tool >/dev/null || skip_all "no $tool"
done

# --- the pages themselves -------------------------------------------------------------------------------------------------
pages=("$man"/*.[158])
mdoc=()
for page in "${pages[@]}"; do
	if grep -q '^\.so ' "$page"; then
		ok "${page##*/} leads to a page" test -e "$man/$(sed 's/^\.so man.\///' "$page")"
	else
		mdoc+=("$page")
	fi
done
# pages of other packages need not be installed here
lint() { ! mandoc -T lint -W style "$1" | grep -v 'referenced manual not found\|outdated mandoc.db'; }
renders() {
	LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l "$1" >"$T/page" 2>"$T/warnings" &&
		! grep -v 'adjust line\|break line' "$T/warnings" && grep -q '^EXAMPLES' "$T/page"
}
for page in "${mdoc[@]}"; do
	ok "${page##*/} is clean mdoc" lint "$page"
	ok "${page##*/} renders, and has examples" renders "$page"
done
unknown=
while read -r name section; do
	[ -e "$man/$name.$section" ] || unknown+=" $name($section)"
done < <(sed -n 's/^\.Xr \(slipway[a-z.-]*\) \([0-9]\).*/\1 \2/p' "${mdoc[@]}" | sort -u)
is "pages that are referred to exist" "" "$unknown"
is "every page is installed" "$(printf '%s\n' "${pages[@]##*/}" | sort)" \
	"$(grep -oE 'man/[a-z.-]+\.[158]' "$man/Makemodule.am" | sed 's/.*\///' | sort -u)"

# --- commands and their options --------------------------------------------------------------------------------------------
# synopsis PAGE PROGRAM COMMAND: what stands there of the command, sorted: "--group G" in brackets where it may be left out.
synopsis() {
	awk -v program="$2" -v command="$3" '
		/^\.Sh / { inside = $2 == "SYNOPSIS"; next }
		!inside { next }
		$1 == ".Nm" { ours = 0; maybe = $2 == program; next }
		$1 == ".Cm" && maybe { ours = substr($0, 5) == command; next }
		ours {
			needed = $1 != ".Op"
			sub(/^\.(Op )?/, "")
			gsub(/Fl -/, "--")
			sub(/^Ar /, "")
			gsub(/ Ar /, " ")
			print needed ? $0 : "[" $0 "]"
		}' "$1" | sort
}
# helped COMMAND...: the same from --help.
helped() {
	"$@" --help | awk -v words=$(($# - 1)) '
		/^Usage: / {
			line = $0
			sub(/^Usage: /, "", line)
			n = split(line, w, " ")
			for (i = words + 2; i <= n && w[i] != "[OPTION]..."; i += 2)
				needed[w[i] " " w[i + 1]] = 1
			for (i++; i <= n; i++)
				print w[i]
		}
		/^[A-Z].*:$/ { inside = $0 == "Options:" }
		inside && match($0, /--[a-z0-9-]+( [^ ]+)?/) && /^  (-.,|   ) / {
			option = substr($0, RSTART, RLENGTH)
			print option in needed ? option : "[" option "]"
		}' | sort
}
while IFS=$'\t' read -r name page; do
	read -ra words <<<"$name"
	file=("$man/$page".[18])
	ok "$name: --help names a page that exists" test -e "${file[0]}"
	is "$name: help and $page agree" "$(helped "$SLIPWAY" "${words[@]}")" "$(synopsis "${file[0]}" slipway "$name")"
	ok "$name: stands in slipway(1)" grep -qE "^\.It Cm ([a-z ]+, )*$name( |$)" "$man/slipway.1"
done < <("$SLIPWAY" help --json | python3 -c 'import json, sys; [print(c["name"]) for c in json.load(sys.stdin)["commands"]]' |
	grep -vxE 'help|version' | while read -r name; do
	# shellcheck disable=SC2086
	printf '%s\t%s\n' "$name" "$("$SLIPWAY" $name --help | sed -n 's/^The manual: man //p')"
done)
if [ -x "$CONTROLD" ]; then
	while read -r name; do
		read -ra words <<<"$name"
		is "slipway-controld $name: help and page agree" "$(helped "$CONTROLD" "${words[@]}")" \
			"$(synopsis "$man/slipway-controld.8" slipway-controld "$name")"
	done < <("$CONTROLD" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z ]*[a-z]\)  *.*/\1/p' | sed 's/  .*//')
	of_every() { "$CONTROLD" serve --help | sed -n '/^Of every command/,/^$/s/^ *\(--[a-z0-9-]*\).*/\1/p' | sort; }
	is "options of every command of slipway-controld" "$(of_every)" \
		"$(sed -n '/^Of every command/,/^\.El/s/^\.It.* -\([a-z0-9-]*\).*/--\1/p' "$man/slipway-controld.8" | sort)"
fi

# what the synopsis has is explained, and the reverse
for page in "${mdoc[@]}"; do
	case ${page##*/} in *.5 | slipway.1) continue ;; esac
	awk '/^\.Sh / { inside = $2 == "SYNOPSIS" } inside' "$page" | tr '|' '\n' | grep -oE '(Fl |^ *)-[a-z0-9-]+' |
		sed 's/^Fl //; s/ //g' | sort -u >"$T/named"
	sed -n 's/^\.It .*Fl \(-[a-z0-9-]*\).*/\1/p; s/^\.It Fl . , \(-[a-z0-9-]*\).*/\1/p' "$page" | sort -u |
		grep -vxE -- "$([ "${page##*/}" = slipway-controld.8 ] && echo '-(dir|config|set|verbose)' || echo none)" >"$T/explained"
	is "${page##*/}: options of the synopsis are explained" "$(cat "$T/named")" "$(cat "$T/explained")"
done

# --- who points at pages ---
pointed=$(grep -ohE 'man:[a-z.-]+\([0-9]\)' -r "$top_srcdir/systemd" | sort -u)
ok "units and catalogues point at pages" [ "$(wc -l <<<"$pointed")" -ge 4 ]
is "all of which exist" "" "$(while IFS='():' read -r _ page section; do
	test -e "$man/$page.$section" || echo "$page($section)"
done <<<"$pointed")"
is "every unit names one" "" "$(grep -L '^Documentation=man:' "$top_srcdir"/systemd/*.{service.in,socket,slice})"

# --- programs without commands ------------------------------------------------------------------------------------------------
for program in slipwayd slipway-worker; do
	is "$program: help and page agree" "$("$top_builddir/$program" --help | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' | sort)" \
		"$(sed -n 's/^\.It Fl -\([a-z-]*\).*/--\1/p' "$man/$program.8" | sort)"
done

# --- settings -----------------------------------------------------------------------------------------------------------------
# documented PAGE: "name: type; default X" of each entry.
documented() { awk '/^\.Sh / { inside = $2 == "OPTIONS" && NF == 2 } inside && /^\.It Cm/ { name = $3; getline; print name ": " $0 }' "$1"; }
settings() { sed -n '/^Accepted without/,$d; s/^\([a-z0-9_]*: .*; default .*\)$/\1/p'; }
is "agent.yml: names, types, limits, defaults" "$("$SLIPWAYD" --help-config | settings)" "$(documented "$man/slipway-agent.yml.5")"
is "agent.yml: options without effect" "$("$SLIPWAYD" --help-config | sed -n '/^Accepted without/,$p' | sed 's/.*effect://' | tr -d ',' | xargs)" \
	"$(awk '/^\.Sh / { inside = $0 ~ /WITHOUT EFFECT/ } inside && /^\.Cm/ { print $2 }' "$man/slipway-agent.yml.5" | xargs)"
[ ! -x "$CONTROLD" ] || is "control.yml: names, types, limits, defaults" "$("$CONTROLD" --help-config | settings)" \
	"$(documented "$man/slipway-control.yml.5")"

# --- the AppSpec ----------------------------------------------------------------------------------------------------------------
is "AppSpec: the keys that are read are explained" \
	"$(grep -hoE '\{"[a-z_]+", take_[a-z_]+\}' "$top_srcdir"/agent/worker/spec-*.c | sed 's/{"//; s/".*//' | sort -u |
		grep -vxE 'name|range|role|user|memory|tasks|cpu|nice')" \
	"$(sed -n '/^\.Sh ENV/,$d; /^\.It Cm [a-z_]*$/s/.*Cm //p' "$man/slipway-appspec.5" | sort -u)"
is "AppSpec: so are those of a context and of limits" "" \
	"$(for key in name range role user memory tasks cpu nice; do grep -q "^\.Cm $key" "$man/slipway-appspec.5" || echo "$key"; done)"
is "AppSpec: events in their order" "$("$SLIPWAY" --complete deploy x --events "" | cut -f 1 | xargs)" \
	"$(sed -n 's/^\.It Cm \([A-Z][A-Za-z]*\) Ta.*/\1/p' "$man/slipway-appspec.5" | grep -vxE 'BlockTraffic|AllowTraffic' | xargs)"
is "AppSpec: variables of scripts" \
	"$(grep -oE '^		\{"[A-Z_]+",' "$top_srcdir/agent/worker/env.c" | tr -cd 'A-Z_\n' | sort)" \
	"$(sed -n '/^\.Sh ENV/,/^\.Sh EX/s/^\.It Ev //p' "$man/slipway-appspec.5" | tr -d ' ' | tr ',' '\n' | grep _ | sort)"
mkdir "$T/shop"
sed -n '/^version: 0.0/,/^\.Ed/p' "$man/slipway-appspec.5" | sed '/^\.Ed/d' >"$T/shop/appspec.yml"
exits 0 "AppSpec: the example is without mistakes" "$SLIPWAY" lint --strict "$T/shop/appspec.yml"
done_testing
