ALTER TABLE rooms ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1;

ALTER TABLE users ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1;

ALTER TABLE users ADD COLUMN deactivated_at BIGINT NOT NULL DEFAULT 0;

DROP INDEX members_to_tell;

ALTER TABLE members DROP COLUMN read_dirty;

ALTER TABLE rooms DROP COLUMN reads_at;

CREATE INDEX members_by_rev ON members (room_id, rev);

CREATE INDEX members_by_read_rev ON members (room_id, read_rev);
