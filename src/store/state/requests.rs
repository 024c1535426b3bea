//! Requests that wait for an operator.

use super::super::op::{Answer, Outcome};
use super::super::{PENDING_PER_TOKEN_MAX, StoreError, events};
use super::{State, is_waiting};
use crate::base::{Id, Timestamp};
use crate::model::audit::Actor;
use crate::model::enrollment::{PendingRequest, RequestState};

impl State {
    pub(super) fn submit_request(&mut self, request: &PendingRequest) -> Outcome {
        let known = self.request_keys.get(&(request.token, request.spki_sha256));
        if let Some(stored) = known.and_then(|id| self.requests.get(id)) {
            return Ok(Answer::Request(Some(Box::new(stored.clone()))));
        }
        if *self.waiting_mut(request.token) >= PENDING_PER_TOKEN_MAX {
            return Ok(Answer::Request(None));
        }
        if self.requests.contains_key(&request.id) {
            return Err(StoreError::Duplicate("a request with this id"));
        }
        *self.waiting_mut(request.token) += u32::from(is_waiting(request));
        self.changes.requests.insert(request.id);
        self.put_request(request.clone());
        self.record(&events::request_submitted(request));
        Ok(Answer::Request(Some(Box::new(request.clone()))))
    }

    pub(super) fn decide_request(
        &mut self,
        id: Id,
        state: RequestState,
        actor: &Actor,
        now: Timestamp,
    ) -> Answer {
        let Some(request) = self.requests.get_mut(&id) else {
            return Answer::Request(None);
        };
        if is_waiting(request) && state != RequestState::Pending {
            request.state = state;
            request.decided = Some((actor.text(), now));
            let decided = request.clone();
            let waiting = self.waiting_mut(decided.token);
            *waiting = waiting.saturating_sub(1);
            self.changes.requests.touch(id);
            self.record(&events::request_decided(&decided, actor.clone(), now));
        }
        Answer::Request(self.requests.get(&id).cloned().map(Box::new))
    }
}
