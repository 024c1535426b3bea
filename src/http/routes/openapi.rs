//! `GET /openapi.json`: generated from the handlers.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::SecurityScheme;

use super::super::Api;
use crate::wire::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "dockwarden",
        description = "Keeps a fleet of Docker hosts reachable over mutual TLS. Errors are RFC 9457 problem documents with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Base;

/// What the handlers are added to.
pub(in crate::http) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    let mutual_tls = SecurityScheme::MutualTls {
        description: Some("The identity's own leaf".into()),
        deprecated: None,
        extensions: None,
    };
    if let Some(components) = &mut document.components {
        components.add_security_scheme("mutualTLS", mutual_tls);
    }
    document
}

/// The document as it is served.
pub(in crate::http) fn document(openapi: utoipa::openapi::OpenApi) -> String {
    let mut text = openapi.to_pretty_json().expect("the description is plain data");
    text.push('\n');
    text
}

/// Adds the route that serves it.
pub(in crate::http) fn serve(router: Router<Api>, document: String) -> Router<Api> {
    let document: Arc<str> = document.into();
    let handler = || async move { ([(CONTENT_TYPE, "application/json")], document.to_string()) };
    router.route("/openapi.json", get(handler))
}
