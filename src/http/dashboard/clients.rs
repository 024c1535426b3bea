//! `GET /clients`: people and CI jobs, what they may do, and until when.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::super::Api;
use super::super::extract::Query;
use super::super::problem::ApiError;
use super::certificates;
use super::moment::Moment;
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::base::limits::DASHBOARD_ROWS;
use crate::model::role::Binding;
use crate::model::{Certificate, Identity, PageRequest};
use crate::pki::IdentityName;
use crate::service::{Bound, Operator, Viewer};

/// What an address says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    cursor: String,
}

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage {
    shell: Shell,
    rows: Vec<Row>,
    next: Option<String>,
    paged: bool,
}

struct Row {
    name: String,
    permission: &'static str,
    /// Each role, and on which hosts.
    roles: Vec<String>,
    labels: Vec<String>,
    certificate: Option<certificates::Row>,
    joined: Moment,
}

/// The list.
pub(super) async fn list(
    State(api): State<Api>,
    person: Person<Operator>,
    query: Result<Query<Asked>, ApiError>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| person.refusal(error.into());
    let Query(asked) = query.map_err(refuse)?;
    let page = PageRequest {
        limit: DASHBOARD_ROWS,
        cursor: (!asked.cursor.is_empty()).then(|| asked.cursor.clone()),
    };
    let service = api.service();
    let found = service
        .clients(&person.caller, page)
        .await
        .map_err(|e| refuse(e.into()))?;
    let viewer = person.caller.also::<Viewer>();
    let viewer = viewer.expect("an operator is a viewer");
    let shown: Vec<&Identity> = found.items.iter().map(|(client, _)| client).collect();
    let bound = service.bindings_of(&viewer, &shown).await;
    let bound = bound.map_err(|e| refuse(e.into()))?;
    let mut roles = by_client(&bound);
    let shell = person.shell(Section::Clients, "Clients");
    show(&ClientsPage {
        rows: found
            .items
            .iter()
            .map(|(client, newest)| {
                let roles = roles.remove(&client.name).unwrap_or_default();
                row(client, newest.as_ref(), roles, &shell)
            })
            .collect(),
        next: found.next.map(|next| format!("/clients?cursor={next}")),
        paged: !asked.cursor.is_empty(),
        shell,
    })
}

/// What each client may do, and on which hosts, in words.
fn by_client(bound: &[Bound]) -> HashMap<&IdentityName, Vec<String>> {
    let mut roles = HashMap::<_, Vec<_>>::new();
    for bound in bound {
        let (client, words) = match bound {
            Bound::Binding(binding) => (&binding.client, binding_words(binding)),
            Bound::Token { client, role } => (client, role.clone()),
        };
        roles.entry(client).or_default().push(words);
    }
    roles
}

fn binding_words(binding: &Binding) -> String {
    let hosts = binding.hosts.pairs().iter();
    let hosts: Vec<String> = hosts.map(|(key, value)| format!("{key}={value}")).collect();
    match hosts.is_empty() {
        true => binding.role.to_string(),
        false => format!("{} on {}", binding.role, hosts.join(",")),
    }
}

fn row(client: &Identity, newest: Option<&Certificate>, roles: Vec<String>, shell: &Shell) -> Row {
    let labels = client.labels.pairs().iter();
    Row {
        name: client.name.to_string(),
        permission: client.permission.map_or("", |permission| permission.as_str()),
        roles,
        labels: labels.map(|(key, value)| format!("{key}={value}")).collect(),
        certificate: newest.map(|newest| certificates::Row::new(newest, shell.now)),
        joined: shell.moment(client.created_at),
    }
}
