//! Small values to store: everything is named by a number, so that a failing case can be read.

use std::time::Duration;

use crate::base::{Id, Timestamp, encoding};
use crate::model::audit::{Actor, Chain, Record};
use crate::model::enrollment::{PendingRequest, RequestState};
use crate::model::{
    Approval, Certificate, CertificateFilter, Change, ChangeKind, FeedApplied, HostReport, Identity,
    IdentityKind, Labels, Mode, NameRules, Page, PageRequest, Token,
};
use crate::pki::{RevocationReason, San, Serial};
use crate::store::{
    Acknowledgement, AuditFilter, Enrolled, Enrollment, HostStatus, Renewal, RevokeOrder, RevokeTarget,
    Shown, Store, StoreError, Withdrawn,
};

pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// The time at which everything starts.
pub fn t0() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

/// `count` hours after the start.
pub fn hour(count: u32) -> Timestamp {
    t0() + HOUR * count
}

pub fn id(number: u32) -> Id {
    let hash = encoding::sha256(&number.to_be_bytes());
    Id::from_bytes(hash[..16].try_into().unwrap())
}

pub fn key(number: u32) -> [u8; 32] {
    encoding::sha256(format!("key {number}").as_bytes())
}

pub fn serial(number: u32) -> Serial {
    let hash = encoding::sha256(format!("serial {number}").as_bytes());
    let mut bytes = hash[..16].to_vec();
    bytes[0] = 0x40 | (bytes[0] & 0x3f);
    Serial::from_bytes(&bytes).unwrap()
}

/// A token with `uses` uses that expires after an hour.
pub fn token(number: u32, uses: u32) -> Token {
    Token {
        id: id(number),
        secret_sha256: key(1_000_000 + number),
        kind: IdentityKind::Host,
        rules: rules(),
        sources: vec!["10.0.0.0/8".parse().unwrap()],
        uses_max: uses,
        uses_left: uses,
        expires_at: hour(1),
        labels: Labels::from_pairs(["tier=web"]).unwrap(),
        role: None,
        permission: None,
        approval: Approval::Auto,
        replace: false,
        created_at: t0(),
        created_by: "alice".to_owned(),
        reason: format!("for token {number}"),
        deleted_at: None,
    }
}

