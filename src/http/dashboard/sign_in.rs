//! `GET` and `POST /sign-in/{link}`: a link becomes a session, once. Looking at the page spends nothing, so that programs that look at
//! links in messages do no harm; its button does. `POST /sign-out` ends the session.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};

use super::super::Api;
use super::super::extract::{Part, Source};
use super::super::problem::ApiError;
use super::forms::Sent;
use super::page::{Refusal, Shell, dress, show};
use super::person::COOKIE;
use crate::model::SESSION_LIFETIME;
use crate::service::Viewer;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    name: String,
}

/// The page with the button.
pub(super) async fn ask(
    State(api): State<Api>,
    link: Result<Part<String>, ApiError>,
) -> Result<Response, Refusal> {
    let Part(link) = link?;
    let session = api.service().look_at_link(&link).await?;
    show(&SignInPage {
        shell: Shell {
            title: "Sign in".to_owned(),
            now: api.service().clock().now(),
            ..Shell::default()
        },
        name: session.name.to_string(),
    })
}

/// Spends the link.
pub(super) async fn enter(
    State(api): State<Api>,
    Source(source): Source,
    link: Result<Part<String>, ApiError>,
) -> Result<Response, Refusal> {
    let Part(link) = link?;
    let begun = api.service().begin_session(&link, source).await?;
    Ok(with_cookie("/", &begun.cookie, SESSION_LIFETIME.as_secs()))
}

/// Ends the session of whoever asks; a certificate in the browser stays what it is.
pub(super) async fn leave(State(api): State<Api>, sent: Sent<Viewer>) -> Result<Response, Refusal> {
    if let Some(session) = sent.person.session() {
        let ended = api.service().end_session(&sent.person.caller, session).await;
        ended.map_err(|e| sent.person.refusal(e.into()))?;
    }
    Ok(with_cookie("/", "", 0))
}

fn with_cookie(to: &str, cookie: &str, seconds: u64) -> Response {
    let mut response = Redirect::to(to).into_response();
    dress(&mut response, "text/html; charset=utf-8");
    let cookie = format!("{COOKIE}={cookie}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict");
    let cookie = HeaderValue::try_from(cookie).expect("base32 and words of ours");
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}
