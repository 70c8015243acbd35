// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/spool.h"

#include "common/json.h"

#include <stdlib.h>
#include <unistd.h>

#define OBJECT_MAX ((size_t)1 << 20)

void spool_clear(struct spool *s)
{
	if (s->file)
		fclose(s->file);
	*s = (struct spool){0};
}

int spool_add(struct spool *s, const json_t *obj, struct error *err)
{
	if (!s->file && !(s->file = tmpfile()))
		return error_errno(err, "create a temporary file");
	auto_free char *text = json_text(obj);
	if (fprintf(s->file, "%s\n", text) < 0)
		return error_errno(err, "write a temporary file");
	return 0;
}

void spool_mark(struct spool *s, bool keep)
{
	if (!s->file)
		return;
	if (keep)
		s->marked = ftello(s->file);
	else if (fflush(s->file) == 0 && ftruncate(fileno(s->file), s->marked) == 0)
		fseeko(s->file, s->marked, SEEK_SET);
}

void spool_rewind(struct spool *s)
{
	if (s->file)
		rewind(s->file);
}

json_t *spool_next(struct spool *s)
{
	auto_free char *line = NULL;
	size_t room = 0;
	ssize_t len = s->file ? getline(&line, &room, s->file) : -1;
	json_t *obj = NULL;
	if (len <= 0 || json_parse(line, (size_t)len, OBJECT_MAX, &obj, NULL) < 0)
		return NULL;
	return obj;
}

void spool_print(struct spool *s, FILE *out)
{
	auto_free char *line = NULL;
	size_t room = 0;
	ssize_t len;
	spool_rewind(s);
	for (bool first = true; s->file && (len = getline(&line, &room, s->file)) > 0;
	     first = false)
		fprintf(out, "%s%.*s", first ? "" : ",", (int)len - 1, line);
}
