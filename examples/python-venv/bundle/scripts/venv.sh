#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# AfterInstall: a virtual environment for exactly these wheels and this Python, then 'current' is switched to it.
# Environments are named by what is in them: the same wheels again need no new one, a rollback (which runs the AfterInstall
# of the revision that comes back) finds the old one or makes it again, and nothing is ever changed inside one.
set -eu
bundle=$(cd "$(dirname "$0")/.." && pwd)
base=/opt/greeter
kept=3

key=$({ python3 -VV && cd "$bundle/wheels" && sha256sum ./*.whl; } | sha256sum | cut -c1-16)
venv=$base/venvs/$key
if [ -e "$venv/complete" ]; then
	echo "$venv is there"
else
	rm -rf "$venv" # left by a script that was killed
	mkdir -p "$base/venvs"
	python3 -m venv "$venv"
	"$venv/bin/pip" --quiet install --no-index --no-deps --no-cache-dir --disable-pip-version-check "$bundle"/wheels/*.whl
	"$venv/bin/pip" --disable-pip-version-check check >&2
	sync -f "$venv" # 'complete' must not outlive what it stands for in a power cut
	: >"$venv/complete"
	echo "made $venv"
fi

# A new symlink under another name, then one rename: 'current' always leads to a whole environment.
touch "$venv"
ln -sfn "venvs/$key" "$base/current.new"
mv -T "$base/current.new" "$base/current"
echo "$base/current -> venvs/$key"

# The newest few stay, for quick rollbacks.
# shellcheck disable=SC2012 # the names are ours: hexadecimal digits
ls -t "$base/venvs" | tail -n +$((kept + 1)) | while read -r old; do
	rm -rf "$base/venvs/$old"
	echo "removed $base/venvs/$old"
done
