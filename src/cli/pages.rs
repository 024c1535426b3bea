//! Walking through paginated lists.

use std::future::Future;

use super::Error;
use crate::base::limits::PAGE_MAX;
use crate::client;
use crate::wire::PageQuery;

/// Items a command reads at most: past it, filters on the server's side are the better way.
pub const ITEMS_MAX: usize = 1_000_000;
/// Pages a command reads at most.
const PAGES_MAX: usize = ITEMS_MAX / PAGE_MAX as usize;

/// One page.
pub struct Fetch<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The cursor of the next one.
    pub next: Option<String>,
}

/// The first `limit` items that fit, of as many pages as that takes.
pub async fn first<T, F>(
    limit: u32,
    fits: impl Fn(&T) -> bool,
    fetch: impl Fn(PageQuery) -> F,
) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<Fetch<T>, client::Error>>,
{
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = fetch(PageQuery {
            limit: Some(PAGE_MAX),
            cursor,
        })
        .await?;
        items.extend(page.items.into_iter().filter(&fits));
        cursor = page.next;
        if cursor.is_none() || items.len() >= limit {
            break;
        }
    }
    items.truncate(limit);
    Ok(items)
}

/// Every item of every page, at most [`ITEMS_MAX`].
pub async fn all<T, F>(fetch: impl Fn(PageQuery) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<Fetch<T>, client::Error>>,
{
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let page = fetch(PageQuery {
            limit: Some(PAGE_MAX),
            cursor,
        })
        .await?;
        items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(items);
        }
        if items.len() >= ITEMS_MAX {
            return Err(Error::Found(format!(
                "the list has more than {ITEMS_MAX} items: use --filter"
            )));
        }
    }
}
