// SPDX-License-Identifier: Apache-2.0
/* A request as a stranger sends it. Lines: the Authorization header, the path, the query, then one
 * header each ("name:value"). What we signed ourselves must verify. */
#include "tests/fuzz/fuzz.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/sigv4.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define DATE "20260102T030405Z"

static const struct sigv4_key key = {
	.access_key_id = "A", .secret = "S", .region = "r", .service = "s"};

static void sign_and_verify(struct sigv4_request request)
{
	const struct sigv4_header headers[] = {{"host", "h"}, {"x-amz-date", DATE}};
	struct sigv4_auth auth;
	auto_free char *authorization = NULL;
	request.headers = headers;
	request.n_headers = ARRAY_LEN(headers);
	if (sigv4_sign(&request, &key, DATE, &authorization, NULL) < 0)
		return;
	if (sigv4_parse(authorization, &auth, NULL) < 0 ||
	    sigv4_verify(&request, &auth, "S", NULL) < 0 ||
	    sigv4_verify(&request, &auth, "T", NULL) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = xcalloc(size + 1, 1);
	if (size)
		memcpy(text, data, size);
	char **lines = str_split(text, '\n');
	size_t count = 0;
	while (lines[count])
		count++;
	struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
	struct sigv4_request request = {.method = "GET",
					.path = count > 1 ? lines[1] : "/",
					.query = count > 2 ? lines[2] : NULL,
					.headers = headers,
					.payload_hash = SIGV4_UNSIGNED_PAYLOAD,
					.s3 = size % 2};
	for (size_t i = 3; i < count && request.n_headers < ARRAY_LEN(headers); i++) {
		char *colon = strchr(lines[i], ':');
		if (!colon)
			continue;
		*colon = '\0';
		headers[request.n_headers++] = (struct sigv4_header){lines[i], colon + 1};
	}
	struct sigv4_auth auth;
	char date[SIGV4_DATE_LEN];
	if (sigv4_parse(lines[0] ? lines[0] : "", &auth, NULL) == 0 &&
	    sigv4_verify(&request, &auth, "secret", NULL) == 0)
		abort(); /* nobody guesses a signature */
	if (request.query && sigv4_parse_query(request.query, &auth, NULL) == 0 &&
	    (sigv4_verify(&request, &auth, "secret", NULL) == 0 || strlen(auth.url_date) != 16 ||
	     auth.expires_s < 1 || auth.expires_s > SIGV4_EXPIRES_MAX_S))
		abort();
	if (sigv4_date(&request, date, NULL) == 0 && strlen(date) != 16)
		abort();
	sign_and_verify(request);
	str_list_free(lines);
	return 0;
}
