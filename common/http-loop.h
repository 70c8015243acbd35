/* SPDX-License-Identifier: Apache-2.0 */
/* The form of http that runs on the loop, seen from http.c. */
#pragma once

struct http_client;

/* Cancel what runs or waits for delivery; stop the sources. */
void http_loop_clear(struct http_client *client);
