// SPDX-License-Identifier: Apache-2.0
#include "common/loop.h"

#include "common/alloc.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct loop *loop = userdata;
	if (info->ssi_signo == SIGHUP) {
		if (loop->on_reload)
			loop->on_reload(loop->arg);
		return 0;
	}
	if (loop->on_stop)
		loop->on_stop(loop->arg);
	else
		loop_stop(loop, 0);
	return 0;
}

static int block_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigaction(SIGPIPE, &ignore, NULL) < 0)
		return -errno;
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

int loop_init(struct loop *loop, struct error *err)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	int r = block_signals();
	if (r == 0)
		r = sd_event_new(&loop->event);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(signals); i++)
		r = sd_event_add_signal(loop->event, NULL, signals[i], on_signal, loop);
	if (r >= 0)
		r = sd_event_set_watchdog(loop->event, true);
	if (r < 0) {
		loop_clear(loop);
		return error_set(err, r, "set up the event loop: %s", strerror(-r));
	}
	return 0;
}

void loop_clear(struct loop *loop)
{
	loop->event = sd_event_unref(loop->event);
}

int loop_run(struct loop *loop, struct error *err)
{
	int r = sd_event_loop(loop->event);
	if (r < 0)
		return error_set(err, r, "event loop: %s", strerror(-r));
	return r;
}

void loop_stop(struct loop *loop, int exit_code)
{
	if (!loop->stopping)
		sd_notify(0, "STOPPING=1");
	loop->stopping = true;
	sd_event_exit(loop->event, exit_code);
}

void loop_ready(void)
{
	sd_notify(0, "READY=1");
}

void loop_status(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	sd_notifyf(0, "STATUS=%s", text);
}

/* sd-event takes an accuracy of 0 for its default of 250 ms. */
static uint64_t accuracy_us(uint64_t ms)
{
	return ms ? ms * 1000 : 1;
}

static int arm_again(sd_event_source *timer, uint64_t ms, uint64_t accuracy_ms)
{
	int r = sd_event_source_set_time_accuracy(timer, accuracy_us(accuracy_ms));
	if (r >= 0)
		r = sd_event_source_set_time_relative(timer, ms * 1000);
	if (r >= 0)
		r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
	return r;
}

int loop_timer(struct loop *loop, sd_event_source **timer, uint64_t ms, uint64_t accuracy_ms,
	       sd_event_time_handler_t fn, void *arg, struct error *err)
{
	int r = *timer ? arm_again(*timer, ms, accuracy_ms)
		       : sd_event_add_time_relative(loop->event, timer, CLOCK_MONOTONIC, ms * 1000,
						    accuracy_us(accuracy_ms), fn, arg);
	if (r < 0)
		return error_set(err, r, "set a timer: %s", strerror(-r));
	return 0;
}

void loop_timer_off(sd_event_source *timer)
{
	if (timer)
		sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}
