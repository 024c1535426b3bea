//! The audit events of the store's own transactions. No secret is in any of them: tokens appear by id,
//! keys by the hash of their public half.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::feed::{Given, Regain, RevokeOrder};
use super::problems::TestOrder;
use super::roles::{RoleChange, RoleOrder};
use super::sessions::{SessionChange, SessionOrder};
use super::upkeep::{PruneOrder, Pruned};
use super::{Enrollment, Renewal};
use crate::base::{Id, Timestamp, encoding};
use crate::model::audit::{AUDIT_PRUNE, Actor, Checkpoint, Event};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::job::JobName;
use crate::model::role::BindingKey;
use crate::model::{Certificate, IdentityKind, Revocation, Session, Token, TokenProblem};
use crate::pki::IdentityName;

/// The outcome of everything that was not refused.
pub const OK: &str = "ok";
/// Detail of a refusal that suggests somebody else holds the token's text.
pub const POSSIBLE_LEAK: &str = "possible-leak";

type Detail = BTreeMap<&'static str, String>;

/// A certificate's holder as an actor.
pub fn holder(kind: IdentityKind, name: &IdentityName) -> Actor {
    match kind {
        IdentityKind::Host => Actor::Host(name.to_string()),
        IdentityKind::Client => Actor::Client(name.to_string()),
    }
}

/// `token.create`
pub fn token_created(token: &Token, actor: Actor, source: Option<IpAddr>) -> Event {
    let mut detail = Detail::from([
        ("kind", token.kind.to_string()),
        ("uses", token.uses_max.to_string()),
        ("expires_at", token.expires_at.to_string()),
        ("reason", token.reason.clone()),
    ]);
    if token.replace {
        detail.insert("replace", "true".to_owned());
    }
    if let Some(role) = &token.role {
        detail.insert("role", role.clone());
    }
    if let Some(permission) = token.permission {
        detail.insert("permission", permission.to_string());
    }
    event(
        token.created_at,
        actor,
        "token.create",
        token.id.to_string(),
        source,
        detail,
    )
}

/// `token.delete`
pub fn token_deleted(id: Id, actor: Actor, now: Timestamp) -> Event {
    event(now, actor, "token.delete", id.to_string(), None, Detail::new())
}

/// `certificate.issue`: an enrolment. `certificate` as stored.
pub fn issued(enrollment: &Enrollment, certificate: &Certificate, rejoined: bool) -> Event {
    let mut detail = about(certificate);
    detail.insert("token", enrollment.token.to_string());
    if rejoined {
        detail.insert("rejoined", "true".to_owned());
    }
    event(
        enrollment.now,
        Actor::Token(enrollment.token.to_string()),
        "certificate.issue",
        certificate.name.to_string(),
        enrollment.source,
        detail,
    )
}

/// `enroll.refused`: the token cannot be spent. A spent token shown with a key it never certified means
/// that somebody else has its text: [`POSSIBLE_LEAK`].
pub fn token_refused(enrollment: &Enrollment, problem: TokenProblem) -> Event {
    let mut refused = enroll_refused(enrollment, problem.as_str());
    if problem == TokenProblem::Spent {
        refused.detail.insert("alert", POSSIBLE_LEAK.to_owned());
    }
    refused
}

/// `enroll.refused`: a live identity holds the name.
pub fn name_taken(enrollment: &Enrollment, name: &IdentityName) -> Event {
    let mut refused = enroll_refused(enrollment, "name-taken");
    refused.detail.insert("held_by", name.to_string());
    refused
}

fn enroll_refused(enrollment: &Enrollment, outcome: &str) -> Event {
    let certificate = &enrollment.certificate;
    let detail = Detail::from([
        ("kind", enrollment.identity.kind.to_string()),
        ("key", encoding::hex(&certificate.spki_sha256)),
    ]);
    let mut refused = event(
        enrollment.now,
        Actor::Token(enrollment.token.to_string()),
        "enroll.refused",
        enrollment.identity.name.to_string(),
        enrollment.source,
        detail,
    );
    refused.outcome = outcome.to_owned();
    refused
}

