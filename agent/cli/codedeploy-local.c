// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/codedeploy-local.h"

#include "agent/cli/cli.h"
#include "agent/cli/host.h"
#include "agent/job.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_VARIABLE "CODEDEPLOY_GITHUB_TOKEN"
#define ARGUMENTS_MAX 24 /* of slipway, with the NULL */

static const struct option_row {
	char letter;
	const char *name, *arg, *def, *help;
	size_t offset;
} rows[] = {
	{'l', "bundle-location", "LOCATION", ".",
	 "a path, s3://BUCKET/KEY, https://github.com/OWNER/REPO[/tree/REF]",
	 offsetof(struct codedeploy_local, location)},
	{'t', "type", "TYPE", "directory", "directory, tar, tgz or zip",
	 offsetof(struct codedeploy_local, type)},
	{'b', "file-exists-behavior", "B", "DISALLOW",
	 "files that are in the way: DISALLOW, OVERWRITE or RETAIN",
	 offsetof(struct codedeploy_local, behavior)},
	{'g', "deployment-group", "ID", JOB_LOCAL_GROUP, "the group's id",
	 offsetof(struct codedeploy_local, group)},
	{'d', "deployment-group-name", "NAME", JOB_LOCAL_GROUP_NAME, "its name, for the scripts",
	 offsetof(struct codedeploy_local, group_name)},
	{'a', "application-name", "NAME", "LOCATION", "the application's name, for the scripts",
	 offsetof(struct codedeploy_local, application)},
	{'e', "events", "A,B", "all", "lifecycle events, in this order",
	 offsetof(struct codedeploy_local, events)},
	{'c', "agent-configuration-file", "FILE", "Slipway's agent.yml",
	 "must be there; nothing is taken from it", offsetof(struct codedeploy_local, config)},
	{'A', "appspec-filename", "FILE", "appspec.yml", "the AppSpec's name in the bundle",
	 offsetof(struct codedeploy_local, appspec)},
	{'\0', "github-token", "TOKEN", "$" TOKEN_VARIABLE, "for a private repository",
	 offsetof(struct codedeploy_local, github_token)},
	{'\0', "root", "DIR", "/", "keep everything of Slipway below DIR",
	 offsetof(struct codedeploy_local, root)},
};

static const char **place(struct codedeploy_local *asked, const struct option_row *row)
{
	return (const char **)(void *)((char *)asked + row->offset);
}

/* word: an option. A long name may be cut short as long as one alone begins so, as the tool's own
 * readers allow. */
static const struct option_row *find(const char *word, const char **ret_value, struct error *err)
{
	bool is_long = word[1] == '-';
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const struct option_row *found = NULL;
	*ret_value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!is_long && rows[i].letter == word[1]) {
			*ret_value = word[2] ? word + 2 : NULL;
			return &rows[i];
		}
		if (!is_long || len == 0 || strncmp(rows[i].name, name, len) != 0)
			continue;
		bool whole = strlen(rows[i].name) == len;
		if (found && !whole) {
			error_set(err, ERR_INPUT, "option '%.*s' may be '--%s' or '--%s'",
				  (int)len + 2, word, found->name, rows[i].name);
			return NULL;
		}
		found = &rows[i];
		if (whole)
			break;
	}
	if (!found)
		error_set(err, ERR_INPUT, "unknown option '%.*s'",
			  is_long ? (int)len + 2 : (int)strlen(word), word);
	else if (name[len] == '=')
		*ret_value = name + len + 1;
	return found;
}

int codedeploy_local_parse(int argc, const char *const *argv, struct codedeploy_local *ret,
			   struct error *err)
{
	*ret = (struct codedeploy_local){0};
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		if (str_eq(word, "-h") || str_eq(word, "--help")) {
			ret->help = true;
			continue;
		}
		if (str_eq(word, "-v") || str_eq(word, "--version")) {
			ret->version = true;
			continue;
		}
		if (word[0] != '-' || !word[1])
			return error_set(err, ERR_INPUT,
					 "'%s' is no option; the bundle's place is given with "
					 "--bundle-location",
					 word);
		const char *value;
		const struct option_row *row = find(word, &value, err);
		if (!row)
			return ERR_INPUT;
		if (!value && i + 1 < argc)
			value = argv[++i];
		if (str_empty(value))
			return error_set(err, ERR_INPUT, "option '--%s' needs a value: --%s %s",
					 row->name, row->name, row->arg);
		*place(ret, row) = value;
	}
	return 0;
}

