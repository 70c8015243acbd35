#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make exhaust, make exhaust-aws: run the tests that are named, at full size and two at a time (EXHAUST_AT_ONCE), and add up
# what they tried. Each prints, among its TAP, a line
#
#   # exhaust: NAME: N kill points|error points|power cuts|races|..., M violations
#
# for everything that it looked at; sorts that are not named here are added up beside. Fails when one of them found a
# violation, failed, or told no such line; a test that cannot run here is named. What the tests printed is kept in
# exhaust/ of the build directory.
set -euo pipefail
: "${top_srcdir:?} ${top_builddir:?}"
logs=$top_builddir/exhaust
mkdir -p "$logs"
declare -A sum=(["kill points"]=0 ["error points"]=0 ["power cuts"]=0 ["races"]=0) others=()
violations=0 noticed=0 failed=0

# A line of a part: told again, and added up.
add()
{
	local line=${1#\# exhaust: } figures count what bad
	figures=${line#*: }
	count=${figures%% *}
	what=${figures#* } what=${what%%,*}
	bad=${figures##*, } bad=${bad%% *}
	if [[ ! $count =~ ^[0-9]+$ || ! $bad =~ ^[0-9]+$ || -z $what ]]; then
		echo "exhaust: not understood: $1"
		failed=1
		return
	fi
	echo "exhaust: $line"
	if [[ -v sum["$what"] ]]; then
		sum[$what]=$((${sum[$what]} + count))
	else
		others[$what]=$((${others[$what]:-0} + count))
	fi
	violations=$((violations + bad))
}

# The whole output of the part $name that has ended with status $2, in file $1.
judge()
{
	local line told=0
	while IFS= read -r line; do
		case $line in
		"# exhaust: "*) add "$line" && told=1 ;;
		"1..0 # SKIP"* | "ok "*" # SKIP "*) echo "exhaust: $name: skipped: ${line#*SKIP }" && told=1 ;;
		"ok "*" noticed"*) noticed=$((noticed + 1)) ;;
		"not ok "* | "Bail out!"*) echo "exhaust: $name: $line" && failed=1 ;;
		esac
	done <"$1"
	if [ "$2" != 0 ] || [ $told = 0 ]; then
		echo "exhaust: $name: failed with status $2, see $1"
		failed=1
	fi
}

# run NAME PROGRAM: in the background; its status and seconds stay beside its log.
run()
{
	{
		local status=0 begun=$SECONDS
		timeout -k 10 5400 "$2" >"$logs/$1.log" 2>&1 || status=$?
		echo "$status $((SECONDS - begun))" >"$logs/$1.ended"
	} &
	pids[$!]=$1
}

# The next test to end.
reap()
{
	local pid name status took
	wait -n -p pid || true
	name=${pids[$pid]}
	unset "pids[$pid]"
	read -r status took <"$logs/$name.ended"
	judge "$logs/$name.log" "$status"
	echo "exhaust: $name: $took s"
}

export SLIPWAY_EXHAUST=1
pids=()
for test in "$@"; do
	[ ${#pids[@]} -lt "${EXHAUST_AT_ONCE:-2}" ] || reap
	name=${test##*/}
	program=$top_builddir/$test
	[ -x "$program" ] || program=$top_srcdir/$test
	run "${name%.*}" "$program"
done
while [ ${#pids[@]} -gt 0 ]; do
	reap
done
for what in "${!others[@]}"; do
	echo "exhaust: ${others[$what]} $what"
done
echo "exhaust: $noticed broken builds noticed, $((SECONDS / 60)) min in all"
echo "exhaust: ${sum["kill points"]} kill points, ${sum["error points"]} error points," \
	"${sum["power cuts"]} power cuts, ${sum["races"]} races: $violations violations"
[ $violations = 0 ] && [ $failed = 0 ]
