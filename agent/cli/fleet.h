/* SPDX-License-Identifier: Apache-2.0 */
/* The management API from a person's side: credentials, signed calls, uploads. Shared by the fleet
 * commands (cmd-fleet-*.c). */
#pragma once

#include "agent/cli/cli.h"
#include "common/cleanup.h"

/* Every fleet command's table ends with this row. */
#define FLEET_CREDENTIALS                                                               \
	{                                                                               \
		.name = "credentials", .arg = "FILE", .kind = CLI_FILE,                 \
		.help = "endpoint and access key; default: $SLIPWAY_CREDENTIALS, else " \
			"~/.config/slipway/credentials.json"                            \
	}

/* What most of them must be given. */
#define FLEET_APP                                          \
	{                                                  \
		.name = "app", .arg = "A", .needed = true, \
		.help = "the application; must be given"   \
	}
#define FLEET_GROUP                                           \
	{                                                     \
		.name = "group", .arg = "G", .needed = true,  \
		.help = "the deployment group; must be given" \
	}

struct fleet;
/* Read the credentials file that 'slipway-controld init' writes: --credentials,
 * $SLIPWAY_CREDENTIALS or ~/.config/slipway/credentials.json. Nothing is sent. */
int fleet_open(const struct cli_args *args, struct fleet **ret, struct error *err) MUST_CHECK;
void fleet_close(struct fleet *fleet);
DEFINE_CLEANUP(struct fleet *, fleet_close)
#define auto_fleet CLEANUP(fleet_close_at)
const char *fleet_endpoint(const struct fleet *fleet);

/* One operation of the management API ("ListApplications"). input: taken over. ret may be NULL;
 * else a new reference to an object, empty when the operation answers nothing. A refusal is told by
 * its code: ERR_NOT_FOUND, ERR_EXISTS, ERR_INPUT, ERR_DENIED, ERR_BUSY, ERR_THROTTLED, ERR_NETWORK,
 * ERR_HTTP; the text is the endpoint's own, with its type in front. */
int fleet_call(struct fleet *fleet, const char *operation, json_t *input, json_t **ret,
	       struct error *err) MUST_CHECK;
/* All pages of a list operation, at most max entries of the array called member; new reference. */
int fleet_list(struct fleet *fleet, const char *operation, json_t *input, const char *member,
	       size_t max, json_t **ret, struct error *err) MUST_CHECK;

struct fleet_object {
	const char *bucket, *key;
	int fd; /* size bytes from its offset 0 */
	uint64_t size;
	const char *sha256; /* lower-case hex */
	void (*on_progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};
/* Upload. ret_etag (without quotes) and ret_version (NULL: the store keeps no versions): the caller
 * frees. */
int fleet_put(struct fleet *fleet, const struct fleet_object *object, char **ret_etag,
	      char **ret_version, struct error *err) MUST_CHECK;

/* Say an error of the above with what to do next; returns the exit code. */
int fleet_fail(const struct cli *cli, const struct fleet *fleet, int code, const struct error *err);
/* The value of a needed option, or NULL after a word of usage (then return CLI_USAGE). */
const char *fleet_need(const struct cli *cli, const struct cli_args *args, const char *option);
/* A member that is a string; "" when absent. Borrowed. */
const char *fleet_text(const json_t *obj, const char *name);
