#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/compatibility.md: its tables have everything that the official agents have, once, and say of each key what
# agent/settings.c does with it.
set -euo pipefail
cd "${top_srcdir:-.}"

python3 - <<'P'
import re, sys

KEYS = """program_name log_dir pid_dir root_dir ongoing_deployment_tracking on_premises_config_file verbose log_aws_wire
wait_between_runs wait_after_error wait_after_throttle_error wait_after_connection_problem http_read_timeout max_revisions
proxy_uri enable_deployments_log use_fips_mode enable_auth_policy deploy_control_endpoint s3_endpoint_override disable_imds_v1
kill_agent_max_wait_time_seconds enable_archive_reuse archive_max_extraction_size reject_symlinks_in_bundle
reject_path_traversal_in_bundle reject_unsafe_permissions_in_bundle reject_unconfined_selinux_in_bundle
reject_symlink_permission_targets ignore_ownership_in_bundle restrict_agent_dir_permissions restrict_log_dir_permissions
restrict_hook_env_to_allowlist strip_loader_env_in_hooks disable_core_dumps enable_command_port
disable_powershell_profile_in_hooks user group children wait_between_spawning_children max_runs_per_worker plugins
codedeploy_test_profile use_mock_command_service ssl_verify_peer shared_dir instance_service_region instance_service_endpoint
instance_service_port""".split()
SECTIONS = {
    "Every configuration key": KEYS + """AWS_REGION AWS_HOST_IDENTIFIER AWS_EC2_METADATA_SERVICE_ENDPOINT AWS_SSL_CA_BUNDLE
        AWS_SSL_CA_DIRECTORY SSL_CERT_FILE http_proxy https_proxy no_proxy AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        AWS_SESSION_TOKEN AWS_PROFILE CODEDEPLOY_DEVELOPER_MODE CODEDEPLOY_GITHUB_TOKEN CODEDEPLOY_AGENT_CONFIG_FILE
        /etc/profile""".split(),
    "Every command and option": """-l --bundle-location -t --type -b --file-exists-behavior -g --deployment-group -d
        --deployment-group-name -a --application-name -e --events -c --agent-configuration-file -A --appspec-filename
        --github-token -h --help -v --version start stop restart status update deploy-local --config-file --config_file
        install""".split(),
    "Every event and command of the service": """BeforeBlockTraffic AfterBlockTraffic ApplicationStop DownloadBundle BeforeInstall
        Install AfterInstall ApplicationStart ValidateService BeforeAllowTraffic AfterAllowTraffic BlockTraffic AllowTraffic
        Start End UpdateDeploymentAgent PollHostCommand GetDeploymentSpecification PutHostCommandAcknowledgement
        PutHostCommandComplete PostHostCommandUpdate""".split(),
    "Every variable of scripts": """LIFECYCLE_EVENT DEPLOYMENT_ID APPLICATION_NAME DEPLOYMENT_GROUP_NAME DEPLOYMENT_GROUP_ID
        BUNDLE_BUCKET BUNDLE_KEY BUNDLE_VERSION BUNDLE_ETAG BUNDLE_COMMIT PATH HOME USER LOGNAME SHELL AWS_REGION
        AWS_ACCESS_KEY AWS_SECRET_KEY AWS_HOST_IDENTIFIER AWS_CREDENTIALS_FILE BASH_EXECUTION_STRING /etc/profile""".split(),
    "Every file and log": """bundle.tar deployment-archive/ deployment-archive-temp/ scripts.log .bundle-source .bundle-etag
        <group>-install.json <group>-cleanup <group>_last_successful_install <group>_most_recent_install ongoing-deployment/
        <program>-deployments.log <program>.log <program>.log.age <program>.aws_wire.log codedeploy-local.log
        codedeploy-agent-updater.log codedeploy-agent.update.log poll_host_command <program>.pid <program>.pid.lock .command-port
        .version codedeployagent.yml codedeploy.onpremises.yml codedeploy-agent.service""".split(),
    "Known defects of the official agents": ["W%d" % n for n in range(1, 56)],
}

tests = failed = 0


def ok(name, wrong):
    global tests, failed
    tests += 1
    failed += bool(wrong)
    print("%sok %d - %s" % ("not " if wrong else "", tests, name))
    for one in wrong:
        print("# " + one)


with open("docs/compatibility.md", encoding="utf-8") as f:
    parts = re.split(r"^## (.*)\n", f.read(), flags=re.M)
sections = dict(zip(parts[1::2], parts[2::2]))


def rows(section):
    """[first column, ..., last column] of each row, heads of tables left out."""
    lines = sections.get(section, "").splitlines()
    table = [line for line, below in zip(lines, lines[1:] + [""]) if line.startswith("| ") and not below.startswith("|---")]
    return [row.strip("| ").split(" | ") for row in table]


def words(text):
    """What a first column names: each word, and the last part of a path."""
    out = set()
    for word in re.split(r"[\s,()]+", text.replace("`", "")):
        out |= {word, word.rsplit("/", 1)[-1]} if not word.endswith("/") else {word, word.rstrip("/").rsplit("/", 1)[-1] + "/"}
        out.add(word.split("/<", 1)[0] + "/")
    return out


for section, wanted in SECTIONS.items():
    table = rows(section)
    times = 2 if section.startswith("Known") else 1
    wrong = ["'%s' has %d rows" % (word, n) for word in wanted
             for n in [sum(word in words(row[0]) for row in table)]
             if n != (times if times == 1 or int(word[1:]) <= 51 else 1)]
    wrong += ["'%s' says nothing" % row[0] for row in table if len(row) < 2 or not row[-1].strip() or row[-1].isupper()]
    ok("'%s' has everything once" % section, wrong)

with open("agent/settings.c", encoding="utf-8") as f:
    text = f.read()
works = set(re.findall(r'\.name = "(\w+)"', text))
retired = set(re.findall(r'RETIRED\("(\w+)"', text))
said = {row[0].strip("`"): row[-1] for row in rows("Every configuration key") if len(row) == 3}
ok("every official key is taken", ["'%s' is not in agent/settings.c" % key for key in KEYS if key not in works | retired])
ok("what has no effect is an official key", ["'%s' is none" % key for key in sorted(retired - set(KEYS))])
ok("table and settings agree", ["'%s': the table says '%s', settings.c says it %s" %
                                (key, said[key], "has no effect" if key in retired else "works")
                                for key in KEYS if key in said and said[key].startswith("no effect") != (key in retired)])

with open("man/codedeploy-local.1", encoding="utf-8") as f:
    page = f.read()
options = SECTIONS["Every command and option"]
options = [word for word in options[:options.index("start")] if word.startswith("--")]
ok("codedeploy-local has each option", ["'%s'" % o for o in options if "Fl " + o[1:] not in page and ", " + o[1:] not in page])

with open("agent/worker/env.c", encoding="utf-8") as f:
    made = f.read()
ok("scripts get each variable", ["'%s'" % row[0] for row in rows("Every variable of scripts")
                                 if row[-1].startswith("works") and '"%s"' % row[0].strip("`") not in made])
with open("agent/job.c", encoding="utf-8") as f:
    known = f.read()
with open("common/wire.c", encoding="utf-8") as f:
    known += f.read()
ok("each event is known", ["'%s'" % row[0] for row in rows("Every event and command of the service")[:11]
                           if '"%s"' % row[0] not in known])
print("1..%d" % tests)
sys.exit(1 if failed else 0)
P
