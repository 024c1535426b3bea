-- The feed: every change that hosts must know of, numbered in the transaction that makes it. The columns after
-- `kind` are those of a revocation. `identity` is that of `identity.id`, NULL for a certificate this server has no
-- record of. What `certificate.revocation_reason` was meant for stands here.
CREATE TABLE feed (
    number    INTEGER PRIMARY KEY,
    previous  INTEGER NOT NULL CHECK (previous < number),
    at        INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    serial    BLOB CHECK (length(serial) BETWEEN 1 AND 20),
    issuer    TEXT CHECK (issuer IN ('hosts', 'clients')),
    name      TEXT,
    not_after INTEGER,
    reason    INTEGER,
    identity  BLOB,
    revoker   TEXT,
    CHECK (kind <> 'revoked' OR (serial IS NOT NULL AND issuer IS NOT NULL AND name IS NOT NULL
        AND not_after IS NOT NULL AND reason IS NOT NULL AND revoker IS NOT NULL))
) STRICT;
-- A certificate is revoked once.
CREATE UNIQUE INDEX feed_serial ON feed (serial) WHERE serial IS NOT NULL;
CREATE INDEX feed_issuer ON feed (issuer, number) WHERE issuer IS NOT NULL;
CREATE INDEX feed_restored ON feed (number) WHERE kind = 'restored';

INSERT INTO feed
SELECT row_number() OVER (ORDER BY revoked_at, id), row_number() OVER (ORDER BY revoked_at, id) - 1,
       revoked_at, 'revoked', serial, issuer, name, not_after, COALESCE(revocation_reason, 0), identity, 'system'
FROM certificate WHERE revoked_at IS NOT NULL;

CREATE TRIGGER feed_is_not_changed BEFORE UPDATE ON feed
BEGIN SELECT RAISE(ABORT, 'what the feed has said is never changed'); END;
CREATE TRIGGER feed_is_not_deleted BEFORE DELETE ON feed
BEGIN SELECT RAISE(ABORT, 'what the feed has said is never deleted'); END;
CREATE TRIGGER a_revoked_certificate_stays_revoked BEFORE UPDATE OF revoked_at ON certificate
WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at
BEGIN SELECT RAISE(ABORT, 'a revoked certificate stays revoked'); END;

-- Which feed this is, and the key of its seals. Made when it is first needed.
CREATE TABLE feed_origin (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    feed BLOB NOT NULL CHECK (length(feed) = 16),
    key  BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;

-- How far each host has come.
CREATE TABLE feed_applied (
    host         INTEGER PRIMARY KEY REFERENCES identity (number) ON DELETE CASCADE,
    number       INTEGER NOT NULL,
    cut          INTEGER NOT NULL,
    denies_after INTEGER,
    at           INTEGER NOT NULL
) STRICT;

-- Numbers of the feed at which the server went on from a backup, and since when that is settled: every host has
-- said what it knows, or a person has decided to wait no longer.
CREATE TABLE feed_settled (
    number  INTEGER PRIMARY KEY REFERENCES feed (number),
    at      INTEGER NOT NULL,
    settler TEXT NOT NULL
) STRICT;

-- The last number given to a list of revoked certificates of each issuer, and the number of the feed it goes up to.
CREATE TABLE crl (
    issuer TEXT PRIMARY KEY NOT NULL,
    number INTEGER NOT NULL,
    feed   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO crl VALUES ('hosts', 0, 0), ('clients', 0, 0);
