-- Roles that somebody wrote, as in a role file (JSON); those that are built in are not here.
CREATE TABLE role (
    name       TEXT PRIMARY KEY NOT NULL,
    spec       TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which client has which role on the hosts that have all labels of `hosts` (`a=b,c=d`); with none: on every host. The role that
-- came with a join token stands in `identity.role` and is one for every host, too.
CREATE TABLE binding (
    client     TEXT NOT NULL,
    role       TEXT NOT NULL,
    hosts      TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (client, role, hosts)
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_role ON binding (role);
CREATE INDEX identity_role ON identity (role) WHERE role IS NOT NULL;
