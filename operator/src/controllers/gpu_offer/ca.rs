//! The CA of the attestation service, in a namespace whose jobs run on: the Secret may have been made anew since they began,
//! and no further job may come to bring them what their meters need.

use hawser_crds::GpuOffer;
use kube::{Client, ResourceExt};
use tracing::warn;

use super::memory::OfferContext;
use crate::controllers::compute_job::put_ca;

/// Writes it once in a process, which has one CA all its life.
pub(super) async fn look(offer: &GpuOffer, jobs: u32, context: &OfferContext) {
    let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
    let known = context.memory.peek(&namespace, &name, |offer| offer.ca);
    let written = bring(&context.shared.client, &namespace, &context.shared.attestation_ca, jobs, known).await;
    context.memory.with(&namespace, &name, |offer| offer.ca = written);
}

/// Whether it is written now. Nothing is held up by it: it is tried again at the next look.
async fn bring(client: &Client, namespace: &str, ca: &str, jobs: u32, written: bool) -> bool {
    if written || jobs == 0 {
        return written;
    }
    let done = put_ca(client, namespace, ca).await;
    if let Err(error) = &done {
        warn!(namespace, %error, "the attestation service's CA can't be written: running jobs can't report if it is another one");
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::patch;
    use serde_json::Value;

    use super::*;

    /// Stands in for the API server: takes the `ConfigMap`, or answers that it can't.
    async fn client(taken: Arc<Mutex<Vec<Value>>>, away: Arc<Mutex<bool>>) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let take = move |body: String| async move {
            if *away.lock().unwrap() {
                let status =
                    r#"{"kind":"Status","status":"Failure","message":"away","reason":"InternalError","code":500}"#;
                return (StatusCode::INTERNAL_SERVER_ERROR, status.to_owned());
            }
            taken.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            (StatusCode::OK, body)
        };
        let app = Router::new().route("/api/v1/namespaces/t/configmaps/hawser-attestation-ca", patch(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn running_jobs_get_the_ca_of_this_process_once_though_no_job_comes() {
        let (taken, away) = (Arc::default(), Arc::default());
        let client = client(Arc::clone(&taken), Arc::clone(&away)).await;
        let bring = async |jobs, written| bring(&client, "t", "new CA", jobs, written).await;
        let count = || taken.lock().unwrap().len();
        assert!(!bring(0, false).await, "nobody needs it");
        *away.lock().unwrap() = true;
        assert!(!bring(2, false).await && count() == 0, "it is tried again");
        *away.lock().unwrap() = false;
        assert!(bring(2, false).await);
        assert_eq!(taken.lock().unwrap()[0]["data"]["ca.crt"], "new CA");
        assert!(bring(2, true).await && count() == 1, "once");
    }
}
