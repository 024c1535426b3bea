//! Learning: what clients asked for, remembered so that a role can be written which allows that and nothing else.
//!
//! Only names are remembered: of operations, and what rules could list (paths that were bound, images, capabilities).
//! Never commands, environments, names of containers, or anything else of a body.

mod draft;
mod learned;
mod learner;
mod needs;

pub use draft::{Draft, DraftError, Which};
pub use learned::{Asked, Learned, LearnedOf, Seen};
pub use learner::Learner;
pub use needs::{Needs, Rule, looks_at_body, needs};

/// The file in which an agent keeps what was learned, in the directory of what it remembers.
pub const LEARNED_FILE: &str = "learned.json";
/// The largest such file.
pub const LEARNED_BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests;
