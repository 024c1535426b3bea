//! Certificates issued at the console.

use std::sync::Arc;

use super::fixture::*;
use crate::model::audit::Actor;
use crate::model::{IdentityKind, Permission};
use crate::store::{Store, StoreError};

super::on_every_store!(
    an_adopted_certificate_makes_its_identity,
    adopting_again_keeps_the_identity_and_replaces_its_permission,
    adopting_a_serial_twice_is_refused,
);

async fn an_adopted_certificate_makes_its_identity(store: Arc<dyn Store>) {
    let mut admin = identity(1, IdentityKind::Client, "admin");
    admin.permission = Some(Permission::Admin);
    let certificate = certificate(1, &admin, 1, t0());
    store
        .adopt(admin.clone(), certificate.clone(), Actor::System)
        .await
        .unwrap();
    let admin_id = admin.id;
    assert_eq!(store.identity_by_id(admin.id).await.unwrap(), Some(admin));
    let held = store.holder(&serial(1)).await.unwrap();
    assert_eq!(
        held.map(|(identity, held)| (identity.id, held)),
        Some((admin_id, certificate.clone()))
    );
    assert_eq!(store.holder(&serial(9)).await.unwrap(), None);
    assert_eq!(store.certificate(&serial(1)).await.unwrap(), Some(certificate));
    assert_eq!(actions(&*store).await, ["certificate.adopt ok"]);
}

async fn adopting_again_keeps_the_identity_and_replaces_its_permission(store: Arc<dyn Store>) {
    let first = identity(1, IdentityKind::Client, "admin");
    store
        .adopt(first.clone(), certificate(1, &first, 1, t0()), Actor::System)
        .await
        .unwrap();
    let mut second = identity(2, IdentityKind::Client, "admin");
    second.permission = Some(Permission::Viewer);
    second.rules.addresses.clear();
    store
        .adopt(second.clone(), certificate(2, &second, 2, t0()), Actor::System)
        .await
        .unwrap();
    let found = store
        .identity(IdentityKind::Client, &first.name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, first.id);
    assert_eq!((found.permission, found.rules), (second.permission, second.rules));
    let new = store.certificate(&serial(2)).await.unwrap().unwrap();
    assert_eq!(new.identity, first.id);
    let old = store.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(old.superseded_by, Some(serial(2)));
}

async fn adopting_a_serial_twice_is_refused(store: Arc<dyn Store>) {
    let server = identity(1, IdentityKind::Host, "ca.fleet.internal");
    store
        .adopt(server.clone(), certificate(1, &server, 1, t0()), Actor::System)
        .await
        .unwrap();
    let again = store
        .adopt(server.clone(), certificate(1, &server, 2, t0()), Actor::System)
        .await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    assert_eq!(actions(&*store).await.len(), 1);
}
