-- What is remembered of each job, as JSON: there are a dozen, and nothing is ever asked of their insides.
CREATE TABLE job (
    name  TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is removed when it is old is found by its end.
CREATE INDEX token_expiry ON token (expires_at);

-- Names go with their certificate by key: a reference to it would be looked up by walking the whole table.
CREATE TABLE certificate_name_next (
    name        TEXT NOT NULL,
    certificate INTEGER NOT NULL,
    PRIMARY KEY (name, certificate)
) STRICT, WITHOUT ROWID;
INSERT INTO certificate_name_next SELECT name, certificate FROM certificate_name ORDER BY name, certificate;
DROP TABLE certificate_name;
ALTER TABLE certificate_name_next RENAME TO certificate_name;

-- Where the chain of audit records begins after old ones were removed: the last of those that are gone. The next
-- record follows its hash, and a later record says that it was removed on purpose.
CREATE TABLE audit_checkpoint (
    seq  INTEGER PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    at   INTEGER NOT NULL
) STRICT;
CREATE TRIGGER audit_checkpoint_is_a_record BEFORE INSERT ON audit_checkpoint
WHEN NOT EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq AND hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'a checkpoint names an audit record that is there'); END;
CREATE TRIGGER audit_checkpoint_is_not_changed BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit checkpoints are never changed'); END;
CREATE TRIGGER audit_checkpoint_is_not_deleted BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit checkpoints are never deleted'); END;

DROP TRIGGER audit_is_not_deleted;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN OLD.seq > COALESCE((SELECT max(seq) FROM audit_checkpoint), 0)
BEGIN SELECT RAISE(ABORT, 'audit records are never deleted after the last checkpoint'); END;
