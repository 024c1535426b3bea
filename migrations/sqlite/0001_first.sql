-- Times are milliseconds since 1970, serials and ids are bytes, lists and maps are JSON text.
-- 'dwdb': what `file` and a mistaken `--database` show.
PRAGMA application_id = 1685546082;

CREATE TABLE token (
    id            BLOB PRIMARY KEY NOT NULL,
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    kind          TEXT NOT NULL CHECK (kind IN ('host', 'client')),
    names         TEXT NOT NULL,
    addresses     TEXT NOT NULL,
    sources       TEXT NOT NULL,
    uses_max      INTEGER NOT NULL,
    uses_left     INTEGER NOT NULL CHECK (uses_left >= 0),
    expires_at    INTEGER NOT NULL,
    labels        TEXT NOT NULL,
    role          TEXT,
    permission    TEXT,
    approval      TEXT NOT NULL CHECK (approval IN ('auto', 'manual')),
    replaces      INTEGER NOT NULL CHECK (replaces IN (0, 1)),
    created_at    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    reason        TEXT NOT NULL,
    deleted_at    INTEGER
) STRICT;
CREATE INDEX token_newest ON token (created_at, id) WHERE deleted_at IS NULL;

-- `number` is the order of joining. Other tables refer to it and not to the random `id`: a tree keyed by
-- random bytes dirties a page of its own per enrolment, and dirty pages are what a commit costs.
CREATE TABLE identity (
    number     INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind       TEXT NOT NULL CHECK (kind IN ('host', 'client')),
    name       TEXT NOT NULL,
    names      TEXT NOT NULL,
    addresses  TEXT NOT NULL,
    labels     TEXT NOT NULL,
    role       TEXT,
    permission TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- A rowid table: `id` is the order of issue, `holder` is the number of `identity`, and 700 bytes of DER in a WITHOUT ROWID tree cost three
-- times as much. `renewed_from` and `superseded_by` are history, not references: what they name may be
-- pruned.
CREATE TABLE certificate (
    id                INTEGER PRIMARY KEY,
    serial            BLOB NOT NULL UNIQUE CHECK (length(serial) BETWEEN 1 AND 20),
    issuer            TEXT NOT NULL CHECK (issuer IN ('hosts', 'clients')),
    identity          BLOB NOT NULL,
    holder            INTEGER NOT NULL REFERENCES identity (number),
    name              TEXT NOT NULL,
    kind              TEXT NOT NULL CHECK (kind IN ('host', 'client')),
    sans              TEXT NOT NULL,
    not_before        INTEGER NOT NULL,
    not_after         INTEGER NOT NULL,
    issued_at         INTEGER NOT NULL,
    renew_after       INTEGER NOT NULL,
    spki_sha256       BLOB NOT NULL CHECK (length(spki_sha256) = 32),
    token             BLOB,
    renewed_from      BLOB,
    superseded_by     BLOB,
    revoked_at        INTEGER,
    revocation_reason INTEGER,
    der               BLOB NOT NULL
) STRICT;
-- One certificate per token and key: what makes a repeated enrolment find the first answer.
CREATE UNIQUE INDEX certificate_token_key ON certificate (token, spki_sha256) WHERE token IS NOT NULL;
CREATE INDEX certificate_holder_key ON certificate (holder, spki_sha256);
CREATE INDEX certificate_current ON certificate (holder) WHERE superseded_by IS NULL;
CREATE INDEX certificate_expiry ON certificate (not_after);
CREATE INDEX certificate_kind_expiry ON certificate (kind, not_after);
CREATE INDEX certificate_revoked ON certificate (not_after) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_issuer_revoked ON certificate (issuer, not_after) WHERE revoked_at IS NOT NULL;

-- Every name a certificate is found by: its subject's and each alternative name, once.
CREATE TABLE certificate_name (
    name        TEXT NOT NULL,
    certificate INTEGER NOT NULL REFERENCES certificate (id) ON DELETE CASCADE,
    PRIMARY KEY (name, certificate)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    id          BLOB PRIMARY KEY NOT NULL,
    token       BLOB NOT NULL,
    spki_sha256 BLOB NOT NULL CHECK (length(spki_sha256) = 32),
    kind        TEXT NOT NULL CHECK (kind IN ('host', 'client')),
    name        TEXT NOT NULL,
    sans        TEXT NOT NULL,
    source      TEXT,
    created_at  INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied')),
    decided_by  TEXT,
    decided_at  INTEGER,
    UNIQUE (token, spki_sha256)
) STRICT;
CREATE INDEX request_oldest ON request (created_at, id);
CREATE INDEX request_waiting ON request (created_at, id) WHERE state = 'pending';
CREATE INDEX request_waiting_token ON request (token) WHERE state = 'pending';

CREATE TABLE host_status (
    host        INTEGER PRIMARY KEY REFERENCES identity (number) ON DELETE CASCADE,
    reported_at INTEGER NOT NULL,
    source      TEXT,
    report      TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    source  TEXT,
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_subject ON audit (subject);
CREATE INDEX audit_actor ON audit (actor);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are never deleted'); END;

-- Written to when readiness must be proved after a failed write.
CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO probe VALUES (1, 0);
