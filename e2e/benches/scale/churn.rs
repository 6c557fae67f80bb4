//! What changes all the time in a cluster of this size: kubelets say every five minutes how their nodes are, and pods come
//! to other states.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::Size;
use crate::objects;

/// Fifty a second in all: of nodes a third.
const NODES_EVERY: Duration = Duration::from_millis(60);
const PODS_EVERY: Duration = Duration::from_millis(30);

/// Changes go on until it is dropped.
#[derive(Debug)]
pub(crate) struct Churn {
    made: Arc<AtomicU64>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Churn {
    pub(crate) fn start(client: &Client, size: Size) -> Self {
        let made = Arc::<AtomicU64>::default();
        let nodes: Api<Node> = Api::all(client.clone());
        let tasks = [
            tokio::spawn(patch(NODES_EVERY, Arc::clone(&made), move |turn| {
                let name = objects::node_name(turn * 7 % size.nodes);
                let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let ready = json!({"type": "Ready", "lastHeartbeatTime": now});
                (nodes.clone(), name, json!({"status": {"conditions": [ready]}}))
            })),
            tokio::spawn(patch(PODS_EVERY, Arc::clone(&made), {
                let client = client.clone();
                move |turn| {
                    let number = turn * 7 % size.others;
                    let pods: Api<Pod> = Api::namespaced(client.clone(), &objects::team(number));
                    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                    let ready = json!({"type": "Ready", "lastProbeTime": now});
                    (pods, objects::pod_name(number), json!({"status": {"conditions": [ready]}}))
                }
            })),
        ];
        Self { made, tasks }
    }

    /// How many changes were made so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

async fn patch<K>(every: Duration, made: Arc<AtomicU64>, change: impl Fn(usize) -> (Api<K>, String, Value))
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut ticks = tokio::time::interval(every);
    for turn in 0.. {
        ticks.tick().await;
        let (api, name, body) = change(turn);
        let made = Arc::clone(&made);
        tokio::spawn(async move {
            match api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&body)).await {
                Ok(_) => drop(made.fetch_add(1, Ordering::Relaxed)),
                // At the end of a run the API server goes first.
                Err(kube::Error::Api(status)) => eprintln!("{name} can't be changed: {status}"),
                Err(_) => {}
            }
        });
    }
}
