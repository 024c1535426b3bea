//! Loads what the decisions of a group of operations may ask for: one query per kind of key, whatever the
//! size of the group. New ids and serials are not looked up first; the UNIQUE indexes refuse a repeated
//! one.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, SqliteConnection};

use super::super::feed::{CrlSlot, RevokeOrder, RevokeTarget};
use super::super::op::Op;
use super::super::roles::RoleChange;
use super::super::sessions::SessionChange;
use super::super::state::{Head, Key, Row, State, host_names};
use super::super::upkeep::PruneOrder;
use super::super::{Enrollment, Renewal};
use super::failure::Failure;
use super::rows::{self, Columns};
use super::{problems, roles, sessions, sql, upkeep};
use crate::base::{Id, Timestamp, encoding::hex};
use crate::model::audit::GENESIS;
use crate::model::problem::Area;
use crate::model::{FeedOrigin, Identity, IdentityKind, SealKey};
use crate::pki::{IdentityName, Serial};

/// Keys that a group of operations names.
#[derive(Debug, Default)]
struct Wanted {
    tokens: BTreeSet<Id>,
    token_keys: BTreeSet<(Id, Key)>,
    names: BTreeSet<(IdentityKind, IdentityName)>,
    identities: BTreeSet<Id>,
    serials: BTreeSet<Serial>,
    holder_keys: BTreeSet<(Id, Key)>,
    requests: BTreeSet<Id>,
    request_keys: BTreeSet<(Id, Key)>,
    /// Keys that are asked for under a name.
    name_keys: BTreeSet<(IdentityKind, IdentityName, Key)>,
    /// Certificates to revoke, with their revocations.
    revoked: BTreeSet<Serial>,
    /// Identities all of whose certificates are revoked, from `held_since` on.
    holders: BTreeSet<Id>,
    held_since: Option<Timestamp>,
    crls: bool,
    unsettled: bool,
    origin: bool,
    roles: bool,
    /// Roles that are to be removed.
    removed: BTreeSet<String>,
    sessions: Vec<SessionChange>,
    earliest: Option<Timestamp>,
    jobs: bool,
    prunes: Vec<PruneOrder>,
    /// Whether problems or notifications get numbers.
    numbers: bool,
    areas: BTreeSet<Area>,
    notifications: BTreeSet<u64>,
}

impl Wanted {
    fn of<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Self {
        let mut wanted = Self::default();
        for op in ops {
            wanted.add(op);
        }
        wanted
    }

    fn add(&mut self, op: &Op) {
        match op {
            Op::CreateToken { .. } | Op::Audit(_) | Op::Probe => {}
            Op::DeleteToken { id, .. } => {
                self.tokens.insert(*id);
            }
            Op::Enroll(enrollment) => self.add_enrollment(enrollment),
            Op::Renew(renewal) => self.add_renewal(renewal),
            Op::Adopt {
                identity,
                certificate,
                ..
            } => self.add_name(identity, certificate.issued_at),
            Op::SubmitRequest(request) => {
                self.request_keys.insert((request.token, request.spki_sha256));
            }
            Op::DecideRequest { id, .. } => {
                self.requests.insert(*id);
            }
            Op::Report(status) => {
                self.identities.insert(status.identity);
            }
            Op::Acknowledge(acknowledgement) => {
                self.identities.insert(acknowledgement.identity);
            }
            Op::Revoke(order) => self.add_revocation(order),
            Op::Regain(regain) => {
                let serials = regain.given.iter().map(|given| &given.certificate.serial);
                self.revoked.extend(serials.cloned());
                self.crls = true;
            }
            Op::Restored { .. } | Op::ReserveCrl { .. } => self.crls = true,
            Op::Settle { .. } => self.unsettled = true,
            Op::Origin(_) => self.origin = true,
            Op::Roles(order) => self.add_roles(&order.change),
            Op::Job(_) => self.jobs = true,
            Op::Findings(order) => {
                self.numbers = true;
                self.areas.insert(order.area);
            }
            Op::TestChannel(_) => self.numbers = true,
            Op::Delivery(order) => {
                self.notifications.insert(order.number);
            }
            Op::Prune(order) => self.prunes.push(order.as_ref().clone()),
            Op::Session(order) => self.sessions.push(order.change.clone()),
        }
    }

    fn add_roles(&mut self, change: &RoleChange) {
        self.roles = true;
        let client = match change {
            RoleChange::Put { .. } => return,
            RoleChange::Remove(name) => {
                self.removed.insert(name.to_string());
                return;
            }
            RoleChange::Bind(binding) => &binding.client,
            RoleChange::Unbind(key) => &key.client,
        };
        self.names.insert((IdentityKind::Client, client.clone()));
    }

    fn add_revocation(&mut self, order: &RevokeOrder) {
        match &order.target {
            RevokeTarget::Serial(serial) => {
                self.revoked.insert(serial.clone());
            }
            RevokeTarget::Shown(shown) => {
                self.revoked.insert(shown.serial.clone());
            }
            RevokeTarget::Identity { id, since } => {
                self.identities.insert(*id);
                self.holders.insert(*id);
                self.held_since = Some(self.held_since.map_or(*since, |earlier| earlier.min(*since)));
            }
        }
    }

