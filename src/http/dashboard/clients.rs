//! `GET /clients`: people and CI jobs, what they may do, and until when.

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
use crate::model::{Certificate, Identity, PageRequest};
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
    let bound = service.bindings(&viewer).await.map_err(|e| refuse(e.into()))?;
    let shell = person.shell(Section::Clients, "Clients");
    show(&ClientsPage {
        rows: found
            .items
            .iter()
            .map(|(client, newest)| row(client, newest.as_ref(), &bound, &shell))
            .collect(),
        next: found.next.map(|next| format!("/clients?cursor={next}")),
        paged: !asked.cursor.is_empty(),
        shell,
    })
}

fn row(client: &Identity, newest: Option<&Certificate>, bound: &[Bound], shell: &Shell) -> Row {
    let of_client = bound.iter().filter_map(|bound| match bound {
        Bound::Binding(binding) if binding.client == client.name => {
            let hosts = binding
                .hosts
                .pairs()
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            let hosts: Vec<String> = hosts.collect();
            Some(match hosts.is_empty() {
                true => binding.role.to_string(),
                false => format!("{} on {}", binding.role, hosts.join(",")),
            })
        }
        Bound::Token { client: of, role } if *of == client.name => Some(role.clone()),
        _ => None,
    });
    let labels = client.labels.pairs().iter();
    Row {
        name: client.name.to_string(),
        permission: client.permission.map_or("", |permission| permission.as_str()),
        roles: of_client.collect(),
        labels: labels.map(|(key, value)| format!("{key}={value}")).collect(),
        certificate: newest.map(|newest| certificates::Row::new(newest, shell.now)),
        joined: shell.moment(client.created_at),
    }
}
