#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The official tool's name and options: what a script around it sees. How its options are read: tests/unit/test_codedeploy_local.c.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
. "$top_srcdir/tests/e2e/cli-lib.sh"

local_host host
ln -s "$SLIPWAY" "$T/codedeploy-local"
cdl() { timeout 60 "$T/codedeploy-local" --root "$T/host" "$@"; }
make_revision "$T/r1" 1
make_revision "$T/r2" 2
printf '#!/bin/sh\nenv >"%s"\n' "$T/env" >"$T/r1/scripts/configure.sh"

cd "$T/r1" || exit 1
exits 0 "without an option the current directory is deployed" cdl
says "it says so in the official words" "AppSpec file valid. Local deployment successful" "$T/out"
log=$(sed -n 's/^What its scripts printed: //p' "$T/out")
says "and where the log is" "LifecycleEvent - AfterInstall" "$log"
is "its files are there" 1 "$(installed host)"
is "the scripts hear the official names" "APPLICATION_NAME=. DEPLOYMENT_GROUP_ID=default-local-deployment-group DEPLOYMENT_GROUP_NAME=LocalFleet" \
	"$(grep -E '^(APPLICATION_NAME|DEPLOYMENT_GROUP_ID|DEPLOYMENT_GROUP_NAME)=' "$T/env" | sort | xargs)"
cd "$T" || exit 1

tar -C r2 -czf bundle.x .
exits 0 "a bundle of any name, with its type" cdl -l bundle.x -t tgz -a shop -d blue
is "its files are there" 2 "$(installed host)"
is "status has the names" "shop/blue" "$(slip status | sed -n 's/^group \([^ ]*\) .*/\1/p')"

printf '#!/bin/sh\nexit 7\n' >r2/scripts/validate.sh
exits 1 "a script that fails: exit 1" cdl -l r2
says "with its name" "scripts/validate.sh"
is "and an ERROR in the last line" "ERROR: the local deployment failed" "$(tail -n 1 "$T/err")"
is "what ran before runs again" 2 "$(installed host)"

exits 0 "the events that were asked for, in their order" cdl -l r1 -b OVERWRITE -e ValidateService,ApplicationStart
is "and no other" "ValidateService ApplicationStart" "$(events_of host | tail -n 2 | xargs)"

before=$(tree_of host)
for bad in "-l nothing" "-l r1 -t tgz" "-l bundle.x" "-l bundle.x -t rpm" "-l http://127.0.0.1/x -t tgz" "-e Install,DownloadBundle -l r1" \
	"-l r1 -A other.yml" "-l r1 -c nothing" "-l r1 -b KEEP" "--nonsense" "r1"; do
	# shellcheck disable=SC2086
	exits 2 "'$bad' is exit 2" cdl $bad
	ok "  and leads to no other command's help" bash -c "! grep -q 'slipway deploy --help' '$T/err'"
done
same_tree "and touches nothing" "$before"
exits 0 "it has help" cdl --help
says "with every option" "--agent-configuration-file" "$T/out"
exits 0 "and a version" cdl -v
done_testing
