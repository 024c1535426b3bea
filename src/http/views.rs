//! Values of the model as they stand on the wire.

use std::collections::BTreeMap;

use crate::base::encoding::{hex, sha256};
use crate::base::{Id, Timestamp};
use crate::model::audit::{Checkpoint, Record};
use crate::model::enrollment::PendingRequest;
use crate::model::problem::{Notification, Problem};
use crate::model::{
    Certificate, Change, ChangeKind, ConditionStatus, Identity, IssuerKind, LINK_LIFETIME, Revocation,
    Serving, Session, Token,
};
use crate::pki::pem;
use crate::service::{
    Authority, Bound, HostSeen, Issuance, JobSeen, Progress, RoleSeen, RolesProgress, Sealed,
};
use crate::wire::{
    Applied, AuditBegin, AuditView, BindingView, CertificateDetail, CertificateView, ClientView, FeedChange,
    FeedChangeKind, FeedRevoked, HostBehind, HostDetail, HostView, Issued, JobView, MissingHost,
    NotificationView, ProblemView, RequestView, RevokedView, RoleView, RolesApplied, SessionView, TokenView,
};

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(super) fn issued(issuance: &Issuance, authority: &Authority) -> Issued {
    let certificate = &issuance.certificate;
    let issuer = authority.issuer(certificate.issuer);
    let leaf = pem::encode_certificate(&certificate.der);
    Issued {
        chain: format!("{leaf}{}", issuer.pem()),
        certificate: leaf,
        ca: authority.root_pem().to_owned(),
        name: certificate.name.to_string(),
        serial: certificate.serial.clone(),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        renew_after: certificate.renew_after,
        crl_url: issuer.urls().crl().map(str::to_owned),
        token_uses: issuance.token_uses,
    }
}

pub(super) fn role(seen: &RoleSeen) -> RoleView {
    let operations = seen.role.operations().names();
    RoleView {
        name: seen.role.name().to_string(),
        built_in: seen.stored.is_none(),
        role: seen.role.spec().clone(),
        operations: operations.into_iter().map(str::to_owned).collect(),
        bindings: seen.bindings,
        changed_at: seen.stored.as_ref().map(|stored| stored.changed_at),
        changed_by: seen.stored.as_ref().map(|stored| stored.changed_by.clone()),
    }
}

pub(super) fn job(seen: JobSeen) -> JobView {
    let state = seen.state;
    JobView {
        name: state.name,
        about: state.name.about().to_owned(),
        schedule: seen.schedule,
        configured: seen.configured,
        next_at: state.next_at,
        asked_by: state.asked.map(|asked| asked.by),
        running_since: state.running.map(|running| running.since),
        last: state.last,
        succeeded_at: state.succeeded_at,
        failures: state.failures,
    }
}

pub(super) fn problem(problem: Problem) -> ProblemView {
    ProblemView {
        number: problem.number,
        key: problem.key,
        kind: problem.kind,
        severity: problem.severity,
        subject: problem.subject,
        message: problem.message,
        first_seen: problem.first_seen,
        last_seen: problem.last_seen,
        resolved_at: problem.resolved_at,
    }
}

pub(super) fn notification(notification: Notification) -> NotificationView {
    let delivered_at = notification.delivered_at;
    NotificationView {
        number: notification.number,
        id: notification.id,
        channel: notification.channel,
        event: notification.event,
        problem: problem(notification.problem),
        at: notification.at,
        delivered_at,
        due_at: delivered_at.is_none().then_some(notification.due_at),
        attempts: notification.attempts,
        error: notification.error,
    }
}

pub(super) fn audit_begin(checkpoint: &Checkpoint) -> AuditBegin {
    AuditBegin {
        seq: checkpoint.seq,
        at: checkpoint.at,
        hash: hex(&checkpoint.hash),
    }
}

