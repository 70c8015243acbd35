/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: the process that looks at hostile bytes, and what it and the worker say
 * to each other on a SOCK_SEQPACKET socket: the order, questions with their answers (a number, -1:
 * nobody), the last word. It is a program of its own, slipway-unpack: what it needs libraries for,
 * the worker need not load, and it begins with none of the worker's memory. */
#pragma once

#include "agent/worker/bundle.h"
#include "common/attr.h"

#include <sys/types.h>

#define BUNDLE_CHILD "slipway-unpack"
#define BUNDLE_CHILD_NAME_MAX 64 /* of an account, of a release, of a compression */

enum bundle_packing { PACKED_PLAIN, PACKED_GZIP, PACKED_OTHER, PACKED_ZIP };

struct bundle_order {
	char release[BUNDLE_CHILD_NAME_MAX]; /* both programs must be of one */
	pid_t worker;                        /* the parent, while it lives */
	enum bundle_packing packing;
	char packing_name[BUNDLE_CHILD_NAME_MAX];
	bool complete; /* something else proves that nothing is missing at its end */
	struct bundle_limits limits;
};

enum bundle_message_kind { MESSAGE_DONE = 1, MESSAGE_ERROR, MESSAGE_USER, MESSAGE_GROUP };

struct bundle_message {
	enum bundle_message_kind kind;
	uint64_t entries, bytes, capabilities;
	char name[BUNDLE_CHILD_NAME_MAX];
	struct error err;
};

/* Take the order from control_fd, shut this process in, unpack what comes from data_fd below
 * dir_fd. A program that links this unpacks in a fork of itself (tests that watch its calls); all
 * others start slipway-unpack with these as descriptors 3, 4 and 5. */
NORETURN __attribute__((weak)) void bundle_child_main(int control_fd, int data_fd, int dir_fd);