/* rest: "owner/repo" and what follows, of the URL whole. A repository's ".git" is no part of its
 * name; refs: what stands before a reference. */
static int github_source(const char *whole, const char *rest, const char *const refs[], char **ret,
			 struct error *err)
{
	size_t owner = strcspn(rest, "/");
	const char *repo = rest[owner] ? rest + owner + 1 : "";
	size_t len = strcspn(repo, "/?#");
	const char *tail = repo + len, *ref = !*tail || str_eq(tail, "/") ? "HEAD" : NULL;
	if (len > 4 && strncmp(repo + len - 4, ".git", 4) == 0)
		len -= 4;
	if (!owner || !len)
		return error_set(err, ERR_INPUT,
				 "'%s' names no repository: https://github.com/OWNER/REPO", whole);
	for (size_t i = 0; !ref && refs[i]; i++)
		if (str_starts(tail, refs[i]) && tail[strlen(refs[i])])
			ref = tail + strlen(refs[i]);
	if (!ref)
		return error_set(err, ERR_INPUT, "'%s' names no revision of a repository", whole);
	*ret = xasprintf("github:%.*s/%.*s@%s", (int)owner, rest, (int)len, repo, ref);
	return 0;
}

static bool is_archive(const char *type)
{
	return str_eq(type, "tar") || str_eq(type, "tgz") || str_eq(type, "zip");
}

/* The SOURCE and the type that slipway takes. */
static int find_source(const char *location, const char *type, char **ret_source,
		       const char **ret_type, struct error *err)
{
	static const char *const web[] = {"/tree/", "/commit/", NULL};
	static const char *const api[] = {"/zipball/", "/tarball/", NULL};
	static const struct {
		const char *begin, *const *refs;
	} hosts[] = {
		{"https://github.com/", web},
		{"https://www.github.com/", web},
		{"https://api.github.com/repos/", api},
	};
	if (!str_eq(type, "directory") && !is_archive(type))
		return error_set(err, ERR_INPUT, "--type is directory, tar, tgz or zip, not '%s'",
				 type);
	*ret_type = type;
	if (str_starts(location, "http://"))
		return error_set(err, ERR_INPUT, "'%s': http is not encrypted; only https is taken",
				 location);
	if (str_starts(location, "s3://")) {
		if (!is_archive(type))
			return error_set(err, ERR_INPUT,
					 "a bundle in S3 has the type tar, tgz or "
					 "zip: give --type");
		*ret_source = xstrdup(location);
		return 0;
	}
	*ret_type = str_eq(type, "tar") ? "tar" : "zip";
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (str_starts(location, hosts[i].begin))
			return github_source(location, location + strlen(hosts[i].begin),
					     hosts[i].refs, ret_source, err);
	if (str_starts(location, "https://"))
		return error_set(err, ERR_INPUT,
				 "'%s' is not on GitHub; 'slipway deploy' takes other places, with "
				 "--sha256",
				 location);
	*ret_type = type;
	*ret_source = xstrdup(location);
	return 0;
}

int codedeploy_local_words(const struct codedeploy_local *asked, char ***ret, struct error *err)
{
	const char *location = asked->location ? asked->location : ".";
	auto_free char *source = NULL;
	const char *type = NULL;
	int r = find_source(location, asked->type ? asked->type : "directory", &source, &type, err);
	if (r < 0)
		return r;
	const struct {
		const char *option, *value;
	} options[] = {
		{"--root", asked->root},
		{"--type", type},
		{"--group", asked->group ? asked->group : JOB_LOCAL_GROUP},
		{"--group-name", asked->group_name ? asked->group_name : JOB_LOCAL_GROUP_NAME},
		{"--app", asked->application ? asked->application : location},
		{"--file-exists-behavior", asked->behavior},
		{"--events", asked->events},
		{"--appspec", asked->appspec},
	};
	char **words = xcalloc(ARGUMENTS_MAX, sizeof(*words));
	size_t n = 0;
	words[n++] = xstrdup("slipway");
	words[n++] = xstrdup("deploy");
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].value) {
			words[n++] = xstrdup(options[i].option);
			words[n++] = xstrdup(options[i].value);
		}
	words[n++] = xstrdup("--");
	words[n++] = TAKE(source);
	*ret = words;
	return 0;
}

