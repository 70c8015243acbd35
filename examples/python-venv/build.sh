#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by the pipeline, on the same distribution and architecture as the hosts: makes the revision, with everything that
# the application needs as wheels. Hosts then need no compiler, no network and no package index.
#
#     ./build.sh build/revision && slipway fleet push build/revision --app greeter
set -eu
[ $# = 1 ] || { echo "Usage: build.sh DIRECTORY" >&2; exit 2; }
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
cd "$(dirname "$0")"
# The time that wheels carry: with a fixed one the same sources make the same bytes, and a host sees that nothing changed.
export SOURCE_DATE_EPOCH=315532800

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R pyproject.toml src "$work/" # setuptools keeps files in the directory that it builds in, also those of deleted modules

rm -rf "$out"
mkdir -p "$out/wheels"
python3 -m pip --quiet wheel --require-hashes --requirement requirements.txt --wheel-dir "$out/wheels"
python3 -m pip --quiet wheel --no-deps --wheel-dir "$out/wheels" "$work"
cp -R bundle/. "$out/"
echo "$out is the revision"
