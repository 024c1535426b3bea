-- What pages about one identity walk along, newest first: its certificates in the order of their issue.
CREATE INDEX certificate_holder ON certificate (holder);

-- Certificates in use, which nothing replaced or revoked, by the hour: of each kind ('host', 'client') how many end in it, and how
-- many are to be renewed from a time in it on ('due'). Kept by the statements that change them, in their transaction, so
-- that nobody counts a million rows to draw thirty bars. What they end by, and their kind, never change.
CREATE TABLE certificate_hour (
    what  TEXT NOT NULL CHECK (what IN ('host', 'client', 'due')),
    hour  INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (what, hour)
) STRICT, WITHOUT ROWID;
INSERT INTO certificate_hour
SELECT kind, not_after / 3600000, count(*) FROM certificate
WHERE superseded_by IS NULL AND revoked_at IS NULL GROUP BY kind, not_after / 3600000;
INSERT INTO certificate_hour
SELECT 'due', renew_after / 3600000, count(*) FROM certificate
WHERE superseded_by IS NULL AND revoked_at IS NULL GROUP BY renew_after / 3600000;

CREATE TRIGGER certificate_counts_when_issued AFTER INSERT ON certificate
WHEN NEW.superseded_by IS NULL AND NEW.revoked_at IS NULL
BEGIN
    INSERT INTO certificate_hour VALUES
        (NEW.kind, NEW.not_after / 3600000, 1), ('due', NEW.renew_after / 3600000, 1)
        ON CONFLICT (what, hour) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER certificate_counts_no_more AFTER UPDATE OF superseded_by, revoked_at ON certificate
WHEN OLD.superseded_by IS NULL AND OLD.revoked_at IS NULL
    AND (NEW.superseded_by IS NOT NULL OR NEW.revoked_at IS NOT NULL)
BEGIN
    UPDATE certificate_hour SET count = count - 1 WHERE what = OLD.kind AND hour = OLD.not_after / 3600000;
    UPDATE certificate_hour SET count = count - 1 WHERE what = 'due' AND hour = OLD.renew_after / 3600000;
END;
CREATE TRIGGER certificate_counts_again AFTER UPDATE OF superseded_by, revoked_at ON certificate
WHEN (OLD.superseded_by IS NOT NULL OR OLD.revoked_at IS NOT NULL)
    AND NEW.superseded_by IS NULL AND NEW.revoked_at IS NULL
BEGIN
    INSERT INTO certificate_hour VALUES
        (NEW.kind, NEW.not_after / 3600000, 1), ('due', NEW.renew_after / 3600000, 1)
        ON CONFLICT (what, hour) DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER certificate_counts_until_removed AFTER DELETE ON certificate
WHEN OLD.superseded_by IS NULL AND OLD.revoked_at IS NULL
BEGIN
    UPDATE certificate_hour SET count = count - 1 WHERE what = OLD.kind AND hour = OLD.not_after / 3600000;
    UPDATE certificate_hour SET count = count - 1 WHERE what = 'due' AND hour = OLD.renew_after / 3600000;
END;
-- An hour in which nothing ends any more is forgotten.
CREATE TRIGGER certificate_hour_is_over AFTER UPDATE OF count ON certificate_hour WHEN NEW.count = 0
BEGIN DELETE FROM certificate_hour WHERE what = NEW.what AND hour = NEW.hour; END;

-- How many identities there are of each kind.
CREATE TABLE identity_count (
    kind  TEXT PRIMARY KEY NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO identity_count SELECT kind, count(*) FROM identity GROUP BY kind;
CREATE TRIGGER identity_counts AFTER INSERT ON identity
BEGIN INSERT INTO identity_count VALUES (NEW.kind, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER identity_counts_until_removed AFTER DELETE ON identity
BEGIN UPDATE identity_count SET count = count - 1 WHERE kind = OLD.kind; END;

-- How a host is by what it reports ('well' until it reports again), so that trouble is found without reading all reports.
ALTER TABLE host_status ADD COLUMN health TEXT NOT NULL DEFAULT 'well' CHECK (health IN ('well', 'unhealthy', 'behind'));
CREATE INDEX host_status_health ON host_status (health, reported_at);
