// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

uint64_t clock_mono_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
	return (int64_t)time(NULL);
}

double clock_wall(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)(ts.tv_nsec / 1000) / 1e6;
}

typedef struct tm *to_tm_fn(const time_t *t, struct tm *ret);

/* What no calendar holds, and years that a format of four digits does not hold, are shown as the
 * epoch. */
static struct tm calendar(int64_t unix_s, to_tm_fn *to_tm)
{
	time_t t = (time_t)unix_s, zero = 0;
	struct tm tm;
	if (!to_tm(&t, &tm) || tm.tm_year < -900 || tm.tm_year > 9999 - 1900)
		to_tm(&zero, &tm);
	return tm;
}

const char *clock_format_iso(int64_t unix_s, char out[CLOCK_ISO_LEN])
{
	struct tm tm = calendar(unix_s, gmtime_r);
	strftime(out, CLOCK_ISO_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

const char *clock_format_amz(int64_t unix_s, char out[CLOCK_ISO_LEN])
{
	struct tm tm = calendar(unix_s, gmtime_r);
	strftime(out, CLOCK_ISO_LEN, "%Y%m%dT%H%M%SZ", &tm);
	return out;
}

const char *clock_format_local(int64_t unix_s, char out[CLOCK_ISO_LEN])
{
	struct tm tm = calendar(unix_s, localtime_r);
	strftime(out, CLOCK_ISO_LEN, "%Y-%m-%d %H:%M:%S", &tm);
	return out;
}

/* n digits at *s as a number; moves *s behind them. Anything else gives a number that no date has.
 */
static int digits(const char **s, int n)
{
	int value = 0;
	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -10000;
		value = value * 10 + (**s - '0');
	}
	return value;
}

int clock_parse_amz(const char *s, int64_t *ret_unix_s)
{
	static const char shape[] = "20260102T030405Z";
	if (strlen(s) != strlen(shape) || s[8] != 'T' || s[15] != 'Z')
		return -EINVAL;
	const char *p = s;
	struct tm tm = {0};
	tm.tm_year = digits(&p, 4) - 1900;
	tm.tm_mon = digits(&p, 2) - 1;
	tm.tm_mday = digits(&p, 2);
	p++;
	tm.tm_hour = digits(&p, 2);
	tm.tm_min = digits(&p, 2);
	tm.tm_sec = digits(&p, 2);
	int64_t unix_s = (int64_t)timegm(&tm);
	/* timegm() takes the 31st of February for the 3rd of March: only what comes back is a date
	 */
	char back[CLOCK_ISO_LEN];
	if (strcmp(clock_format_amz(unix_s, back), s) != 0)
		return -EINVAL;
	*ret_unix_s = unix_s;
	return 0;
}
