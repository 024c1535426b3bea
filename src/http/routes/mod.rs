//! One route, or the routes of one thing, per file.

mod audit;
mod ca;
mod certificates;
mod clients;
mod crl;
mod enroll;
mod feed;
mod health;
mod hosts;
mod jobs;
mod metrics;
pub(super) mod openapi;
mod problems;
mod renew;
mod requests;
mod revocation;
mod roles;
mod sessions;
mod tokens;
mod whoami;

use axum::Router;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// Every route of HTTPS, each registered once for serving and for its description.
pub(super) fn api() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(enroll::enroll))
        .routes(routes!(enroll::enroll_v1))
        .routes(routes!(renew::renew))
        .routes(routes!(certificates::list))
        .routes(routes!(certificates::detail))
        .routes(routes!(revocation::serial))
        .routes(routes!(revocation::shown))
        .routes(routes!(revocation::identity))
        .routes(routes!(feed::follow))
        .routes(routes!(feed::known))
        .routes(routes!(feed::acknowledge, feed::applied))
        .routes(routes!(feed::settle))
        .routes(routes!(hosts::list))
        .routes(routes!(hosts::detail))
        .routes(routes!(hosts::report))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(requests::list))
        .routes(routes!(requests::approve))
        .routes(routes!(requests::deny))
        .routes(routes!(clients::list))
        .routes(routes!(roles::list, roles::put))
        .routes(routes!(roles::remove))
        .routes(routes!(roles::applied))
        .routes(routes!(roles::bindings, roles::bind, roles::unbind))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::run))
        .routes(routes!(problems::list))
        .routes(routes!(problems::notifications))
        .routes(routes!(problems::test))
        .routes(routes!(audit::list))
        .routes(routes!(sessions::list, sessions::offer))
        .routes(routes!(sessions::end))
        .routes(routes!(whoami::whoami))
        .routes(routes!(ca::ca_pem))
        .routes(routes!(ca::issuer))
        .routes(routes!(crl::crl))
        .routes(routes!(crl::ocsp))
        .route("/ocsp/{*request}", get(crl::ocsp_get))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

/// The routes of plain HTTP.
pub(super) fn plain() -> Router<Api> {
    OpenApiRouter::new()
        .routes(routes!(ca::ca_pem))
        .routes(routes!(ca::issuer))
        .routes(routes!(crl::crl))
        .routes(routes!(crl::ocsp))
        .route("/ocsp/{*request}", get(crl::ocsp_get))
        .routes(routes!(health::healthz))
        .routes(routes!(metrics::metrics))
        .into()
}
