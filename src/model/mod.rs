//! Identities, tokens, profiles, certificates, audit records, host status: what the words of the
//! product mean. Plain values and pure decisions; knows neither SQL nor the shape of the HTTP API.

pub mod audit;
mod certificate;
mod enforced;
pub mod enrollment;
mod identity;
pub mod job;
pub mod problem;
mod profile;
mod reconcile;
mod revocation;
pub mod role;
mod serving;
mod session;
mod token;

pub use certificate::{Certificate, CertificateFilter, CertificateStatus, IssuerKind};
pub use enforced::{CANARY, Enforced, key_of, kind_of};
pub use identity::{Identity, IdentityKind, Labels, LabelsError, NameRules, Permission};
pub use profile::{Profile, ProfileError};
pub use reconcile::{Condition, ConditionKind, ConditionStatus, HostReport, Mode, SeenCertificate};
pub use revocation::{
    Change, ChangeKind, FeedApplied, FeedOrigin, Position, Revocation, Seal, SealError, SealKey,
};
pub use serving::{Health, Serving};
pub use session::{LINK_LIFETIME, SESSION_IDLE, SESSION_LIFETIME, SESSION_SEEN_EVERY, SESSIONS_MAX, Session};
pub use token::{Approval, JoinToken, JoinTokenError, TOKEN_PREFIX, Token, TokenProblem};

/// One page of a list, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most as many as were asked for.
    pub items: Vec<T>,
    /// Pass this back to get the next page; `None` on the last one. Opaque to callers.
    pub next: Option<String>,
}

/// Which page is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items, 1 to [`crate::base::limits::PAGE_MAX`].
    pub limit: u32,
    /// What the previous page gave as `next`.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: crate::base::limits::PAGE_DEFAULT,
            cursor: None,
        }
    }
}
