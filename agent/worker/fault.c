// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/fault.h"

#ifdef FAULT_POINTS
#include "common/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned reached, stop_at;
static void (*stop_action)(void);
static bool armed;

void fault_arm(unsigned at, void (*action)(void))
{
	armed = true;
	reached = 0;
	stop_at = at;
	stop_action = action;
}

unsigned fault_count(void)
{
	return reached;
}

static void arm_from_environment(void)
{
	uint64_t at = 0;
	const char *text = getenv("SLIPWAY_FAULT_AT");
	if (text && str_to_u64(text, &at) < 0)
		at = 0;
	fault_arm((unsigned)at, NULL);
}

static void note(const char *name)
{
	const char *file = getenv("SLIPWAY_FAULT_LOG");
	int fd = file ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	dprintf(fd, "%u %s\n", reached, name);
	close(fd);
}

void fault_point(const char *name)
{
	if (!armed)
		arm_from_environment();
	reached++;
	note(name);
	if (reached != stop_at)
		return;
	if (stop_action)
		stop_action();
	else
		kill(getpid(), SIGKILL);
}

bool fault_defect(const char *name)
{
	return str_eq(getenv("SLIPWAY_DEFECT"), name);
}
#endif
