//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Whether this replica leads: only then does the Service of the attestation route to it.
#[derive(Clone, Debug, Default)]
pub struct Leading(Arc<AtomicBool>);

impl Leading {
    /// Says so.
    pub fn set(&self, leads: bool) {
        self.0.store(leads, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until `cancel`.
///
/// # Errors
/// Where the address can't be listened on.
pub async fn serve(
    listen: SocketAddr,
    leading: Leading,
    metrics: Metrics,
    cancel: CancellationToken,
) -> Result<(), std::io::Error> {
    let ready = move || async move {
        if leading.get() { (StatusCode::OK, "leading") } else { (StatusCode::SERVICE_UNAVAILABLE, "standing by") }
    };
    let text = move || async move {
        ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
    };
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(text));
    let listener = TcpListener::bind(listen).await?;
    axum::serve(listener, app).with_graceful_shutdown(cancel.cancelled_owned()).await
}
