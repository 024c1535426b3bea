-- Whether something on the host refuses what it has applied: an agent may follow the feed before its mode enforces it.
ALTER TABLE feed_applied ADD COLUMN refuses INTEGER NOT NULL DEFAULT 1 CHECK (refuses IN (0, 1));
