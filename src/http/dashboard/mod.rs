//! The dashboard: pages for people, made on the server from what the service answers. One page per file; forms that act carry
//! a mark that only a page of this server can have given. Never reaches past the service, and holds no state but that mark's key.

mod assets;
mod audit;
mod certificate;
mod certificates;
mod export;
mod forms;
mod host;
mod hosts;
mod moment;
mod page;
mod person;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use super::Api;

pub(super) use forms::FormKey;

/// Registers each route once, for serving and for the list that tests go through.
macro_rules! routes {
    ($($method:ident $path:literal $needs:literal $handler:path;)*) => {
        /// Every route of the dashboard: method, path, and what it takes: `public`, or the least permission.
        pub const ROUTES: &[(&str, &str, &str)] = &[$((stringify!($method), $path, $needs)),*];

        /// What serves them.
        pub(super) fn router() -> Router<Api> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

routes! {
    get "/" "viewer" start;
    get "/assets/{version}/{file}" "public" assets::asset;
    get "/certificates" "viewer" certificates::list;
    get "/certificates.csv" "viewer" export::csv;
    get "/certificates.json" "viewer" export::json;
    get "/certificates/{serial}" "viewer" certificate::show;
    post "/certificates/{serial}/revoke" "operator" certificate::revoke;
    get "/hosts" "viewer" hosts::list;
    get "/hosts/{name}" "viewer" host::show;
}

/// Whether a person's browser asks, and not a program.
pub(super) fn is_for_people(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// The page to begin with.
async fn start(person: person::Person<crate::service::Viewer>) -> Response {
    drop(person);
    let mut response = axum::response::IntoResponse::into_response(Redirect::to("/hosts"));
    page::dress(&mut response, "text/html; charset=utf-8");
    response
}

/// What a browser gets where nothing is.
pub(super) fn nothing_here() -> Response {
    page::Refusal::nothing_here().answer()
}
