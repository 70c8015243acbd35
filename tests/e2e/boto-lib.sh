# SPDX-License-Identifier: Apache-2.0
# Programs that ask the endpoint by boto3: of SLIPWAY_AWS_VENV, or this machine's. On top of lib.sh.
python=
for candidate in ${SLIPWAY_AWS_VENV:+"$SLIPWAY_AWS_VENV/bin/python"} python3 /usr/bin/python3; do
	if "$candidate" -c 'import boto3' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || skip_all "boto3 is not installed"

# boto PROGRAM STEP [ARGUMENT]...: a program beside this file.
boto() {
	timeout 300 env -u AWS_PROFILE AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null \
		PYTHONDONTWRITEBYTECODE=1 "$python" "$top_srcdir/tests/e2e/$1" "$url" "$ca" "$T/control/admin-credentials.json" "${@:2}"
}
# checks PROGRAM STEP [ARGUMENT]...: each line "ok NAME" or "not ok NAME" of it is a check here.
checks() {
	local line status=0
	boto "$@" >"$T/out" 2>"$T/err" || status=$?
	while IFS= read -r line; do
		case $line in
		"ok "*) is "${line#ok }" good good ;;
		"not ok "*) is "${line#not ok }" good "$(grep -A2 -F -- "$line" "$T/out")" ;;
		esac
	done <"$T/out"
	is "step '$2' came to its end" 0 $status
	[ $status = 0 ] || sed 's/^/# /' "$T/err"
}
