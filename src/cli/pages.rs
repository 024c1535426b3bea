//! Walking through paginated lists.

use std::future::Future;

use super::Error;
use crate::base::limits::PAGE_MAX;
use crate::client;
use crate::wire::PageQuery;

/// Items a command reads at most: past it, filters on the server's side are the better way.
pub const ITEMS_MAX: usize = 1_000_000;

/// One page.
pub struct Fetch<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The cursor of the next one.
    pub next: Option<String>,
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
