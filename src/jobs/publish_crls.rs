//! Keeps the published CRLs up to date: soon after a revocation, by schedule when nothing happens.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::limits::{CRL_COALESCE, CRL_LOOK_EVERY};
use crate::service::Service;

/// Publishes until `stop`. Revocations that come together share a list: it is signed a moment after the first of them.
pub async fn publish_crls(service: Arc<Service>, stop: CancellationToken) {
    publish_crls_every(service, CRL_LOOK_EVERY, stop).await;
}

/// The same with another interval between looks at the clock.
pub async fn publish_crls_every(service: Arc<Service>, every: Duration, stop: CancellationToken) {
    let mut watch = service.feed_watch();
    loop {
        watch.mark_unchanged();
        if let Err(error) = service.publish_crls().await {
            tracing::error!(%error, "the failure of a CRL could not be written to the audit log");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
            changed = watch.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(CRL_COALESCE).await;
            }
        }
    }
}
