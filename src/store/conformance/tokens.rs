//! Tokens.

use std::sync::Arc;

use super::fixture::*;
use crate::model::{Approval, IdentityKind, Permission};
use crate::store::{Store, StoreError};

super::on_every_store!(
    a_token_is_read_back_as_it_was_stored,
    a_second_token_with_the_same_id_is_refused_and_changes_nothing,
    a_deleted_token_leaves_the_list_and_is_deleted_once,
    tokens_are_listed_newest_first,
);

async fn a_token_is_read_back_as_it_was_stored(store: Arc<dyn Store>) {
    let mut full = token(1, 40);
    full.kind = IdentityKind::Client;
    full.role = Some("operator".to_owned());
    full.permission = Some(Permission::Admin);
    full.approval = Approval::Manual;
    full.replace = true;
    full.reason = "quotes ' \" and \u{1f433}".to_owned();
    let mut plain = token(2, u32::MAX);
    plain.sources.clear();
    plain.rules.names.clear();
    for token in [full, plain] {
        store.create_token(token.clone(), alice(), None).await.unwrap();
        assert_eq!(store.token(token.id).await.unwrap(), Some(token));
    }
    assert_eq!(store.token(id(3)).await.unwrap(), None);
}

async fn a_second_token_with_the_same_id_is_refused_and_changes_nothing(store: Arc<dyn Store>) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    let again = store.create_token(token(1, 9), alice(), None).await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    assert_eq!(store.token(id(1)).await.unwrap(), Some(token(1, 1)));
    assert_eq!(actions(&*store).await, ["token.create ok"]);
}

async fn a_deleted_token_leaves_the_list_and_is_deleted_once(store: Arc<dyn Store>) {
    store.create_token(token(1, 1), alice(), None).await.unwrap();
    assert!(store.delete_token(id(1), alice(), hour(1)).await.unwrap());
    assert!(!store.delete_token(id(1), alice(), hour(2)).await.unwrap());
    assert!(!store.delete_token(id(2), alice(), hour(2)).await.unwrap());
    assert_eq!(store.tokens(pages(10)).await.unwrap().items, []);
    let deleted = store.token(id(1)).await.unwrap().unwrap();
    assert_eq!(deleted.deleted_at, Some(hour(1)));
    assert_eq!(actions(&*store).await, ["token.create ok", "token.delete ok"]);
}

async fn tokens_are_listed_newest_first(store: Arc<dyn Store>) {
    for number in 0..9 {
        let mut token = token(number, 1);
        token.created_at = hour(number / 3);
        store.create_token(token, alice(), None).await.unwrap();
    }
    let listed = walk(2, |page| store.tokens(page)).await;
    assert_eq!(listed.len(), 9);
    assert!(
        listed.is_sorted_by(|a, b| (b.created_at, b.id) < (a.created_at, a.id)),
        "{listed:?}"
    );
}
