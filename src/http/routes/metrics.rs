//! `GET /metrics`.

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName};

use super::super::Api;
use crate::base::metrics;

/// Metrics for Prometheus
///
/// Certificates by profile and status, issued, renewed and refused since the start, and for each host both ends of
/// validity (issued and served) and its conditions. Public, over plain HTTP too; it names the hosts.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"),
))]
pub(super) async fn metrics(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    let page = api.service().metrics_page().await;
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page)
}
