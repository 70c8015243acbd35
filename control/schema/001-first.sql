-- SPDX-License-Identifier: Apache-2.0
-- The first schema. Written in the SQL that SQLite and PostgreSQL both accept; never edited once released.
-- Times are Unix seconds; 0 is "never". JSON documents are text in the shapes of the API.

CREATE TABLE meta (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
);

CREATE TABLE access_keys (
	id TEXT PRIMARY KEY,
	secret TEXT NOT NULL,
	name TEXT NOT NULL,
	created_s BIGINT NOT NULL
);

CREATE TABLE tokens (
	sha256 TEXT PRIMARY KEY,
	created_s BIGINT NOT NULL,
	expires_s BIGINT NOT NULL,
	uses_left BIGINT NOT NULL,
	name_glob TEXT NOT NULL,
	tags TEXT,
	tags_fixed BIGINT NOT NULL
);

-- One inventory. A name is registered while deregistered_s is 0.
CREATE TABLE hosts (
	name TEXT PRIMARY KEY,
	arn TEXT NOT NULL,
	registered_s BIGINT NOT NULL,
	deregistered_s BIGINT NOT NULL DEFAULT 0,
	revoked_s BIGINT NOT NULL DEFAULT 0,
	last_poll_s BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE host_tags (
	host TEXT NOT NULL REFERENCES hosts (name),
	key TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (host, key)
);

CREATE TABLE certificates (
	serial TEXT PRIMARY KEY,
	host TEXT NOT NULL REFERENCES hosts (name),
	not_after_s BIGINT NOT NULL,
	revoked_s BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX certificates_host ON certificates (host);

CREATE TABLE objects (
	bucket TEXT NOT NULL,
	key TEXT NOT NULL,
	version TEXT NOT NULL,
	seq BIGINT NOT NULL,
	sha256 TEXT NOT NULL,
	md5 TEXT NOT NULL,
	size BIGINT NOT NULL,
	created_s BIGINT NOT NULL,
	PRIMARY KEY (bucket, key, version)
);
CREATE UNIQUE INDEX objects_newest ON objects (bucket, key, seq);

-- Deleting an application or a group keeps its rows, so that what hosts still report finds its deployment.
CREATE TABLE applications (
	id TEXT PRIMARY KEY,
	name TEXT NOT NULL,
	tags TEXT NOT NULL,
	created_s DOUBLE PRECISION NOT NULL,
	deleted_s DOUBLE PRECISION NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX applications_name ON applications (name) WHERE deleted_s = 0;

CREATE TABLE revisions (
	application_id TEXT NOT NULL REFERENCES applications (id),
	location TEXT NOT NULL,
	description TEXT NOT NULL,
	registered_s DOUBLE PRECISION NOT NULL,
	first_used_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	last_used_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	PRIMARY KEY (application_id, location)
);

CREATE TABLE deployment_groups (
	id TEXT PRIMARY KEY,
	application_id TEXT NOT NULL REFERENCES applications (id),
	name TEXT NOT NULL,
	config_name TEXT NOT NULL,
	settings TEXT NOT NULL,
	revision TEXT,
	target_revision TEXT,
	last_successful TEXT,
	last_attempted TEXT,
	active TEXT,
	created_s DOUBLE PRECISION NOT NULL,
	deleted_s DOUBLE PRECISION NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX deployment_groups_name ON deployment_groups (application_id, name) WHERE deleted_s = 0;

CREATE TABLE deployments (
	id TEXT PRIMARY KEY,
	seq BIGINT NOT NULL UNIQUE,
	application_id TEXT NOT NULL REFERENCES applications (id),
	group_id TEXT NOT NULL REFERENCES deployment_groups (id),
	application TEXT NOT NULL,
	group_name TEXT NOT NULL,
	config_name TEXT NOT NULL,
	status TEXT NOT NULL,
	halt TEXT NOT NULL DEFAULT '',
	creator TEXT NOT NULL,
	revision TEXT NOT NULL,
	previous_revision TEXT,
	options TEXT NOT NULL,
	bucket TEXT,
	object_key TEXT,
	object_version TEXT,
	sha256 TEXT,
	size BIGINT NOT NULL DEFAULT -1,
	error_code TEXT,
	error_message TEXT,
	first_failure TEXT,
	rollback_message TEXT,
	total BIGINT NOT NULL DEFAULT 0,
	minimum BIGINT NOT NULL DEFAULT 0,
	pending BIGINT NOT NULL DEFAULT 0,
	running BIGINT NOT NULL DEFAULT 0,
	succeeded BIGINT NOT NULL DEFAULT 0,
	failed BIGINT NOT NULL DEFAULT 0,
	skipped BIGINT NOT NULL DEFAULT 0,
	created_s DOUBLE PRECISION NOT NULL,
	started_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	completed_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	deadline_s DOUBLE PRECISION NOT NULL DEFAULT 0
);
CREATE INDEX deployments_group ON deployments (group_id, seq);
CREATE INDEX deployments_object ON deployments (bucket, object_key);
CREATE INDEX deployments_deadline ON deployments (deadline_s) WHERE deadline_s > 0;

-- A host of a deployment. event is the one that it is at; deadline_s when somebody must look at it again.
CREATE TABLE targets (
	deployment_id TEXT NOT NULL REFERENCES deployments (id),
	host TEXT NOT NULL REFERENCES hosts (name),
	position BIGINT NOT NULL,
	status TEXT NOT NULL,
	event BIGINT NOT NULL DEFAULT -1,
	updated_s DOUBLE PRECISION NOT NULL,
	deadline_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	PRIMARY KEY (deployment_id, host)
);
CREATE INDEX targets_next ON targets (deployment_id, status, position);
CREATE INDEX targets_host ON targets (host) WHERE status = 'InProgress';
CREATE INDEX targets_deadline ON targets (deadline_s) WHERE deadline_s > 0;

-- A lifecycle event of a target; it has a row from the moment on which the host may fetch it.
CREATE TABLE events (
	deployment_id TEXT NOT NULL,
	host TEXT NOT NULL,
	event BIGINT NOT NULL,
	attempt BIGINT NOT NULL,
	status TEXT NOT NULL,
	ready_s DOUBLE PRECISION NOT NULL,
	offered_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	started_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	ended_s DOUBLE PRECISION NOT NULL DEFAULT 0,
	error_code BIGINT NOT NULL DEFAULT 0,
	script TEXT,
	message TEXT,
	log_tail TEXT,
	PRIMARY KEY (deployment_id, host, event),
	FOREIGN KEY (deployment_id, host) REFERENCES targets (deployment_id, host)
);

-- What a group knows of a host: the order of the next deployment follows from it.
CREATE TABLE health (
	group_id TEXT NOT NULL REFERENCES deployment_groups (id),
	host TEXT NOT NULL REFERENCES hosts (name),
	healthy BIGINT NOT NULL,
	revision TEXT,
	updated_s DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (group_id, host)
);
