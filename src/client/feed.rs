//! `GET /v1/feed`: one long answer, read event by event, on a connection that the client's other calls share as long as
//! it lasts. Dropped, it closes it.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::call::Answer;
use super::connection::{self, Lasting};
use super::query::with;
use super::{Client, Error, RESPONSE_BYTES_MAX, ServerUrl};
use crate::model::Position;
use crate::model::role::{HostRoles, RolesDigest};
use crate::wire::feed::{
    EVENT_CHANGE, EVENT_HEARTBEAT, EVENT_HELLO, EVENT_LOST, EVENT_ROLES, EVENT_SNAPSHOT, EVENT_STREAM,
    FeedChange, FeedHeartbeat, FeedHello, FeedLost, FeedQuery, FeedSnapshot,
};

/// The largest event that is read, bytes. The server's largest, a full part of a snapshot, is a quarter of it.
pub const FEED_EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Nothing for this long means that the connection is dead: three heartbeats of the server.
pub const FEED_SILENCE_MAX: Duration = Duration::from_secs(30);

/// One event of the feed; see [`crate::wire::feed`] for what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// Comes first.
    Hello(FeedHello),
    /// The next number.
    Change(Box<FeedChange>),
    /// A part of all that matters.
    Snapshot(FeedSnapshot),
    /// The server knows less than we do.
    Lost(FeedLost),
    /// Who may do what on this host, from now on.
    Roles(Box<HostRoles>),
    /// Nothing happened.
    Heartbeat(FeedHeartbeat),
}

/// The feed, from where it was asked for.
pub struct Feed {
    server: ServerUrl,
    body: Incoming,
    lines: Lines,
    _connection: Lasting,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Follows the feed after `after`; from the beginning, by a snapshot, without it. Further calls of this client go
    /// over the same connection, where the server speaks HTTP/2: ten thousand hosts that acknowledge a revocation
    /// shake no hands for it.
    ///
    /// # Errors
    /// As every call; a refusal of the server is [`Error::Problem`].
    pub async fn follow(&self, after: Option<&Position>) -> Result<Feed, Error> {
        self.follow_on(after, None).await
    }

    /// The same for a host that has these roles in force: it is told others only.
    ///
    /// # Errors
    /// As [`Client::follow`].
    pub async fn follow_on(
        &self,
        after: Option<&Position>,
        roles: Option<RolesDigest>,
    ) -> Result<Feed, Error> {
        let query = FeedQuery {
            roles,
            after: after.map(|position| position.number),
            seal: after.map(|position| position.seal),
        };
        let asking = self.ask(with("/v1/feed", &query));
        let asked = tokio::time::timeout(FEED_SILENCE_MAX, asking).await;
        asked.map_err(|_| silent(&self.server))?
    }

    async fn ask(&self, path: String) -> Result<Feed, Error> {
        let mut request = self.request(Method::GET, &path, Bytes::new());
        let accept = header::HeaderValue::from_static(EVENT_STREAM);
        request.headers_mut().insert(header::ACCEPT, accept);
        let mut connection = connection::open_lasting(&self.server, &self.lasting_tls).await?;
        let (parts, body) = connection
            .send(&self.server, request)
            .await
            .map_err(|e| connection::failed(&self.server, &e))?
            .into_parts();
        if parts.status != StatusCode::OK {
            let answer = Answer {
                status: parts.status,
                headers: parts.headers,
                body: self.read(body, RESPONSE_BYTES_MAX).await?,
            };
            return Err(self.refusal(&answer));
        }
        self.share(connection.sharing());
        Ok(Feed {
            server: self.server.clone(),
            body,
            lines: Lines::default(),
            _connection: connection,
        })
    }
}

