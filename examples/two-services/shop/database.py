# SPDX-License-Identifier: Apache-2.0
"""The database that both services share, and which revision this is."""
import contextlib
import pathlib
import sqlite3

HERE = pathlib.Path(__file__).resolve().parent
REVISION = (HERE / "revision.txt").read_text(encoding="utf-8").strip()
DIRECTORY = pathlib.Path("/var/lib/shop")
FILE = DIRECTORY / "shop.db"


@contextlib.contextmanager
def transaction():
    """A connection whose changes are kept when the block ends well."""
    connection = sqlite3.connect(FILE, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()
