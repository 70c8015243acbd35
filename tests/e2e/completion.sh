#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What TAB offers: asked of the programs themselves, of bash's own functions, and of real interactive shells.
. "${top_srcdir:?}/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

# --- the programs -------------------------------------------------------------------------------------------------------
# offers PROGRAM WORD...: the candidates for the last word, in one line.
offers() { "$1" --complete "${@:2}" 2>"$T/err" | cut -f 1 | xargs; }

is "the first letter of a command" "deploy" "$(offers "$SLIPWAY" dep)"
is "a group of commands" "fleet" "$(offers "$SLIPWAY" fl)"
is "what is in it" "create list delete" "$(offers "$SLIPWAY" fleet app "")"
is "an option" "--file-exists-behavior" "$(offers "$SLIPWAY" deploy x --fi)"
is "one of a few values" "OVERWRITE" "$(offers "$SLIPWAY" deploy x --file-exists-behavior O)"
is "the same behind '='" "--config=HalfAtATime" "$(offers "$SLIPWAY" fleet deploy --config=H)"
is "and as bash cuts it" "HalfAtATime" "$(offers "$SLIPWAY" fleet deploy --config = H)"
is "the next of a list" "BeforeInstall,Install" "$(offers "$SLIPWAY" deploy x --events BeforeInstall,I)"
is "a file" ":file" "$(offers "$SLIPWAY" deploy ./sh)"
is "a directory" ":dir" "$(offers "$SLIPWAY" --root "$T/x")"
is "no second operand, but options" "--group" "$(offers "$SLIPWAY" deploy x "" | tr " " "\n" | grep -x -- "--group")"
is "commands behind an option" "status" "$(offers "$SLIPWAY" --root "$T" stat)"
is "nothing for a text that nobody can guess" "" "$(offers "$SLIPWAY" fleet push x --description "")"
is "help knows the commands" "history help" "$(offers "$SLIPWAY" help h)"

# every command and every option of each
missing=
while IFS= read -r name; do
	read -ra words <<<"$name"
	case " $(offers "$SLIPWAY" "${words[@]:0:${#words[@]}-1}" "") " in *" ${words[-1]} "*) ;; *) missing+=" [$name]" ;; esac
	for option in $("$SLIPWAY" "${words[@]}" --help | sed -n 's/^  ..... *\(--[a-z-]*\).*/\1/p'); do
		case " $(offers "$SLIPWAY" "${words[@]}" --) " in *" $option "*) ;; *) missing+=" [$name $option]" ;; esac
	done
done < <("$SLIPWAY" help --json | python3 -c 'import json, sys; [print(c["name"]) for c in json.load(sys.stdin)["commands"]]')
is "every command and each of its options is offered" "" "$missing"

# --- values from the host -------------------------------------------------------------------------------------------------
is "a host without deployments offers none" "" "$(offers "$SLIPWAY" --root "$T/host" explain d)"
is "and says nothing about it" "" "$(cat "$T/err")"
local_host host
make_revision "$T/r1" 1
make_revision "$T/r2" 2
slip deploy "$T/r1" --group shop >/dev/null
first=$(newest deployment_id)
slip deploy "$T/r2" --group shop >/dev/null
second=$(newest deployment_id)
slip deploy "$T/r1" --group other >/dev/null 2>&1 || true # refused: the files are the shop's
is "groups" "other shop" "$(offers "$SLIPWAY" --root "$T/host" logs --group "" | xargs -n 1 | sort | xargs)"
is "what can be installed again, newest first" "$second $first" "$(offers "$SLIPWAY" --root "$T/host" rollback --group shop --to "")"
is "nothing of another group" "" "$(offers "$SLIPWAY" --root "$T/host" rollback --group other --to "")"
is "what can be explained" "$first" "$(offers "$SLIPWAY" --root "$T/host" explain "$first")"
is "with a word on how it went" "shop succeeded" \
	"$("$SLIPWAY" --complete --root "$T/host" explain "$first" | cut -f 2 | cut -d, -f 1)"