    fn add_enrollment(&mut self, enrollment: &Enrollment) {
        let certificate = &enrollment.certificate;
        self.tokens.insert(enrollment.token);
        self.token_keys
            .insert((enrollment.token, certificate.spki_sha256));
        self.add_name(&enrollment.identity, enrollment.now);
        let identity = &enrollment.identity;
        self.name_keys
            .insert((identity.kind, identity.name.clone(), certificate.spki_sha256));
        let hosts = host_names(&certificate.sans).map(|name| (IdentityKind::Host, name));
        self.names.extend(hosts);
    }

    fn add_renewal(&mut self, renewal: &Renewal) {
        let certificate = &renewal.certificate;
        self.serials.insert(renewal.current.clone());
        self.identities.insert(certificate.identity);
        self.holder_keys
            .insert((certificate.identity, certificate.spki_sha256));
    }

    fn add_name(&mut self, identity: &Identity, now: Timestamp) {
        self.names.insert((identity.kind, identity.name.clone()));
        self.earliest = Some(self.earliest.map_or(now, |earliest| earliest.min(now)));
    }
}

/// Loads it all.
pub async fn load<'a>(
    connection: &mut SqliteConnection,
    ops: impl IntoIterator<Item = &'a Op>,
) -> Result<State, Failure> {
    let wanted = Wanted::of(ops);
    let mut state = State::at(head(connection).await?);
    load_tokens(connection, &wanted, &mut state).await?;
    load_identities(connection, &wanted, &mut state).await?;
    load_requests(connection, &wanted, &mut state).await?;
    load_feed(connection, &wanted, &mut state).await?;
    if wanted.roles {
        roles::load(connection, &wanted.removed, &mut state).await?;
    }
    if wanted.jobs {
        upkeep::load_jobs(connection, &mut state).await?;
    }
    if wanted.numbers {
        problems::load_numbers(connection, &mut state).await?;
    }
    for area in &wanted.areas {
        problems::load_area(connection, *area, &mut state).await?;
    }
    for number in &wanted.notifications {
        problems::load_notification(connection, *number, &mut state).await?;
    }
    for order in &wanted.prunes {
        upkeep::load_old(connection, order, &mut state).await?;
    }
    sessions::load(connection, &wanted.sessions, &mut state).await?;
    Ok(state)
}

async fn head(connection: &mut SqliteConnection) -> Result<Head, Failure> {
    let row = sqlx::query(sql::HEAD).fetch_one(connection).await?;
    let mut columns = Columns::new(&row, 0, "head of the audit log");
    let seq = columns.count()?;
    let hash = if seq == 0 {
        columns.raw::<Option<Vec<u8>>>()?;
        GENESIS
    } else {
        columns.hash()?
    };
    Ok(Head {
        seq,
        hash,
        row: columns.raw()?,
        identity: columns.raw()?,
        feed: columns.count()?,
    })
}

async fn load_tokens(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    state: &mut State,
) -> Result<(), Failure> {
    for row in fetch(connection, sql::LOAD_TOKENS, ids(&wanted.tokens)).await? {
        state.put_token(rows::token(&row)?);
    }
    let repeats = fetch(connection, sql::LOAD_TOKEN_KEYS, keys(&wanted.token_keys)).await?;
    put_certificates(state, &repeats)
}

async fn load_identities(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    state: &mut State,
) -> Result<(), Failure> {
    let mut named = BTreeSet::new();
    for row in fetch(connection, sql::LOAD_NAMED, names(&wanted.names)).await? {
        let (number, identity) = rows::numbered_identity(&row)?;
        named.insert(number);
        state.put_identity(number, identity);
    }
    for row in fetch(connection, sql::LOAD_IDENTITIES, ids(&wanted.identities)).await? {
        let (number, identity) = rows::numbered_identity(&row)?;
        state.put_identity(number, identity);
    }
    load_certificates(connection, wanted, &named, state).await
}

/// Those that renew, those that a renewal may repeat, and of the `named` identities those that are live.
/// Of every identity that may get a new one, those that would be superseded.
async fn load_certificates(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    named: &BTreeSet<Row>,
    state: &mut State,
) -> Result<(), Failure> {
    let serials: Vec<String> = wanted
        .serials
        .union(&wanted.revoked)
        .map(Serial::to_string)
        .collect();
    put_certificates(state, &fetch(connection, sql::LOAD_SERIALS, serials).await?)?;
    let number_of = |(id, key): &(Id, Key)| Some((state.number_of(*id)?, hex(key)));
    let mut holder_keys: Vec<(Row, String)> = wanted.holder_keys.iter().filter_map(number_of).collect();
    let mut holders: BTreeSet<Row> = holder_keys.iter().map(|(holder, _)| *holder).collect();
    holders.extend(named);
    let name_keys = wanted.name_keys.iter().filter_map(|(kind, name, key)| {
        let identity = state.identity_named(*kind, name)?;
        number_of(&(identity.id, *key))
    });
    holder_keys.extend(name_keys);
    put_certificates(
        state,
        &fetch(connection, sql::LOAD_HOLDER_KEYS, holder_keys).await?,
    )?;
    let current = fetch(connection, sql::LOAD_CURRENT, Vec::from_iter(&holders)).await?;
    put_certificates(state, &current)?;
    let since = wanted.earliest.unwrap_or_default().as_millis();
    let live = fetch_since(connection, sql::LOAD_LIVE, Vec::from_iter(named), Some(since)).await?;
    put_certificates(state, &live)
}

