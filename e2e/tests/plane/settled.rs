//! Jobs that are settled are not watched, and come to their end nevertheless.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJob, Phase, condition};
use hawser_e2e::{conditions, wait};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

/// What the operator puts on a job that it settles.
const FINALIZER: &str = "hawser.dev/settlement";
/// And what it leaves on a settled one.
const SETTLED_AT: &str = "hawser.dev/settled-at";
/// How long the first operator keeps a settled job; it looks through all of them as often.
const KEPT: &str = "--job-retention-seconds=30";
/// Until the next time that they are looked through.
const SWEPT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn a_settled_job_is_let_go_and_deleted_when_its_time_is_over_and_a_live_one_is_never_taken_for_it() -> Result<()>
{
    let testbed = Testbed::new().await?;
    testbed.pod("one").await?;
    let jobs: Api<ComputeJob> = Api::namespaced(testbed.client.clone(), OFFERS);
    for (name, terminate) in [("waits", false), ("ended", true)] {
        write(&jobs, name, &[], terminate).await?;
    }
    let mut one = Replica::start_with(&testbed.plane, SYSTEM, "one", testbed.plane.address(), &[KEPT])?;
    one.says("leading", START).await?;
    wait::until("the job that has ended is settled and let go", START, async || {
        let ended = jobs.get("ended").await?;
        let let_go = ended.finalizers().is_empty() && ended.annotations().contains_key(SETTLED_AT);
        Ok(if let_go && is_settled(&ended) { Ok(()) } else { Err(text(&ended)) })
    })
    .await
    .with_context(|| one.tail())?;
    ensure!(jobs.get("waits").await?.finalizers() == [FINALIZER], "the job that waits is not the operator's");
    in_memory(&one, 1).await?;

    phase(&jobs, "waits", Phase::Succeeded, None).await?;
    is_live_again(&jobs, &one).await?;
    in_memory(&one, 1).await?;
    wait::gone(&jobs, "ended", SWEPT).await.with_context(|| one.tail())?;
    one.stops(Duration::from_secs(10)).await?;

    // While nobody looks: a phase that is not the job's, and a settled job as earlier releases left them.
    phase(&jobs, "waits", Phase::Failed, None).await?;
    write(&jobs, "older", &[FINALIZER], false).await?;
    phase(&jobs, "older", Phase::Succeeded, Some(Timestamp::now())).await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    in_memory(&one, 0).await?;
    is_live_again(&jobs, &one).await?;
    wait::until("the job that an earlier release has settled is let go", SWEPT, async || {
        let older = jobs.get("older").await?;
        Ok(if older.finalizers().is_empty() { Ok(()) } else { Err(text(&older)) })
    })
    .await
    .with_context(|| one.tail())?;
    in_memory(&one, 1).await?;
    jobs.delete("older", &DeleteParams::default()).await?;
    wait::gone(&jobs, "older", START).await?;
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

/// A job that nobody ordered, of an offer that is not there.
async fn write(jobs: &Api<ComputeJob>, name: &str, finalizers: &[&str], terminate: bool) -> Result<()> {
    let job = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name, "finalizers": finalizers},
        "spec": {"offerRef": "none", "workload": {"image": "none", "gpus": 1}, "terminate": terminate},
    });
    jobs.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&job)).await?;
    Ok(())
}

/// Writes a job's phase, and that it was settled then.
async fn phase(jobs: &Api<ComputeJob>, name: &str, phase: Phase, settled: Option<Timestamp>) -> Result<()> {
    let settled: Option<Value> = settled.map(|at| {
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!([{"type": condition::SETTLED, "status": "True", "reason": "Settled", "message": "", "lastTransitionTime": at}])
    });
    let mut status = json!({"phase": phase});
    if let Some(settled) = settled {
        status["conditions"] = settled;
    }
    let status = json!({"status": status});
    jobs.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// Waits until the phase that was written is taken back.
async fn is_live_again(jobs: &Api<ComputeJob>, one: &Replica) -> Result<()> {
    wait::until("the phase is the job's own again", SWEPT, async || {
        let waits = jobs.get("waits").await?;
        Ok(if phase_of(&waits) == Phase::Pending { Ok(()) } else { Err(text(&waits)) })
    })
    .await
    .with_context(|| one.tail())
}

/// Waits until this many jobs are held, all of them pending.
async fn in_memory(one: &Replica, count: usize) -> Result<()> {
    wait::until(&format!("{count} jobs are in memory"), START, async || {
        let mut held = Vec::new();
        for phase in [Phase::Pending, Phase::Settling, Phase::Succeeded, Phase::Failed, Phase::Declined] {
            // Before it has looked at anything it tells no numbers.
            let told = one.metric(&format!("hawser_jobs{{phase=\"{}\"}}", phase.word())).await;
            held.push(told.unwrap_or_else(|error| error.to_string()));
        }
        let expected = [count, 0, 0, 0, 0].map(|count| count.to_string());
        Ok(if held == expected { Ok(()) } else { Err(held.join(", ")) })
    })
    .await
    .with_context(|| one.tail())
}

fn phase_of(job: &ComputeJob) -> Phase {
    job.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

fn is_settled(job: &ComputeJob) -> bool {
    Phase::SETTLED.contains(&phase_of(job))
}

fn text(job: &ComputeJob) -> String {
    let said = job.status.as_ref().map(|status| conditions::text(&status.conditions)).unwrap_or_default();
    format!("{}, finalizers {:?}: {said}", phase_of(job).word(), job.finalizers())
}
