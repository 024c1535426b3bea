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
/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send its request head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a drain waits for requests in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
