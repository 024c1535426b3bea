//! One method per route of the API.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::call::encode;
use super::query::{segment, with};
use super::{Client, Error};
use crate::base::Id;
use crate::model::job::JobName;
use crate::model::{FeedApplied, HostReport};
use crate::pki::Serial;
use crate::wire::{
    Applied, AppliedQuery, AuditList, AuditQuery, BindingList, BindingQuery, BindingRequest,
    CertificateDetail, CertificateList, CertificateQuery, ClientList, CreatedToken, Decided, EnrollRequest,
    FeedKnown, FeedTaken, HostDetail, HostList, Issued, JobList, NotificationList, NotificationQuery,
    PageQuery, Pending, ProblemList, ProblemQuery, QueuedTest, RenewRequest, RequestList, RevokeRequest,
    RevokeShown, Revoked, RoleList, RoleOutcome, RoleRequest, RolesApplied, RolesAppliedQuery, SessionList,
    SessionOffer, Settled, StatusAnswer, TokenList, TokenRequest, WhoAmI,
};

/// The answer to an enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// Here it is; also what a repeated request with the same key gets.
    Issued(Box<Issued>),
    /// An operator has to approve first: ask again later with the same token and key.
    Pending(Pending),
}

/// A list of revoked certificates, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedCrl {
    /// What to name when asking again.
    pub etag: Option<String>,
    /// The list, DER.
    pub der: Bytes,
}

