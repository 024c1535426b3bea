//! Creating, deleting and spending tokens.

use std::net::IpAddr;

use super::super::op::{Answer, Outcome};
use super::super::{StoreError, events};
use super::State;
use crate::base::{Id, Timestamp};
use crate::model::Token;
use crate::model::audit::Actor;

impl State {
    pub(super) fn create_token(&mut self, token: &Token, actor: &Actor, source: Option<IpAddr>) -> Outcome {
        if self.tokens.contains_key(&token.id) {
            return Err(StoreError::Duplicate("a token with this id"));
        }
        self.put_token(token.clone());
        self.changes.tokens.insert(token.id);
        self.record(&events::token_created(token, actor.clone(), source));
        Ok(Answer::Done)
    }

    pub(super) fn delete_token(&mut self, id: Id, actor: &Actor, now: Timestamp) -> Answer {
        let Some(token) = self
            .tokens
            .get_mut(&id)
            .filter(|token| token.deleted_at.is_none())
        else {
            return Answer::Deleted(false);
        };
        token.deleted_at = Some(now);
        self.changes.tokens.touch(id);
        self.record(&events::token_deleted(id, actor.clone(), now));
        Answer::Deleted(true)
    }

    /// Takes one use. Gives how many are left. Only after the decision that there is one.
    pub(super) fn spend(&mut self, id: Id) -> u32 {
        let token = self
            .tokens
            .get_mut(&id)
            .expect("a token that may be spent is known");
        token.uses_left = token
            .uses_left
            .checked_sub(1)
            .expect("a token that may be spent has uses left");
        self.changes.spend(id);
        token.uses_left
    }
}
