-- What a host was told last of roles (hex); NULL: it does not look at roles.
ALTER TABLE feed_applied ADD COLUMN roles TEXT;
