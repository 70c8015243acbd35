#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What "make fuzz" and "make fuzz-keep" do, in the directory where the fuzzers were built:
#
#   run.sh fuzz TARGET...     each for FUZZ_SECONDS, from the seeds and the corpus that the sources keep
#   run.sh keep TARGET...     pack what they have found, the least that reaches as much, as the sources' corpus
#
# A crash is left as crash-TARGET-...; it becomes a seed in tests/data/fuzz/TARGET once it is mended.
set -euo pipefail
data=${top_srcdir:?the sources}/tests/data/fuzz
verb=$1
shift

fuzz()
{
	mkdir -p "corpus/$1"
	[ ! -f "$data/$1.tar.gz" ] || tar -C "corpus/$1" -xzf "$data/$1.tar.gz"
	echo "fuzz_$1 for $FUZZ_SECONDS s"
	"tests/fuzz/fuzz_$1" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix="crash-$1-" "corpus/$1" "$data/$1" >"$1.log" 2>&1 || { tail -40 "$1.log"; exit 1; }
	grep executed_units "$1.log"
}

# Long inputs that reach nothing more would only make the sources large.
keep()
{
	rm -rf "kept/$1"
	mkdir -p "kept/$1"
	"tests/fuzz/fuzz_$1" -merge=1 -max_len=8192 -timeout=20 -rss_limit_mb=1024 "kept/$1" "$data/$1" "corpus/$1" \
		>"$1-keep.log" 2>&1 || { tail -40 "$1-keep.log"; exit 1; }
	tar -C "kept/$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 -cf - . |
		gzip -9n >"$data/$1.tar.gz"
	printf 'fuzz_%s: %d inputs, %d bytes\n' "$1" "$(find "kept/$1" -type f | wc -l)" "$(stat -c %s "$data/$1.tar.gz")"
}

for target; do
	"$verb" "${target##*/fuzz_}"
done
