// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/plan-build.h"

#include "common/alloc.h"

struct plan_sources {
	struct plan_request request;
	struct problems problems; /* what stood in the way of a plan is nobody's business here */
	struct plan_build *build;
};

void plan_sources_free(struct plan_sources *s)
{
	if (!s)
		return;
	plan_build_free(s->build);
	problems_clear(&s->problems);
	free(s);
}

int plan_sources_make(const struct plan_request *request, struct plan_sources **ret,
		      struct error *err)
{
	auto_plan_sources struct plan_sources *s = xcalloc(1, sizeof(*s));
	s->request = *request;
	int r = plan_build_new(&s->request, &s->problems, &s->build, err);
	if (r >= 0)
		r = plan_targets_make(s->build, err);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

int plan_sources_find(struct plan_sources *s, const char *path, char *ret_type,
		      const char **ret_source, struct error *err)
{
	struct target t;
	int r = plan_target_find(s->build, path, &t, NULL, err);
	if (r <= 0 || (t.type != 'f' && t.type != 'l'))
		return r < 0 ? r : 0;
	*ret_type = t.type;
	*ret_source = t.source;
	return 1;
}

struct manifest *plan_sources_manifest(struct plan_sources *s)
{
	return &s->build->manifest;
}
