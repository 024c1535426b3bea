//! Every SQL text of the SQLite store. Keys of a group travel as one JSON array (ids and hashes in hex),
//! so that one prepared statement serves groups of every size.

mod problems;

pub use problems::*;

/// Columns of a token, in the order `rows::token` reads them.
macro_rules! token_columns {
    () => {
        "t.id, t.secret_sha256, t.kind, t.names, t.addresses, t.sources, t.uses_max, t.uses_left, \
         t.expires_at, t.labels, t.role, t.permission, t.approval, t.replaces, t.created_at, t.created_by, \
         t.reason, t.deleted_at"
    };
}
/// Columns of an identity, in the order `rows::identity` reads them.
macro_rules! identity_columns {
    () => {
        "i.number, i.id, i.kind, i.name, i.names, i.addresses, i.labels, i.role, i.permission, i.created_at"
    };
}
/// Columns of a certificate, in the order `rows::certificate` reads them.
macro_rules! certificate_columns {
    () => {
        "c.id, c.serial, c.issuer, c.identity, c.name, c.kind, c.sans, c.not_before, c.not_after, \
         c.issued_at, c.renew_after, c.spki_sha256, c.token, c.renewed_from, c.superseded_by, c.revoked_at, \
         c.der"
    };
}
/// Columns of a request, in the order `rows::request` reads them.
macro_rules! request_columns {
    () => {
        "r.id, r.token, r.spki_sha256, r.kind, r.name, r.sans, r.source, r.created_at, r.state, r.decided_by, \
         r.decided_at"
    };
}
/// Columns of a change, in the order `rows::change` reads them.
macro_rules! feed_columns {
    () => {
        "f.number, f.previous, f.at, f.kind, f.serial, f.issuer, f.name, f.not_after, f.reason, f.identity, \
         f.revoker"
    };
}
/// The newest certificate of `i` that is not revoked. The current one is found without walking through
/// the identity's history, unless it was revoked.
macro_rules! newest_certificate {
    () => {
        "LEFT JOIN certificate AS c ON c.id = COALESCE(\
           (SELECT max(n.id) FROM certificate AS n \
             WHERE n.holder = i.number AND n.superseded_by IS NULL AND n.revoked_at IS NULL), \
           (SELECT max(n.id) FROM certificate AS n WHERE n.holder = i.number AND n.revoked_at IS NULL)) "
    };
}

// After the macros that it uses.
mod look;

pub use look::*;

/// Columns before the certificate in [`HOSTS`].
pub const IDENTITY_WIDTH: usize = 10;
/// Columns of a certificate as it is read; one more is written.
pub const CERTIFICATE_WIDTH: usize = 17;

// What a group of operations may ask for.

pub const HEAD: &str = "SELECT \
     COALESCE((SELECT max(seq) FROM audit), 0), \
     (SELECT hash FROM audit WHERE seq = (SELECT max(seq) FROM audit)), \
     COALESCE((SELECT max(id) FROM certificate), 0), \
     COALESCE((SELECT max(number) FROM identity), 0), \
     COALESCE((SELECT max(number) FROM feed), 0)";
pub const LOAD_TOKENS: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM json_each($1) AS k CROSS JOIN token AS t ON t.id = unhex(k.value)"
);
pub const LOAD_TOKEN_KEYS: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c \
       ON c.token = unhex(k.value ->> 0) AND c.spki_sha256 = unhex(k.value ->> 1)"
);
pub const LOAD_NAMED: &str = concat!(
    "SELECT ",
    identity_columns!(),
    " FROM json_each($1) AS k CROSS JOIN identity AS i \
       ON i.kind = k.value ->> 0 AND i.name = k.value ->> 1"
);
pub const LOAD_IDENTITIES: &str = concat!(
    "SELECT ",
    identity_columns!(),
    " FROM json_each($1) AS k CROSS JOIN identity AS i ON i.id = unhex(k.value)"
);
pub const LOAD_SERIALS: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c ON c.serial = unhex(k.value)"
);
pub const LOAD_HOLDER_KEYS: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c \
       ON c.holder = k.value ->> 0 AND c.spki_sha256 = unhex(k.value ->> 1)"
);
pub const LOAD_CURRENT: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c \
       ON c.holder = k.value AND c.superseded_by IS NULL"
);
pub const LOAD_LIVE: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c \
       ON c.holder = k.value AND c.revoked_at IS NULL AND c.not_after >= $2"
);
pub const LOAD_HELD: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM json_each($1) AS k CROSS JOIN certificate AS c ON c.holder = k.value AND c.not_after >= $2"
);
pub const LOAD_REVOKED: &str = concat!(
    "SELECT ",
    feed_columns!(),
    " FROM json_each($1) AS k CROSS JOIN feed AS f ON f.serial = unhex(k.value)"
);
pub const CRLS: &str = "SELECT issuer, number, feed FROM crl";
pub const ORIGIN: &str = "SELECT feed, key FROM feed_origin";
/// The newest restoration, unless it is settled.
pub const UNSETTLED: &str = "SELECT f.number, f.at FROM feed AS f \
     WHERE f.number = (SELECT max(r.number) FROM feed AS r WHERE r.kind = 'restored') \
       AND NOT EXISTS (SELECT 1 FROM feed_settled AS s WHERE s.number = f.number)";
