//! What every page has: the frame around it, its headers, and what a person sees instead when it cannot be shown.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::Api;
use super::super::problem::ApiError;
use super::assets;
use super::moment::Moment;
use crate::base::Timestamp;
use crate::model::Permission;
use crate::service::Caller;
use crate::wire::Code;

/// Nothing comes from elsewhere, nothing stands inline, and no page is shown inside another one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The part of the dashboard that a page belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Section {
    /// None of those in the bar.
    #[default]
    Elsewhere,
    Overview,
    Hosts,
    Certificates,
    Clients,
    Requests,
    Tokens,
    Jobs,
    Audit,
    Ca,
    Sessions,
}

impl Section {
    /// What the bar shows: where it leads, its word.
    const BAR: [(Section, &'static str, &'static str); 10] = [
        (Section::Overview, "/", "Overview"),
        (Section::Hosts, "/hosts", "Hosts"),
        (Section::Certificates, "/certificates", "Certificates"),
        (Section::Clients, "/clients", "Clients"),
        (Section::Requests, "/requests", "Requests"),
        (Section::Tokens, "/tokens", "Tokens"),
        (Section::Jobs, "/jobs", "Jobs"),
        (Section::Audit, "/audit", "Audit"),
        (Section::Ca, "/ca", "CA"),
        (Section::Sessions, "/sessions", "Sessions"),
    ];

    /// Whether only who may act sees it.
    fn is_for_operators(self) -> bool {
        matches!(self, Self::Clients | Self::Requests | Self::Tokens | Self::Audit)
    }
}

/// What stands around a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) section: Section,
    /// Name and permission of whoever looks.
    pub(super) person: Option<(String, &'static str)>,
    /// Whether they may act.
    pub(super) may_act: bool,
    /// Whether there is a session to sign out of.
    pub(super) has_session: bool,
    /// The mark for forms.
    pub(super) mark: String,
    pub(super) now: Timestamp,
}

impl Shell {
    pub(super) fn of(caller: &Caller, has_session: bool, api: &Api, mark: String) -> Self {
        let identity = caller.identity();
        let permission = identity.permission.map_or("", |permission| permission.as_str());
        Self {
            person: Some((identity.name.to_string(), permission)),
            may_act: identity
                .permission
                .is_some_and(|permission| permission >= Permission::Operator),
            has_session,
            mark,
            now: api.service().clock().now(),
            ..Self::default()
        }
    }

    pub(super) fn asset(&self, file: &str) -> String {
        assets::link(file)
    }

    pub(super) fn bar(&self) -> Vec<(&'static str, &'static str, bool)> {
        let entries = Section::BAR.into_iter();
        let seen = entries.filter(|(section, _, _)| self.may_act || !section.is_for_operators());
        seen.map(|(section, path, word)| (path, word, section == self.section))
            .collect()
    }

    /// A time on this page.
    pub(super) fn moment(&self, at: Timestamp) -> Moment {
        Moment::new(at, self.now)
    }
}

/// A template as an answer.
pub(super) fn show(template: &impl Template) -> Result<Response, Refusal> {
    respond(StatusCode::OK, template)
}

/// As [`show`], with another status.
pub(super) fn respond(status: StatusCode, template: &impl Template) -> Result<Response, Refusal> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        ApiError::new(Code::Internal, "the server failed; its log says why")
    })?;
    let mut response = (status, text).into_response();
    dress(&mut response, "text/html; charset=utf-8");
    Ok(response)
}

/// Headers of everything that only this person may see.
pub(super) fn dress(response: &mut Response, content_type: &'static str) {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (VARY, "Cookie"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // Forms must say where they come from, and with no-referrer browsers do not.
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

/// Why a page is not shown, as a page.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    title: String,
    text: String,
    shell: Box<Shell>,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    shell: &'a Shell,
    is_forbidden: bool,
    text: &'a str,
    signs_in: bool,
}

impl Refusal {
    /// Nobody is known to be there.
    pub(super) fn sign_in(was_signed_in: bool) -> Self {
        let text = match was_signed_in {
            true => "The session has ended.",
            false => "Nobody is signed in.",
        };
        Self::from(ApiError::new(Code::CertificateRequired, text)).titled("Sign in")
    }

    /// There is no such page.
    pub(super) fn nothing_here() -> Self {
        ApiError::new(Code::NotFound, "There is no such page.").into()
    }

    /// With the frame of somebody who is known.
    pub(super) fn with(mut self, shell: Shell) -> Self {
        self.shell = Box::new(shell);
        self
    }

    fn titled(mut self, title: &str) -> Self {
        self.title = title.to_owned();
        self
    }

    /// The page.
    pub(super) fn answer(self) -> Response {
        let mut shell = *self.shell;
        shell.title = self.title;
        let page = RefusalPage {
            signs_in: self.status == StatusCode::UNAUTHORIZED,
            shell: &shell,
            is_forbidden: self.code == Code::Forbidden,
            text: &self.text,
        };
        respond(self.status, &page).unwrap_or_else(|_| self.status.into_response())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.answer()
    }
}

impl<E> From<E> for Refusal
where
    ApiError: From<E>,
{
    fn from(error: E) -> Self {
        let error = ApiError::from(error);
        Self {
            status: StatusCode::from_u16(error.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.problem.code,
            title: error.problem.title.clone(),
            text: error.problem.detail.clone(),
            shell: Box::default(),
        }
    }
}
