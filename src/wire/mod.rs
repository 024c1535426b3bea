//! Request and response types of the HTTP API, and problem documents. Shared by the server's handlers,
//! the client library and the OpenAPI description; knows neither service nor store.

mod certificates;
mod enroll;
mod hosts;
mod problem;
mod tokens;

pub use certificates::{CertificateDetail, CertificateList, CertificateQuery, CertificateView};
pub use enroll::{EnrollRequest, Issued, Pending, RenewRequest};
pub use hosts::{ClientList, ClientView, HostDetail, HostList, HostView, StatusAnswer};
pub use problem::{Code, PROBLEM_JSON, Problem};
pub use tokens::{
    AuditList, AuditQuery, AuditView, CreatedToken, Decided, Health, PageQuery, RequestList, RequestQuery,
    RequestView, TokenList, TokenRequest, TokenView, WhoAmI,
};
