//! Writes down what a group of operations changed, in a handful of multi-row statements.

mod feed;
pub mod statements;

use std::collections::BTreeSet;

use sqlx::SqliteConnection;

use self::statements::{Values, insert, one, update};
use super::super::state::{Row, State};
use super::failure::Failure;
use super::rows::{approval_text, json};
use super::sql;
use super::{problems, roles, sessions, upkeep};
use crate::base::encoding::hex;
use crate::model::enrollment::PendingRequest;
use crate::model::{Certificate, Identity, Token};

/// Writes every change of `state`.
pub async fn save(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    save_tokens(connection, state).await?;
    save_identities(connection, state).await?;
    save_certificates(connection, state).await?;
    save_requests(connection, state).await?;
    save_reports(connection, state).await?;
    feed::save(connection, state).await?;
    roles::save(connection, state).await?;
    sessions::save(connection, state).await?;
    let records: Vec<_> = state.changes.records.iter().collect();
    insert(connection, sql::INSERT_AUDIT, 9, &records, |record, row| {
        row.add(record.seq as i64)?.add(record.at.as_millis())?;
        row.add(&record.actor)?
            .add(&record.action)?
            .add(&record.subject)?;
        row.add(&record.outcome)?
            .add(&record.source)?
            .add(&record.detail)?;
        row.add(record.hash.as_slice()).map(drop)
    })
    .await?;
    problems::save(connection, state).await?;
    upkeep::save(connection, state).await
}

async fn save_tokens(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let tokens = &state.changes.tokens;
    let new: Vec<&Token> = tokens.new_rows().filter_map(|id| state.token(id)).collect();
    insert(connection, sql::INSERT_TOKENS, 18, &new, |token, row| {
        token_row(token, row)
    })
    .await?;
    let spent: Vec<_> = state
        .changes
        .spent
        .iter()
        .map(|(id, uses)| (hex(id.as_bytes()), uses))
        .collect();
    update(
        connection,
        sql::SPEND_TOKENS,
        &spent,
        "a token has fewer uses left than were spent",
    )
    .await?;
    let deleted: Vec<_> = tokens
        .changed_rows()
        .filter_map(|id| state.token(id))
        .map(|token| {
            (
                hex(token.id.as_bytes()),
                token.deleted_at.map(|at| at.as_millis()),
            )
        })
        .collect();
    update(
        connection,
        sql::DELETE_TOKENS,
        &deleted,
        "a token was deleted meanwhile",
    )
    .await
}

fn token_row(token: &Token, row: &mut Values) -> Result<(), Failure> {
    row.add(token.id.as_bytes().as_slice())?
        .add(token.secret_sha256.as_slice())?;
    row.add(token.kind.as_str())?;
    row.add(json(&token.rules.names))?
        .add(json(&token.rules.addresses))?
        .add(json(&token.sources))?;
    row.add(token.uses_max)?.add(token.uses_left)?;
    row.add(token.expires_at.as_millis())?;
    row.add(json(&token.labels))?.add(&token.role)?;
    row.add(token.permission.map(|permission| permission.as_str()))?;
    row.add(approval_text(token.approval))?.add(token.replace)?;
    row.add(token.created_at.as_millis())?
        .add(&token.created_by)?
        .add(&token.reason)?;
    row.add(token.deleted_at.map(|at| at.as_millis())).map(drop)
}

async fn save_identities(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let identities = &state.changes.identities;
    let with_number = |id| Some((state.number_of(id)?, state.identity(id)?));
    let mut new: Vec<(Row, &Identity)> = identities.new_rows().filter_map(with_number).collect();
    new.sort_by_key(|(number, _)| *number);
    insert(
        connection,
        sql::INSERT_IDENTITIES,
        10,
        &new,
        |(number, identity), row| {
            row.add(*number)?.add(identity.id.as_bytes().as_slice())?;
            row.add(identity.kind.as_str())?.add(identity.name.as_str())?;
            identity_rules(identity, row)?;
            row.add(identity.created_at.as_millis()).map(drop)
        },
    )
    .await?;
    for (number, identity) in identities.changed_rows().filter_map(with_number) {
        let mut values = Values::default();
        values.add(number)?;
        identity_rules(identity, &mut values)?;
        one(connection, sql::UPDATE_IDENTITY, values, "an identity is gone").await?;
    }
    Ok(())
}

fn identity_rules(identity: &Identity, row: &mut Values) -> Result<(), Failure> {
    row.add(json(&identity.rules.names))?
        .add(json(&identity.rules.addresses))?;
    row.add(json(&identity.labels))?.add(&identity.role)?;
    row.add(identity.permission.map(|permission| permission.as_str()))
        .map(drop)
}

