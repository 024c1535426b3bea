//! `client ls`: every client the server knows.

use super::super::arguments::Ls;
use super::super::output::{Column, Row, list, or_dash};
use super::super::pages::{self, Fetch};
use super::super::{Error, World, text};
use crate::base::Timestamp;
use crate::wire::{ClientView, PageQuery};

/// Runs `client ls`.
pub async fn run(args: Ls, world: &mut World) -> Result<u8, Error> {
    let filters = args.list.filters(&["name", "label", "role", "permission"])?;
    let client = args.connection.client(world).await?;
    let mut clients = pages::all(|page: PageQuery| {
        let client = &client;
        async move {
            client.clients(&page).await.map(|l| Fetch {
                items: l.items,
                next: l.next,
            })
        }
    })
    .await?;
    clients.retain(|view| {
        filters.iter().all(|(key, value)| match *key {
            "name" => view.name == *value,
            "role" => view.role.as_deref() == Some(value),
            "permission" => view.permission.is_some_and(|p| p.as_str() == *value),
            _ => view.labels.iter().any(|(k, v)| format!("{k}={v}") == *value),
        })
    });
    list(world, &args.list, &clients, |c| c.name.clone(), COLUMNS)?;
    Ok(0)
}

const COLUMNS: &[Column<ClientView>] = &[
    Column {
        header: "NAME",
        cell: |c, _| c.name.clone(),
    },
    Column {
        header: "ROLE",
        cell: |c, _| or_dash(c.role.clone()),
    },
    Column {
        header: "PERMISSION",
        cell: |c, _| or_dash(c.permission.map(|p| p.to_string())),
    },
    Column {
        header: "SERIAL",
        cell: |c, _| {
            or_dash(
                c.serial
                    .as_ref()
                    .map(|s| s.to_string().chars().take(12).collect()),
            )
        },
    },
    Column {
        header: "EXPIRES",
        cell: |c, row| or_dash(c.not_after.map(|t| time(t, row))),
    },
    Column {
        header: "JOINED",
        cell: |c, row| time(c.created_at, row),
    },
];

fn time(time: Timestamp, row: &Row) -> String {
    if row.whole {
        time.to_string()
    } else {
        text::relative(time, row.now)
    }
}
