/* SPDX-License-Identifier: Apache-2.0 */
/* Start a worker and talk with it: the one way in which the daemon and the CLI have anything done.
 * Format of the dialogue: docs/formats/worker.md (one JSON object per packet on a SOCK_SEQPACKET
 * socket, descriptors beside it). Under systemd the worker is socket-activated at RUN/worker.sock;
 * with --root, or by root where nobody listens there, it is fork+exec'd with the socket as
 * descriptor 3; nothing else differs. */
#pragma once

#include "agent/paths.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* The path of a program of ours that is called by others of ours only: the one beside the running
 * program in a build tree, else that of LIBEXECDIR; or that of the directory $SLIPWAY_LIBEXEC, which
 * is for programs that run by way of another (qemu, strace). It may be missing. Caller frees. */
char *launch_program(const char *name);

#define LAUNCH_PACKET_MAX (160 * 1024)

struct launch {
	int fd;    /* the socket; owned */
	pid_t pid; /* of the fork+exec'd worker, 0 when socket-activated */
};

/* The worker program is LIBEXECDIR/slipway-worker, or the one beside the running program in a build
 * tree, or $SLIPWAY_WORKER. It leads its own session, so that no signal to the caller's terminal or
 * service reaches it. */
int launch_start(const struct paths *paths, struct launch *ret, struct error *err) MUST_CHECK;
/* By fork and exec whatever listens: for root, where systemd takes no more connections. */
int launch_start_own(const struct paths *paths, struct launch *ret, struct error *err) MUST_CHECK;
/* Close the socket; does not kill the worker. Reaps it when it has ended already. */
void launch_clear(struct launch *launch);

/* Send one message, with fd beside it when fd >= 0 (it stays the caller's). */
int launch_send(int sock, const json_t *message, int fd, struct error *err) MUST_CHECK;
/* Receive one message. Returns 1, 0 when the peer closed, -EAGAIN on a non-blocking socket without
 * one, or below 0. *ret_fd (may be NULL) is -1 or a descriptor that came along, close-on-exec. */
int launch_receive(int sock, json_t **ret, int *ret_fd, struct error *err) MUST_CHECK;
