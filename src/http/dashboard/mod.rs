//! The dashboard: pages for people, made on the server from what the service answers. One page per file; forms that act carry
//! a mark that only a page of this server can have given. Never reaches past the service, and holds no state but that mark's key.

mod assets;
mod audit;
mod ca;
mod certificate;
mod certificates;
mod chart;
mod clients;
mod export;
mod forms;
mod host;
mod hosts;
mod jobs;
mod live;
mod moment;
mod overview;
mod page;
mod person;
mod requests;
mod sessions;
mod sign_in;
mod tokens;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
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
    get "/" "viewer" overview::show;
    get "/assets/{version}/{file}" "public" assets::asset;
    get "/certificates" "viewer" certificates::list;
    get "/certificates.csv" "viewer" export::csv;
    get "/certificates.json" "viewer" export::json;
    get "/certificates/{serial}" "viewer" certificate::show;
    post "/certificates/{serial}/revoke" "operator" certificate::revoke;
    get "/sign-in/{link}" "public" sign_in::ask;
    post "/sign-in/{link}" "public" sign_in::enter;
    post "/sign-out" "viewer" sign_in::leave;
    get "/hosts" "viewer" hosts::list;
    get "/hosts/{name}" "viewer" host::show;
    get "/clients" "operator" clients::list;
    get "/requests" "operator" requests::list;
    post "/requests/{id}/approve" "operator" requests::approve;
    post "/requests/{id}/deny" "operator" requests::deny;
    get "/tokens" "operator" tokens::list;
    post "/tokens/{id}/delete" "operator" tokens::delete;
    get "/audit" "operator" audit::list;
    post "/audit/verify" "operator" audit::verify;
    get "/ca" "viewer" ca::show;
    get "/jobs" "viewer" jobs::list;
    post "/jobs/{name}/run" "operator" jobs::run;
    get "/live" "viewer" live::follow;
    get "/sessions" "viewer" sessions::list;
    post "/sessions/{id}/end" "viewer" sessions::end;
}

/// Whether a person's browser asks, and not a program.
pub(super) fn is_for_people(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// What a browser gets where nothing is.
pub(super) fn nothing_here() -> Response {
    page::Refusal::nothing_here().answer()
}
