//! What never changes about a token, kept in memory so that a thousand hosts joining with one token do not
//! read it a thousand times. Uses, deletion and expiry are decided by the transaction that spends, not here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::base::Id;
use crate::base::limits::TOKEN_CACHE_MAX;
use crate::model::Token;

/// At most [`TOKEN_CACHE_MAX`] tokens; when it is full it starts again from nothing.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<HashMap<Id, Arc<Token>>>);

impl TokenCache {
    pub(super) fn get(&self, id: &Id) -> Option<Arc<Token>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn put(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        let mut cached = self.lock();
        if cached.len() >= TOKEN_CACHE_MAX {
            cached.clear();
        }
        cached.insert(token.id, Arc::clone(&token));
        token
    }

    pub(super) fn forget(&self, id: &Id) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Arc<Token>>> {
        self.0.lock().expect("no panic while the lock is held")
    }
}
