//! The main job told as a story: a data centre offers GPUs, a stranger orders,
//! the order runs, is attested, paid and refunded, and anybody verifies it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hawser_crds::Phase;
use hawser_e2e::chain::Chain;
use hawser_e2e::cluster::client;
use hawser_e2e::customer::{Customer, JobSpec};
use hawser_e2e::fixture::Fixture;
use hawser_e2e::installation::Installation;
use hawser_e2e::order::{Order, kubelet_gpu_seconds};
use hawser_e2e::report::DemoReport;
use kube::{Client, ResourceExt};

const NAMESPACE: &str = "demo";
/// Name of its `DepinNetwork`.
const NETWORK: &str = "local";

#[derive(Debug, Parser)]
struct Options {
    /// Write what the closing table says as JSON
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match Box::pin(story(&options)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed:");
            for cause in error.chain() {
                eprintln!("  {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The charts, a fresh market on the environment's chain, and a network on it.
async fn installed(kube: &Client, step: &impl Fn(&str)) -> Result<Fixture> {
    let installation = Installation::install(step).await?;
    let chain = Chain::deploy(&installation.environment.rpc_url).await?;
    step(&format!("market {} deployed, provider registered", chain.market));
    let fixture = installation.fixture(kube, NETWORK, chain).await?;
    step(&format!("DepinNetwork {NETWORK} is Ready"));
    Ok(fixture)
}

async fn story(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let step = |text: &str| println!("{:>7.1} s  {text}", begun.elapsed().as_secs_f32());

    let kube = client().await?;
    let fixture = installed(&kube, &step).await?;
    fixture.tenant(&kube, NAMESPACE).await?;
    let offer = fixture.publish(&kube, NAMESPACE, "h100", fixture.offer_spec()).await?;
    let status = offer.status.unwrap_or_default();
    let on_chain = status.on_chain.context("a Ready offer without its place on chain")?;
    let gpus = status.gpus.unwrap_or_default();
    step(&format!("GpuOffer demo/h100 is on chain as {}: {} of {} GPUs", on_chain.offer_id, gpus.offered, gpus.total));

    let customer = Customer::first(&fixture);
    let spec = JobSpec {
        offer: on_chain.offer_id,
        gpus: 2,
        seconds: 300,
        image: fixture.environment.povray_image.clone(),
        command: Vec::new(),
        args: ["advanced/chess2.pov", "160", "120"].map(str::to_owned).to_vec(),
    };
    let order = Order::new(customer.order(&spec).await?, NAMESPACE);
    let ordered = Instant::now();
    let before = fixture.chain.credits(customer.account()).await?;
    let deposit = order.id.deposit(spec.seconds);
    step(&format!("a customer ordered 2 GPUs for 300 s: job {}, deposit {deposit}", order.id));

    order.seen(&kube).await?;
    step(&format!("the operator saw the order and wrote ComputeJob demo/{}", order.name()));
    let running = order.running(&kube).await?;
    let order_to_running = ordered.elapsed();
    let status = running.status.unwrap_or_default();
    step(&format!(
        "start mined, the customer's container runs on {} with {}",
        status.node.as_deref().unwrap_or("no node"),
        status.gpu_uuids.join(", ")
    ));
    order.attested(&kube).await?;
    step("the first voucher was accepted");
    let job = order.over(&kube).await?;
    let after = fixture.chain.credits(customer.account()).await?;
    let phase = job.status.as_ref().map(|status| status.phase).unwrap_or_default();
    step(&format!("{} is over: {phase:?}", job.name_any()));

    let split = order.assert_settled(&fixture, &before, &after, deposit).await?;
    let kubelet = kubelet_gpu_seconds(&job)?;
    let status = job.status.unwrap_or_default();
    let usage = status.usage.unwrap_or_default();
    let evidence = usage.evidence.context("the job's status names no evidence")?;
    let verified = customer.verify(&evidence).await?;
    step(&format!("hawser verify {evidence}: {}", verified["ok"]));

    let report = DemoReport {
        job_id: order.id.to_string(),
        phase: status.phase,
        order_to_running_seconds: order_to_running.as_secs_f64(),
        vouchers_accepted: usage.vouchers_accepted,
        gpu_seconds_kubelet: kubelet,
        gpu_seconds_sidecar: usage.gpu_seconds,
        gpu_seconds_chain: fixture.chain.job(order.id).await?.used,
        deposit: deposit.to_string(),
        to_provider: split.provider.to_string(),
        to_customer: split.customer.to_string(),
        fee: split.fee.to_string(),
        verified: verified["ok"] == true,
    };
    println!("\n{}", report.table());
    if let Some(file) = &options.report {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("the report can't be written to {}", file.display()))?;
    }
    ensure!(report.phase == Phase::Succeeded, "the customer's program did not succeed: {:?}", status.conditions);
    ensure!(report.verified, "the evidence does not hold: {verified}");
    Ok(())
}
