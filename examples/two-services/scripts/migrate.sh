#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# AfterInstall, as shop: the database as this revision needs it. Also run by the revision that comes back when a deployment
# failed, over a database that is newer than itself: so migrations only add, and what is no longer used is dropped one
# release later.
set -eu
exec python3 -B /opt/shop/migrate.py
