//! Typed HTTP client of the server's API: HTTPS with our own trust, HTTP/1.1 (HTTP/2 while it follows the feed), bounded
//! in time and bytes.
//! Used by the agent and by the command line. Never follows a redirect, never speaks plain HTTP, and never
//! writes a byte of a request before the server's chain has been verified.

mod call;
mod connection;
mod error;
mod feed;
mod query;
mod routes;
mod url;

pub use call::{Client, IDLE_CONNECTION_MAX};
pub use error::Error;
pub use feed::{FEED_EVENT_BYTES_MAX, FEED_SILENCE_MAX, Feed, FeedEvent};
pub use routes::{Enrolled, FetchedCrl};
pub use url::{ServerUrl, UrlError};

use std::time::Duration;

/// How long finding the server, connecting and the TLS handshake may take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole call may take, connecting included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read, bytes. A full page of audit records is a tenth of it.
pub const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;
