// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/bar.h"

#include "agent/cli/lines.h"
#include "agent/cli/view.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHAT_WIDTH 9
#define BAR_MIN 10
#define BAR_MAX 30
#define MEASURED_S 1.0 /* before that a rate is a guess */
#define LINE_MAX_BYTES 512

void bar_start(struct bar *bar, const char *what, bool bytes, uint64_t now_us)
{
	*bar = (struct bar){.bytes = bytes, .started_us = now_us};
	snprintf(bar->what, sizeof(bar->what), "%s", what);
}

/* How much of it, 0 to 1. */
static double share(uint64_t done, uint64_t total)
{
	if (total == 0)
		return 0;
	return done < total ? (double)done / (double)total : 1;
}

void bar_set(struct bar *bar, uint64_t done, uint64_t total)
{
	/* the total may become known, or better known, only later */
	if (bar->total > 0 && share(done, total) < share(bar->done, bar->total))
		return;
	bar->done = done;
	bar->total = total;
}

static char *count_text(const struct bar *bar)
{
	char done[32], total[32];
	if (!bar->bytes)
		return xasprintf("  %" PRIu64 " of %" PRIu64, bar->done, bar->total);
	str_human_bytes(bar->done, done, sizeof(done));
	if (bar->total == 0)
		return xasprintf("  %s", done);
	return xasprintf("  %s of %s", done, str_human_bytes(bar->total, total, sizeof(total)));
}

/* What may stand at the right, in the order of importance; each may be "". */
static void make_parts(const struct bar *bar, double seconds, char *parts[3])
{
	bool measured = bar->bytes && seconds >= MEASURED_S && bar->done > 0;
	double rate = measured ? (double)bar->done / seconds : 0;
	char text[32];
	parts[0] = bar->done || bar->total ? count_text(bar) : xstrdup("");
	parts[1] =
		measured ? xasprintf("  %s/s", str_human_bytes((uint64_t)rate, text, sizeof(text)))
			 : xstrdup("");
	parts[2] = measured && bar->done < bar->total
			   ? xasprintf("  %s left",
				       view_duration((double)(bar->total - bar->done) / rate + 0.5,
						     text))
			   : xstrdup("");
}

static void add_bar(struct buf *line, const struct bar *bar, size_t room)
{
	size_t width = room < BAR_MAX ? room : BAR_MAX;
	double part = share(bar->done, bar->total);
	size_t filled = (size_t)(part * (double)width);
	buf_addc(line, '[');
	for (size_t i = 0; i < width; i++)
		buf_addc(line, i < filled ? '#' : '.');
	/* 100 % is what has been done, not what has been rounded */
	buf_addf(line, "] %3u %%", (unsigned)(part * 100));
}

char *bar_line(const struct bar *bar, uint64_t now_us, unsigned columns)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);
	char *parts[3];
	size_t used = strlen("[] 100 %") + BAR_MIN;
	make_parts(bar, (double)(now_us - bar->started_us) / 1e6, parts);
	buf_addf(&line, "  %-*s ", WHAT_WIDTH, bar->what);
	used = bar->total ? used + line.len : line.len;
	size_t n = 0;
	while (n < ARRAY_LEN(parts) && used + strlen(parts[n]) <= columns)
		used += strlen(parts[n++]);
	if (bar->total)
		add_bar(&line, bar, BAR_MIN + (used < columns ? columns - used : 0));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (i < n)
			buf_adds(&line, parts[i]);
		free(parts[i]);
	}
	char *text = buf_take(&line);
	text[lines_cut(text, columns)] = '\0';
	return text;
}
