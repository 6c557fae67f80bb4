//! Following one order through the cluster and over the chain to its end.

use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, ResourceExt};

use hawser_crds::{ComputeJob, Phase};
use hawser_market::JobId;

use crate::chain::Credits;
use crate::cluster::jobs;
use crate::explain::explained;
use crate::fixture::Fixture;
use crate::{conditions, wait};

/// An order in its namespace.
#[derive(Clone, Debug)]
pub struct Order {
    /// The market's name for it.
    pub id: JobId,
    /// Namespace of its offer.
    pub namespace: String,
}

impl Order {
    /// An order against an offer of `namespace`.
    pub fn new(id: JobId, namespace: &str) -> Self {
        Self { id, namespace: namespace.to_owned() }
    }

    /// Name of its `ComputeJob`.
    pub fn name(&self) -> String {
        self.id.resource_name()
    }

    /// Waits until its `ComputeJob` is there.
    ///
    /// # Errors
    /// When the deadline passes; then with the objects of the namespace.
    pub async fn seen(&self, client: &Client) -> Result<ComputeJob> {
        self.when(client, "is seen", wait::SOON, |_| true).await
    }

    /// Waits until the customer's container runs, or has run: a short program may be over before anybody looks.
    ///
    /// # Errors
    /// When the deadline passes; then with the objects of the namespace.
    pub async fn running(&self, client: &Client) -> Result<ComputeJob> {
        let running = |job: &ComputeJob| {
            let ran = |phase| matches!(phase, Phase::Running | Phase::Settling | Phase::Succeeded);
            job.status.as_ref().is_some_and(|s| ran(s.phase) && s.container_started_at.is_some())
        };
        self.when(client, "is running", wait::SOON, running).await
    }

    /// Waits until this many vouchers were accepted or this many GPU-seconds stand in the status.
    ///
    /// # Errors
    /// When the deadline passes; then with the objects of the namespace.
    pub async fn attested(&self, client: &Client) -> Result<ComputeJob> {
        let attested = |job: &ComputeJob| {
            let status = job.status.as_ref();
            status.is_some_and(|s| conditions::is_true(&s.conditions, hawser_crds::condition::ATTESTED))
        };
        self.when(client, "is attested", wait::SOON, attested).await
    }

    /// Waits until it is over: settled or declined.
    ///
    /// # Errors
    /// When the deadline passes; then with the objects of the namespace.
    pub async fn over(&self, client: &Client) -> Result<ComputeJob> {
        let over = |job: &ComputeJob| {
            let phase = job.status.as_ref().map(|status| status.phase);
            matches!(phase, Some(Phase::Succeeded | Phase::Failed | Phase::Declined))
        };
        self.when(client, "is over", Duration::from_mins(4), over).await
    }

    /// Waits until `met` says so of the `ComputeJob`.
    ///
    /// # Errors
    /// When the deadline passes; then with the objects of the namespace.
    pub async fn when(
        &self,
        client: &Client,
        what: &str,
        deadline: Duration,
        met: impl Fn(&ComputeJob) -> bool,
    ) -> Result<ComputeJob> {
        let api = jobs(client, &self.namespace);
        let name = self.name();
        let result = wait::until(&format!("ComputeJob {}/{name} {what}", self.namespace), deadline, async || {
            let Some(job) = api.get_opt(&name).await? else {
                return Ok(Err("there is no such ComputeJob".to_owned()));
            };
            if met(&job) {
                return Ok(Ok(job));
            }
            let status = job.status.unwrap_or_default();
            Ok(Err(format!("{:?} {}", status.phase, conditions::text(&status.conditions))))
        })
        .await;
        explained(client, &self.namespace, result).await
    }

    /// Its pods, also those that are over.
    ///
    /// # Errors
    /// When the API server doesn't answer.
    pub async fn pods(&self, client: &Client) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let selector = format!("hawser.dev/job={}", self.name());
        Ok(pods.list(&kube::api::ListParams::default().labels(&selector)).await?.items)
    }

    /// Every token unit of the order's deposit is with the provider, the customer or the fee sink, exactly as the
    /// market's rules say.
    ///
    /// # Errors
    /// Says which sum is wrong.
    pub async fn assert_settled(
        &self,
        fixture: &Fixture,
        before: &Credits,
        after: &Credits,
        deposit: U256,
    ) -> Result<Split> {
        let job = fixture.chain.job(self.id).await?;
        let paid = self.id.paid(job.used);
        ensure!(job.paid == paid, "the market paid {} for {} GPU-seconds, and not {paid}", job.paid, job.used);
        let split = Split {
            provider: after.provider - before.provider,
            customer: after.customer - before.customer,
            fee: after.fee - before.fee,
        };
        ensure!(
            split.provider + split.fee == paid,
            "provider got {} and the fee sink {}, together not the {paid} that were paid",
            split.provider,
            split.fee
        );
        let whole = split.provider + split.customer + split.fee;
        ensure!(whole == deposit, "{split:?} adds up to {whole}, not to the deposit {deposit}");
        Ok(split)
    }
}

/// Where a deposit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Token units credited to the provider.
    pub provider: U256,
    /// Token units credited back to the customer.
    pub customer: U256,
    /// Token units credited to the fee sink.
    pub fee: U256,
}

/// GPU-seconds by kubelet's own clock: from the container's start to its end, in whole seconds, and no more than the market sold.
/// A customer who ends a job pays up to that block, however long the machine takes to stop the container.
///
/// # Errors
/// When the container has not run and ended.
pub fn kubelet_gpu_seconds(job: &ComputeJob) -> Result<i64> {
    let status = job.status.as_ref().context("the job has no status")?;
    let time = |time: &Option<Time>, what| {
        time.as_ref().map(|time| time.0.as_second()).with_context(|| format!("{} has no {what}", job.name_any()))
    };
    let started = time(&status.container_started_at, "containerStartedAt")?;
    let finished = time(&status.container_finished_at, "containerFinishedAt")?;
    let sold = status.settlement.as_ref().and_then(|settlement| settlement.paid_until.as_ref());
    let finished = sold.map_or(finished, |until| finished.min(until.0.as_second()));
    Ok((finished - started) * i64::from(job.spec.workload.gpus))
}
