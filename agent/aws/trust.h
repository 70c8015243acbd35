/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificates are trusted where AWS and GitHub are asked: ca_file of agent.yml, else
 * AWS_SSL_CA_BUNDLE (a file), else AWS_SSL_CA_DIRECTORY (a file, or a directory: every *.pem,
 * *.crt, *.cer and 4a6481c9.0 in it), else the system's. */
#pragma once

#include "agent/settings.h"
#include "common/http.h"

/* Fill ca_file or ca_pem of options. *ret_text has to live as long as options are used; the caller
 * frees it. */
int aws_trust(const struct settings *settings, struct http_options *options, char **ret_text,
	      struct error *err) MUST_CHECK;
