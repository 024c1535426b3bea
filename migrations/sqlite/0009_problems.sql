-- What somebody should look at: one open problem per thing.
CREATE TABLE problem (
    number        INTEGER PRIMARY KEY,
    area          TEXT NOT NULL CHECK (area IN ('hosts', 'clients', 'server')),
    key           TEXT NOT NULL,
    kind          TEXT NOT NULL,
    severity      TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'critical')),
    subject       TEXT NOT NULL,
    message       TEXT NOT NULL,
    first_seen    INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    told_at       INTEGER,
    told_severity TEXT,
    resolved_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX problem_open ON problem (area, key) WHERE resolved_at IS NULL;
CREATE INDEX problem_open_number ON problem (number) WHERE resolved_at IS NULL;
CREATE INDEX problem_over ON problem (resolved_at) WHERE resolved_at IS NOT NULL;

-- What people are told: the queue, and what came of it. `problem` is 0 for a test; `body` is the problem as it was (JSON).
CREATE TABLE notification (
    number       INTEGER PRIMARY KEY,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    channel      TEXT NOT NULL,
    event        TEXT NOT NULL,
    problem      INTEGER NOT NULL,
    body         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    wanted_at    INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    error        TEXT,
    delivered_at INTEGER
) STRICT;
CREATE INDEX notification_due ON notification (channel, due_at, number) WHERE delivered_at IS NULL;
CREATE INDEX notification_order ON notification (channel, problem, number) WHERE delivered_at IS NULL;
CREATE INDEX notification_reminded ON notification (event, channel, problem) WHERE delivered_at IS NULL;
CREATE INDEX notification_waiting ON notification (number) WHERE delivered_at IS NULL;
CREATE INDEX notification_delivered ON notification (delivered_at) WHERE delivered_at IS NOT NULL;
