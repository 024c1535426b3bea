-- Browsers that a person signed in with a one-time link. Of link and cookie only SHA-256 is kept. A session is worth what its
-- certificate is worth, at every request.
CREATE TABLE session (
    id            BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    link_sha256   BLOB NOT NULL UNIQUE CHECK (length(link_sha256) = 32),
    cookie_sha256 BLOB UNIQUE CHECK (length(cookie_sha256) = 32),
    identity      BLOB NOT NULL CHECK (length(identity) = 16),
    name          TEXT NOT NULL,
    serial        BLOB NOT NULL CHECK (length(serial) BETWEEN 1 AND 20),
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    seen_at       INTEGER NOT NULL,
    source        TEXT,
    ended_at      INTEGER,
    CHECK ((started_at IS NULL) = (cookie_sha256 IS NULL))
) STRICT;
CREATE INDEX session_created ON session (created_at);
CREATE INDEX session_identity ON session (identity, created_at);
