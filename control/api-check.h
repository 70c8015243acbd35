/* SPDX-License-Identifier: Apache-2.0 */
/* What every operation of the management API has in common: members are checked by a table, what is
 * wrong becomes a modelled fault, what is named is looked up. An operation is
 *
 *     static const struct api_member members[] = { ... };
 *     static int get_application(struct api *api, json_t **ret) { ... }
 *     void api_get_application(struct request *request, const json_t *input)
 *     {
 *             api_run(request, input, members, ARRAY_LEN(members), get_application);
 *     }
 */
#pragma once

#include "common/json.h"
#include "control/control.h"
#include "control/deploy.h"
#include "control/server.h"
#include "control/store-deploy.h"

#define API_PAGE 100 /* names in one page of a list */

/* One call. */
struct api {
	struct control *control;
	struct store *store;
	const struct caller *caller;
	const json_t *input;
	const char *fault;  /* name of the modelled error; NULL while there is none */
	char message[1024]; /* its text */
	struct error err;   /* a failure of our own */
};

/* Returns 0 with the output (NULL: an empty body), or below 0: the fault is set, or err is. */
typedef int api_operation_fn(struct api *api, json_t **ret);

/* Set the fault and return a negative code, so that a check reads "return api_fault(...)". */
int api_fault(struct api *api, const char *type, const char *fmt, ...) PRINTF_LIKE(3, 4);

enum api_type {
	API_STRING,
	API_BOOL,
	API_INT,
	API_TIME, /* a number; integers too */
	API_OBJECT,
	API_LIST,
	API_STRINGS, /* a list of strings */
};

/* One member of an input. null is the same as absent, and so is an empty string or list for a
 * member that is required. A wrong JSON type is a SerializationException. */
struct api_member {
	const char *name;
	enum api_type type;
	const char *missing;        /* fault when it is not there; NULL: optional */
	const char *invalid;        /* fault when a limit, a choice or valid() is against it */
	size_t max;                 /* characters, or elements; 0: no limit */
	const char *const *choices; /* NULL-terminated */
	bool (*valid)(const char *text);
};
int api_check(struct api *api, const json_t *input, const struct api_member *members,
	      size_t count) MUST_CHECK;

/* Check the input, perform, answer: the output, the fault, or 500 InternalFailure and the turn is
 * rolled back. */
void api_run(struct request *request, const json_t *input, const struct api_member *members,
	     size_t count, api_operation_fn *perform);

/* The two ends of api_run(), for an operation that may park: r and output are perform's. */
struct api api_begin(struct request *request, const json_t *input);
void api_answer(struct api *api, struct request *request, int r, const json_t *output);

/* Members that were checked: NULL, false or def when absent. */
const char *api_text(const json_t *object, const char *name);
bool api_flag(const json_t *object, const char *name);
double api_number(const json_t *object, const char *name, double def);
/* NULL when absent or null. */
json_t *api_get(const json_t *object, const char *name);
bool api_in(const char *text, const char *const *choices);
/* Characters, not bytes. */
size_t api_length(const char *text);

/* Application, group and configuration names: [A-Za-z0-9+=,.@_-]+ */
bool api_is_name(const char *text);
/* The rows of the tables that most operations share. */
#define API_APPLICATION_NAME                                                       \
	{                                                                          \
		"applicationName", API_STRING, "ApplicationNameRequiredException", \
			"InvalidApplicationNameException", 100, NULL, api_is_name  \
	}
#define API_GROUP_NAME                                                                     \
	{                                                                                  \
		"deploymentGroupName", API_STRING, "DeploymentGroupNameRequiredException", \
			"InvalidDeploymentGroupNameException", 100, NULL, api_is_name      \
	}
#define API_DEPLOYMENT_ID                                                          \
	{                                                                          \
		"deploymentId", API_STRING, "DeploymentIdRequiredException",       \
			"InvalidDeploymentIdException", 0, NULL, ids_is_deployment \
	}
#define API_NEXT_TOKEN                                                                          \
	{                                                                                       \
		"nextToken", API_STRING, NULL, "InvalidNextTokenException", IDS_PAGE_TOKEN_MAX, \
			NULL, NULL                                                              \
	}

/* What the input names, or its DoesNotExist fault. */
int api_find_app(struct api *api, struct store_app *ret) MUST_CHECK;
int api_find_group(struct api *api, const char *app_id, const char *name,
		   struct store_group *ret) MUST_CHECK;
int api_find_deployment(struct api *api, struct store_deployment *ret) MUST_CHECK;

/* The same, of that name. */
int api_find_app_named(struct api *api, const char *name, struct store_app *ret) MUST_CHECK;

/* BatchGet...: what is described of each of the texts in a member of the input. */
struct api_batch {
	const char *member, *output;
	const char *invalid; /* fault of a text that is not valid() */
	bool (*valid)(const char *text);
	/* ERR_NOT_FOUND: it is left out */
	int (*describe)(struct api *api, const void *arg, const char *text, json_t **ret);
	bool tells; /* the output has an errorMessage that names what was left out */
};
#define API_BATCH_MAX 100
#define API_BATCH_MEMBER(name, missing)                                                         \
	{                                                                                       \
		name, API_STRINGS, missing, "BatchLimitExceededException", API_BATCH_MAX, NULL, \
			NULL                                                                    \
	}
int api_batch(struct api *api, const struct api_batch *batch, const void *arg,
	      json_t **ret) MUST_CHECK;

/* Where a list goes on: after the name in nextToken, or "". Caller frees. */
int api_page_start(struct api *api, const char *list, char **ret_after) MUST_CHECK;
/* {"member": [names], "nextToken"}: there is a token when the page is full. names are API_PAGE at
 * most; after: the last one, as the next page wants it. */
json_t *api_page(const char *list, const char *member, const struct store_names *names,
		 const char *after);

/* [{"Key","Value"}] of at most max with both members; else the fault. */
int api_check_tags(struct api *api, const json_t *tags, size_t max, const char *invalid) MUST_CHECK;
/* Stored JSON text; a broken one is our own failure. */
int api_parse_stored(struct api *api, const char *text, json_t **ret) MUST_CHECK;
