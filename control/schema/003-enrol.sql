-- SPDX-License-Identifier: Apache-2.0
-- A host that never got the answer to its enrolment may ask again: SHA-256 of its token and key; empty once it has renewed.
ALTER TABLE hosts ADD COLUMN enrolled_by TEXT NOT NULL DEFAULT '';