pub const LOAD_REQUESTS: &str = concat!(
    "SELECT ",
    request_columns!(),
    " FROM json_each($1) AS k CROSS JOIN request AS r ON r.id = unhex(k.value)"
);
pub const LOAD_REQUEST_KEYS: &str = concat!(
    "SELECT ",
    request_columns!(),
    " FROM json_each($1) AS k CROSS JOIN request AS r \
       ON r.token = unhex(k.value ->> 0) AND r.spki_sha256 = unhex(k.value ->> 1)"
);
pub const LOAD_WAITING: &str = "SELECT r.token, count(*) FROM json_each($1) AS k CROSS JOIN request AS r \
     ON r.token = unhex(k.value) AND r.state = 'pending' GROUP BY r.token";

// What it changed. The multi-row ones end where the VALUES tuples begin.

pub const INSERT_TOKENS: &str = "INSERT INTO token (id, secret_sha256, kind, names, addresses, sources, \
     uses_max, uses_left, expires_at, labels, role, permission, approval, replaces, created_at, created_by, \
     reason, deleted_at) VALUES ";
pub const SPEND_TOKENS: &str = "UPDATE token SET uses_left = token.uses_left - (k.value ->> 1) \
     FROM json_each($1) AS k \
     WHERE token.id = unhex(k.value ->> 0) AND token.uses_left >= (k.value ->> 1)";
pub const DELETE_TOKENS: &str = "UPDATE token SET deleted_at = k.value ->> 1 FROM json_each($1) AS k \
     WHERE token.id = unhex(k.value ->> 0) AND token.deleted_at IS NULL";
pub const INSERT_IDENTITIES: &str = "INSERT INTO identity (number, id, kind, name, names, addresses, labels, role, \
     permission, created_at) VALUES ";
pub const UPDATE_IDENTITY: &str = "UPDATE identity SET names = $2, addresses = $3, labels = $4, role = $5, \
     permission = $6 WHERE number = $1";
pub const INSERT_CERTIFICATES: &str = "INSERT INTO certificate (id, holder, serial, issuer, identity, name, kind, \
     sans, not_before, not_after, issued_at, renew_after, spki_sha256, token, renewed_from, superseded_by, \
     revoked_at, der) VALUES ";
pub const INSERT_NAMES: &str = "INSERT INTO certificate_name (name, certificate) VALUES ";
pub const UPDATE_CERTIFICATES: &str = "UPDATE certificate \
     SET superseded_by = unhex(k.value ->> 1), revoked_at = k.value ->> 2 \
     FROM json_each($1) AS k WHERE certificate.id = k.value ->> 0";
pub const INSERT_REQUESTS: &str = "INSERT INTO request (id, token, spki_sha256, kind, name, sans, source, \
     created_at, state, decided_by, decided_at) VALUES ";
pub const DECIDE_REQUEST: &str = "UPDATE request SET state = $2, decided_by = $3, decided_at = $4 \
     WHERE id = $1 AND state = 'pending'";
pub const PUT_REPORT: &str = "INSERT INTO host_status (host, reported_at, source, report, health) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host) DO UPDATE \
     SET reported_at = excluded.reported_at, source = excluded.source, report = excluded.report, \
       health = excluded.health";
pub const INSERT_FEED: &str = "INSERT INTO feed (number, previous, at, kind, serial, issuer, name, not_after, \
     reason, identity, revoker) VALUES ";
