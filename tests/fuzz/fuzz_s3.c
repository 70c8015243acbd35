// SPDX-License-Identifier: Apache-2.0
/* What S3's clients send: an XML document, and an aws-chunked body, cut into pieces of a size that
 * the input's length chooses. However it is cut, the outcome is the same. */
#include "tests/fuzz/fuzz.h"

#include "common/buf.h"
#include "common/str.h"
#include "control/awschunk.h"
#include "control/s3-xml.h"

#include <stdlib.h>
#include <string.h>

static int on_element(const char *path, const char *text, void *arg, struct error *err)
{
	if (!*path || !str_is_utf8(text, strlen(text)) || strlen(text) > S3_XML_TEXT_MAX)
		abort();
	return 0;
}

static int on_data(const char *data, size_t len, void *arg, struct error *err)
{
	return buf_add(arg, data, len);
}

static int feed(const char *data, size_t size, size_t piece, struct buf *out)
{
	struct awschunk c = {0};
	int r = 0;
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = awschunk_feed(&c, data + at, size - at < piece ? size - at : piece, on_data,
				  out, NULL);
	if (r == 0)
		r = awschunk_end(&c, NULL);
	if (r == 0 && c.total != out->len)
		abort();
	awschunk_clear(&c);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	auto_buf struct buf whole = BUF_INIT(1 << 20), pieces = BUF_INIT(1 << 20);
	int r = s3_xml_parse(text, size, on_element, NULL, NULL);
	if (r < 0 && r != ERR_FORMAT)
		abort();
	r = feed(text, size, size + 1, &whole);
	if (feed(text, size, size % 7 + 1, &pieces) != r)
		abort();
	if (r == 0 &&
	    (whole.len != pieces.len || memcmp(buf_str(&whole), buf_str(&pieces), whole.len) != 0))
		abort();
	return 0;
}
