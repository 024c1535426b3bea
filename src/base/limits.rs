//! Every bound that is not configuration, in one place. Each has a test at the limit and one past it
//! where it is enforced.

use std::time::Duration;

/// The largest enrolment or renewal request body, bytes.
pub const ENROLL_BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest body of any other API request, bytes.
pub const API_BODY_BYTES_MAX: usize = 256 * 1024;
/// The largest CSR that is parsed, bytes of DER.
pub const CSR_BYTES_MAX: usize = 16 * 1024;
/// The largest PEM file that is read (CA bundles included), bytes.
pub const PEM_BYTES_MAX: usize = 1024 * 1024;
/// The largest CRL that is read, bytes of DER: five million certificates.
pub const CRL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The largest file of CRLs that is read, bytes: as much in PEM.
pub const CRL_FILE_BYTES_MAX: usize = CRL_BYTES_MAX / 48 * 66;
/// The largest OCSP request, bytes of DER.
pub const OCSP_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Certificates one OCSP request may ask about.
pub const OCSP_CERT_IDS_MAX: usize = 16;
/// Subject alternative names in one certificate.
pub const SANS_MAX: usize = 100;
/// The longest a host or client certificate may be valid: 825 days, and one for backdating.
pub const LEAF_VALIDITY_MAX: Duration = Duration::from_secs(826 * 24 * 3600);
/// Labels on an identity or token.
pub const LABELS_MAX: usize = 64;
/// Page size of lists.
pub const PAGE_MAX: u32 = 1000;
/// Page size when none was asked for.
pub const PAGE_DEFAULT: u32 = 100;
/// TLS handshakes of the server at a time; further ones wait in the kernel's queue.
pub const HANDSHAKES_MAX: usize = 1024;
/// How long a TLS handshake counts as one of them: those of a fleet that comes back take less, and who says nothing keeps
/// nobody out for longer.
pub const HANDSHAKE_TURN: Duration = Duration::from_secs(1);
/// Connections that wait in the kernel's queue until they are accepted, where the system allows as many
/// (`net.core.somaxconn`).
pub const LISTEN_QUEUE: u32 = 4096;
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send its request head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a drain waits for requests in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// What is read of a body whose request is refused already, so that the refusal arrives.
pub const BODY_REST_BYTES_MAX: usize = API_BODY_BYTES_MAX;
/// How long that may take.
pub const BODY_REST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may stand without a request in flight.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// HTTPS connections at a time; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Plain HTTP connections at a time.
pub const PLAIN_CONNECTIONS_MAX: usize = 256;
/// Requests at a time on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;
/// Tokens whose immutable part is kept in memory.
pub const TOKEN_CACHE_MAX: usize = 1024;
/// Failed enrolments that one source address has at once.
pub const ENROLL_FAILURES_BURST: u32 = 20;
/// How long until a source address has one more failed enrolment.
pub const ENROLL_FAILURE_REFILL: Duration = Duration::from_secs(6);
/// Source addresses whose failed enrolments are counted at a time.
pub const FAILURE_SOURCES_MAX: usize = 10_000;
/// How long a joining side waits before it asks again whether it was approved.
pub const PENDING_RETRY: Duration = Duration::from_secs(5);
/// Certificates one join token may give.
pub const TOKEN_USES_MAX: u32 = 100_000;
/// The shortest life of a join token.
pub const TOKEN_LIFETIME_MIN: Duration = Duration::from_secs(60);
/// The longest life of a join token.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(31_536_000);
/// The life of a join token when none was asked for.
pub const TOKEN_LIFETIME_DEFAULT: Duration = Duration::from_secs(3600);
/// Name patterns, address blocks or source blocks in one join token, of each kind.
pub const TOKEN_RULES_MAX: usize = 100;
/// Characters of the reason given for a token.
pub const REASON_CHARS_MAX: usize = 500;
/// Endpoints or conditions in one status report, of each kind.
pub const REPORT_ITEMS_MAX: usize = 32;
/// Characters of any text in a status report.
pub const REPORT_CHARS_MAX: usize = 1000;
/// Hosts that `/metrics` shows one by one, in the order of their names.
pub const METRICS_HOSTS_MAX: usize = 2000;
/// Roles that `/metrics` of an agent tells apart, in the order in which they were first used.
pub const METRICS_ROLES_MAX: usize = 100;
/// How long what `/metrics` read from the database is shown again before it is read again, at least.
pub const METRICS_AGE_MIN: Duration = Duration::from_secs(5);
/// Who follows the feed at a time: fewer than there may be connections, so that others still get in.
pub const FEED_FOLLOWERS_MAX: usize = 12_288;
/// Something is said on the feed at least this often. A third of the client library's patience.
pub const FEED_HEARTBEAT: Duration = Duration::from_secs(10);
/// What followers together may take of the server's time to acknowledge a change, for each of them.
pub const FEED_SPREAD_EACH: Duration = Duration::from_micros(200);
/// The longest that a follower lets a server make it wait with an acknowledgement.
pub const FEED_SPREAD_MAX: Duration = Duration::from_secs(5);
/// Changes read or said at once.
pub const FEED_PAGE: u32 = 500;
/// Newest changes kept in memory for all who follow.
pub const FEED_TAIL_MAX: usize = 1024;
/// Who is further behind gets a snapshot of what still matters.
pub const FEED_BEHIND_MAX: u64 = 10_000;
/// How long after the end of its certificate a revocation is still told: clocks differ.
pub const FEED_SKEW: Duration = Duration::from_secs(24 * 3600);
/// Changes that are given back in one request.
pub const FEED_KNOWN_MAX: usize = 500;
/// Revocations that a host takes from a server at once: as many as the largest CRL holds.
pub const FEED_SNAPSHOT_MAX: usize = 5_000_000;
/// The largest file of revocations that a host reads, bytes.
pub const FEED_FILE_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Followers that are written down as knowing more than the server.
pub const FEED_COMPLAINTS_MAX: usize = 10_000;
/// Hosts that are named as not having applied a number.
pub const APPLIED_MISSING_MAX: u32 = 100;
/// The longest that an answer waits for hosts.
pub const APPLIED_WAIT_MAX: Duration = Duration::from_secs(20);
/// How often it is looked at who has applied a number, at most.
pub const APPLIED_LOOK_EVERY: Duration = Duration::from_millis(50);
/// Roles that somebody wrote.
pub const ROLES_MAX: usize = 1000;
/// Bindings of clients to roles.
pub const BINDINGS_MAX: usize = 20_000;
/// How long after a change of roles hosts are told, so that several are told as one.
pub const ROLES_COALESCE: Duration = Duration::from_millis(20);
/// What one host is told of who may do what, bytes: below the largest event that a follower reads.
pub const HOST_ROLES_BYTES_MAX: usize = 768 * 1024;
/// Revocations read at once for a CRL.
pub const CRL_PAGE: u32 = 5000;
/// A CRL with no more entries is held against the whole table each time; a larger one once an hour.
pub const CRL_DIFF_ROWS_MAX: usize = 20_000;
/// How long after a revocation a CRL is signed, so that several share it.
pub const CRL_COALESCE: Duration = Duration::from_millis(200);
/// Problems of one kind of thing that are kept at a time.
pub const FINDINGS_MAX: usize = 10_000;
/// A job that failed this often in a row is a problem.
pub const JOB_FAILURES_MAX: u32 = 3;
/// How long a receiver of notifications may take.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether a notification is due.
pub const NOTIFY_EVERY: Duration = Duration::from_secs(2);
/// How long until a notification is sent again for the first time, at most.
pub const NOTIFY_RETRY_MIN: Duration = Duration::from_secs(10);
/// How long until it is sent again, at most.
pub const NOTIFY_RETRY_MAX: Duration = Duration::from_secs(600);
/// The largest file with a secret, bytes.
pub const SECRET_BYTES_MAX: usize = 4096;
/// Rows of each kind that are removed in one transaction, because they are old.
pub const PRUNE_BATCH: u32 = 500;
/// When the clock has moved more than this since the last look for what is old, it may be wrong.
pub const PRUNE_CLOCK_JUMP: Duration = Duration::from_secs(3 * 86_400);
/// How long a run of a job may take.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(3 * 3600);
/// How often it is looked whether a job is due, at least: the clock may have been set.
pub const JOB_LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether a CRL is due.
pub const CRL_LOOK_EVERY: Duration = Duration::from_secs(5);
/// The largest form of the dashboard, bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Rows on a page of the dashboard.
pub const DASHBOARD_ROWS: u32 = 50;
/// Certificates in one export.
pub const EXPORT_ROWS_MAX: usize = 1_000_000;
/// How long what the overview shows was read before it is read again, at least.
pub const OVERVIEW_AGE_MIN: Duration = Duration::from_secs(5);
/// Things of one kind that the overview names.
pub const OVERVIEW_NAMED_MAX: usize = 8;
/// Days that the overview looks ahead.
pub const OVERVIEW_DAYS: usize = 30;
/// How long after the time of its renewal a certificate counts as late.
pub const RENEWAL_LATE_AFTER: Duration = Duration::from_secs(3600);
/// Pages of the dashboard that follow what happens, at a time.
pub const LIVE_MAX: usize = 256;
/// How often such a page looks again at least.
pub const LIVE_EVERY: Duration = Duration::from_secs(5);
/// A host that was not heard of for so long is shown as silent: agents report every minute.
pub const HOST_SILENT_AFTER: Duration = Duration::from_secs(5 * 60);
/// Certificates or audit records of one identity that its page shows.
pub const DASHBOARD_HISTORY: u32 = 20;