pub const PUT_APPLIED: &str = "INSERT INTO feed_applied (host, number, cut, denies_after, at, refuses, roles) \
     SELECT k.value ->> 0, k.value ->> 1, k.value ->> 2, k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6 \
       FROM json_each($1) AS k WHERE true \
     ON CONFLICT (host) DO UPDATE SET number = excluded.number, cut = excluded.cut, \
       denies_after = excluded.denies_after, at = excluded.at, refuses = excluded.refuses, roles = excluded.roles";
pub const PUT_CRL: &str = "INSERT INTO crl (issuer, number, feed) VALUES ($1, $2, $3) \
     ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, feed = excluded.feed \
     WHERE excluded.number > crl.number";
pub const PUT_ORIGIN: &str = "INSERT INTO feed_origin (id, feed, key) VALUES (1, $1, $2)";
pub const SETTLE: &str = "INSERT INTO feed_settled (number, at, settler) VALUES ($1, $2, $3)";
pub const ROLES: &str = "SELECT name, spec, changed_at, changed_by FROM role ORDER BY name";
pub const BINDINGS: &str =
    "SELECT client, role, hosts, created_at, created_by FROM binding ORDER BY client, role, hosts";
/// Names come sorted, so what is found is, too.
pub const BINDINGS_OF: &str = "SELECT b.client, b.role, b.hosts, b.created_at, b.created_by \
     FROM json_each($1) AS k CROSS JOIN binding AS b ON b.client = k.value";
pub const TOKEN_ROLES: &str =
    "SELECT name, role FROM identity WHERE role IS NOT NULL AND kind = 'client' ORDER BY name";
pub const ROLE_HOLDER: &str = concat!(
    "SELECT ",
    identity_columns!(),
    " FROM identity AS i WHERE i.role = $1 LIMIT 1"
);
pub const PUT_ROLE: &str = "INSERT INTO role (name, spec, changed_at, changed_by) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, changed_at = excluded.changed_at, \
       changed_by = excluded.changed_by";
pub const REMOVE_ROLE: &str = "DELETE FROM role WHERE name = $1";
pub const BIND: &str =
    "INSERT INTO binding (client, role, hosts, created_at, created_by) VALUES ($1, $2, $3, $4, $5)";
pub const UNBIND: &str = "DELETE FROM binding WHERE client = $1 AND role = $2 AND hosts = $3";
pub const JOBS: &str = "SELECT state FROM job ORDER BY name";
pub const PUT_JOB: &str = "INSERT INTO job (name, state) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET state = excluded.state";
pub const LOAD_ENDED: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c WHERE c.not_after < $1 ORDER BY c.not_after, c.id LIMIT $2"
);
pub const LOAD_ENDED_TOKENS: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM token AS t WHERE t.expires_at < $1 ORDER BY t.expires_at LIMIT $2"
);
pub const LOAD_OLDEST_AUDIT: &str =
    "SELECT a.seq, a.hash, a.at FROM audit AS a WHERE a.seq > 0 ORDER BY a.seq LIMIT $1";
pub const REMOVE_CERTIFICATES: &str =
    "DELETE FROM certificate WHERE id IN (SELECT k.value FROM json_each($1) AS k)";
pub const REMOVE_NAMES: &str = "DELETE FROM certificate_name WHERE (name, certificate) IN \
     (SELECT k.value ->> 0, k.value ->> 1 FROM json_each($1) AS k)";
pub const REMOVE_TOKENS: &str =
    "DELETE FROM token WHERE id IN (SELECT unhex(k.value) FROM json_each($1) AS k)";
pub const REMOVE_TOKEN_REQUESTS: &str =
    "DELETE FROM request WHERE token IN (SELECT unhex(k.value) FROM json_each($1) AS k)";
pub const REMOVE_AUDIT: &str = "DELETE FROM audit WHERE seq <= $1";
pub const PUT_AUDIT_CHECKPOINT: &str = "INSERT INTO audit_checkpoint (seq, hash, at) VALUES ($1, $2, $3)";
pub const AUDIT_CHECKPOINT: &str =
    "SELECT seq, hash, at FROM audit_checkpoint WHERE seq = (SELECT max(seq) FROM audit_checkpoint)";
pub const SIZE: &str = "SELECT (SELECT page_count FROM pragma_page_count), \
     (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_size FROM pragma_page_size)";