static void print_help(void)
{
	puts("Usage: " CODEDEPLOY_LOCAL " [OPTION]...\n\n"
	     "Deploy a revision on this host, with the options of the official agent's tool.\n"
	     "'slipway deploy' does the same and more.\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char letter[5] = "    ";
		if (rows[i].letter)
			snprintf(letter, sizeof(letter), "-%c, ", rows[i].letter);
		printf("  %s--%s %s\n        %s; default: %s\n", letter, rows[i].name, rows[i].arg,
		       rows[i].help, rows[i].def);
	}
	puts("  -h, --help\n  -v, --version\n\n"
	     "Exit: 0 done, 1 failed, 2 bad usage or input.");
}

static int complain(const struct error *err)
{
	auto_free char *text = cli_clean(err->text);
	fprintf(stderr, "ERROR: %s\n", text);
	return 2;
}

/* Where the newest deployment of the group is; NULL: there is none. Caller frees. */
static char *newest_dir(const struct codedeploy_local *asked)
{
	struct cli cli = {0};
	auto_state_deployment struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	char *dir = NULL;
	if (paths_init(&cli.paths, asked->root, NULL) == 0 &&
	    host_deployment(&cli, NULL, asked->group ? asked->group : JOB_LOCAL_GROUP, &d, &group,
			    NULL) == 0)
		dir = host_deployment_dir(&cli, group, state_deployment_id(d));
	paths_clear(&cli.paths);
	return dir;
}

/* Two lines that scripts around the official tool look for. */
static void print_end(const struct codedeploy_local *asked, const char *before, int code)
{
	auto_free char *dir = newest_dir(asked);
	auto_free char *log = dir ? fs_join(dir, "logs/scripts.log") : NULL;
	fflush(stdout);
	if (log && !str_eq(dir, before) && access(log, F_OK) == 0)
		printf("What its scripts printed: %s\n", log);
	if (code == CLI_DONE)
		puts("AppSpec file valid. Local deployment successful");
	else
		fprintf(stderr, "ERROR: the local deployment failed\n");
}

static int count(char *const *words)
{
	int n = 0;
	while (words[n])
		n++;
	return n;
}

/* A file that was named is there: no other one is taken in its place. */
static int check_files(const struct codedeploy_local *asked, struct error *err)
{
	if (asked->config && access(asked->config, R_OK) < 0)
		return error_set(err, ERR_INPUT, "--agent-configuration-file '%s': %s",
				 asked->config, strerror(errno));
	const char *location = asked->location ? asked->location : ".";
	if (!asked->appspec || strstr(location, "://") ||
	    (asked->type && !str_eq(asked->type, "directory")))
		return 0;
	auto_free char *path = fs_join(location, asked->appspec);
	if (access(path, F_OK) < 0)
		return error_set(err, ERR_INPUT, "--appspec-filename '%s': %s", path,
				 strerror(errno));
	return 0;
}

int codedeploy_local_main(int argc, char **argv)
{
	struct codedeploy_local asked;
	struct error err = {0};
	char **words = NULL;
	int r = codedeploy_local_parse(argc - 1, (const char *const *)argv + 1, &asked, &err);
	if (r == 0 && asked.help) {
		print_help();
		return 0;
	}
	if (r == 0 && asked.version) {
		puts(CODEDEPLOY_LOCAL " of Slipway " VERSION);
		return 0;
	}
	if (r == 0)
		r = check_files(&asked, &err);
	if (r == 0)
		r = codedeploy_local_words(&asked, &words, &err);
	if (r < 0)
		return complain(&err);
	if (asked.github_token)
		setenv(TOKEN_VARIABLE, asked.github_token, 1);
	auto_free char *before = newest_dir(&asked);
	struct cli cli = {.argv = words, .called = CODEDEPLOY_LOCAL};
	int code = cli_run(&cli, count(words));
	str_list_free(words);
	print_end(&asked, before, code);
	return code == CLI_DONE || code == CLI_USAGE ? code : 1;
}