impl Feed {
    /// Waits for the next event. Safe to drop and to call again: nothing is lost.
    ///
    /// # Errors
    /// [`Error::Timeout`] when nothing came for [`FEED_SILENCE_MAX`], [`Error::Closed`] at the end of the stream,
    /// [`Error::Protocol`] for an event that cannot be read. After an error the feed is of no more use: follow anew.
    pub async fn next(&mut self) -> Result<FeedEvent, Error> {
        loop {
            while let Some(event) = self.lines.next().map_err(|what| self.protocol(what))? {
                if let Some(event) = self.parse(&event)? {
                    return Ok(event);
                }
            }
            let frame = tokio::time::timeout(FEED_SILENCE_MAX, self.body.frame()).await;
            match frame.map_err(|_| silent(&self.server))? {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data).map_err(|what| self.protocol(what))?;
                    }
                }
                Some(Err(e)) => return Err(connection::failed(&self.server, &e)),
                None => {
                    return Err(Error::Closed {
                        server: self.server.clone(),
                        reason: "it ended the feed".to_owned(),
                    });
                }
            }
        }
    }

    fn parse(&self, event: &Event) -> Result<Option<FeedEvent>, Error> {
        Ok(Some(match event.name.as_str() {
            EVENT_HELLO => FeedEvent::Hello(self.json(event)?),
            EVENT_CHANGE => FeedEvent::Change(Box::new(self.json(event)?)),
            EVENT_SNAPSHOT => FeedEvent::Snapshot(self.json(event)?),
            EVENT_LOST => FeedEvent::Lost(self.json(event)?),
            EVENT_ROLES => FeedEvent::Roles(Box::new(self.json(event)?)),
            EVENT_HEARTBEAT => FeedEvent::Heartbeat(self.json(event)?),
            _ => return Ok(None),
        }))
    }

    fn json<T: DeserializeOwned>(&self, event: &Event) -> Result<T, Error> {
        serde_json::from_str(&event.data)
            .map_err(|e| self.protocol(format!("an event {:?} that cannot be read ({e})", event.name)))
    }

    fn protocol(&self, what: impl Into<String>) -> Error {
        Error::Protocol {
            server: self.server.clone(),
            what: what.into(),
        }
    }
}

fn silent(server: &ServerUrl) -> Error {
    Error::Timeout {
        server: server.clone(),
        doing: "following its feed",
        after: FEED_SILENCE_MAX,
    }
}

/// An event as it stands in the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Bytes that came, cut into events (WHATWG HTML §9.2.6): lines end with LF or CRLF, an empty one ends an event.
#[derive(Debug, Default)]
struct Lines {
    bytes: BytesMut,
    searched: usize,
    event: Event,
}

impl Lines {
    fn push(&mut self, data: &[u8]) -> Result<(), &'static str> {
        if self.bytes.len() + self.event.data.len() + data.len() > 2 * FEED_EVENT_BYTES_MAX {
            return Err("an event that is too large");
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Event>, &'static str> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "data" => self.event.data.push_str(value),
                _ => {}
            }
            if self.event.data.len() > FEED_EVENT_BYTES_MAX {
                return Err("an event that is too large");
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<String>, &'static str> {
        let Some(at) = self.bytes[self.searched..].iter().position(|b| *b == b'\n') else {
            self.searched = self.bytes.len();
            return Ok(None);
        };
        let mut line = self.bytes.split_to(self.searched + at);
        self.bytes.advance(1);
        self.searched = 0;
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        String::from_utf8(line.to_vec())
            .map(Some)
            .map_err(|_| "an event that is not UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str =
        ": welcome\n\nevent: hello\r\ndata: {\"a\":1}\r\n\r\nid: 7\nevent: change\ndata: x\ndata:y\n\n";

    fn events(lines: &mut Lines) -> Vec<(String, String)> {
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|event| (event.name, event.data))
            .collect()
    }

    proptest! {
        #[test]
        fn events_are_found_however_the_bytes_are_cut(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for pair in cuts.windows(2) {
                lines.push(&STREAM.as_bytes()[pair[0]..pair[1]]).unwrap();
                found.extend(events(&mut lines));
            }
            let wanted = [("hello", "{\"a\":1}"), ("change", "xy")];
            prop_assert_eq!(found, wanted.map(|(name, data)| (name.to_owned(), data.to_owned())).to_vec());
        }
    }

    #[test]
    fn an_event_without_end_is_refused_and_one_at_the_limit_is_read() {
        let event = |length: usize| format!("data: {}\n\n", "x".repeat(length));
        let mut lines = Lines::default();
        lines.push(event(FEED_EVENT_BYTES_MAX).as_bytes()).unwrap();
        assert!(lines.next().unwrap().is_some());
        lines.push(event(FEED_EVENT_BYTES_MAX + 1).as_bytes()).unwrap();
        assert!(lines.next().is_err());
        let mut lines = Lines::default();
        let chunk = vec![b'x'; FEED_EVENT_BYTES_MAX];
        assert!((0..5).any(|_| lines.push(&chunk).is_err()));
    }
}
