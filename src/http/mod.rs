//! The HTTPS API: one route per file, errors as problem documents, and the accept loop below it all.
//! Knows the service, never what is behind it.

mod connection;
mod dashboard;
mod date;
mod extract;
mod frame;
mod listener;
mod problem;
mod rest;
mod routes;
mod tls;
mod views;

use std::sync::Arc;

use axum::Router;
use tokio::sync::Semaphore;

use crate::base::limits::LIVE_MAX;
use crate::service::Service;

pub use connection::{ConnectionInfo, Limits};
pub use dashboard::ROUTES as DASHBOARD_ROUTES;
pub use listener::{Plain, Tls, serve_plain, serve_tls};
pub use tls::Grace;

/// What every handler can reach.
#[derive(Clone)]
pub struct Api {
    service: Arc<Service>,
    forms: dashboard::FormKey,
    pages: Arc<Semaphore>,
}

impl Api {
    /// Over a service.
    pub fn new(service: Arc<Service>) -> Self {
        Self {
            forms: dashboard::FormKey::draw(service.random()),
            pages: Arc::new(Semaphore::new(LIVE_MAX)),
            service,
        }
    }

    /// The use cases.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// What the dashboard's forms are marked with.
    fn forms(&self) -> &dashboard::FormKey {
        &self.forms
    }

    /// One for each page of the dashboard that may follow at once.
    fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.pages)
    }

    /// The use cases, for what outlives the request.
    pub fn shared(&self) -> &Arc<Service> {
        &self.service
    }
}

/// Everything that HTTPS serves.
pub fn router(service: Arc<Service>) -> Router {
    let api = Api::new(service);
    let (router, openapi) = routes::api().split_for_parts();
    let document = routes::openapi::document(openapi);
    let router = routes::openapi::serve(router, document).merge(dashboard::router());
    frame::wrap(router, api)
}

/// What plain HTTP serves: only what must not need TLS.
pub fn plain_router(service: Arc<Service>) -> Router {
    frame::wrap(routes::plain(), Api::new(service))
}

/// The OpenAPI description of [`router`], as `/openapi.json` serves it: pretty-printed JSON.
pub fn openapi_json() -> String {
    routes::openapi::document(routes::api().split_for_parts().1)
}
