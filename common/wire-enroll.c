// SPDX-License-Identifier: Apache-2.0
/* Enrolment and renewal: how a host gets its certificate. */
#include "common/wire.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire-text.h"

#include <string.h>

#define NAME_MAX_CHARS 64 /* it becomes the CN of a certificate */
#define GROUP_MAX 201     /* APP/GROUP */
#define TOKEN_MAX 256
#define CSR_MAX (16 * 1024)
#define PEM_MAX (64 * 1024)
#define TAGS_MAX 10
#define TAG_KEY_MAX 128
#define TAG_VALUE_MAX 256

bool wire_is_host_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+=,.@_-";
	size_t len = strlen(name);
	return len >= 1 && len <= NAME_MAX_CHARS && strspn(name, allowed) == len;
}

void wire_enroll_clear(struct wire_enroll *e)
{
	free(e->token);
	free(e->name);
	free(e->csr);
	wire_texts_free(e->tag_keys);
	wire_texts_free(e->tag_values);
	free(e->group);
	*e = (struct wire_enroll){0};
}

static json_t *tags_to_json(char **keys, char **values)
{
	json_t *tags = json_array();
	for (size_t i = 0; keys[i]; i++) {
		json_t *tag = json_object();
		json_set_str(tag, "Key", keys[i]);
		json_set_str(tag, "Value", values[i]);
		json_array_append_new(tags, tag);
	}
	return tags;
}

json_t *wire_enroll_to_json(const struct wire_enroll *e)
{
	json_t *obj = json_object();
	json_set_str(obj, "Token", e->token);
	json_set_str(obj, "Name", e->name);
	json_set_str(obj, "Csr", e->csr);
	if (e->tag_keys && e->tag_keys[0])
		json_object_set_new(obj, "Tags", tags_to_json(e->tag_keys, e->tag_values));
	json_set_str(obj, "Group", e->group);
	return obj;
}

static int take_tag(const json_t *tag, char **ret_key, char **ret_value, struct error *err)
{
	int r = wire_need_text(tag, "Key", TAG_KEY_MAX, ret_key, err);
	if (r < 0)
		return r;
	*ret_value = xstrdup("");
	return wire_opt_text(tag, "Value", TAG_VALUE_MAX, ret_value, err);
}

static int take_tags(const json_t *obj, struct wire_enroll *e, struct error *err)
{
	json_t *tags = NULL;
	int r = json_opt_array(obj, "Tags", &tags, err);
	if (r < 0)
		return r;
	size_t count = json_array_size(tags);
	if (count > TAGS_MAX)
		return error_set(err, ERR_FORMAT, "'Tags' has more than %d entries", TAGS_MAX);
	if (count == 0)
		return 0;
	e->tag_keys = xcalloc(count + 1, sizeof(*e->tag_keys));
	e->tag_values = xcalloc(count + 1, sizeof(*e->tag_values));
	for (size_t i = 0; i < count; i++) {
		r = take_tag(json_array_get(tags, i), &e->tag_keys[i], &e->tag_values[i], err);
		if (r < 0)
			return error_prefix(err, r, "tag %zu", i + 1);
	}
	return 0;
}

static int take_enroll(const json_t *obj, struct wire_enroll *e, struct error *err)
{
	int r = wire_opt_text(obj, "Token", TOKEN_MAX, &e->token, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "Name", NAME_MAX_CHARS, &e->name, err);
	if (r < 0)
		return r;
	if (!wire_is_host_name(e->name))
		return error_set(err, ERR_FORMAT,
				 "'Name' may hold letters, digits and +=,.@_- only");
	r = wire_need_text(obj, "Csr", CSR_MAX, &e->csr, err);
	if (r < 0)
		return r;
	r = wire_opt_text(obj, "Group", GROUP_MAX, &e->group, err);
	if (r < 0)
		return r;
	return take_tags(obj, e, err);
}

int wire_enroll_from_json(const json_t *obj, struct wire_enroll *ret, struct error *err)
{
	struct wire_enroll e = {0};
	int r = take_enroll(obj, &e, err);
	if (r < 0) {
		wire_enroll_clear(&e);
		return error_prefix(err, r, "enrolment");
	}
	*ret = e;
	return 0;
}

void wire_enrolled_clear(struct wire_enrolled *e)
{
	free(e->name);
	free(e->host_identifier);
	free(e->certificate);
	free(e->ca);
	free(e->region);
	*e = (struct wire_enrolled){0};
}

json_t *wire_enrolled_to_json(const struct wire_enrolled *e)
{
	json_t *obj = json_object();
	json_set_str(obj, "Name", e->name);
	json_set_str(obj, "HostIdentifier", e->host_identifier);
	json_set_str(obj, "Certificate", e->certificate);
	json_set_str(obj, "Ca", e->ca);
	json_set_str(obj, "Region", e->region);
	return obj;
}

static int take_enrolled(const json_t *obj, struct wire_enrolled *e, struct error *err)
{
	int r = wire_need_text(obj, "Name", NAME_MAX_CHARS, &e->name, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "HostIdentifier", WIRE_ID_MAX, &e->host_identifier, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "Certificate", PEM_MAX, &e->certificate, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "Ca", PEM_MAX, &e->ca, err);
	if (r < 0)
		return r;
	return wire_need_text(obj, "Region", 64, &e->region, err);
}

int wire_enrolled_from_json(const json_t *obj, struct wire_enrolled *ret, struct error *err)
{
	struct wire_enrolled e = {0};
	int r = take_enrolled(obj, &e, err);
	if (r < 0) {
		wire_enrolled_clear(&e);
		return error_prefix(err, r, "enrolment answer");
	}
	*ret = e;
	return 0;
}
