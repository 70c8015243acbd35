-- SPDX-License-Identifier: Apache-2.0
-- S3 for stock clients: buckets, delete markers, multipart uploads, files that nobody needs any more.

-- Of an object that came in parts it is not the MD5 of its content.
ALTER TABLE objects RENAME COLUMN md5 TO etag;
-- 1: from this version on the key is deleted; the row has no content.
ALTER TABLE objects ADD COLUMN marker BIGINT NOT NULL DEFAULT 0;
CREATE INDEX objects_content ON objects (sha256);

CREATE TABLE buckets (
	name TEXT PRIMARY KEY,
	created_s BIGINT NOT NULL
);
INSERT INTO buckets (name, created_s) SELECT bucket, min(created_s) FROM objects GROUP BY bucket;

-- version: of the object that the upload became; empty while parts are accepted.
CREATE TABLE uploads (
	id TEXT PRIMARY KEY,
	bucket TEXT NOT NULL,
	key TEXT NOT NULL,
	created_s BIGINT NOT NULL,
	version TEXT NOT NULL DEFAULT ''
);
CREATE INDEX uploads_key ON uploads (bucket, key, id);
CREATE INDEX uploads_age ON uploads (created_s);

CREATE TABLE parts (
	upload_id TEXT NOT NULL REFERENCES uploads (id),
	number BIGINT NOT NULL,
	file TEXT NOT NULL UNIQUE,
	md5 TEXT NOT NULL,
	size BIGINT NOT NULL,
	created_s BIGINT NOT NULL,
	PRIMARY KEY (upload_id, number)
);

-- Files of the bundle store to be looked at: the SHA-256 of a content, or the name of a part.
CREATE TABLE garbage (
	file TEXT PRIMARY KEY
);
