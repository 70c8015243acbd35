/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that call OpenSSL. */
#pragma once

#include "common/error.h"

/* ERR_CRYPTO with "what: reason" from OpenSSL's error queue, which is emptied. */
int pki_error(struct error *err, const char *what);
