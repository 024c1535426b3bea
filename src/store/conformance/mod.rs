//! What every store must do. Each case runs on all of them, and ends with a look at the audit chain.

mod adopting;
mod audit;
mod enrolling;
mod feed;
pub mod fixture;
mod hosts;
mod listing;
mod looking;
mod model;
mod problems;
mod renewing;
mod requests;
mod revoking;
mod roles;
mod sessions;
mod tokens;
mod upkeep;

use std::sync::Arc;

use tempfile::TempDir;

use super::Store;
use super::memory::MemoryStore;
use super::sqlite::{Missing, SqliteStore};

/// A store, and the directory that goes away with it.
struct Subject {
    store: Arc<dyn Store>,
    _directory: Option<TempDir>,
}

async fn memory() -> Subject {
    Subject {
        store: Arc::new(MemoryStore::new()),
        _directory: None,
    }
}

async fn sqlite() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dockwarden.db");
    let store = SqliteStore::open(&path, Missing::Create).await.unwrap();
    Subject {
        store: Arc::new(store),
        _directory: Some(directory),
    }
}

/// Makes a test per store of each case.
macro_rules! on_every_store {
    ($($case:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $case() {
                let subject = crate::store::conformance::memory().await;
                super::$case(subject.store.clone()).await;
                crate::store::conformance::fixture::assert_chain_is_whole(&*subject.store).await;
            })*
        }
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                let subject = crate::store::conformance::sqlite().await;
                super::$case(subject.store.clone()).await;
                crate::store::conformance::fixture::assert_chain_is_whole(&*subject.store).await;
                subject.store.close().await;
            })*
        }
    };
}
use on_every_store;
