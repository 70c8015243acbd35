#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The shell steps of examples/github-actions and examples/jenkins, as they are, against an endpoint with a host.
. "$top_srcdir/tests/e2e/lib.sh"
. "$top_srcdir/tests/e2e/fleet.sh"
python3 -c 'import yaml' 2>/dev/null || skip_all "python3-yaml is missing"

fleet_up
host_up web1
run_fleet app create --app shop >/dev/null && run_fleet group create --app shop --group production --tag role=web >/dev/null
credentials=$(cat "$SLIPWAY_CREDENTIALS")

# Each step's text into $T/STEPS/N; those of the workflow by its own shell ('bash -e -o pipefail').
python3 - "$top_srcdir/examples" "$T" <<'P'
import pathlib, re, sys, textwrap, yaml
examples, out = map(pathlib.Path, sys.argv[1:])
job = yaml.safe_load((examples / "github-actions/deploy.yml").read_text())["jobs"]["deploy"]
jenkins = re.findall(r"sh '''\n(.*?)'''", (examples / "jenkins/Jenkinsfile").read_text(), re.S)
for name, steps in (("github", [s["run"] for s in job["steps"] if "run" in s]), ("jenkins", map(textwrap.dedent, jenkins))):
    (out / name).mkdir()
    for n, text in enumerate(steps, 1):
        assert "${{" not in text, "an expression in a script: a way in for whoever names a branch"
        (out / name / str(n)).write_text(text)
P
is "the workflow has its steps" "1 2 3" "$(ls "$T/github" | xargs)"
is "and the Jenkinsfile" "1 2" "$(ls "$T/jenkins" | xargs)"

mkdir "$T/work" "$T/bin" "$T/runner"
ln -s "$SLIPWAY" "$T/bin/slipway"
printf '#!/bin/sh\necho "$@" >"%s/installed"\n' "$T" >"$T/bin/sudo" # nothing is installed on the machine that tests
chmod +x "$T/bin/sudo"
echo "a package" >"$T/slipway.deb"
# step DIRECTORY N [NAME=VALUE]...
step() {
	env -C "$T/work" PATH="$T/bin:$PATH" APP=shop GROUP=production REVISION=revision RUNNER_TEMP="$T/runner" "${@:3}" \
		bash --noprofile --norc -e -o pipefail "$T/$1/$2"
}
github() { step github "$1" SLIPWAY_CREDENTIALS= CREDENTIALS="$credentials" GITHUB_SHA="$2" GITHUB_RUN_ATTEMPT=1 SLIPWAY_PACKAGE_URL="file://$T/slipway.deb"; }
jenkins() { step jenkins "$1" BUILD_NUMBER="$2"; }

make_revision "$T/work/revision" 1
exits 0 "GitHub: the command line is installed" github 1 c0ffee1
says "from the package" "apt-get install -y $T/runner/slipway.deb" "$T/installed"
exits 0 "GitHub: the revision is checked" github 2 c0ffee1
exits 0 "GitHub: it is pushed and deployed" github 3 c0ffee1
is "the host has it" 1 "$(installed web1)"
is "the credentials are gone" "" "$(ls "$T/runner" | grep -v slipway.deb)"

rm -rf "$T/work/revision"
make_revision "$T/work/revision" 2
exits 0 "Jenkins: the revision is checked" jenkins 1 7
exits 0 "Jenkins: it is pushed and deployed" jenkins 2 7
is "the host has it" 2 "$(installed web1)"

rm -rf "$T/work/revision"
make_revision "$T/work/revision" 3
printf '#!/bin/sh\necho "the database is not reachable" >&2\nexit 7\n' >"$T/work/revision/scripts/validate.sh"
exits 1 "GitHub: a revision that fails fails the step" github 3 c0ffee3
ok "which says why" grep -F "the database is not reachable" "$T/out" "$T/err"
exits 1 "Jenkins: as well" jenkins 2 8
is "and the host is back" 2 "$(installed web1)"
echo "nonsense: [" >"$T/work/revision/appspec.yml"
exits 2 "GitHub: a broken AppSpec ends it before anything is pushed" github 2 c0ffee4
exits 2 "Jenkins: as well" jenkins 1 9
done_testing
