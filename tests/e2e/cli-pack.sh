#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lint finds all mistakes at once; pack makes the same bundle of the same content. (That it deploys: cli-deploy.sh.)
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
make_revision "$T/shop" 1

exits 0 "lint finds nothing to say about a good revision" slip lint "$T/shop" --strict
says "and says so" "no mistakes found" "$T/out"

make_revision "$T/odd" 2
printf 'nonsense: true\n' >>"$T/odd/appspec.yml"
exits 0 "an unknown key is only a warning" slip lint "$T/odd"
says "with its place" "warning: appspec.yml:" "$T/out"
exits 2 "which --strict makes a mistake" slip lint "$T/odd" --strict
says "then" "error: appspec.yml:" "$T/out"

make_revision "$T/bad" 3
rm "$T/bad/scripts/start.sh"
sed -i 's/destination: .*/destination: ""/' "$T/bad/appspec.yml"
exits 2 "mistakes are exit 2" slip lint "$T/bad"
says "a destination is missing" "destination" "$T/out"
says "and in the same run a script" "scripts/start.sh is not in the bundle" "$T/out"
printf 'version: 0.0\nos: linux\nfiles:\n  - source: "a\n    destination: /x\n' >"$T/open.yml"
exits 2 "a quote that is never closed is a mistake" slip lint "$T/open.yml"
says "with the place of the quote" "open.yml:6:1: found unexpected end of stream, while scanning a quoted scalar that begins at 4:13" "$T/out"
printf 'hooks:\n  AfterInstall:\n    - {}\n    - location: ""\npermissions:\n  - {}\n  - object: 7\nfiles: [{}, {source: x}]\n' >"$T/bad/appspec.yml"
exits 2 "entries that lack everything are survived" slip lint "$T/bad"
says "and named" "'location' is missing" "$T/out"
exits 2 "an AppSpec alone can be checked" slip lint "$T/bad/appspec.yml"
exits 2 "a path that does not exist is named" slip lint "$T/none"
says "so" "$T/none"

# --- pack -------------------------------------------------------------------------------------------------------------------
cd "$T" || exit 1
exits 0 "a directory is packed" slip pack shop
ok "under its own name" test -s "$T/shop.tgz"
says "with its digest" "$(sha256sum "$T/shop.tgz" | cut -d' ' -f1)" "$T/out"
exits 0 "again, under another name" slip pack shop -o "$T/again.tgz"
ok "the bytes are the same" cmp "$T/shop.tgz" "$T/again.tgz"
exits 0 "as .zip, too" slip pack shop -o "$T/shop.zip"
exits 2 "other kinds are refused" slip pack shop -o "$T/shop.rpm"
exits 2 "and so is a place inside" slip pack shop -o shop/shop.tgz
exits 2 "and a revision with mistakes" slip pack bad -o "$T/bad.tgz"
ok "of which nothing is written" test ! -e "$T/bad.tgz"
is "and nothing half written stays" "" "$(find "$T" -name '.*.new')"

exits 0 "lint looks into a bundle" slip lint "$T/shop.zip"
done_testing
