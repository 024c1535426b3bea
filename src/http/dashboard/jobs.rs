//! `GET /jobs`: what the server does by itself; `POST /jobs/{name}/run` has it done now.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::super::extract::Part;
use super::super::problem::ApiError;
use super::super::{Api, views};
use super::forms::Sent;
use super::moment::{Moment, span};
use super::page::{Refusal, Section, Shell, show};
use super::person::Person;
use crate::model::job::{JobName, JobOutcome};
use crate::service::{Operator, Viewer};
use crate::wire::JobView;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    shell: Shell,
    may_run: bool,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    about: String,
    schedule: String,
    state: &'static str,
    class: &'static str,
    last: Option<(Moment, String)>,
    detail: String,
    next: Option<Moment>,
    runs: bool,
}

/// The list.
pub(super) async fn list(State(api): State<Api>, person: Person<Viewer>) -> Result<Response, Refusal> {
    let jobs = api.service().jobs(&person.caller).into_iter().map(views::job);
    let shell = person.shell(Section::Jobs, "Jobs");
    show(&JobsPage {
        may_run: person.may_act(),
        rows: jobs.map(|job| row(job, &shell)).collect(),
        shell,
    })
}

fn row(job: JobView, shell: &Shell) -> Row {
    let succeeded = job.last.as_ref().map(|last| last.outcome == JobOutcome::Ok);
    let (state, class) = match (job.configured, job.running_since, succeeded) {
        (false, ..) => ("off", "expired"),
        (_, Some(_), _) => ("running", "pending"),
        (_, _, None) => ("not run yet", "unknown"),
        (_, _, Some(true)) => ("succeeded", "valid"),
        (_, _, Some(false)) => ("failed", "bad"),
    };
    let last = job.last.as_ref().map(|last| {
        let took = last.ended_at.since(last.started_at);
        (shell.moment(last.ended_at), span(took))
    });
    Row {
        name: job.name.as_str().to_owned(),
        about: job.about,
        schedule: job.schedule,
        state,
        class,
        last,
        detail: job.last.map(|last| last.detail).unwrap_or_default(),
        next: job.next_at.map(|next| shell.moment(next)),
        runs: job.configured,
    }
}

/// Has it done now.
pub(super) async fn run(
    State(api): State<Api>,
    name: Result<Part<JobName>, ApiError>,
    sent: Sent<Operator>,
) -> Result<Response, Refusal> {
    let refuse = |error: ApiError| sent.person.refusal(error.into());
    let Part(name) = name.map_err(refuse)?;
    let asked = api.service().ask_job(&sent.person.caller, name).await;
    asked.map_err(|e| refuse(e.into()))?;
    Ok(Redirect::to("/jobs").into_response())
}
