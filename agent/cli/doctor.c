// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/doctor.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <stdarg.h>

static void add(struct doctor *doctor, const struct doctor_finding *finding)
{
	doctor->findings =
		xrealloc_array(doctor->findings, doctor->n_findings + 1, sizeof(*doctor->findings));
	doctor->findings[doctor->n_findings++] = *finding;
}

void doctor_say(struct doctor *doctor, enum doctor_verdict verdict, const char *next,
		const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const struct doctor_finding finding = {
		.layer = doctor->layer,
		.verdict = verdict,
		.fact = xvasprintf(fmt, ap),
		.next = xstrdup_null(next),
	};
	va_end(ap);
	add(doctor, &finding);
}

void doctor_detail(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const struct doctor_finding finding = {
		.layer = doctor->layer, .detail = true, .fact = xvasprintf(fmt, ap)};
	va_end(ap);
	add(doctor, &finding);
}

enum doctor_verdict doctor_verdict_of(const struct doctor *doctor, enum doctor_layer layer)
{
	enum doctor_verdict worst = DOCTOR_OK;
	for (size_t i = 0; i < doctor->n_findings; i++)
		if (doctor->findings[i].layer == layer && doctor->findings[i].verdict > worst)
			worst = doctor->findings[i].verdict;
	return worst;
}

uint64_t doctor_until_us(const struct doctor *doctor, uint64_t ms)
{
	uint64_t until = clock_mono_us() + ms * 1000;
	return until < doctor->deadline_us ? until : doctor->deadline_us;
}

uint64_t doctor_left_ms(const struct doctor *doctor, uint64_t ms)
{
	uint64_t until = doctor_until_us(doctor, ms), now = clock_mono_us();
	return until > now + 1000 ? (until - now) / 1000 : 1;
}

const char *doctor_daemon_text(const struct doctor *doctor, const char *member)
{
	const char *text = json_string_value(json_object_get(doctor->daemon, member));
	return text ? text : "";
}

int64_t doctor_daemon_time(const struct doctor *doctor, const char *member)
{
	return (int64_t)json_number_value(json_object_get(doctor->daemon, member));
}
