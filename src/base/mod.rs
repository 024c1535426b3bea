//! What everything stands on: time, randomness, identifiers, encodings, limits, backoff.
//! Knows nothing of certificates, Docker or HTTP, and does no I/O.

mod backoff;
mod clock;
mod duration;
pub mod encoding;
mod ids;
pub mod limits;
pub mod metrics;
mod random;
mod schedule;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use duration::{DurationError, Span};
pub use ids::Id;
pub use random::{Random, SeededRandom, SystemRandom};
pub use schedule::{Schedule, ScheduleError, Window, Windows, Zone};
pub use secrecy::{ExposeSecret, SecretString};
