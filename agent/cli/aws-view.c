// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/aws-view.h"

#include "agent/cli/cli.h"
#include "agent/cli/view.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

const json_t *aws_view_of(const json_t *status)
{
	return json_object_get(status, "aws");
}

const char *aws_view_kind(const json_t *aws)
{
	static const char *const kinds[][2] = {
		{"role", "EC2 instance"},
		{"user", "on-premises instance, IAM user"},
		{"session", "on-premises instance, IAM session"},
	};
	const char *identity = member(aws, "identity");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i][0], identity))
			return kinds[i][1];
	return "";
}

static void print_line(int column, const char *label, const char *what, const char *text)
{
	auto_free char *clean = cli_clean(text);
	printf("%-*s%s%s\n", column, label, what, clean);
}

void aws_view_print(const json_t *aws, const char *label, int column)
{
	char when[CLOCK_ISO_LEN], duration[32];
	const char *from = member(aws, "credentials"), *region = member(aws, "region");
	json_int_t until = json_integer_value(json_object_get(aws, "credentials_expire"));
	json_int_t offset = json_integer_value(json_object_get(aws, "clock_offset"));
	if (*region) {
		auto_free char *text = xasprintf("%s, region %s", aws_view_kind(aws), region);
		print_line(column, label, "", text);
		label = "";
	}
	if (*from) {
		auto_free char *text =
			xasprintf("%s%s%s", from, until ? ", until " : "",
				  until ? clock_format_local((int64_t)until, when) : "");
		print_line(column, label, "credentials from ", text);
	}
	if (*member(aws, "credentials_error"))
		print_line(column, "", "no new credentials: ", member(aws, "credentials_error"));
	if (offset)
		printf("%-*sthis machine's clock is %s %s; set it\n", column, "",
		       view_duration((double)(offset < 0 ? -offset : offset), duration),
		       offset < 0 ? "ahead" : "behind");
	if (*member(aws, "error"))
		print_line(column, label, "", member(aws, "error"));
}
