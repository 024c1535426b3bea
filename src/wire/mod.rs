//! Request and response types of the HTTP API, and problem documents. Shared by the server's handlers,
//! the client library and the OpenAPI description; knows neither service nor store.

mod certificates;
mod enroll;
pub mod feed;
mod hosts;
mod jobs;
mod problem;
mod problems;
mod revoke;
mod roles;
mod sessions;
mod tokens;

pub use crate::model::FeedApplied;
pub use crate::model::role::HostRoles;
pub use certificates::{CertificateDetail, CertificateList, CertificateQuery, CertificateView};
pub use enroll::{EnrollRequest, Issued, Pending, RenewRequest};
pub use feed::{
    Applied, AppliedQuery, FeedChange, FeedChangeKind, FeedHeartbeat, FeedHello, FeedKnown, FeedLost,
    FeedQuery, FeedRevoked, FeedSnapshot, FeedTaken, MissingHost, Settled,
};
pub use hosts::{ClientList, ClientView, HostDetail, HostList, HostView, StatusAnswer};
pub use jobs::{JobList, JobView};
pub use problem::{Code, PROBLEM_JSON, Problem};
pub use problems::{
    NotificationList, NotificationQuery, NotificationView, ProblemList, ProblemQuery, ProblemView, QueuedTest,
};
pub use revoke::{RevokeRequest, RevokeShown, Revoked, RevokedView};
pub use roles::{
    BindingList, BindingQuery, BindingRequest, BindingView, HostBehind, RoleList, RoleOutcome, RoleRequest,
    RoleView, RolesApplied, RolesAppliedQuery, RolesRestored,
};
pub use sessions::{SessionList, SessionOffer, SessionView};
pub use tokens::{
    AuditBegin, AuditList, AuditQuery, AuditView, CreatedToken, Decided, Health, PageQuery, RequestList,
    RequestQuery, RequestView, TokenList, TokenRequest, TokenView, WhoAmI,
};