/// Certificates of whom all are revoked, what is revoked already, and the single rows.
async fn load_feed(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    state: &mut State,
) -> Result<(), Failure> {
    let number_of = |id: &Id| state.number_of(*id);
    let holders: Vec<Row> = wanted.holders.iter().filter_map(number_of).collect();
    let since = wanted.held_since.unwrap_or_default().as_millis();
    let held = fetch_since(connection, sql::LOAD_HELD, holders, Some(since)).await?;
    put_certificates(state, &held)?;
    let mut revoked: BTreeSet<String> = wanted.revoked.iter().map(Serial::to_string).collect();
    let held = wanted.holders.iter().flat_map(|id| state.certificates_of(*id));
    revoked.extend(
        held.filter(|c| c.revoked_at.is_some())
            .map(|c| c.serial.to_string()),
    );
    for row in fetch(connection, sql::LOAD_REVOKED, Vec::from_iter(revoked)).await? {
        state.put_revocation(rows::revocation(&row)?);
    }
    if wanted.crls {
        for row in sqlx::query(sql::CRLS).fetch_all(&mut *connection).await? {
            let mut columns = Columns::new(&row, 0, "CRL number");
            let (issuer, number, feed) = (columns.text()?, columns.count()?, columns.count()?);
            state.put_crl(issuer, CrlSlot { number, feed });
        }
    }
    if wanted.unsettled
        && let Some(row) = sqlx::query(sql::UNSETTLED)
            .fetch_optional(&mut *connection)
            .await?
    {
        let mut columns = Columns::new(&row, 0, "restoration");
        state.put_unsettled(columns.count()?, columns.time()?);
    }
    if wanted.origin
        && let Some(row) = sqlx::query(sql::ORIGIN).fetch_optional(connection).await?
    {
        let mut columns = Columns::new(&row, 0, "name of the feed");
        let (feed, key) = (columns.id()?, SealKey::from_bytes(columns.hash()?));
        state.put_origin(FeedOrigin { feed, key });
    }
    Ok(())
}

async fn load_requests(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    state: &mut State,
) -> Result<(), Failure> {
    for row in fetch(connection, sql::LOAD_REQUESTS, ids(&wanted.requests)).await? {
        state.put_request(rows::request(&row)?);
    }
    for row in fetch(connection, sql::LOAD_REQUEST_KEYS, keys(&wanted.request_keys)).await? {
        state.put_request(rows::request(&row)?);
    }
    let tokens: BTreeSet<Id> = wanted.request_keys.iter().map(|(token, _)| *token).collect();
    for row in fetch(connection, sql::LOAD_WAITING, ids(&tokens)).await? {
        let mut columns = Columns::new(&row, 0, "number of requests");
        state.put_waiting(columns.id()?, columns.count()?);
    }
    Ok(())
}

fn put_certificates(state: &mut State, rows: &[SqliteRow]) -> Result<(), Failure> {
    for row in rows {
        let (number, certificate) = rows::certificate(row, 0)?;
        state.put_certificate(number, certificate);
    }
    Ok(())
}

fn ids(ids: &BTreeSet<Id>) -> Vec<String> {
    ids.iter().map(|id| hex(id.as_bytes())).collect()
}

fn keys(keys: &BTreeSet<(Id, Key)>) -> Vec<(String, String)> {
    keys.iter()
        .map(|(id, key)| (hex(id.as_bytes()), hex(key)))
        .collect()
}

fn names(names: &BTreeSet<(IdentityKind, IdentityName)>) -> Vec<(IdentityKind, &IdentityName)> {
    names.iter().map(|(kind, name)| (*kind, name)).collect()
}

async fn fetch<T: serde::Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    keys: Vec<T>,
) -> Result<Vec<SqliteRow>, Failure> {
    fetch_since(connection, sql, keys, None).await
}

async fn fetch_since<T: serde::Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    keys: Vec<T>,
    since: Option<i64>,
) -> Result<Vec<SqliteRow>, Failure> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = SqliteArguments::default();
    arguments.add(rows::json(&keys)).map_err(Failure::arguments)?;
    if let Some(since) = since {
        arguments.add(since).map_err(Failure::arguments)?;
    }
    Ok(sqlx::query_with(sql, arguments).fetch_all(connection).await?)
}
