//! SQL texts of problems and of what people are told of them.

/// Columns of a problem, in the order `problems::problem` reads them.
macro_rules! problem_columns {
    () => {
        "p.number, p.area, p.key, p.kind, p.severity, p.subject, p.message, p.first_seen, p.last_seen, p.told_at, \
         p.told_severity, p.resolved_at"
    };
}
/// Columns of a notification, in the order `problems::notification` reads them.
macro_rules! notification_columns {
    () => {
        "n.number, n.id, n.channel, n.event, n.body, n.at, n.wanted_at, n.due_at, n.attempts, n.error, n.delivered_at"
    };
}

pub const LAST_NUMBERS: &str = "SELECT COALESCE((SELECT max(number) FROM problem), 0), \
     COALESCE((SELECT max(number) FROM notification), 0)";
pub const LOAD_PROBLEMS: &str = concat!(
    "SELECT ",
    problem_columns!(),
    " FROM problem AS p INDEXED BY problem_open WHERE p.area = $1 AND p.resolved_at IS NULL"
);
pub const LOAD_REMINDED: &str = "SELECT n.channel, n.problem FROM notification AS n INDEXED BY notification_reminded \
     WHERE n.delivered_at IS NULL AND n.event = 'reminder'";
pub const LOAD_NOTIFICATION: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification AS n WHERE n.number = $1"
);
pub const PUT_PROBLEMS: &str = "INSERT INTO problem (number, area, key, kind, severity, subject, message, first_seen, \
       last_seen, told_at, told_severity, resolved_at) \
     SELECT k.value ->> 0, k.value ->> 1, k.value ->> 2, k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6, \
       k.value ->> 7, k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11 FROM json_each($1) AS k WHERE true \
     ON CONFLICT (number) DO UPDATE SET kind = excluded.kind, severity = excluded.severity, \
       subject = excluded.subject, message = excluded.message, last_seen = excluded.last_seen, \
       told_at = excluded.told_at, told_severity = excluded.told_severity, resolved_at = excluded.resolved_at";
pub const PUT_NOTIFICATIONS: &str = "INSERT INTO notification (number, id, channel, event, problem, body, at, wanted_at, \
       due_at, attempts, error, delivered_at) \
     SELECT k.value ->> 0, unhex(k.value ->> 1), k.value ->> 2, k.value ->> 3, k.value ->> 4, k.value ->> 5, \
       k.value ->> 6, k.value ->> 7, k.value ->> 8, k.value ->> 9, k.value ->> 10, k.value ->> 11 FROM json_each($1) AS k WHERE true \
     ON CONFLICT (number) DO UPDATE SET due_at = excluded.due_at, attempts = excluded.attempts, \
       error = excluded.error, delivered_at = excluded.delivered_at";
pub const PROBLEMS: &str = concat!(
    "SELECT ",
    problem_columns!(),
    " FROM problem AS p WHERE p.number < $1 ORDER BY p.number DESC LIMIT $2"
);
pub const PROBLEMS_OPEN: &str = concat!(
    "SELECT ",
    problem_columns!(),
    " FROM problem AS p WHERE p.resolved_at IS NULL AND p.number < $1 ORDER BY p.number DESC LIMIT $2"
);
pub const NOTIFICATIONS: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification AS n WHERE n.number < $1 ORDER BY n.number DESC LIMIT $2"
);
pub const NOTIFICATIONS_WAITING: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification AS n WHERE n.delivered_at IS NULL AND n.number < $1 ORDER BY n.number DESC LIMIT $2"
);
/// What is due, soonest first, unless something of the same problem still waits before it.
pub const NEXT_NOTIFICATION: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification AS n WHERE n.delivered_at IS NULL AND n.channel = $1 AND n.due_at <= $2 \
       AND (n.problem = 0 OR NOT EXISTS (SELECT 1 FROM notification AS e WHERE e.delivered_at IS NULL \
         AND e.channel = n.channel AND e.problem = n.problem AND e.number < n.number)) \
     ORDER BY n.due_at, n.number LIMIT 1"
);
pub const WAITING: &str = "SELECT count(*), min(n.wanted_at) FROM notification AS n \
     WHERE n.delivered_at IS NULL AND n.channel = $1";
/// The newest stays, so that its number is not given again.
pub const LOAD_OVER: &str = concat!(
    "SELECT ",
    problem_columns!(),
    " FROM problem AS p WHERE p.resolved_at < $1 AND p.number < (SELECT max(number) FROM problem) \
     ORDER BY p.resolved_at, p.number LIMIT $2"
);
/// The same.
pub const LOAD_DELIVERED: &str = concat!(
    "SELECT ",
    notification_columns!(),
    " FROM notification AS n WHERE n.delivered_at < $1 AND n.number < (SELECT max(number) FROM notification) \
     ORDER BY n.delivered_at, n.number LIMIT $2"
);
pub const REMOVE_PROBLEMS: &str =
    "DELETE FROM problem WHERE number IN (SELECT k.value FROM json_each($1) AS k)";
pub const REMOVE_NOTIFICATIONS: &str =
    "DELETE FROM notification WHERE number IN (SELECT k.value FROM json_each($1) AS k)";
