/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that only look read from the host's own files. */
#pragma once

#include "agent/cli/cli.h"
#include "agent/settings.h"
#include "agent/state.h"
#include "common/cleanup.h"

/* All groups of this host. */
struct host {
	struct state **groups;
	size_t count;
};
int host_load(const struct cli *cli, struct host *ret, struct error *err) MUST_CHECK;
void host_clear(struct host *host);
#define auto_host CLEANUP(host_clear)

/* What a person calls the deployment's group: APPLICATION/NAME where an endpoint made it, else its
 * id. Caller frees. */
char *host_group_label(const struct state_deployment *d, const char *group_id);
char *host_state_label(const struct state *state);
/* The specification that has these two names; NULL where the id is the name. Borrowed. */
const struct wire_spec *host_state_names(const struct state *state);

/* The group of that id or, for groups of an endpoint, APPLICATION/NAME or name. ERR_NOT_FOUND;
 * ERR_INPUT when groups of several applications have that name. */
int host_group(const struct host *host, const char *name, const struct state **ret,
	       struct error *err) MUST_CHECK;
/* Same for a command's --group: without it, the only group there is. ERR_INPUT with the choice. */
int host_need_group(const struct host *host, const char *name, const struct state **ret,
		    struct error *err) MUST_CHECK;
/* The id that a worker takes for --group: the name is looked up, an unknown one is a new group's
 * id. *ret is the caller's, NULL when name is NULL. ERR_INPUT as above. */
int host_group_id(const struct cli *cli, const char *name, char **ret, struct error *err) MUST_CHECK;

/* The deployment of that id (NULL: the newest) in any group: its own record, read from the states
 * or else from the history. *ret_group is the caller's. ERR_NOT_FOUND. */
int host_deployment(const struct cli *cli, const char *id, const char *group,
		    struct state_deployment **ret, char **ret_group, struct error *err) MUST_CHECK;

/* Call fn for each ended deployment, oldest first; a torn or foreign line is passed over. Stops at
 * the first that is not 0 and returns it. */
typedef int host_history_fn(const struct state_deployment *d, const char *group, void *arg);
int host_history(const struct cli *cli, host_history_fn *fn, void *arg,
		 struct error *err) MUST_CHECK;

/* Does a worker hold that group? True as well when this cannot be known. */
bool host_is_held(const struct cli *cli, const char *group_id);

/* The settings as the agent reads them, without complaints. */
int host_settings(const struct cli *cli, struct settings *ret) MUST_CHECK;

/* Where the deployment's revision and logs are. Caller frees. */
char *host_deployment_dir(const struct cli *cli, const char *group, const char *deployment);

/* What to do about an error of the host's own files or of the worker. */
const char *host_hint(int code);
