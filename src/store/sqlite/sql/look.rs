//! What people look through: SQL texts of the pages.

/// Ends inside the bounds of a walk; what is walked through is joined after it.
pub const CERTIFICATES_WALKED: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    ", w.name FROM (SELECT n.name, n.certificate FROM certificate_name AS n WHERE (n.name, n.certificate) > ("
);
/// The last of the names that a walk goes through, if it goes so far.
pub const WALKED_TO: &str = "SELECT n.name, n.certificate FROM certificate_name AS n \
     WHERE (n.name, n.certificate) > ($1, $2) AND n.name < $3 ORDER BY n.name, n.certificate LIMIT 1 OFFSET $4";
pub const LAST_CERTIFICATE: &str = "SELECT COALESCE(max(id), 0) FROM certificate";
/// Newest first is by number: that is the order of issue.
pub const NEWEST_OF: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c INDEXED BY certificate_holder \
     WHERE c.holder = (SELECT number FROM identity WHERE id = $1) ORDER BY c.id DESC LIMIT $2"
);
pub const SERIALS_STARTING: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c WHERE c.serial >= $1 AND c.serial < $2 ORDER BY c.serial LIMIT $3"
);
pub const HOSTS_STARTING: &str = concat!(
    "SELECT ",
    identity_columns!(),
    ", ",
    certificate_columns!(),
    ", s.reported_at, s.source, s.report FROM identity AS i ",
    newest_certificate!(),
    "LEFT JOIN host_status AS s ON s.host = i.number \
     WHERE i.kind = 'host' AND i.name > $1 AND i.name >= $3 AND i.name < $4 ORDER BY i.name LIMIT $2"
);
macro_rules! counts {
    ($index:literal, $what:literal, $time:literal, $and:literal) => {
        concat!(
            "SELECT k.key, (SELECT COALESCE(sum(h.count), 0) FROM certificate_hour AS h WHERE h.what = ",
            $what,
            " AND h.hour >= k.value / 3600000 \
                AND h.hour < json_extract($1, '$[' || (k.key + 1) || ']') / 3600000), \
             (SELECT count(*) FROM certificate AS c INDEXED BY ",
            $index,
            " WHERE ",
            $and,
            $time,
            " >= k.value / 3600000 * 3600000 AND ",
            $time,
            " < k.value AND c.superseded_by IS NULL AND c.revoked_at IS NULL) \
             FROM json_each($1) AS k"
        )
    };
}
/// For each of the times: certificates in use that end from the beginning of its hour to that of the next time's, and in
/// its hour before it. Whole hours were counted when they changed; only what is left of an hour is counted now.
pub const EXPIRY_COUNTS: &str = counts!("certificate_open", "$2", "c.not_after", "c.kind = $2 AND ");
pub const DUE_COUNTS: &str = counts!("certificate_due", "'due'", "c.renew_after", "");
/// Where the host stands that a query goes through first, `w.host`, with its certificate and what it said last.
macro_rules! hosts_of {
    ($which:literal) => {
        concat!(
            "SELECT ",
            identity_columns!(),
            ", ",
            certificate_columns!(),
            ", s.reported_at, s.source, s.report FROM (SELECT h.host FROM host_status AS h \
               INDEXED BY host_status_health WHERE h.health = $1 AND ",
            $which,
            " LIMIT $3) AS w CROSS JOIN identity AS i ON i.number = w.host ",
            newest_certificate!(),
            "JOIN host_status AS s ON s.host = i.number"
        )
    };
}
pub const HOSTS_WITH: &str = hosts_of!("h.reported_at >= $2 ORDER BY h.host");
pub const SILENT_HOSTS: &str = hosts_of!("h.reported_at < $2 ORDER BY h.reported_at DESC");
macro_rules! count_hosts {
    ($health:literal, $heard:literal) => {
        concat!(
            "(SELECT count(*) FROM host_status AS h INDEXED BY host_status_health WHERE h.health = '",
            $health,
            "' AND h.reported_at ",
            $heard,
            " $1)"
        )
    };
}
pub const HOST_COUNTS: &str = concat!(
    "SELECT COALESCE((SELECT count FROM identity_count WHERE kind = 'host'), 0) \
       - EXISTS (SELECT 1 FROM identity WHERE kind = 'host' AND name = $2), ",
    count_hosts!("well", ">="),
    ", ",
    count_hosts!("unhealthy", ">="),
    ", ",
    count_hosts!("behind", ">="),
    ", ",
    count_hosts!("well", "<"),
    " + ",
    count_hosts!("unhealthy", "<"),
    " + ",
    count_hosts!("behind", "<")
);
pub const SOONEST_END: &str = "SELECT c.not_after FROM certificate AS c INDEXED BY certificate_open \
     WHERE c.kind = $1 AND c.not_after >= $2 AND c.superseded_by IS NULL AND c.revoked_at IS NULL \
     ORDER BY c.not_after LIMIT 1";
pub const COUNT_OVERDUE: &str = "SELECT count(*) FROM (SELECT 1 FROM certificate AS c INDEXED BY certificate_due \
     WHERE c.renew_after < $1 AND c.superseded_by IS NULL AND c.revoked_at IS NULL AND c.not_after >= $2 LIMIT $3)";
pub const OVERDUE: &str = concat!(
    "SELECT ",
    certificate_columns!(),
    " FROM certificate AS c INDEXED BY certificate_due \
     WHERE c.renew_after < $1 AND c.superseded_by IS NULL AND c.revoked_at IS NULL AND c.not_after >= $2 \
     ORDER BY c.renew_after LIMIT $3"
);