pub fn rules() -> NameRules {
    NameRules {
        names: vec!["web-*.fleet.internal".parse().unwrap()],
        addresses: vec!["10.20.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
    }
}

pub fn identity(number: u32, kind: IdentityKind, name: &str) -> Identity {
    Identity {
        id: id(number),
        kind,
        name: name.parse().unwrap(),
        rules: rules(),
        labels: Labels::from_pairs(["tier=web", "zone=a"]).unwrap(),
        role: None,
        permission: None,
        created_at: t0(),
    }
}

/// A certificate for 24 hours, whose alternative names are its own name, an address and `extra`.
pub fn certificate(number: u32, of: &Identity, key_number: u32, now: Timestamp) -> Certificate {
    let mut sans: Vec<San> = vec!["10.20.0.7".parse().unwrap()];
    if of.kind == IdentityKind::Host {
        sans.insert(0, of.name.as_str().parse().unwrap());
    }
    Certificate {
        serial: serial(number),
        issuer: of.kind.into(),
        identity: of.id,
        name: of.name.clone(),
        kind: of.kind,
        sans,
        not_before: now - HOUR,
        not_after: now + DAY,
        issued_at: now,
        renew_after: now + HOUR * 16,
        spki_sha256: key(key_number),
        der: serial(number).as_bytes().repeat(45),
        token: None,
        renewed_from: None,
        superseded_by: None,
        revoked_at: None,
    }
}

/// Token `token_number` enrols host `name`; certificate, identity and serial have the number `number`,
/// the key has `key_number`.
pub fn enrollment(number: u32, token_number: u32, name: &str, key_number: u32, now: Timestamp) -> Enrollment {
    enrollment_of(number, token_number, IdentityKind::Host, name, key_number, now)
}

pub fn enrollment_of(
    number: u32,
    token_number: u32,
    kind: IdentityKind,
    name: &str,
    key_number: u32,
    now: Timestamp,
) -> Enrollment {
    let identity = identity(number, kind, name);
    let certificate = certificate(number, &identity, key_number, now);
    Enrollment {
        token: id(token_number),
        identity,
        certificate,
        source: Some([10, 1, 2, 3].into()),
        now,
    }
}

/// The certificate that an enrolment stores.
pub fn stored(enrollment: &Enrollment) -> Certificate {
    Certificate {
        token: Some(enrollment.token),
        ..enrollment.certificate.clone()
    }
}

pub fn renewal(number: u32, current: &Certificate, key_number: u32, now: Timestamp) -> Renewal {
    let mut of = identity(0, current.kind, current.name.as_str());
    of.id = current.identity;
    Renewal {
        current: current.serial.clone(),
        certificate: certificate(number, &of, key_number, now),
        source: None,
        now,
    }
}

pub fn request(number: u32, token_number: u32, key_number: u32, now: Timestamp) -> PendingRequest {
    PendingRequest {
        id: id(number),
        token: id(token_number),
        spki_sha256: key(key_number),
        kind: IdentityKind::Host,
        name: format!("web-{number}.fleet.internal").parse().unwrap(),
        sans: vec![
            "10.20.0.9".parse().unwrap(),
            "web-1.fleet.internal".parse().unwrap(),
        ],
        source: Some([10, 0, 0, 9].into()),
        created_at: now,
        state: RequestState::Pending,
        decided: None,
    }
}

pub fn status(host: Id, generation: u64, now: Timestamp) -> HostStatus {
    HostStatus {
        identity: host,
        reported_at: now,
        source: Some("2001:db8::7".parse().unwrap()),
        report: HostReport {
            observed_generation: generation,
            mode: Mode::Gate,
            agent_version: "0.1.0".to_owned(),
            engine_version: Some("28.5.2".to_owned()),
            endpoints: vec!["tcp://web-1:2376".to_owned()],
            issued: None,
            served: None,
            renew_at: Some(now),
            clock_offset_ms: Some(-7),
            revocations: None,
            conditions: Vec::new(),
        },
    }
}

pub fn order(target: RevokeTarget, now: Timestamp) -> RevokeOrder {
    RevokeOrder {
        target,
        reason: RevocationReason::KeyCompromise,
        actor: alice(),
        source: Some([10, 9, 9, 9].into()),
        now,
    }
}

/// Revokes one certificate by its serial.
pub async fn revoke(store: &dyn Store, number: u32, now: Timestamp) -> Withdrawn {
    let order = order(RevokeTarget::Serial(serial(number)), now);
    store.revoke(order).await.unwrap()
}

/// A certificate that no store has a record of.
pub fn shown(number: u32, now: Timestamp) -> Shown {
    Shown {
        issuer: crate::model::IssuerKind::Clients,
        serial: serial(number),
        name: "carol".parse().unwrap(),
        not_after: now + DAY,
    }
}

pub fn acknowledgement(identity: Id, number: u64, now: Timestamp) -> Acknowledgement {
    Acknowledgement {
        identity,
        applied: FeedApplied {
            feed: id(0),
            number,
            seal: None,
            cut: 2,
            denies_after: Some(3600),
            refuses: true,
            roles: None,
        },
        at: now,
    }
}

/// The whole feed, read in pages of three, with what must be true of every feed.
pub async fn whole_feed(store: &dyn Store) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    loop {
        let after = all.last().map_or(0, |change| change.number);
        let page = store.feed(after, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let mut previous = 0;
    for change in &all {
        assert_eq!(
            change.previous, previous,
            "no number between two that a reader sees"
        );
        if let ChangeKind::Revoked(revocation) = &change.kind {
            assert_eq!(
                (revocation.feed, revocation.revoked_at),
                (change.number, change.at)
            );
            assert_eq!(change.number, previous + 1);
        }
        previous = change.number;
    }
    all
}

pub fn alice() -> Actor {
    Actor::Client("alice".to_owned())
}

/// Stores a token, and enrols with it; must succeed.
pub async fn enroll_fresh(store: &dyn Store, number: u32, name: &str, now: Timestamp) -> Certificate {
    let mut token = token(10_000 + number, 1);
    token.expires_at = now + HOUR;
    store.create_token(token, alice(), None).await.unwrap();
    let enrollment = enrollment(number, 10_000 + number, name, number, now);
    let enrolled = store.enroll(enrollment.clone()).await.unwrap();
    assert_eq!(enrolled, Enrolled::Issued { uses_left: 0 });
    stored(&enrollment)
}

pub fn pages(limit: u32) -> PageRequest {
    PageRequest { limit, cursor: None }
}

/// Walks a list to its end in pages of `limit`.
pub async fn walk<T, F>(limit: u32, mut fetch: impl FnMut(PageRequest) -> F) -> Vec<T>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = fetch(PageRequest { limit, cursor }).await.unwrap();
        assert!(
            page.items.len() <= limit as usize,
            "a page is never larger than asked"
        );
        assert!(
            page.next.is_none() || page.items.len() == limit as usize,
            "only the last page is short"
        );
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

pub async fn certificates(store: &dyn Store, filter: CertificateFilter, now: Timestamp) -> Vec<Certificate> {
    walk(3, |page| store.certificates(filter.clone(), now, page)).await
}

pub async fn audit_log(store: &dyn Store) -> Vec<Record> {
    let filter = AuditFilter {
        after: Some(0),
        subject: None,
    };
    walk(7, |page| store.audit(filter.clone(), page)).await
}

/// Action and outcome of every record.
pub async fn actions(store: &dyn Store) -> Vec<String> {
    let log = audit_log(store).await;
    log.iter()
        .map(|record| format!("{} {}", record.action, record.outcome))
        .collect()
}

pub async fn assert_chain_is_whole(store: &dyn Store) {
    let begin = store.audit_checkpoint().await.unwrap();
    let mut chain = begin.as_ref().map_or_else(Chain::default, Chain::after);
    for record in audit_log(store).await {
        chain.check(&record).unwrap();
    }
}
