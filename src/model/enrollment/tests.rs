use std::time::Duration;

use super::*;
use crate::base::SeededRandom;
use crate::model::{Approval, IdentityKind, IssuerKind, Labels, NameRules};
use crate::pki::Serial;

const NOW: Timestamp = Timestamp::EPOCH;

fn id(n: u8) -> Id {
    Id::from_bytes([n; 16])
}

fn token() -> Token {
    Token {
        id: id(1),
        secret_sha256: [0; 32],
        kind: IdentityKind::Host,
        rules: NameRules::default(),
        sources: Vec::new(),
        uses_max: 1,
        uses_left: 1,
        expires_at: NOW + Duration::from_secs(3600),
        labels: Labels::default(),
        role: None,
        permission: None,
        approval: Approval::Auto,
        replace: false,
        created_at: NOW,
        created_by: "test".into(),
        reason: String::new(),
        deleted_at: None,
    }
}

fn identity() -> Identity {
    Identity {
        id: id(2),
        kind: IdentityKind::Host,
        name: "web-01".parse().unwrap(),
        rules: NameRules::default(),
        labels: Labels::default(),
        role: None,
        permission: None,
        created_at: NOW,
    }
}

fn certificate() -> Certificate {
    Certificate {
        serial: Serial::draw(&SeededRandom::new(1)),
        issuer: IssuerKind::Hosts,
        identity: id(2),
        name: "web-01".parse().unwrap(),
        kind: IdentityKind::Host,
        sans: Vec::new(),
        not_before: NOW,
        not_after: NOW,
        issued_at: NOW,
        renew_after: NOW,
        spki_sha256: [0; 32],
        der: Vec::new(),
        token: Some(id(1)),
        renewed_from: None,
        superseded_by: None,
        revoked_at: None,
    }
}

/// Decides with `token`, and whatever else `change` puts among the facts.
fn decide_with(
    token: &Token,
    now: Timestamp,
    change: impl for<'a> Fn(&mut Facts<'a>, &'a World),
) -> Decision {
    let world = World {
        identity: identity(),
        certificate: certificate(),
        owner: "web-02".parse().unwrap(),
    };
    let mut facts = Facts {
        token: Some(token),
        repeated: None,
        revoked_key: false,
        holder: None,
        name_owner: None,
    };
    change(&mut facts, &world);
    decide(facts, now)
}

struct World {
    identity: Identity,
    certificate: Certificate,
    owner: IdentityName,
}

fn holder(world: &World, live: bool, proves_key: bool) -> Option<Holder<'_>> {
    Some(Holder {
        identity: &world.identity,
        live,
        proves_key,
    })
}

#[test]
fn a_revoked_certificate_is_not_repeated_and_its_key_gets_no_other() {
    let refused = Decision::RefuseToken(TokenProblem::RevokedKey);
    let token = token();
    let certificate = Certificate {
        revoked_at: Some(NOW),
        ..certificate()
    };
    let facts = Facts {
        token: Some(&token),
        repeated: Some(&certificate),
        revoked_key: false,
        holder: None,
        name_owner: None,
    };
    assert_eq!(decide(facts, NOW), refused);
    let under_another_token = Facts {
        repeated: None,
        revoked_key: true,
        ..facts
    };
    assert_eq!(decide(under_another_token, NOW), refused);
}

#[test]
fn a_fresh_token_creates_an_identity() {
    assert_eq!(decide_with(&token(), NOW, |_, _| {}), Decision::Create);
}

#[test]
fn a_lost_answer_is_repeated_even_when_the_token_is_spent_or_just_expired() {
    let spent = Token {
        uses_left: 0,
        ..token()
    };
    let end = spent.expires_at + IDEMPOTENCY_WINDOW;
    for now in [NOW, spent.expires_at, end] {
        assert_eq!(
            decide_with(&spent, now, |f, w| f.repeated = Some(&w.certificate)),
            Decision::Repeat
        );
    }
    let late = decide_with(&spent, end + Duration::from_millis(1), |f, w| {
        f.repeated = Some(&w.certificate)
    });
    assert_eq!(late, Decision::RefuseToken(TokenProblem::Expired));
    let deleted = Token {
        deleted_at: Some(NOW),
        ..token()
    };
    let refused = decide_with(&deleted, NOW, |f, w| f.repeated = Some(&w.certificate));
    assert_eq!(refused, Decision::RefuseToken(TokenProblem::Deleted));
}

#[test]
fn a_token_that_cannot_be_spent_is_refused_with_its_reason() {
    let now = NOW + Duration::from_secs(3600);
    assert_eq!(
        decide_with(&token(), now, |_, _| {}),
        Decision::Create,
        "its last moment counts"
    );
    let later = now + Duration::from_millis(1);
    assert_eq!(
        decide_with(&token(), later, |_, _| {}),
        Decision::RefuseToken(TokenProblem::Expired)
    );
    let spent = Token {
        uses_left: 0,
        ..token()
    };
    assert_eq!(
        decide_with(&spent, NOW, |_, _| {}),
        Decision::RefuseToken(TokenProblem::Spent)
    );
    assert_eq!(
        decide_with(&token(), NOW, |f, _| f.token = None),
        Decision::RefuseToken(TokenProblem::Unknown)
    );
}

#[test]
fn a_live_identitys_name_is_taken_unless_the_key_or_the_token_says_otherwise() {
    let taken = Decision::NameTaken("web-01".parse().unwrap());
    assert_eq!(
        decide_with(&token(), NOW, |f, w| f.holder = holder(w, true, false)),
        taken
    );
    let rejoin = Decision::Rejoin(id(2));
    assert_eq!(
        decide_with(&token(), NOW, |f, w| f.holder = holder(w, true, true)),
        rejoin
    );
    assert_eq!(
        decide_with(&token(), NOW, |f, w| f.holder = holder(w, false, false)),
        rejoin
    );
    let replace = Token {
        replace: true,
        ..token()
    };
    assert_eq!(
        decide_with(&replace, NOW, |f, w| f.holder = holder(w, true, false)),
        rejoin
    );
}

#[test]
fn another_live_hosts_name_cannot_be_claimed_as_a_san() {
    let taken = Decision::NameTaken("web-02".parse().unwrap());
    assert_eq!(
        decide_with(&token(), NOW, |f, w| f.name_owner = Some(&w.owner)),
        taken
    );
    let own_key = decide_with(&token(), NOW, |f, w| {
        f.name_owner = Some(&w.owner);
        f.holder = holder(w, true, true);
    });
    assert_eq!(
        own_key, taken,
        "one's own key says nothing about another host's name"
    );
}