/// `certificate.renew`
pub fn renewed(renewal: &Renewal, certificate: &Certificate) -> Event {
    let mut detail = about(certificate);
    detail.insert("renewed_from", renewal.current.to_string());
    event(
        renewal.now,
        holder(certificate.kind, &certificate.name),
        "certificate.renew",
        certificate.name.to_string(),
        renewal.source,
        detail,
    )
}

/// `renew.refused`
pub fn renew_refused(renewal: &Renewal, outcome: &'static str) -> Event {
    let certificate = &renewal.certificate;
    let detail = Detail::from([("renewed_from", renewal.current.to_string())]);
    let mut refused = event(
        renewal.now,
        holder(certificate.kind, &certificate.name),
        "renew.refused",
        certificate.name.to_string(),
        renewal.source,
        detail,
    );
    refused.outcome = outcome.to_owned();
    refused
}

/// `certificate.adopt`
pub fn adopted(certificate: &Certificate, actor: Actor) -> Event {
    event(
        certificate.issued_at,
        actor,
        "certificate.adopt",
        certificate.name.to_string(),
        None,
        about(certificate),
    )
}

/// `request.submit`
pub fn request_submitted(request: &PendingRequest) -> Event {
    event(
        request.created_at,
        Actor::Token(request.token.to_string()),
        "request.submit",
        request.name.to_string(),
        request.source,
        about_request(request),
    )
}

/// `request.approve` or `request.deny`
pub fn request_decided(request: &PendingRequest, actor: Actor, now: Timestamp) -> Event {
    let action = match request.state {
        RequestState::Denied => "request.deny",
        RequestState::Approved | RequestState::Pending => "request.approve",
    };
    event(
        now,
        actor,
        action,
        request.name.to_string(),
        None,
        about_request(request),
    )
}

/// `certificate.revoke`
pub fn revoked(order: &RevokeOrder, revocation: &Revocation) -> Event {
    let mut detail = about_revocation(revocation);
    if revocation.identity.is_none() {
        detail.insert("recorded", "false".to_owned());
    }
    event(
        order.now,
        order.actor.clone(),
        "certificate.revoke",
        revocation.name.to_string(),
        order.source,
        detail,
    )
}

/// `feed.regain`: a revocation that this server had lost.
pub fn regained(regain: &Regain, given: &Given, revocation: &Revocation) -> Event {
    let mut detail = about_revocation(revocation);
    detail.insert("lost_number", given.number.to_string());
    detail.insert("revoked_at", given.at.to_string());
    event(
        regain.now,
        regain.actor.clone(),
        "feed.regain",
        revocation.name.to_string(),
        regain.source,
        detail,
    )
}

/// `feed.restore`
pub fn restored(actor: Actor, from: u64, to: u64, now: Timestamp) -> Event {
    let detail = Detail::from([("from", from.to_string()), ("to", to.to_string())]);
    event(now, actor, "feed.restore", to.to_string(), None, detail)
}

/// `feed.settle`
pub fn settled(actor: Actor, number: u64, now: Timestamp) -> Event {
    event(now, actor, "feed.settle", number.to_string(), None, Detail::new())
}

/// `role.put`, `role.remove`, `role.bind`, `role.unbind`
pub fn role_changed(order: &RoleOrder) -> Event {
    let (action, subject, detail) = match &order.change {
        RoleChange::Put { role, .. } => {
            let mut detail = Detail::from([("allow", role.spec.allow.join(" "))]);
            if !role.spec.deny.is_empty() {
                detail.insert("deny", role.spec.deny.join(" "));
            }
            if let Some(rules) = &role.spec.rules {
                let rules = serde_json::to_string(rules).expect("lists of strings are always JSON");
                detail.insert("rules", rules);
            }
            ("role.put", role.name.to_string(), detail)
        }
        RoleChange::Remove(name) => ("role.remove", name.to_string(), Detail::new()),
        RoleChange::Bind(binding) => (
            "role.bind",
            binding.client.to_string(),
            about_binding(&binding.key()),
        ),
        RoleChange::Unbind(key) => ("role.unbind", key.client.to_string(), about_binding(key)),
    };
    event(
        order.now,
        order.actor.clone(),
        action,
        subject,
        order.source,
        detail,
    )
}