async fn save_certificates(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let certificates = &state.changes.certificates;
    let with_number = |row| state.certificate(row).map(|certificate| (row, certificate));
    let new: Vec<_> = certificates.new_rows().filter_map(with_number).collect();
    insert(
        connection,
        sql::INSERT_CERTIFICATES,
        sql::CERTIFICATE_WIDTH + 1,
        &new,
        |(number, certificate), row| {
            row.add(*number)?.add(state.number_of(certificate.identity))?;
            certificate_row(certificate, row)
        },
    )
    .await?;
    let names: Vec<(String, Row)> = new.iter().flat_map(|(number, c)| names_of(*number, c)).collect();
    insert(connection, sql::INSERT_NAMES, 2, &names, |(name, number), row| {
        row.add(name)?.add(*number).map(drop)
    })
    .await?;
    let changed: Vec<_> = certificates
        .changed_rows()
        .filter_map(with_number)
        .map(|(number, c)| {
            let successor = c.superseded_by.as_ref().map(ToString::to_string);
            (number, successor, c.revoked_at.map(|at| at.as_millis()))
        })
        .collect();
    update(
        connection,
        sql::UPDATE_CERTIFICATES,
        &changed,
        "a certificate that changed is gone",
    )
    .await
}

fn certificate_row(certificate: &Certificate, row: &mut Values) -> Result<(), Failure> {
    row.add(certificate.serial.as_bytes())?;
    row.add(certificate.issuer.as_str())?
        .add(certificate.identity.as_bytes().as_slice())?;
    row.add(certificate.name.as_str())?
        .add(certificate.kind.as_str())?
        .add(json(&certificate.sans))?;
    row.add(certificate.not_before.as_millis())?
        .add(certificate.not_after.as_millis())?;
    row.add(certificate.issued_at.as_millis())?
        .add(certificate.renew_after.as_millis())?;
    row.add(certificate.spki_sha256.as_slice())?;
    row.add(
        certificate
            .token
            .as_ref()
            .map(|token| token.as_bytes().as_slice()),
    )?;
    row.add(certificate.renewed_from.as_ref().map(|serial| serial.as_bytes()))?;
    row.add(certificate.superseded_by.as_ref().map(|serial| serial.as_bytes()))?;
    row.add(certificate.revoked_at.map(|at| at.as_millis()))?;
    row.add(certificate.der.as_slice()).map(drop)
}

/// Every name the certificate is found by, once.
pub fn names_of(number: Row, certificate: &Certificate) -> impl Iterator<Item = (String, Row)> {
    let mut names: BTreeSet<String> = certificate.sans.iter().map(ToString::to_string).collect();
    names.insert(certificate.name.to_string());
    names.into_iter().map(move |name| (name, number))
}

async fn save_requests(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    let requests = &state.changes.requests;
    let new: Vec<&PendingRequest> = requests.new_rows().filter_map(|id| state.request(id)).collect();
    insert(connection, sql::INSERT_REQUESTS, 11, &new, |request, row| {
        request_row(request, row)
    })
    .await?;
    for request in requests.changed_rows().filter_map(|id| state.request(id)) {
        let mut values = Values::default();
        values.add(request.id.as_bytes().as_slice())?;
        decision(request, &mut values)?;
        one(
            connection,
            sql::DECIDE_REQUEST,
            values,
            "a request was decided meanwhile",
        )
        .await?;
    }
    Ok(())
}

fn request_row(request: &PendingRequest, row: &mut Values) -> Result<(), Failure> {
    row.add(request.id.as_bytes().as_slice())?
        .add(request.token.as_bytes().as_slice())?;
    row.add(request.spki_sha256.as_slice())?;
    row.add(request.kind.as_str())?
        .add(request.name.as_str())?
        .add(json(&request.sans))?;
    row.add(request.source.map(|address| address.to_string()))?;
    row.add(request.created_at.as_millis())?;
    decision(request, row)
}

fn decision(request: &PendingRequest, row: &mut Values) -> Result<(), Failure> {
    let (by, at) = request
        .decided
        .as_ref()
        .map(|(by, at)| (by, at.as_millis()))
        .unzip();
    row.add(request.state.as_str())?.add(by)?.add(at).map(drop)
}

async fn save_reports(connection: &mut SqliteConnection, state: &State) -> Result<(), Failure> {
    for status in state
        .changes
        .reports
        .iter()
        .filter_map(|host| state.report(*host))
    {
        let mut values = Values::default();
        values
            .add(state.number_of(status.identity))?
            .add(status.reported_at.as_millis())?;
        values
            .add(status.source.map(|address| address.to_string()))?
            .add(json(&status.report))?
            .add(status.report.health().as_str())?;
        one(connection, sql::PUT_REPORT, values, "a host is gone").await?;
    }
    Ok(())
}