/// The log is written back as far as nobody reads it. No statistics (`PRAGMA optimize`): every plan is made for the
/// schema and tested, and with statistics of small tables the planner walks these for an update by key.
pub const TUNE: [&str; 1] = ["PRAGMA wal_checkpoint(PASSIVE)"];
pub const INSERT_AUDIT: &str =
    "INSERT INTO audit (seq, at, actor, action, subject, outcome, source, detail, hash) VALUES ";
pub const PROBE: &str = "UPDATE probe SET count = count + 1";

// Reads.

pub const TOKEN: &str = concat!("SELECT ", token_columns!(), " FROM token AS t WHERE t.id = $1");
pub const TOKENS: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM token AS t WHERE t.deleted_at IS NULL AND (t.created_at, t.id) < ($1, $2) \
     ORDER BY t.created_at DESC, t.id DESC LIMIT $3"
);
pub const IDENTITY_NAMED: &str = concat!(
    "SELECT ",
    identity_columns!(),
    " FROM identity AS i WHERE i.kind = $1 AND i.name = $2"
);
pub const IDENTITY: &str = concat!(
    "SELECT ",
    identity_columns!(),
    " FROM identity AS i WHERE i.id = $1"
);
pub const IDENTITIES: &str = concat!(
    "SELECT ",
    identity_columns!(),
    ", ",
    certificate_columns!(),
    " FROM identity AS i ",
    newest_certificate!(),
    "WHERE i.kind = $1 AND i.name > $2 ORDER BY i.name LIMIT $3"
);
pub const HOST: &str = concat!(
    "SELECT ",
    identity_columns!(),
    ", ",
    certificate_columns!(),
    ", s.reported_at, s.source, s.report FROM identity AS i ",
    newest_certificate!(),
    "LEFT JOIN host_status AS s ON s.host = i.number WHERE i.kind = 'host' AND i.name = $1"
);
pub const HOSTS: &str = concat!(
    "SELECT ",
    identity_columns!(),
    ", ",
    certificate_columns!(),
    ", s.reported_at, s.source, s.report FROM identity AS i ",
    newest_certificate!(),
    "LEFT JOIN host_status AS s ON s.host = i.number \
     WHERE i.kind = 'host' AND i.name > $1 ORDER BY i.name LIMIT $2"
);
pub const CERTIFICATE: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c WHERE c.serial = $1"
);
pub const HOLDER: &str = concat!(
    "SELECT ",
    identity_columns!(),
    ", ",
    certificate_columns!(),
    " FROM certificate AS c JOIN identity AS i ON i.number = c.holder WHERE c.serial = $1"
);
pub const CERTIFICATE_BY_KEY: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c WHERE c.token = $1 AND c.spki_sha256 = $2"
);
pub const CERTIFICATES: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c WHERE true"
);
/// The few certificates of a name are sorted; walking all of them by expiry would be the other way.
pub const CERTIFICATES_NAMED: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate_name AS n CROSS JOIN certificate AS c ON c.id = n.certificate WHERE n.name = "
);
/// Of one kind, in one snapshot: expired, revoked, both of these, not expired, and not expired ones that nothing replaced or
/// revoked. Counted in indexes; only what is revoked is looked at in the table.
pub const COUNT_CERTIFICATES: &str = "SELECT \
     (SELECT count(*) FROM certificate WHERE kind = $1 AND not_after < $3), \
     (SELECT count(*) FROM certificate WHERE issuer = $2 AND revoked_at IS NOT NULL), \
     (SELECT count(*) FROM certificate WHERE issuer = $2 AND revoked_at IS NOT NULL AND not_after < $3), \
     (SELECT count(*) FROM certificate INDEXED BY certificate_kind_expiry WHERE kind = $1 AND not_after >= $3), \
     (SELECT count(*) FROM certificate INDEXED BY certificate_open \
       WHERE kind = $1 AND not_after >= $3 AND superseded_by IS NULL AND revoked_at IS NULL)";
pub const REQUESTS: &str = concat!(
    "SELECT ",
    request_columns!(),
    " FROM request AS r WHERE (r.created_at, r.id) > ($1, $2) ORDER BY r.created_at, r.id LIMIT $3"
);
pub const REQUESTS_WAITING: &str = concat!(
    "SELECT ",
    request_columns!(),
    " FROM request AS r WHERE r.state = 'pending' AND (r.created_at, r.id) > ($1, $2) \
     ORDER BY r.created_at, r.id LIMIT $3"
);
pub const AUDIT: &str = "SELECT a.seq, a.at, a.actor, a.action, a.subject, a.outcome, a.source, a.detail, a.hash \
     FROM audit AS a WHERE a.seq";
