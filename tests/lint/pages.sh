#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What people are shown, in the manual, in help, in the README and the other pages: every command line of ours is one that the
# programs take (with --help behind it, it is parsed as a whole and nothing is done), every link and file name leads somewhere.
# shellcheck disable=SC2016 # backquotes are Markdown's
. "${top_srcdir:?}/tests/e2e/lib.sh"
[ -x "$CONTROLD" ] || skip_all "this build has no slipway-controld"

# help_of PROGRAM, for every command: its examples.
help_of() {
	"$SLIPWAY" help --json | python3 -c 'import json, sys; [print(c["example"]) for c in json.load(sys.stdin)["commands"]]'
	"$CONTROLD" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\( [a-z]\{1,\}\)\{0,1\}\) .*/\1/p' | while read -ra words; do
		"$CONTROLD" "${words[@]}" --help | sed -n '/^Examples*:/,$p'
	done
}

# What is shown, in one file per page: blocks of code as they are, and commands within a sentence.
mkdir "$T/shown"
for page in "$top_srcdir"/man/*.[158]; do
	sed -n '/^\.Bd -literal/,/^\.Ed/p' "$page" | sed 's/\\e$/\\/; s/\\-/-/g' >"$T/shown/${page##*/}"
done
while read -r page; do
	{
		sed -n '/^```sh$/,/^```$/p; s/^    //p' "$top_srcdir/$page"
		# not "a|b", which stands for several
		grep -oE '`(sudo )?slipway(d|-controld)? [^`]*`' "$top_srcdir/$page" | tr -d '`' | grep -v '|' || true
	} >"$T/shown/${page//\//_}"
done < <(cd "$top_srcdir" && find README.md HACKING.md docs examples/README.md packaging/README.md -name '*.md')
help_of >"$T/shown/help"

# "PAGE<tab>COMMAND" of each, joined, without comments, redirections and what follows.
(cd "$T/shown" && python3 - -- * <<'P'
import re, shlex, sys
for page in sys.argv[2:]:
    text = re.sub(r"\\\n\s*", "", open(page, encoding="utf-8").read())
    for line in text.splitlines():
        if not re.match(r"\s*(sudo )?(\w+=\S+ )*slipway(d|-controld)? ", line):
            continue
        words = shlex.split(line, comments=True)
        words = words[[w.startswith("slipway") for w in words].index(True):]
        for i, word in enumerate(words):
            if re.match(r"[|>&<;]|\d>", word):
                words = words[:i]
                break
        print(page, *words, sep="\t")
P
) | sort -u >"$T/commands"

exits 2 "a mistake is one with --help, too" "$SLIPWAY" deploy x --gruop y --help
ok "$(wc -l <"$T/commands") commands are shown" [ "$(wc -l <"$T/commands")" -ge 130 ]
while IFS=$'\t' read -ra words; do
	page=${words[0]} command=("${words[@]:1}")
	[ "${command[0]}" != slipwayd ] || command[0]=$SLIPWAYD
	[ "${command[0]}" != slipway ] || command[0]=$SLIPWAY
	[ "${command[0]}" != slipway-controld ] || command[0]=$CONTROLD
	exits 0 "$page: ${words[*]:1}" "${command[@]}" --help </dev/null
done <"$T/commands"

is "links and files that pages name exist" "" "$(cd "$top_srcdir" && python3 - <<'P'
import glob, os, re
pages = ["README.md", "HACKING.md", "packaging/README.md", "examples/README.md"] + glob.glob("docs/**/*.md", recursive=True)
folders = "agent|build-aux|common|completions|control|docs|examples|man|packaging|systemd|tests"
for page in pages:
    text = open(page, encoding="utf-8").read()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not os.path.exists(os.path.join(os.path.dirname(page), link)):
            print(page, link)
    for name in re.findall(r"[` ]((?:%s)/[\w./*@-]*\w)" % folders, text):
        # X, NAME and ... stand for any; programs are made
        if not re.search(r"[A-Z]{4}|\bX\b|-X|NNN|\.\.\.", name) and not glob.glob(name + "*"):
            print(page, name)
P
)"
done_testing
