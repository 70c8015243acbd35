// SPDX-License-Identifier: Apache-2.0
/* Two lists under one lock: what waits for the thread, in order, and what it has done. The loop
 * hears of the second by an eventfd. */
#include "control/jobs.h"

#include "common/alloc.h"
#include "common/fs.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct jobs {
	int event_fd;
	sd_event_source *event;
	pthread_t thread;
	bool running;
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	struct job *waiting, *finished;
};

static void append(struct job **list, struct job *job)
{
	while (*list)
		list = &(*list)->next;
	job->next = NULL;
	*list = job;
}

static struct job *next_job(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	while (!jobs->stop && !jobs->waiting)
		pthread_cond_wait(&jobs->changed, &jobs->lock);
	struct job *job = jobs->stop ? NULL : jobs->waiting;
	if (job)
		jobs->waiting = job->next;
	pthread_mutex_unlock(&jobs->lock);
	return job;
}

static void *work(void *arg)
{
	struct jobs *jobs = arg;
	struct job *job;
	while ((job = next_job(jobs))) {
		job->result = job->run(job, &job->err);
		pthread_mutex_lock(&jobs->lock);
		append(&jobs->finished, job);
		pthread_mutex_unlock(&jobs->lock);
		eventfd_write(jobs->event_fd, 1);
	}
	return NULL;
}

static int on_finished(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct jobs *jobs = arg;
	eventfd_t count;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&jobs->lock);
	struct job *job = jobs->finished;
	jobs->finished = NULL;
	pthread_mutex_unlock(&jobs->lock);
	while (job) {
		struct job *next = job->next;
		struct error err = job->err;
		job->done(job, job->result, &err);
		job = next;
	}
	return 0;
}

int jobs_start(struct loop *loop, struct jobs **ret, struct error *err)
{
	struct jobs *jobs = xcalloc(1, sizeof(*jobs));
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->changed, NULL);
	jobs->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = jobs->event_fd < 0 ? errno
				   : -sd_event_add_io(loop->event, &jobs->event, jobs->event_fd,
						      EPOLLIN, on_finished, jobs);
	if (r <= 0)
		r = pthread_create(&jobs->thread, NULL, work, jobs);
	if (r > 0) {
		jobs_stop(jobs);
		errno = r;
		return error_errno(err, "start a helper thread");
	}
	jobs->running = true;
	*ret = jobs;
	return 0;
}

void jobs_add(struct jobs *jobs, struct job *job)
{
	pthread_mutex_lock(&jobs->lock);
	append(&jobs->waiting, job);
	pthread_cond_signal(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
}

static void cancel_all(struct job *job)
{
	struct error err = {.code = -ECANCELED, .text = "the endpoint stops"};
	while (job) {
		struct job *next = job->next;
		job->done(job, err.code, &err);
		job = next;
	}
}

void jobs_stop(struct jobs *jobs)
{
	if (!jobs)
		return;
	if (jobs->running) {
		pthread_mutex_lock(&jobs->lock);
		jobs->stop = true;
		pthread_cond_signal(&jobs->changed);
		pthread_mutex_unlock(&jobs->lock);
		pthread_join(jobs->thread, NULL);
	}
	cancel_all(jobs->waiting);
	cancel_all(jobs->finished);
	loop_source_unref_at(&jobs->event);
	pthread_cond_destroy(&jobs->changed);
	pthread_mutex_destroy(&jobs->lock);
	fs_close_quiet(jobs->event_fd);
	free(jobs);
}
