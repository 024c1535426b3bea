-- What pages about the whole fleet walk along: certificates in use, which nothing replaced or revoked, by kind and end. Rows come
-- in at its end and leave when they are renewed. The last two columns are always NULL: with them SQLite counts in the index alone.
CREATE INDEX certificate_open ON certificate (kind, not_after, superseded_by, revoked_at)
    WHERE superseded_by IS NULL AND revoked_at IS NULL;
-- The same by the time they are to be renewed from: what stands before now is late.
CREATE INDEX certificate_due ON certificate (renew_after, not_after, superseded_by, revoked_at)
    WHERE superseded_by IS NULL AND revoked_at IS NULL;
