#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bring the database to what this revision needs: every file of sql/ once, in order, all or none."""
import database

with database.transaction() as db:
    done = db.execute("PRAGMA user_version").fetchone()[0]
    for file in sorted((database.HERE / "sql").glob("[0-9]*.sql")):
        number = int(file.name.split("-")[0])
        if number <= done:
            continue
        for statement in file.read_text(encoding="utf-8").split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
        print(f"applied {file.name}")
print("the database is up to date")
