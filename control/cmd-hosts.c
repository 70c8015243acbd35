// SPDX-License-Identifier: Apache-2.0
#include "control/cmd.h"

#include "common/clock.h"
#include "common/json.h"
#include "control/store.h"

#include <stdio.h>

static json_t *host_to_json(const struct store_host *host, const char *registered,
			    const char *state)
{
	json_t *out = json_object(), *tags = json_object();
	json_set_str(out, "name", host->name);
	json_set_str(out, "arn", host->arn);
	json_set_str(out, "state", state);
	json_set_str(out, "registered", registered);
	for (size_t i = 0; i < host->tag_count; i++)
		json_set_str(tags, host->tags[i].key, host->tags[i].value);
	json_object_set_new(out, "tags", tags);
	return out;
}

static int list_host(const struct store_host *host, void *arg)
{
	json_t *list = arg;
	char registered[CLOCK_ISO_LEN];
	clock_format_iso(host->registered_s, registered);
	const char *state = host->revoked_s        ? "revoked"
			    : host->deregistered_s ? "deregistered"
						   : "registered";
	if (list) {
		json_array_append_new(list, host_to_json(host, registered, state));
		return 0;
	}
	printf("%-32s  %-12s  %s", host->name, state, registered);
	for (size_t i = 0; i < host->tag_count; i++)
		printf("%s%s=%s", i ? " " : "  ", host->tags[i].key, host->tags[i].value);
	putchar('\n');
	return 0;
}

int cmd_host_list(struct control *control, const struct cmd_args *args, struct error *err)
{
	auto_json json_t *list = args->json ? json_array() : NULL;
	if (!list)
		printf("%-32s  %-12s  %-20s  TAGS\n", "HOST", "STATE", "ENROLLED");
	int r = store_host_each(control->store, STORE_HOSTS_ALL, "", 0, list_host, list, err);
	if (r >= 0 && list) {
		auto_free char *text = json_text(list);
		puts(text);
	}
	return r < 0 ? r : 0;
}

int cmd_host_revoke(struct control *control, const struct cmd_args *args, struct error *err)
{
	int r = store_host_revoke(control->store, args->operand, clock_wall_s(), err);
	if (r == ERR_NOT_FOUND)
		return error_set(err, ERR_INPUT,
				 "no registered host is named '%s': see 'host list'",
				 args->operand);
	if (r >= 0)
		r = control_commit(control, err);
	if (r >= 0)
		printf("'%s' is refused from now on, and its name is free\n", args->operand);
	return r;
}
