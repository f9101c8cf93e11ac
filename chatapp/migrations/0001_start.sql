CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL UNIQUE,
    password   TEXT NOT NULL,
    admin      SMALLINT NOT NULL,
    rev        BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE invites (
    id         TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    uses_left  BIGINT NOT NULL
);

CREATE TABLE rooms (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    name         TEXT NOT NULL,
    name_key     TEXT NOT NULL UNIQUE,
    rev          BIGINT NOT NULL,
    last_seq     BIGINT NOT NULL,
    member_count BIGINT NOT NULL,
    reads_at     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL
);

CREATE TABLE members (
    room_id    TEXT NOT NULL REFERENCES rooms (id),
    user_id    TEXT NOT NULL REFERENCES users (id),
    role       TEXT NOT NULL,
    active     SMALLINT NOT NULL,
    rev        BIGINT NOT NULL,
    joined_at  BIGINT NOT NULL,
    read_seq   BIGINT NOT NULL,
    read_rev   BIGINT NOT NULL,
    read_dirty SMALLINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX members_by_user ON members (user_id, room_id);
CREATE INDEX members_to_tell ON members (room_id) WHERE read_dirty = 1;

CREATE TABLE messages (
    id         TEXT PRIMARY KEY,
    room_id    TEXT NOT NULL REFERENCES rooms (id),
    seq        BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id),
    client_id  TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    edited_at  BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    UNIQUE (room_id, client_id),
    UNIQUE (room_id, seq)
);
CREATE INDEX messages_by_rev ON messages (room_id, rev);

CREATE TABLE outbox (
    stream     TEXT NOT NULL,
    rev        BIGINT NOT NULL,
    part       BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    target     TEXT NOT NULL,
    event      TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (stream, rev, part)
);

INSERT INTO rooms (id, kind, name, name_key, rev, last_seq, member_count, reads_at, created_at)
VALUES ('general', 'open', 'general', 'name:general', 0, 0, 0, 0, 0);
