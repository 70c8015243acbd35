/* SPDX-License-Identifier: Apache-2.0 */
/* The little XML that S3 speaks: documents of elements and text, no attributes that matter, no
 * document types. Pure text. */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define S3_XML_TEXT_MAX 8192 /* bytes of an element's text */
#define S3_XML_DEPTH_MAX 8

/* Called at the end of each element. path: the names from the root, "Delete/Object/Key", without
 * namespace prefixes; text: what stood in it, outside its children. Below 0 ends the walk. */
typedef int s3_xml_fn(const char *path, const char *text, void *arg, struct error *err);
/* Returns 0, ERR_FORMAT when it is not well-formed or uses what is not needed here (a document
 * type, entities of its own), or what fn returned below 0. */
int s3_xml_parse(const char *data, size_t len, s3_xml_fn *fn, void *arg,
		 struct error *err) MUST_CHECK;

/* "<?xml ...?>" and the root's start tag with S3's namespace. */
void s3_xml_begin(struct buf *out, const char *root);
void s3_xml_open(struct buf *out, const char *name);
void s3_xml_close(struct buf *out, const char *name);
/* <name>text</name>, escaped. NULL: nothing. */
void s3_xml_text(struct buf *out, const char *name, const char *text);
void s3_xml_number(struct buf *out, const char *name, uint64_t value);
void s3_xml_bool(struct buf *out, const char *name, bool value);
/* "2026-01-02T03:04:05.000Z" */
void s3_xml_time(struct buf *out, const char *name, int64_t when_s);
/* An ETag, with its quotes. */
void s3_xml_etag(struct buf *out, const char *etag);
