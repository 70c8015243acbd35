// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/attacker.h"

#include "common/clock.h"
#include "tests/crash/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 20

enum { ORDER_SWAP, ORDER_REVERT, ORDER_RUN, ORDER_QUIT };

/* Wait until *word is no longer was; false after PATIENCE_S. */
static bool wait_word(uint32_t *word, uint32_t was)
{
	uint64_t end = clock_mono_us() + PATIENCE_S * UINT64_C(1000000);
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == was) {
		struct timespec step = {.tv_sec = 1};
		syscall(SYS_futex, word, FUTEX_WAIT, was, &step, NULL, 0);
		if (clock_mono_us() > end)
			return false;
	}
	return true;
}

static void raise_word(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool same_object(const char *a, const struct stat *b)
{
	struct stat st;
	return lstat(a, &st) == 0 && st.st_ino == b->st_ino && st.st_dev == b->st_dev;
}

/* The name of a staging directory, once there is one. */
static bool find_target(struct swap *s, char out[PATH_MAX])
{
	if (!s->prefix[0]) {
		memcpy(out, s->target, PATH_MAX);
		return true;
	}
	DIR *dir = opendir(s->target);
	const struct dirent *d;
	bool found = false;
	while (dir && !found && (d = readdir(dir)))
		if (strncmp(d->d_name, s->prefix, strlen(s->prefix)) == 0)
			found = snprintf(out, PATH_MAX, "%s/%s", s->target, d->d_name) < PATH_MAX;
	if (dir)
		closedir(dir);
	return found;
}

/* What it has done, to be able to take it back. */
struct deed {
	char target[PATH_MAX];
	struct stat spare;
};

static void swap(struct attacker *a, struct deed *deed)
{
	struct swap *s = &a->swap;
	if (a->swapped || !find_target(s, deed->target) || lstat(s->spare, &deed->spare) < 0)
		return;
	int r = 0;
	if (s->how == SWAP_EXCHANGE) {
		r = renameat2(AT_FDCWD, deed->target, AT_FDCWD, s->spare, RENAME_EXCHANGE);
	} else {
		bool gap = s->how == SWAP_GAP;
		if (gap)
			r = renameat2(AT_FDCWD, deed->target, AT_FDCWD, s->saved, RENAME_NOREPLACE);
		bool away = gap && r == 0;
		if (r == 0)
			r = renameat2(AT_FDCWD, s->spare, AT_FDCWD, deed->target, RENAME_NOREPLACE);
		a->misfits += away && r != 0; /* somebody was faster; it may be wanted no more */
		a->swaps += away && r != 0;
		if (away && r != 0)
			renameat2(AT_FDCWD, s->saved, AT_FDCWD, deed->target, RENAME_NOREPLACE);
	}
	a->swapped = r == 0;
	a->swaps += r == 0;
}

static void revert(struct attacker *a, const struct deed *deed)
{
	const struct swap *s = &a->swap;
	if (!a->swapped)
		return;
	a->swapped = false;
	int r = same_object(deed->target, &deed->spare) ? 0 : -1;
	if (r == 0 && s->how == SWAP_EXCHANGE) {
		r = renameat2(AT_FDCWD, deed->target, AT_FDCWD, s->spare, RENAME_EXCHANGE);
	} else if (r == 0) {
		r = renameat2(AT_FDCWD, deed->target, AT_FDCWD, s->spare, RENAME_NOREPLACE);
		if (r == 0 && s->how == SWAP_GAP)
			r = renameat2(AT_FDCWD, s->saved, AT_FDCWD, deed->target, RENAME_NOREPLACE);
	}
	a->misfits += r != 0;
}

static void obey(struct attacker *a)
{
	struct deed deed;
	for (uint32_t order = 0;; order++) {
		/* It lives as long as its parent, which may leave it alone for long. */
		while (!wait_word(&a->order, order))
			continue;
		if (a->kind == ORDER_QUIT)
			_exit(0);
		if (a->kind == ORDER_SWAP)
			swap(a, &deed);
		if (a->kind == ORDER_REVERT)
			revert(a, &deed);
		if (a->kind != ORDER_RUN) {
			raise_word(&a->done);
			continue;
		}
		raise_word(&a->done);
		while (__atomic_load_n(&a->order, __ATOMIC_SEQ_CST) == order + 1) {
			swap(a, &deed);
			revert(a, &deed);
		}
	}
}

struct attacker *attacker_start(uid_t uid)
{
	struct attacker *a =
		mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a == MAP_FAILED)
		bail_out("mmap");
	memset(a, 0, sizeof(*a));
	fflush(stdout);
	a->pid = fork();
	if (a->pid < 0)
		bail_out("fork");
	if (a->pid > 0)
		return a;
	if (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
			 setresuid(uid, uid, uid) < 0))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* after the user changed: that clears it */
	obey(a);
	_exit(0);
}

static void give_order(struct attacker *a, uint32_t kind)
{
	uint32_t was = __atomic_load_n(&a->done, __ATOMIC_SEQ_CST);
	a->kind = kind;
	raise_word(&a->order);
	if (kind != ORDER_QUIT && !wait_word(&a->done, was))
		bail_out("the attacker does not answer");
}

void attacker_stop(struct attacker *a)
{
	give_order(a, ORDER_QUIT);
	waitpid(a->pid, NULL, 0);
	munmap(a, sizeof(*a));
}

void attacker_aim(struct attacker *a, const struct swap *s)
{
	a->swap = *s;
	a->swapped = false;
	a->swaps = a->misfits = 0;
}

void attacker_swap(struct attacker *a)
{
	give_order(a, ORDER_SWAP);
}

void attacker_revert(struct attacker *a)
{
	give_order(a, ORDER_REVERT);
}

void attacker_run(struct attacker *a)
{
	give_order(a, ORDER_RUN);
}
