/* SPDX-License-Identifier: Apache-2.0 */
/* agent.yml: one option table for daemon, worker and CLI. Takes every key of the official agent,
 * with or without the leading colon; those that have no meaning here are accepted with a warning.
 */
#pragma once

#include "agent/paths.h"
#include "common/conf.h"

#include <stdbool.h>

struct settings {
	char *destination_root; /* prefix of every destination and permission object; NULL: none.
				   Hooks see SLIPWAY_DESTINATION_ROOT */
	struct conf_map hook_environment;
	int64_t max_revisions;       /* kept deployments per group, 5 */
	uint64_t max_revision_age;   /* ms; 0: none */
	uint64_t max_revision_bytes; /* of a group's kept deployments together; 0: no ceiling */
	bool local_rollback;         /* true; false: the official behaviour */
	uint64_t orphan_timeout;     /* ms; 10 min */
	int64_t max_parallel;        /* groups at once, 16 */
	uint64_t http_read_timeout;  /* ms; 80 s */
	char *proxy_uri;             /* see proxies.h */
	char *proxy_uri_commands, *proxy_uri_s3, *proxy_uri_github, *no_proxy;
	char *endpoint; /* overrides the enrolled one (deploy_control_endpoint) */
	char *ca_file;
	/* AWS itself instead of an endpoint of ours; a host that is enrolled stays enrolled */
	bool aws;
	char *on_premises_config_file; /* NULL: where the official agent has it, below the root */
	bool use_fips_mode, enable_auth_policy, use_dualstack_endpoint, disable_imds_v1;
	char *agent_version_header; /* of requests to AWS */
	char *s3_endpoint_override; /* URL of another S3 than AWS's; NULL: none */
	bool s3_path_style;
	char *github_api_url;
	uint64_t wait_between_runs; /* ms between the beginnings of two polls of AWS */
	bool verbose;
	uint64_t bundle_max_bytes;   /* of a download; 0: no ceiling */
	uint64_t archive_max_bytes;  /* of what is unpacked; 0: no ceiling */
	int64_t archive_max_entries; /* 1,000,000 */
	uint64_t script_output_max;  /* of each file of a script's output; 64 MiB */
	/* What each script may use at most, see spec_limits; 0: no limit, a nice value of 0. */
	uint64_t script_memory_max, script_cpu_max; /* bytes, percent */
	int64_t script_tasks_max, script_nice;
	uint64_t archive_max_extraction_size; /* the official name of archive_max_bytes */
	bool reject_symlinks_in_bundle, reject_path_traversal_in_bundle;
	bool reject_unsafe_permissions_in_bundle, reject_unconfined_selinux_in_bundle;
	bool reject_symlink_permission_targets, ignore_ownership_in_bundle;
	char *aws_signer_subject, *aws_signer_fingerprint; /* of its specifications; NULL: any */
	bool enable_archive_reuse;
	bool allow_setid; /* false: set-id bits and device nodes in a bundle are refused */
	/* Official keys; NULL: as paths.h says, and no file. */
	char *log_dir, *pid_dir, *root_dir;
	char *program_name;          /* "codedeploy-agent" */
	char *tracking;              /* "ongoing-deployment", below root_dir */
	bool deployments_log;        /* true */
	bool log_aws_wire;           /* false */
	bool restrict_agent_dirs;    /* below root_dir; false */
	bool restrict_log_dir;       /* false */
	char *hook_environment_file; /* NULL: none */
	bool restrict_hook_env;      /* without that file; false */
	bool strip_loader_env;       /* false */
	bool disable_core_dumps;     /* true */
	char *metrics_file;          /* for node_exporter; NULL: none */
};

/* Defaults, then paths->agent_yml when it is there. */
int settings_load(struct settings *settings, const struct paths *paths,
		  struct error *err) MUST_CHECK;
void settings_clear(struct settings *settings);
#define auto_settings CLEANUP(settings_clear)
/* The table, for --help-config and the man page. */
const struct conf_option *settings_table(size_t *ret_count);
