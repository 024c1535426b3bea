//! `GET /v1/jobs`, `POST /v1/jobs/{name}/run`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::extract::{Access, Part};
use super::super::problem::{ApiError, Problems};
use super::super::{Api, views};
use crate::model::job::JobName;
use crate::service::{Operator, Viewer};
use crate::wire::JobList;

/// List jobs
///
/// Needs `viewer`. What the server does by itself: when it did it last, what came of it, and when it does it next.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", security(("mutualTLS" = [])), responses(
    (status = 200, description = "All of them", body = JobList),
    Problems,
))]
pub(super) async fn list(State(api): State<Api>, Access(viewer): Access<Viewer>) -> Json<JobList> {
    let jobs = api.service().jobs(&viewer);
    Json(JobList {
        items: jobs.into_iter().map(views::job).collect(),
    })
}

/// Run a job now
///
/// Needs `operator`. It begins at once, or when the run that is under way has ended; `GET /v1/jobs` says what came of it.
/// A server that ends before it began still runs it when it is back.
#[utoipa::path(post, path = "/v1/jobs/{name}/run", tag = "jobs", params(("name" = String, Path)),
    security(("mutualTLS" = [])), responses(
    (status = 202, description = "It runs"),
    Problems,
))]
pub(super) async fn run(
    State(api): State<Api>,
    Access(operator): Access<Operator>,
    Part(name): Part<JobName>,
) -> Result<StatusCode, ApiError> {
    api.service().ask_job(&operator, name).await?;
    Ok(StatusCode::ACCEPTED)
}
