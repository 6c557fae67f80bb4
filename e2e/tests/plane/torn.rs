//! Pods whose jobs are gone, before an operator that runs all the while.

use std::time::Duration;

use alloy::primitives::B256;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, ensure};
use hawser_attestation::{EvidenceRoot, MarketId, SignedVoucher, TerminationMessage};
use hawser_crds::ComputeJob;
use hawser_e2e::wait;
use hawser_market::{GpuSeconds, JobId};
use hawser_proto::pod::{JOB_CONTAINER, METER_CONTAINER, env};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

const ID: JobId = JobId(B256::repeat_byte(0x22));
/// Pods are looked through once a minute.
const SWEPT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn of_a_job_that_was_torn_away_its_pod_says_what_is_lost_and_that_of_a_settled_one_goes_in_silence() -> Result<()>
{
    let testbed = Testbed::new().await?;
    testbed.pod("one").await?;
    let jobs: Api<ComputeJob> = Api::namespaced(testbed.client.clone(), OFFERS);
    let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), OFFERS);
    let address = format!("0x{}", "11".repeat(20));
    let order = json!({
        "network": "none", "jobId": ID.to_string(), "customer": address, "seconds": 60, "deposit": "1", "price": "1", "block": 1,
    });
    let common = json!({"offerRef": "none", "workload": {"image": "none", "gpus": 1}});
    for (name, key, value) in [("torn", "source", order), ("settled", "terminate", json!(true))] {
        let mut spec = common.clone();
        spec[key] = value;
        let job = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name}, "spec": spec,
        });
        jobs.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&job)).await?;
    }
    // With a pod it was accepted, though there is no such offer any more.
    pods.create(&PostParams::default(), &pod(&jobs.get("torn").await?, true)?).await?;
    leave_voucher(&pods, "torn").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    wait::until("one job is held and the other one settled and let go", START, async || {
        let (torn, settled) = (jobs.get("torn").await?, jobs.get("settled").await?);
        let let_go = settled.finalizers().is_empty() && settled.annotations().contains_key("hawser.dev/settled-at");
        Ok(if let_go && !torn.finalizers().is_empty() { Ok(()) } else { Err(format!("{torn:?} {settled:?}")) })
    })
    .await
    .with_context(|| one.tail())?;
    pods.create(&PostParams::default(), &pod(&jobs.get("settled").await?, false)?).await?;

    // Nobody who could do something about it sees the deletion.
    one.signal(Signal::SIGSTOP)?;
    jobs.delete("torn", &DeleteParams::default()).await?;
    let torn = json!({"metadata": {"finalizers": null}});
    jobs.patch("torn", &PatchParams::default(), &Patch::Merge(&torn)).await?;
    one.signal(Signal::SIGCONT)?;
    ensure!(jobs.get_opt("torn").await?.is_none(), "something holds the job still");
    jobs.delete("settled", &DeleteParams::default()).await?;
    for pod in ["torn", "settled"] {
        wait::gone(&pods, pod, SWEPT).await.with_context(|| one.tail())?;
    }
    let said = said(&testbed, "torn").await?;
    let is_lost = |(reason, note): &(String, String)| {
        reason == "VoucherLost" && note.contains("60 GPU-seconds can't be claimed") && note.contains("\"none\"")
    };
    ensure!(
        said.iter().any(|(reason, _)| reason == "OrphanedPod") && said.iter().any(is_lost),
        "{said:?}\n{}",
        one.tail()
    );
    let quiet = self::said(&testbed, "settled").await?;
    ensure!(quiet.is_empty(), "a settled job's pod is no orphan: {quiet:?}");
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

/// A job's pod as an operator makes it, of which this one reads this much.
fn pod(job: &ComputeJob, held: bool) -> Result<Pod> {
    let owner = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "name": job.name_any(), "uid": job.uid(),
        "controller": true,
    });
    let finalizers: &[&str] = if held { &["hawser.dev/voucher"] } else { &[] };
    let network = job.spec.source.as_ref().map(|source| json!({"hawser.dev/network": source.network}));
    Ok(serde_json::from_value(json!({
        "metadata": {
            "name": job.name_any(), "labels": {"hawser.dev/job": job.name_any()}, "annotations": network,
            "finalizers": finalizers, "ownerReferences": [owner],
        },
        "spec": {
            "initContainers": [{
                "name": METER_CONTAINER, "image": "none", "restartPolicy": "Always",
                "env": [{"name": env::JOB_ID, "value": ID.to_string()}],
            }],
            "containers": [{"name": JOB_CONTAINER, "image": "none"}],
        },
    }))?)
}

/// What kubelet keeps of a meter that has counted a minute.
async fn leave_voucher(pods: &Api<Pod>, pod: &str) -> Result<()> {
    let key = PrivateKeySigner::from_slice(&[3; 32])?;
    let voucher = SignedVoucher::sign(&key, MarketId::default(), ID, GpuSeconds(60), EvidenceRoot(B256::ZERO))?;
    let words = TerminationMessage { attestor: key.address(), voucher, sequence: 1, last: true, lines: Vec::new() };
    let ended = json!({"terminated": {"exitCode": 0, "message": words.to_text()?}});
    let meter = json!({
        "name": METER_CONTAINER, "image": "none", "imageID": "none", "ready": false, "restartCount": 0, "state": ended,
    });
    let status = json!({"status": {"initContainerStatuses": [meter]}});
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// Reasons and notes of what is said of a pod.
async fn said(testbed: &Testbed, pod: &str) -> Result<Vec<(String, String)>> {
    let events: Api<Event> = Api::namespaced(testbed.client.clone(), OFFERS);
    let all = events.list(&ListParams::default()).await?;
    let about = all.into_iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        regarding.is_some_and(|it| it.kind.as_deref() == Some("Pod") && it.name.as_deref() == Some(pod))
    });
    Ok(about.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect())
}
