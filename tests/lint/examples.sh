#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Examples are copied: their AppSpecs have no mistake and no warning, their scripts pass the checkers that are installed.
. "$top_srcdir/tests/e2e/lib.sh"
cd "$top_srcdir/examples" || exit 1

for spec in $(find . -name appspec.yml | sort); do
	bundle=$(dirname "${spec#./}")
	exits 0 "slipway lint --strict $bundle" "$SLIPWAY" lint --strict "$bundle"
done

mapfile -t shell < <(grep -rlE '^#!/bin/(ba)?sh' --include='*.sh' . | sort)
is "${#shell[@]} scripts are executable" "" "$(find "${shell[@]}" ! -perm -111)"
if command -v shellcheck >/dev/null; then
	exits 0 "shellcheck of ${#shell[@]} scripts" shellcheck --exclude=SC1091 "${shell[@]}"
else
	skip "shellcheck" "shellcheck is not installed"
fi

mapfile -t python < <(find . -name '*.py' | sort)
exits 0 "Python reads ${#python[@]} files" python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)' "${python[@]}"

if python3 -c 'import yaml' 2>/dev/null; then
	mapfile -t yaml < <(find . -name '*.yml' -o -name user-data | sort)
	exits 0 "YAML of ${#yaml[@]} files" python3 -c 'import sys, yaml
for name in sys.argv[1:]:
    yaml.safe_load(open(name, encoding="utf-8"))' "${yaml[@]}"
else
	skip "YAML" "python3-yaml is not installed"
fi
if [ ! -d ansible ]; then
	: # no role in this release
elif command -v ansible-lint >/dev/null; then
	cp -R ansible "$T/ansible" && chmod -R u+w "$T/ansible" # it leaves a cache where it works
	exits 0 "ansible-lint" env -C "$T/ansible" HOME="$T" ansible-lint --offline -q --nocolor
else
	skip "ansible-lint" "ansible-lint is not installed"
fi
done_testing
