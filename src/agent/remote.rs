//! The server over the typed client: one client for each certificate, so that no connection goes on presenting a
//! replaced one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::feed::{Events, FeedServer};
use super::lists::{List, ListServer};
use super::{Pair, Server};
use crate::base::Clock;
use crate::client::{Client, Enrolled, Error, FetchedCrl, ServerUrl};
use crate::model::role::RolesDigest;
use crate::model::{FeedApplied, HostReport, JoinToken, Position};
use crate::pki::Serial;
use crate::pki::tls::{Pins, ServerTrust};
use crate::wire::{EnrollRequest, FeedKnown, FeedTaken, Issued, RenewRequest, StatusAnswer};

/// No offset was seen yet.
const NO_OFFSET: i64 = i64::MIN;

/// The server at one address.
pub struct RemoteServer {
    url: ServerUrl,
    clock: Arc<dyn Clock>,
    client: Mutex<Option<(Serial, Arc<Client>)>>,
    offset_ms: AtomicI64,
}

impl RemoteServer {
    /// The server at `url`.
    pub fn new(url: ServerUrl, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            clock,
            client: Mutex::new(None),
            offset_ms: AtomicI64::new(NO_OFFSET),
        }
    }

    fn make_client(&self, trust: ServerTrust, identity: Option<&Pair>) -> Result<Client, Error> {
        let unusable = |e: crate::pki::tls::KeyPairError| Error::Tls {
            server: self.url.clone(),
            reason: e.to_string(),
        };
        let identity = identity.map(Pair::tls_identity).transpose().map_err(unusable)?;
        Ok(Client::new(
            self.url.clone(),
            trust,
            identity,
            Arc::clone(&self.clock),
        ))
    }

    fn client_of(&self, pair: &Pair) -> Result<Arc<Client>, Error> {
        let mut kept = self.client.lock().expect("no panic while the lock is held");
        if let Some((serial, client)) = &*kept
            && serial == pair.serial()
        {
            return Ok(Arc::clone(client));
        }
        let trust = ServerTrust::Anchors(pair.anchors().clone().shared());
        let client = Arc::new(self.make_client(trust, Some(pair))?);
        *kept = Some((pair.serial().clone(), Arc::clone(&client)));
        Ok(client)
    }

    fn note_offset(&self, client: &Client) {
        if let Some(offset) = client.clock_offset_ms() {
            self.offset_ms.store(offset, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Server for RemoteServer {
    async fn enroll(&self, token: &JoinToken, request: &EnrollRequest) -> Result<Enrolled, Error> {
        let client = self.make_client(ServerTrust::Pins(Pins(token.pins.clone())), None)?;
        let answer = client.enroll(request).await;
        self.note_offset(&client);
        answer
    }

    async fn renew(&self, pair: &Pair, request: &RenewRequest) -> Result<Issued, Error> {
        let client = self.client_of(pair)?;
        let answer = client.renew(request).await;
        self.note_offset(&client);
        answer
    }

    async fn report(&self, pair: &Pair, report: &HostReport) -> Result<StatusAnswer, Error> {
        let client = self.client_of(pair)?;
        let name = pair.leaf.common_name.clone().unwrap_or_default();
        let answer = client.put_status(&name, report).await;
        self.note_offset(&client);
        answer
    }

    fn clock_offset_ms(&self) -> Option<i64> {
        Some(self.offset_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NO_OFFSET)
    }
}

#[async_trait]
impl FeedServer for RemoteServer {
    async fn follow(
        &self,
        pair: &Pair,
        after: Option<&Position>,
        roles: Option<RolesDigest>,
    ) -> Result<Box<dyn Events>, Error> {
        let client = self.client_of(pair)?;
        Ok(Box::new(client.follow_on(after, roles).await?))
    }

    async fn acknowledge(&self, pair: &Pair, applied: &FeedApplied) -> Result<(), Error> {
        self.client_of(pair)?.put_applied(applied).await
    }

    async fn give_back(&self, pair: &Pair, known: &FeedKnown) -> Result<FeedTaken, Error> {
        self.client_of(pair)?.give_back(known).await
    }
}

#[async_trait]
impl ListServer for RemoteServer {
    async fn list(&self, pair: &Pair, list: List, etag: Option<&str>) -> Result<Option<FetchedCrl>, Error> {
        self.client_of(pair)?.crl_unless(list.name(), etag).await
    }

    async fn issuer(&self, pair: &Pair, list: List) -> Result<Vec<u8>, Error> {
        self.client_of(pair)?.issuer(list.name()).await
    }
}