# --- the endpoint ---------------------------------------------------------------------------------------------------------
if [ -x "$CONTROLD" ]; then
	is "commands of the endpoint" "token" "$(offers "$CONTROLD" t)"
	is "of two words" "create list delete" "$(offers "$CONTROLD" token "")"
	is "its options" "--ttl" "$(offers "$CONTROLD" token create --tt)"
	is "its settings" "lease= listen= log_level=" "$(offers "$CONTROLD" serve --set l | xargs -n 1 | sort | xargs)"
	is "nothing where no endpoint is" "" "$(offers "$CONTROLD" key delete --dir "$T/none" "")"
	ok "which makes none" test ! -e "$T/none"
	"$CONTROLD" init --dir "$T/control" >/dev/null
	key=$("$CONTROLD" key create --dir "$T/control" --name robot | sed -n 's/^access_key_id *//p')
	ok "the access keys of one" grep -q "$key" <<<"$(offers "$CONTROLD" key delete --dir "$T/control" "")"
fi

# --- the shells -----------------------------------------------------------------------------------------------------------
mkdir -p "$T/bin" "$T/dir/subdir" "$T/user/completions"
ln -s "$SLIPWAY" "$T/bin/slipway"
[ ! -x "$CONTROLD" ] || ln -s "$CONTROLD" "$T/bin/slipway-controld"
ln -s "$top_srcdir/completions/slipway" "$top_builddir/completions/slipway-controld" "$T/user/completions"
: >"$T/dir/shop.tgz"
export PATH=$T/bin:$PATH

# in_bash WORD...: what bash-completion loads and fills in for the last word.
# shellcheck disable=SC2016
in_bash() {
	BASH_COMPLETION_USER_DIR=$T/user bash --norc -c '
		. /usr/share/bash-completion/bash_completion
		_completion_loader "$1"
		function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
		echo "${COMPREPLY[*]}"' - "$@" 2>/dev/null
}
if [ -r /usr/share/bash-completion/bash_completion ]; then
	is "bash: a command" "deploy" "$(in_bash slipway dep)"
	is "bash: a file" "$T/dir/shop.tgz" "$(in_bash slipway deploy "$T/dir/sh")"
	is "bash: a directory" "$T/dir/subdir" "$(in_bash slipway pack "$T/dir/s")"
	is "bash: a deployment" "$first" "$(in_bash slipway --root "$T/host" rollback --to "$first")"
	[ ! -x "$CONTROLD" ] || is "bash: the endpoint" "--fixed-tags" "$(in_bash slipway-controld token create --fix)"
	# shellcheck disable=SC2016
	ok "an interactive bash" timeout 120 "$top_srcdir/tests/e2e/complete-tty.py" bash \
		"cd '$T/dir'; export BASH_COMPLETION_USER_DIR='$T/user'; . /usr/share/bash-completion/bash_completion" \
		"slipway rollb" "slipway rollback " "slipway fleet gr" "slipway fleet group " "slipway deploy sh" "shop.tgz " \
		"slipway fleet app " "delete" "slipway deploy x --file-exists-behavior=OV" "OVERWRITE "
else
	skip "completion in bash" "no bash-completion"
fi
if command -v zsh >/dev/null; then
	ok "an interactive zsh" timeout 120 "$top_srcdir/tests/e2e/complete-tty.py" zsh \
		"cd '$T/dir'; fpath=('$top_srcdir/completions' \$fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste" \
		"slipway rollb" "slipway rollback " "slipway fleet gr" "slipway fleet group " "slipway deploy sh" "shop.tgz " \
		"slipway fleet app " "make an application" "slipway deploy x --file-exists-behavior=OV" "=OVERWRITE "
	[ ! -x "$CONTROLD" ] || ok "and the endpoint's" timeout 120 "$top_srcdir/tests/e2e/complete-tty.py" zsh \
		"fpath=('$top_builddir/completions' \$fpath); autoload -Uz compinit; compinit -u -D" \
		"slipway-controld tok" "slipway-controld token "
else
	skip "completion in zsh" "no zsh"
fi
done_testing