pub const FEED: &str = concat!(
    "SELECT ",
    feed_columns!(),
    " FROM feed AS f WHERE f.number > $1 ORDER BY f.number LIMIT $2"
);
pub const CHANGE: &str = concat!("SELECT ", feed_columns!(), " FROM feed AS f WHERE f.number = $1");
pub const REVOCATION: &str = concat!("SELECT ", feed_columns!(), " FROM feed AS f WHERE f.serial = $1");
pub const REVOCATIONS: &str = concat!(
    "SELECT ",
    feed_columns!(),
    " FROM feed AS f WHERE f.number > $1 AND f.number <= $2 AND f.not_after >= $3 \
     ORDER BY f.number LIMIT $4"
);
pub const REVOCATIONS_OF: &str = concat!(
    "SELECT ",
    feed_columns!(),
    " FROM feed AS f WHERE f.number > $1 AND f.number <= $2 AND f.not_after >= $3 AND f.issuer = $5 \
     ORDER BY f.number LIMIT $4"
);
pub const FEED_NUMBER: &str = "SELECT COALESCE(max(number), 0) FROM feed";
macro_rules! counting_hosts {
    () => {
        "FROM identity AS i LEFT JOIN feed_applied AS a ON a.host = i.number \
           LEFT JOIN host_status AS s ON s.host = i.number \
         WHERE i.kind = 'host' AND i.name <> $2 AND EXISTS (SELECT 1 FROM certificate AS n \
           WHERE n.holder = i.number AND n.revoked_at IS NULL AND n.not_after >= $3)"
    };
}
pub const PROGRESS: &str = concat!(
    "SELECT count(*), COALESCE(sum(a.number >= $1), 0), COALESCE(sum(a.number >= $1 AND a.refuses), 0), \
     COALESCE(sum(CASE WHEN a.number = $1 THEN a.cut ELSE 0 END), 0) ",
    counting_hosts!()
);
pub const MISSING: &str = concat!(
    "SELECT i.name, a.number, a.at, s.reported_at, a.denies_after, COALESCE(a.refuses, 1) ",
    counting_hosts!(),
    " AND (a.number IS NULL OR a.number < $1 OR NOT a.refuses) ORDER BY i.name LIMIT $4"
);
pub const INSERT_SESSION: &str = "INSERT INTO session (id, link_sha256, cookie_sha256, identity, name, serial, \
     created_at, started_at, seen_at, source, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
pub const START_SESSION: &str = "UPDATE session SET cookie_sha256 = $2, started_at = $3, seen_at = $4, source = $5, \
     ended_at = $6 WHERE id = $1 AND started_at IS NULL AND ended_at IS NULL";
pub const TOUCH_SESSION: &str =
    "UPDATE session SET seen_at = $2, ended_at = $3 WHERE id = $1 AND ended_at IS NULL";
pub const FORGET_SESSIONS: &str = "DELETE FROM session WHERE created_at < $1";
macro_rules! sessions {
    ($end:literal) => {
        concat!(
            "SELECT s.id, s.link_sha256, s.cookie_sha256, s.identity, s.name, s.serial, s.created_at, s.started_at, \
             s.seen_at, s.source, s.ended_at FROM session AS s ",
            $end
        )
    };
}
pub const SESSION: &str = sessions!("WHERE s.id = $1");
pub const SESSION_BY_LINK: &str = sessions!("WHERE s.link_sha256 = $1");
pub const SESSION_BY_COOKIE: &str = sessions!("WHERE s.cookie_sha256 = $1");
pub const SESSIONS: &str = sessions!("WHERE s.created_at >= $1 ORDER BY s.created_at DESC LIMIT $2");
pub const SESSIONS_OF: &str =
    sessions!("WHERE s.identity = $3 AND s.created_at >= $1 ORDER BY s.created_at DESC LIMIT $2");
pub const ROLES_APPLIED: &str = concat!(
    "SELECT i.name, i.labels, a.at, s.reported_at, a.denies_after, a.roles ",
    counting_hosts!(),
    " ORDER BY i.name"
);
pub const INTEGRITY: &str = "PRAGMA integrity_check(10)";