pub(super) fn binding(bound: &Bound) -> BindingView {
    match bound {
        Bound::Binding(binding) => BindingView {
            client: binding.client.to_string(),
            role: binding.role.to_string(),
            hosts: binding.hosts.pairs().clone(),
            created_by: Some(binding.created_by.clone()),
            created_at: Some(binding.created_at),
        },
        Bound::Token { client, role } => BindingView {
            client: client.to_string(),
            role: role.clone(),
            hosts: BTreeMap::new(),
            created_by: None,
            created_at: None,
        },
    }
}

pub(super) fn certificate(certificate: &Certificate, now: Timestamp) -> CertificateView {
    CertificateView {
        serial: certificate.serial.clone(),
        name: certificate.name.to_string(),
        profile: certificate.kind,
        status: certificate.status(now),
        sans: texts(&certificate.sans),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        renew_after: certificate.renew_after,
    }
}

pub(super) fn certificate_detail(
    found: &Certificate,
    revoked: Option<&Revocation>,
    now: Timestamp,
) -> CertificateDetail {
    CertificateDetail {
        view: certificate(found, now),
        issuer: IssuerKind::from(found.kind),
        issued_at: found.issued_at,
        fingerprint_sha256: hex(&sha256(&found.der)),
        spki_sha256: hex(&found.spki_sha256),
        pem: pem::encode_certificate(&found.der),
        renewed_from: found.renewed_from.clone(),
        renewed_by: found.superseded_by.clone(),
        revocation: revoked.map(revocation),
        token: found.token.as_ref().map(Id::to_string),
    }
}

pub(super) fn host(seen: &HostSeen) -> HostView {
    let full = seen.full.as_ref();
    let status = full.and_then(|row| row.status.as_ref());
    let conditions = status.map(|s| &s.report.conditions);
    let serving = status.and_then(|s| s.report.serving());
    let behind = serving.is_some_and(|serving| serving != Serving::Current);
    HostView {
        name: seen.name.to_string(),
        endpoints: seen.endpoints.clone(),
        labels: full
            .map(|row| row.identity.labels.pairs().clone())
            .unwrap_or_default(),
        last_seen: status.map(|s| s.reported_at),
        healthy: conditions.map(|all| all.iter().all(|c| c.status != ConditionStatus::False)),
        issued_not_after: full.and_then(|row| row.certificate.as_ref()).map(|c| c.not_after),
        served_not_after: status.and_then(|s| s.report.served.as_ref()).map(|s| s.not_after),
        serving,
        serving_reason: status.filter(|_| behind).and_then(|s| s.report.serving_reason()),
    }
}

/// There is one generation until hosts have a desired state of their own on the server.
pub(super) const GENERATION: u64 = 1;

pub(super) fn host_detail(seen: &HostSeen) -> HostDetail {
    let status = seen.full.as_ref().and_then(|row| row.status.as_ref());
    HostDetail {
        view: host(seen),
        generation: GENERATION,
        report: status.map(|s| s.report.clone()),
    }
}

pub(super) fn client(identity: &Identity, newest: Option<&Certificate>) -> ClientView {
    ClientView {
        name: identity.name.to_string(),
        role: identity.role.clone(),
        permission: identity.permission,
        labels: identity.labels.pairs().clone(),
        serial: newest.map(|c| c.serial.clone()),
        not_after: newest.map(|c| c.not_after),
        created_at: identity.created_at,
    }
}

pub(super) fn token(token: &Token) -> TokenView {
    TokenView {
        id: token.id,
        profile: token.kind,
        names: texts(&token.rules.names),
        cidrs: texts(&token.rules.addresses),
        sources: texts(&token.sources),
        uses_max: token.uses_max,
        uses_left: token.uses_left,
        expires_at: token.expires_at,
        labels: token.labels.pairs().clone(),
        role: token.role.clone(),
        permission: token.permission,
        approval: token.approval,
        replace: token.replace,
        created_at: token.created_at,
        created_by: token.created_by.clone(),
        reason: token.reason.clone(),
    }
}

pub(super) fn request(request: &PendingRequest) -> RequestView {
    RequestView {
        id: request.id,
        profile: request.kind,
        name: request.name.to_string(),
        sans: texts(&request.sans),
        spki_sha256: hex(&request.spki_sha256),
        source: request.source.map(|source| source.to_string()),
        created_at: request.created_at,
        state: request.state.as_str().to_owned(),
    }
}

