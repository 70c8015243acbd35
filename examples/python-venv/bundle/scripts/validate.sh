#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ValidateService: the application answers, and it is the version of this revision that answers.
set -eu
bundle=$(cd "$(dirname "$0")/.." && pwd)
version=$(basename "$bundle"/wheels/greeter-*.whl | cut -d- -f2)
# shellcheck source=/dev/null
[ ! -e /etc/default/greeter ] || . /etc/default/greeter
if ! python3 "$bundle/scripts/healthy.py" "http://${GREETER_LISTEN:-127.0.0.1:8083}/health" "ok $version"; then
	# What the application said is what explains the failure: it goes into the deployment's log and 'slipway explain'.
	journalctl --no-pager --quiet --lines=20 --output=cat --unit=greeter.service >&2
	exit 1
fi
