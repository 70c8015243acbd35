#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# BeforeInstall, as shop: a copy of the database before migrate.sh changes it. Both services are stopped by now. Files go
# back by themselves when a deployment fails, data never does: a person decides whether the orders since then may be lost.
set -eu
cd /var/lib/shop
if [ ! -e shop.db ]; then
	echo "no database yet"
	exit 0
fi
python3 - "backup-$DEPLOYMENT_ID.db" <<'P'
import os, sqlite3, sys
name = sys.argv[1]
with sqlite3.connect("shop.db") as source, sqlite3.connect(name + ".new") as copy:
    source.backup(copy)
os.rename(name + ".new", name)
print("made /var/lib/shop/" + name)
P
# shellcheck disable=SC2012 # names without blanks: a deployment's id has none
ls -t backup-*.db | tail -n +4 | xargs --no-run-if-empty rm -f