/// `job.run`: somebody wants a job to run now.
pub fn job_asked(job: JobName, actor: &Actor, source: Option<IpAddr>, now: Timestamp) -> Event {
    event(
        now,
        actor.clone(),
        "job.run",
        job.to_string(),
        source,
        Detail::new(),
    )
}

/// `notify.test`
pub fn channel_tested(order: &TestOrder) -> Event {
    let subject = order.channel.clone();
    let actor = order.actor.clone();
    event(
        order.now,
        actor,
        "notify.test",
        subject,
        order.source,
        Detail::new(),
    )
}

/// `prune`: certificates, tokens, problems and notifications that are gone.
pub fn pruned(pruned: &Pruned, order: &PruneOrder) -> Event {
    let mut detail = Detail::new();
    let kinds = [
        (
            "certificates",
            "certificates_before",
            pruned.certificates,
            order.certificates,
        ),
        ("tokens", "tokens_before", pruned.tokens, order.tokens),
        ("problems", "problems_before", pruned.problems, order.problems),
        (
            "notifications",
            "notifications_before",
            pruned.notifications,
            order.problems,
        ),
    ];
    for (count, limit, number, before) in kinds {
        if let Some(before) = before.filter(|_| number > 0) {
            detail.insert(count, number.to_string());
            detail.insert(limit, before.to_string());
        }
    }
    event(order.now, Actor::System, "prune", String::new(), None, detail)
}

/// [`AUDIT_PRUNE`]: the records up to the checkpoint are gone.
pub fn audit_pruned(checkpoint: &Checkpoint, count: u64, now: Timestamp) -> Event {
    let mut detail = checkpoint.detail();
    detail.insert("records", count.to_string());
    let subject = checkpoint.seq.to_string();
    event(now, Actor::System, AUDIT_PRUNE, subject, None, detail)
}

/// `session.offer`, `session.start`, `session.end`; nothing when it was only used.
pub fn session_changed(order: &SessionOrder, session: &Session) -> Option<Event> {
    let (action, actor) = match &order.change {
        SessionChange::Offer { .. } => ("session.offer", order.actor.clone()),
        SessionChange::Start { .. } => ("session.start", Actor::Client(session.name.to_string())),
        SessionChange::End(_) => ("session.end", order.actor.clone()),
        SessionChange::Seen(_) => return None,
    };
    let detail = Detail::from([
        ("session", session.id.to_string()),
        ("serial", session.serial.to_string()),
    ]);
    Some(event(
        order.now,
        actor,
        action,
        session.name.to_string(),
        order.source,
        detail,
    ))
}

fn about_binding(key: &BindingKey) -> Detail {
    let mut detail = Detail::from([("role", key.role.to_string())]);
    if !key.hosts.is_empty() {
        detail.insert("hosts", key.hosts.clone());
    }
    detail
}

fn about_revocation(revocation: &Revocation) -> Detail {
    Detail::from([
        ("serial", revocation.serial.to_string()),
        ("issuer", revocation.issuer.to_string()),
        ("reason", revocation.reason.to_string()),
        ("feed", revocation.feed.to_string()),
        ("not_after", revocation.not_after.to_string()),
    ])
}

fn about(certificate: &Certificate) -> Detail {
    Detail::from([
        ("serial", certificate.serial.to_string()),
        ("kind", certificate.kind.to_string()),
        ("key", encoding::hex(&certificate.spki_sha256)),
        ("not_after", certificate.not_after.to_string()),
    ])
}

fn about_request(request: &PendingRequest) -> Detail {
    Detail::from([
        ("request", request.id.to_string()),
        ("kind", request.kind.to_string()),
        ("key", encoding::hex(&request.spki_sha256)),
    ])
}

fn event(
    at: Timestamp,
    actor: Actor,
    action: &'static str,
    subject: String,
    source: Option<IpAddr>,
    detail: Detail,
) -> Event {
    Event {
        at,
        actor,
        action,
        subject,
        outcome: OK.to_owned(),
        source,
        detail,
    }
}
