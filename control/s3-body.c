// SPDX-License-Identifier: Apache-2.0
#include "control/s3-body.h"

#include "common/alloc.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/str.h"
#include "control/auth.h"
#include "control/control.h"
#include "control/s3.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#define SIGNED_CHUNKS "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define SIGNED_TRAILER "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

static int refuse(struct s3_fault *fault, int status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static int refuse(struct s3_fault *fault, int status, const char *code, const char *fmt, ...)
{
	fault->status = status;
	fault->code = code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int refuse_error(struct s3_fault *fault, const struct error *err)
{
	if (err->code == ERR_LIMIT)
		return refuse(fault, 400, "EntityTooLarge", "%s", err->text);
	if (err->code == ERR_FORMAT)
		return refuse(fault, 400, "InvalidRequest", "%s", err->text);
	if (err->code == ERR_SIGNATURE)
		return refuse(fault, 403, "SignatureDoesNotMatch", "%s", err->text);
	log_error("upload: %s", err->text);
	return refuse(fault, 500, "InternalError", "%s", err->text);
}

/* ---- what the headers claim ---- */

/* One checksum at most, announced as a header with its value or as a trailer. */
static int take_checksum(struct s3_body *body, struct request *request, struct s3_fault *fault)
{
	const char *trailer = request_header(request, "x-amz-trailer");
	const char *name = trailer;
	for (size_t i = 0; s3_checksum_known(i); i++) {
		const char *value = request_header(request, s3_checksum_known(i));
		if (!value)
			continue;
		if (name)
			return refuse(fault, 400, "InvalidRequest",
				      "Expecting a single x-amz-checksum- header");
		name = s3_checksum_known(i);
		body->claimed = xstrdup(value);
	}
	if (!name)
		return 0;
	struct error err = {0};
	if (s3_checksum_new(name, &body->sum, &err) < 0)
		return refuse(fault, 400, "InvalidRequest", "%s", err.text);
	body->checksum_header = s3_checksum_header(body->sum);
	return 0;
}

static int take_chunked(struct s3_body *body, struct request *request, const char *hash,
			struct s3_fault *fault)
{
	struct error err = {0};
	const char *length = request_header(request, "x-amz-decoded-content-length");
	body->chunked = true;
	if (!length || str_to_u64(length, &body->expected) < 0)
		return refuse(fault, 411, "MissingContentLength",
			      "x-amz-decoded-content-length is missing");
	if (strcmp(hash, UNSIGNED_TRAILER) == 0)
		return 0;
	body->chunk.signed_trailer = strcmp(hash, SIGNED_TRAILER) == 0;
	if (!body->chunk.signed_trailer && strcmp(hash, SIGNED_CHUNKS) != 0)
		return refuse(fault, 501, "NotImplemented",
			      "'%.64s' is not offered: use " SIGNED_CHUNKS ", " SIGNED_TRAILER
			      " or " UNSIGNED_TRAILER,
			      hash);
	if (auth_chunks(request, &body->chain, &err) < 0)
		return refuse(fault, 400, "InvalidRequest", "%s", err.text);
	body->chunk.chain = &body->chain;
	return 0;
}

static int take_hash(struct s3_body *body, struct request *request, struct s3_fault *fault)
{
	const char *hash = request_header(request, "x-amz-content-sha256");
	body->md5 = xstrdup_null(request_header(request, "Content-MD5"));
	if (!hash || strcmp(hash, SIGV4_UNSIGNED_PAYLOAD) == 0)
		return 0;
	if (str_starts(hash, "STREAMING-"))
		return take_chunked(body, request, hash, fault);
	if (strlen(hash) != 64)
		return refuse(fault, 400, "InvalidArgument",
			      "x-amz-content-sha256 is neither a SHA-256 nor UNSIGNED-PAYLOAD");
	strcpy(body->sha256, hash);
	return 0;
}

static int check_size(const struct s3_body *body, struct request *request, struct s3_fault *fault)
{
	uint64_t announced = body->expected, max = request->control->settings.bundle_max_bytes;
	const char *length = request_header(request, "Content-Length");
	if (!body->chunked && length && str_to_u64(length, &announced) < 0)
		announced = 0;
	if (announced > max)
		return refuse(fault, 400, "EntityTooLarge",
			      "an object may have %ju bytes (bundle_max_size)", (uintmax_t)max);
	return 0;
}

int s3_body_begin(struct s3_body *body, struct request *request, struct s3_fault *fault)
{
	struct error err = {0};
	int r = take_hash(body, request, fault);
	if (r == 0)
		r = take_checksum(body, request, fault);
	if (r == 0)
		r = check_size(body, request, fault);
	if (r < 0)
		return r;
	if (bundle_upload_new(request->control->bundles,
			      request->control->settings.bundle_max_bytes, &body->upload, &err) < 0)
		return refuse_error(fault, &err);
	return 0;
}

/* ---- the bytes ---- */

static int write_piece(const char *data, size_t len, void *arg, struct error *err)
{
	struct s3_body *body = arg;
	if (body->sum)
		s3_checksum_update(body->sum, data, len);
	return body->upload ? bundle_upload_write(body->upload, data, len, err) : 0;
}

int s3_body_take(struct s3_body *body, const char *data, size_t len, struct s3_fault *fault)
{
	struct error err = {0};
	int r = body->chunked ? awschunk_feed(&body->chunk, data, len, write_piece, body, &err)
			      : write_piece(data, len, body, &err);
	return r < 0 ? refuse_error(fault, &err) : 0;
}

/* ---- the end ---- */

static int check_md5(const struct s3_body *body, struct s3_fault *fault)
{
	if (!body->md5)
		return 0;
	auto_free char *have = s3_base64_of_hex(body->digest.md5);
	if (strcmp(have, body->md5) == 0)
		return 0;
	if (strlen(body->md5) != strlen(have))
		return refuse(fault, 400, "InvalidDigest",
			      "Content-MD5 is no MD5 in base64: '%.64s'", body->md5);
	return refuse(fault, 400, "BadDigest", "the body is not what its Content-MD5 says");
}

static int check_checksum(struct s3_body *body, struct s3_fault *fault)
{
	const char *wanted = body->claimed;
	if (!body->sum) {
		if (!body->chunk.trailer_name[0])
			return 0;
		return refuse(fault, 400, "InvalidRequest",
			      "trailer '%s' was not announced by x-amz-trailer",
			      body->chunk.trailer_name);
	}
	if (!wanted && strcmp(body->chunk.trailer_name, body->checksum_header) == 0)
		wanted = body->chunk.trailer_value;
	if (!wanted)
		return refuse(fault, 400, "MalformedTrailerError", "the trailer %s did not come",
			      body->checksum_header);
	auto_free char *have = s3_checksum_base64(body->sum);
	if (strcmp(have, wanted) != 0)
		return refuse(fault, 400, "BadDigest",
			      "The %s you specified did not match the calculated checksum.",
			      body->checksum_header);
	snprintf(body->checksum, sizeof(body->checksum), "%s", have);
	return 0;
}

static int check_chunks(const struct s3_body *body, struct s3_fault *fault)
{
	struct error err = {0};
	if (!body->chunked)
		return 0;
	int r = awschunk_end(&body->chunk, &err);
	if (r == ERR_SIGNATURE)
		return refuse_error(fault, &err);
	if (r < 0)
		return refuse(fault, 400, "IncompleteBody", "%s", err.text);
	if (body->chunk.total != body->expected)
		return refuse(fault, 400, "IncompleteBody",
			      "the body has another length than x-amz-decoded-content-length");
	return 0;
}

static int check_claims(struct s3_body *body, struct s3_fault *fault)
{
	if (body->sha256[0] && strcasecmp(body->sha256, body->digest.sha256) != 0)
		return refuse(fault, 400, "XAmzContentSHA256Mismatch",
			      "the body is not what x-amz-content-sha256 says");
	int r = check_md5(body, fault);
	return r < 0 ? r : check_checksum(body, fault);
}

int s3_body_end(struct s3_body *body, struct s3_fault *fault)
{
	struct error err = {0};
	int r = check_chunks(body, fault);
	if (r < 0)
		return r;
	if (bundle_upload_end(body->upload, &body->digest, &err) < 0)
		return refuse_error(fault, &err);
	return check_claims(body, fault);
}

void s3_body_clear(struct s3_body *body)
{
	bundle_upload_cancel(body->upload);
	awschunk_clear(&body->chunk);
	sigv4_chunks_clear(&body->chain);
	s3_checksum_free(body->sum);
	free(body->md5);
	free(body->claimed);
	*body = (struct s3_body){0};
}

static int hash_whole(struct s3_body *body, const struct buf *whole, struct s3_fault *fault)
{
	struct error err = {0};
	auto_digest struct digest *md5 = NULL;
	char hex[DIGEST_SHA256_HEX];
	if (digest_new_md5(&md5, &err) < 0)
		return refuse_error(fault, &err);
	digest_sha256_hex(whole->data, whole->len, body->digest.sha256);
	digest_update(md5, whole->data, whole->len);
	digest_hex(md5, hex);
	memcpy(body->digest.md5, hex, sizeof(body->digest.md5) - 1);
	if (body->sum)
		s3_checksum_update(body->sum, whole->data, whole->len);
	return 0;
}

int s3_body_check(struct request *request, bool of_object, struct s3_fault *fault)
{
	struct s3_body body = {0};
	int r = take_hash(&body, request, fault);
	if (r == 0 && body.chunked)
		r = refuse(fault, 501, "NotImplemented", "this operation takes no chunked body");
	if (r == 0 && !of_object)
		r = take_checksum(&body, request, fault);
	if (r == 0)
		r = hash_whole(&body, &request->body, fault);
	if (r == 0)
		r = check_claims(&body, fault);
	s3_body_clear(&body);
	return r;
}