impl Client {
    /// `POST /enroll`. Only over a client with [`ServerTrust::Pins`](crate::pki::tls::ServerTrust) from the
    /// token itself, or with anchors that are already trusted.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<Enrolled, Error> {
        let answer = self.call(Method::POST, "/enroll", encode(request)).await?;
        if answer.status == StatusCode::ACCEPTED {
            return Ok(Enrolled::Pending(self.json(&answer)?));
        }
        Ok(Enrolled::Issued(Box::new(self.json(&answer)?)))
    }

    /// `POST /v1/renew`: the next certificate for the identity that this client shows.
    pub async fn renew(&self, request: &RenewRequest) -> Result<Issued, Error> {
        self.send(Method::POST, "/v1/renew", request).await
    }

    /// `GET /v1/certificates`: one page, soonest expiry first.
    pub async fn certificates(&self, query: &CertificateQuery) -> Result<CertificateList, Error> {
        self.get(&with("/v1/certificates", query)).await
    }

    /// `GET /v1/certificates/{serial}`.
    pub async fn certificate(&self, serial: &Serial) -> Result<CertificateDetail, Error> {
        self.get(&format!("/v1/certificates/{serial}")).await
    }

    /// `POST /v1/certificates/{serial}/revoke`. May be repeated.
    pub async fn revoke_serial(&self, serial: &Serial, request: &RevokeRequest) -> Result<Revoked, Error> {
        let path = format!("/v1/certificates/{serial}/revoke");
        self.send(Method::POST, &path, request).await
    }

    /// `POST /v1/certificates/revoke`. May be repeated.
    pub async fn revoke_shown(&self, request: &RevokeShown) -> Result<Revoked, Error> {
        self.send(Method::POST, "/v1/certificates/revoke", request).await
    }

    /// `POST /v1/identities/{name}/revoke`: all its certificates. May be repeated.
    pub async fn revoke_identity(&self, name: &str, request: &RevokeRequest) -> Result<Revoked, Error> {
        let path = format!("/v1/identities/{}/revoke", segment(name));
        self.send(Method::POST, &path, request).await
    }

    /// `GET /v1/feed/applied`: who has applied a number of the feed.
    pub async fn applied(&self, query: &AppliedQuery) -> Result<Applied, Error> {
        self.get(&with("/v1/feed/applied", query)).await
    }

    /// `PUT /v1/feed/applied`: how far the host that this client shows has come.
    pub async fn put_applied(&self, applied: &FeedApplied) -> Result<(), Error> {
        self.call(Method::PUT, "/v1/feed/applied", encode(applied))
            .await
            .map(drop)
    }

    /// `POST /v1/feed/known`: gives back what the server lost.
    pub async fn give_back(&self, known: &FeedKnown) -> Result<FeedTaken, Error> {
        self.send(Method::POST, "/v1/feed/known", known).await
    }

    /// `GET /v1/hosts`: one page, by name; those the caller may reach.
    pub async fn hosts(&self, page: &PageQuery) -> Result<HostList, Error> {
        self.get(&with("/v1/hosts", page)).await
    }

    /// `GET /v1/hosts/{name}`.
    pub async fn host(&self, name: &str) -> Result<HostDetail, Error> {
        self.get(&format!("/v1/hosts/{}", segment(name))).await
    }

    /// `PUT /v1/hosts/{name}/status`: the report of the host that this client shows.
    pub async fn put_status(&self, name: &str, report: &HostReport) -> Result<StatusAnswer, Error> {
        self.send(
            Method::PUT,
            &format!("/v1/hosts/{}/status", segment(name)),
            report,
        )
        .await
    }

    /// `POST /v1/tokens`. Not repeated by itself when the answer is lost: an unused token is left behind,
    /// and runs out.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<CreatedToken, Error> {
        self.send(Method::POST, "/v1/tokens", request).await
    }

    /// `GET /v1/tokens`: one page, newest first.
    pub async fn tokens(&self, page: &PageQuery) -> Result<TokenList, Error> {
        self.get(&with("/v1/tokens", page)).await
    }

    /// `DELETE /v1/tokens/{id}`.
    pub async fn delete_token(&self, id: &Id) -> Result<(), Error> {
        self.call(Method::DELETE, &format!("/v1/tokens/{id}"), Bytes::new())
            .await
            .map(drop)
    }

    /// `GET /v1/roles`: all of them.
    pub async fn roles(&self) -> Result<RoleList, Error> {
        self.get("/v1/roles").await
    }

    /// `GET /v1/roles/applied`: which hosts enforce what counts now.
    pub async fn roles_applied(&self, query: &RolesAppliedQuery) -> Result<RolesApplied, Error> {
        self.get(&with("/v1/roles/applied", query)).await
    }

    /// `POST /v1/roles`.
    pub async fn put_role(&self, request: &RoleRequest) -> Result<RoleOutcome, Error> {
        self.send(Method::POST, "/v1/roles", request).await
    }

    /// `DELETE /v1/roles/{name}`.
    pub async fn remove_role(&self, name: &str) -> Result<(), Error> {
        let path = format!("/v1/roles/{}", segment(name));
        self.call(Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// `GET /v1/bindings`: all of them.
    pub async fn bindings(&self) -> Result<BindingList, Error> {
        self.get("/v1/bindings").await
    }

    /// `POST /v1/bindings`. May be repeated.
    pub async fn bind_role(&self, request: &BindingRequest) -> Result<RoleOutcome, Error> {
        self.send(Method::POST, "/v1/bindings", request).await
    }

    /// `DELETE /v1/bindings`.
    pub async fn unbind_role(&self, query: &BindingQuery) -> Result<(), Error> {
        let path = with("/v1/bindings", query);
        self.call(Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// `GET /v1/jobs`: all of them.
    pub async fn jobs(&self) -> Result<JobList, Error> {
        self.get("/v1/jobs").await
    }

    /// `POST /v1/jobs/{name}/run`. May be repeated; then it runs again.
    pub async fn run_job(&self, name: JobName) -> Result<(), Error> {
        let path = format!("/v1/jobs/{name}/run");
        self.call(Method::POST, &path, Bytes::new()).await.map(drop)
    }

    /// `GET /v1/problems`: one page, newest first.
    pub async fn problems(&self, query: &ProblemQuery) -> Result<ProblemList, Error> {
        self.get(&with("/v1/problems", query)).await
    }

    /// `GET /v1/notifications`: one page, newest first.
    pub async fn notifications(&self, query: &NotificationQuery) -> Result<NotificationList, Error> {
        self.get(&with("/v1/notifications", query)).await
    }

    /// `POST /v1/channels/{name}/test`. Repeated, it is sent again.
    pub async fn test_channel(&self, name: &str) -> Result<QueuedTest, Error> {
        let path = format!("/v1/channels/{}/test", segment(name));
        let answer = self.call(Method::POST, &path, Bytes::new()).await?;
        self.json(&answer)
    }

    /// `GET /v1/requests`: one page of enrolments that wait, oldest first.
    pub async fn requests(&self, page: &PageQuery) -> Result<RequestList, Error> {
        self.get(&with("/v1/requests", page)).await
    }

    /// `POST /v1/requests/{id}/approve`.
    pub async fn approve(&self, id: &Id) -> Result<Decided, Error> {
        self.decide(id, "approve").await
    }

    /// `POST /v1/requests/{id}/deny`.
    pub async fn deny(&self, id: &Id) -> Result<Decided, Error> {
        self.decide(id, "deny").await
    }

    async fn decide(&self, id: &Id, verb: &str) -> Result<Decided, Error> {
        let answer = self
            .call(Method::POST, &format!("/v1/requests/{id}/{verb}"), Bytes::new())
            .await?;
        self.json(&answer)
    }

    /// `GET /v1/clients`: one page, by name.
    pub async fn clients(&self, page: &PageQuery) -> Result<ClientList, Error> {
        self.get(&with("/v1/clients", page)).await
    }

    /// `GET /v1/audit`: one page; with `after`, oldest first.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditList, Error> {
        self.get(&with("/v1/audit", query)).await
    }

    /// `POST /v1/sessions`: a link that signs a browser in.
    pub async fn offer_session(&self) -> Result<SessionOffer, Error> {
        let answer = self.call(Method::POST, "/v1/sessions", Bytes::new()).await?;
        self.json(&answer)
    }

    /// `GET /v1/sessions`: browsers that are signed in, and links that wait.
    pub async fn sessions(&self) -> Result<SessionList, Error> {
        self.get("/v1/sessions").await
    }

    /// `DELETE /v1/sessions/{id}`.
    pub async fn end_session(&self, id: Id) -> Result<(), Error> {
        let path = format!("/v1/sessions/{id}");
        self.call(Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// `GET /v1/whoami`.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.get("/v1/whoami").await
    }

    /// `POST /v1/feed/settle`: no longer waits for hosts to say what a restored server lost.
    pub async fn settle_feed(&self) -> Result<Settled, Error> {
        let answer = self.call(Method::POST, "/v1/feed/settle", Bytes::new()).await?;
        self.json(&answer)
    }

    /// `GET /crl/{issuer}.crl`: DER, as it came; the caller checks who signed it.
    pub async fn crl(&self, issuer: &str) -> Result<Vec<u8>, Error> {
        let path = format!("/crl/{}.crl", segment(issuer));
        let answer = self.call(Method::GET, &path, Bytes::new()).await?;
        Ok(answer.body.to_vec())
    }

    /// The same, unless it is the one that `etag` names; then `None`.
    pub async fn crl_unless(&self, issuer: &str, etag: Option<&str>) -> Result<Option<FetchedCrl>, Error> {
        let path = format!("/crl/{}.crl", segment(issuer));
        let answer = self.get_unless(&path, etag).await?;
        Ok(answer.map(|answer| FetchedCrl {
            etag: answer.etag(),
            der: answer.body,
        }))
    }

    /// `GET /issuers/{issuer}.crt`: DER, as it came; the caller checks who signed it.
    pub async fn issuer(&self, issuer: &str) -> Result<Vec<u8>, Error> {
        let path = format!("/issuers/{}.crt", segment(issuer));
        let answer = self.call(Method::GET, &path, Bytes::new()).await?;
        Ok(answer.body.to_vec())
    }

    /// `GET /ca.pem`: the root.
    pub async fn ca(&self) -> Result<String, Error> {
        let answer = self.call(Method::GET, "/ca.pem", Bytes::new()).await?;
        self.text(&answer)
    }

    /// `GET /healthz`.
    pub async fn health(&self) -> Result<(), Error> {
        self.call(Method::GET, "/healthz", Bytes::new()).await.map(drop)
    }
}
