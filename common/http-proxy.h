/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "common/error.h"
#include "common/proxy.h"

/* Is what was chosen an address that libcurl takes? libcurl's own errors quote it with the
 * password; this one (ERR_INPUT) names the variable it is from. Directly is fine, too. */
int http_proxy_check(const struct proxy_choice *choice, struct error *err) MUST_CHECK;