pub(super) fn session(session: &Session) -> SessionView {
    let link_ends = session.created_at + LINK_LIFETIME;
    SessionView {
        id: session.id,
        name: session.name.to_string(),
        serial: session.serial.clone(),
        created_at: session.created_at,
        started_at: session.started_at,
        seen_at: session.seen_at,
        ends_at: session.started_at.map_or(link_ends, |_| session.ends_at()),
        source: session.source.map(|source| source.to_string()),
    }
}

pub(super) fn audit(record: Record) -> AuditView {
    AuditView {
        seq: record.seq,
        at: record.at,
        actor: record.actor,
        action: record.action,
        subject: record.subject,
        outcome: record.outcome,
        source: record.source,
        detail: record.detail,
        hash: hex(&record.hash),
    }
}

pub(super) fn revocation(revocation: &Revocation) -> RevokedView {
    RevokedView {
        serial: revocation.serial.clone(),
        issuer: revocation.issuer,
        name: revocation.name.to_string(),
        not_after: revocation.not_after,
        revoked_at: revocation.revoked_at,
        reason: revocation.reason,
        by: revocation.by.clone(),
        feed: revocation.feed,
    }
}

pub(super) fn change(sealed: &Sealed) -> FeedChange {
    let change = &sealed.change;
    let kind = match &change.kind {
        ChangeKind::Restored => FeedChangeKind::Restored,
        ChangeKind::Revoked(revocation) => FeedChangeKind::Revoked(FeedRevoked {
            issuer: revocation.issuer,
            serial: revocation.serial.clone(),
            name: revocation.name.to_string(),
            not_after: revocation.not_after,
            reason: revocation.reason,
        }),
    };
    FeedChange {
        number: change.number,
        previous: change.previous,
        seal: sealed.seal,
        at: change.at,
        kind,
    }
}

/// A change as it came from the server, if this version knows its kind.
pub(super) fn sealed(given: FeedChange) -> Option<Sealed> {
    let kind = match given.kind {
        FeedChangeKind::Restored => ChangeKind::Restored,
        FeedChangeKind::Revoked(revoked) => ChangeKind::Revoked(Box::new(Revocation {
            feed: given.number,
            issuer: revoked.issuer,
            serial: revoked.serial,
            not_after: revoked.not_after,
            revoked_at: given.at,
            reason: revoked.reason,
            name: revoked.name.parse().ok()?,
            identity: None,
            by: String::new(),
        })),
        FeedChangeKind::Unknown => return None,
    };
    let change = Change {
        number: given.number,
        previous: given.previous,
        at: given.at,
        kind,
    };
    Some(Sealed {
        change,
        seal: given.seal,
    })
}

pub(super) fn roles_applied(progress: &RolesProgress) -> RolesApplied {
    let missing = progress.missing.iter().map(|host| {
        let patience = host.denies_after.map(std::time::Duration::from_secs);
        HostBehind {
            name: host.name.to_string(),
            last_seen: host.last_seen,
            denies_from: host
                .last_seen
                .zip(patience)
                .map(|(seen, patience)| seen + patience),
        }
    });
    RolesApplied {
        hosts: progress.hosts,
        applied: progress.applied,
        without: progress.without,
        missing: missing.collect(),
    }
}

pub(super) fn applied(number: u64, progress: &Progress) -> Applied {
    let missing = progress.missing.iter().map(|host| {
        let patience = host.denies_after.map(std::time::Duration::from_secs);
        MissingHost {
            name: host.name.to_string(),
            applied: host.applied,
            last_seen: host.last_seen,
            denies_from: host
                .last_seen
                .zip(patience)
                .map(|(seen, patience)| seen + patience),
            refuses: host.refuses,
        }
    });
    Applied {
        number,
        hosts: progress.hosts,
        applied: progress.applied,
        cut: progress.cut,
        missing: missing.collect(),
    }
}
