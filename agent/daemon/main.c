// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/daemon.h"
#include "agent/daemon/renew.h"
#include "agent/settings.h"
#include "common/log.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
	"Usage: slipwayd [--root DIR] [--verbose]\n"
	"\n"
	"The deployment agent's daemon: polls the endpoint that this host is enrolled at\n"
	"(see 'slipway enroll'), has each command run by slipway-worker, and reports the\n"
	"results. Settings: DIR/etc/slipway/agent.yml. SIGHUP reads them again, SIGTERM\n"
	"ends the daemon; deployments that run go on.\n"
	"\n"
	"  --root DIR      keep everything below DIR\n"
	"  --verbose       log debug messages too\n"
	"  --help-config   explain every setting\n"
	"  --version       print the version\n"
	"  --help          print this\n"
	"\n"
	"Examples:\n"
	"  systemctl enable --now slipwayd    # waits until the host is enrolled\n"
	"  slipwayd --root ./try --verbose    # in the foreground, with its own root\n"
	"\n"
	"The manual: man slipwayd\n";

enum option_id { ROOT = 1, VERBOSE, RENEW, HELP_CONFIG, SHOW_VERSION, HELP };

static const struct option options[] = {
	{"root", required_argument, NULL, ROOT},
	{"verbose", no_argument, NULL, VERBOSE},
	{"renew", no_argument, NULL, RENEW}, /* for ourselves: renew.h */
	{"help-config", no_argument, NULL, HELP_CONFIG},
	{"version", no_argument, NULL, SHOW_VERSION},
	{"help", no_argument, NULL, HELP},
	{0},
};

static int show(int what)
{
	size_t count = 0;
	const struct conf_option *table = settings_table(&count);
	if (what == HELP_CONFIG)
		conf_help(table, count, stdout);
	else if (what == SHOW_VERSION)
		puts("slipwayd " VERSION);
	else
		fputs(usage, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int renew(const char *root)
{
	struct error err = {0};
	if (renew_main(root, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return 1;
}

static int run(const struct daemon_options *how)
{
	struct error err = {0};
	log_init("slipwayd", how->verbose ? LOG_DEBUG : LOG_INFO);
	int r = daemon_main(how, &err);
	if (r >= 0)
		return r;
	log_error("slipwayd cannot run: %s", err.text);
	return err.code == ERR_BUSY ? 6 : 1;
}

int main(int argc, char *argv[])
{
	struct daemon_options how = {0};
	bool is_renew = false;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (c) {
		case ROOT:
			how.root = optarg;
			break;
		case VERBOSE:
			how.verbose = true;
			break;
		case RENEW:
			is_renew = true;
			break;
		case HELP_CONFIG:
		case SHOW_VERSION:
		case HELP:
		case 'h':
			return show(c);
		default:
			fputs("Try 'slipwayd --help'.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "slipwayd takes no arguments ('%s')\n", argv[optind]);
		return 2;
	}
	return is_renew ? renew(how.root) : run(&how);
}
