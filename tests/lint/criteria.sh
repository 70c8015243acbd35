#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/compatibility.md: every test that its last table names is there under that name, and so is every row.
set -euo pipefail
cd "${top_srcdir:-.}"

python3 - <<'P'
import re, sys

with open("docs/compatibility.md", encoding="utf-8") as f:
    lines = f.read().split("\n## What the official agent's own tests ask for", 1)
topics = {line.split(" | ")[0].removeprefix("| ") for line in lines[0].splitlines() if line.startswith("| ")}
rows = [line for line in lines[1].splitlines() if line.startswith("| ")][1:]
sources, bad = {}, 0


def missing(reference):
    path, _, text = reference.partition(": ")
    if path not in sources:
        try:
            with open(path, encoding="utf-8") as f:
                sources[path] = f.read()
        except FileNotFoundError:
            sources[path] = None
    if sources[path] is None:
        return "there is no " + path
    return None if text and text in sources[path] else "%s has no '%s'" % (path, text)


for number, row in enumerate(rows, 1):
    criterion, shown = row.strip("| ").split(" | ")
    tests = re.findall(r"`(tests/[^`]*)`", shown)
    above = re.findall(r'row "([^"]*)"', shown)
    wrong = [why for why in map(missing, tests) if why] + ["there is no row '%s'" % t for t in above if t not in topics]
    if not tests and not above:
        wrong.append("nothing shows it")
    bad += bool(wrong)
    print("%sok %d - %s" % ("not " if wrong else "", number, criterion.replace("#", "")))
    for why in wrong:
        print("# " + why)
enough = len(rows) >= 40
print("%sok %d - there are %d criteria" % ("" if enough else "not ", len(rows) + 1, len(rows)))
print("1..%d" % (len(rows) + 1))
sys.exit(1 if bad or not enough else 0)
P
