//! Bodies of the HTTP API. Every wire type: whatever arrives is refused or read; what is read and written again reads the
//! same. `POST /enroll`, with a CA and a store in memory behind it: never a fault of the server, and never a certificate
//! with a name outside the token's rules.
//!
//! In the input `@H` and `@C` stand for a host's and a client's join token, `@R` for a request with a good signature.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use dockwarden::base::{ManualClock, SeededRandom, SystemRandom, Timestamp};
use dockwarden::ca::{Issuer, IssuerUrls, make_issuer, make_root};
use dockwarden::http;
use dockwarden::keys::{IssuerKey, MemoryKey};
use dockwarden::model::audit::Actor;
use dockwarden::model::{Approval, IdentityKind, IssuerKind, JoinToken, Labels, NameRules, Token};
use dockwarden::pki::{Certificate, KeyAlgorithm, LeafKey, Serial, csr, pem};
use dockwarden::service::{Authority, Service, Settings};
use dockwarden::store::Store;
use dockwarden::store::memory::MemoryStore;
use dockwarden::wire::{CreatedToken, EnrollRequest, Issued, Pending, Problem, RenewRequest, TokenRequest};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

/// Inputs before the world is made anew: what was enrolled stays in its memory.
const INPUTS_PER_WORLD: u32 = 5_000;

fuzz_target!(|input: &[u8]| {
    thread_local!(static WORLD: RefCell<Option<World>> = const { RefCell::new(None) });
    WORLD.with_borrow_mut(|slot| {
        let world = slot.get_or_insert_with(World::new);
        let body = world.fill_in(input);
        read_all(&body);
        world.enroll(body);
        if world.inputs == INPUTS_PER_WORLD {
            *slot = None;
        }
    });
});

fn read_all(body: &[u8]) {
    read::<EnrollRequest>(body);
    read::<RenewRequest>(body);
    read::<TokenRequest>(body);
    read::<CreatedToken>(body);
    read::<Issued>(body);
    read::<Pending>(body);
    read::<Problem>(body);
}

fn read<T: DeserializeOwned + Serialize>(body: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(body) else {
        return;
    };
    let written: Value = serde_json::to_value(&value).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(again).expect("and written again"), written);
}

struct World {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
    rules: NameRules,
    replacements: [(&'static str, String); 3],
    inputs: u32,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_secs(1_800_000_000);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let authority = authority(now);
        let store = MemoryStore::new();
        let rules = NameRules {
            names: vec!["web-*.fleet.internal".parse().expect("a pattern")],
            addresses: vec!["10.20.0.0/16".parse().expect("a range")],
        };
        let random = SeededRandom::new(7);
        let give = |kind| {
            let text = JoinToken::draw(&random, authority.pins());
            let token = token(&text, kind, rules.clone(), now);
            runtime
                .block_on(store.create_token(token, Actor::System, None))
                .expect("in memory");
            text.expose().to_string()
        };
        let replacements = [
            ("@H", give(IdentityKind::Host)),
            ("@C", give(IdentityKind::Client)),
            ("@R", request()),
        ];
        let settings = Settings {
            names: vec!["ca.fleet.internal".parse().expect("a name")],
            ..Settings::default()
        };
        let clock = Arc::new(ManualClock::new(now));
        let service = Service::new(
            Arc::new(store),
            Arc::new(authority),
            settings,
            clock,
            Arc::new(SystemRandom),
        );
        Self {
            runtime,
            router: http::router(Arc::new(service)),
            rules,
            replacements,
            inputs: 0,
        }
    }

    fn fill_in(&self, input: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(input) else {
            return input.to_vec();
        };
        let fill = |text: String, (mark, value): &(&str, String)| text.replace(mark, value);
        self.replacements.iter().fold(text.to_owned(), fill).into_bytes()
    }

    fn enroll(&mut self, body: Vec<u8>) {
        self.inputs += 1;
        let request = axum::http::Request::post("/enroll")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .expect("a request");
        let (status, body) = self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.expect("infallible");
            let status = answer.status().as_u16();
            (
                status,
                answer.into_body().collect().await.expect("in memory").to_bytes(),
            )
        });
        match status {
            200 | 201 => self.check(&serde_json::from_slice(&body).expect("a certificate")),
            400..500 => drop(serde_json::from_slice::<Problem>(&body).expect("a problem document")),
            _ => panic!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    fn check(&self, issued: &Issued) {
        let der = pem::certificates(&issued.certificate).expect("PEM");
        let leaf = Certificate::parse(&der[0]).expect("a certificate");
        let clients = self.rules.refused(IdentityKind::Client, &leaf.sans);
        let hosts = self.rules.refused(IdentityKind::Host, &leaf.sans);
        assert!(clients.is_empty() || hosts.is_empty(), "{hosts:?}");
        assert!(!leaf.is_ca());
    }
}

fn authority(now: Timestamp) -> Authority {
    let key = || Arc::new(MemoryKey::generate(KeyAlgorithm::EcdsaP256).expect("a key"));
    let serial = || Serial::draw(&SystemRandom);
    let root = make_root("fuzz", key(), &serial(), now).expect("a root");
    let issuer = |kind| {
        let key: Arc<dyn IssuerKey> = key();
        let certificate =
            make_issuer(&root, kind, "fuzz", key.public_key(), &serial(), now).expect("an issuer");
        Issuer::new(certificate, key, kind, IssuerUrls::none()).expect("parts that fit")
    };
    let (hosts, clients) = (issuer(IssuerKind::Hosts), issuer(IssuerKind::Clients));
    Authority::new(root.certificate().clone(), hosts, clients).expect("a CA")
}

fn token(text: &JoinToken, kind: IdentityKind, rules: NameRules, now: Timestamp) -> Token {
    Token {
        id: text.id,
        secret_sha256: text.secret_sha256(),
        kind,
        rules,
        sources: Vec::new(),
        uses_max: INPUTS_PER_WORLD,
        uses_left: INPUTS_PER_WORLD,
        expires_at: now,
        labels: Labels::default(),
        role: None,
        permission: None,
        approval: Approval::Auto,
        replace: true,
        created_at: now,
        created_by: "fuzz".to_owned(),
        reason: String::new(),
        deleted_at: None,
    }
}

/// As it stands inside a JSON string.
fn request() -> String {
    let key = LeafKey::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let sans = ["web-1.fleet.internal", "10.20.0.1"].map(|san| san.parse().expect("a name"));
    let name = "web-1.fleet.internal".parse().expect("a name");
    csr::make(&key, &name, &sans).to_pem().replace('\n', "\\n")
}
