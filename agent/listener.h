/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on a port of this host, as /proc tells. */
#pragma once

#include <stdbool.h>

/* In words: "nginx (812), of nginx.service"; "a process of user 'www-data'" where one may not look
 * into processes. NULL: nobody. proc_net: of the network that is asked about ("/proc/self/net").
 * *ret_ours: a script of ours has started it. Caller frees. */
char *listener_find(const char *proc_net, unsigned port, bool *ret_ours);

/* The name of that process; NULL: it is gone. Caller frees. */
char *listener_process(long pid);
