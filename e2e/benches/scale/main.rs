//! What a large cluster costs the operator: its own program, before a real API server and a real chain. Run by
//! `cargo xtask bench scale`, which writes `docs/reference/scale.md`.

mod churn;
mod market;
mod objects;
mod page;
mod process;
mod store;
mod stored;
mod testbed;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use hawser_e2e::order::Order;
use hawser_e2e::wait;

use market::Placed;
use page::Figures;
use process::Operator;
use testbed::Testbed;

/// Where the operator is.
pub(crate) const SYSTEM: &str = "hawser-system";
/// The first steps of an operator that has just begun, while everything of a large cluster is listed.
const FIRST_STEP: Duration = Duration::from_mins(4);
const BURST: Duration = Duration::from_mins(5);
/// Starts of the only replica, of which the median counts: what else the API server has to do differs from one to the next.
const RESTARTS: usize = 3;

#[derive(Debug, Parser)]
struct Options {
    /// The operator's program
    #[arg(long)]
    operator: PathBuf,
    /// How the program was built, for the page
    #[arg(long, default_value = "release")]
    profile: String,
    /// A cluster this many times smaller, for trying it out
    #[arg(long, default_value_t = 1)]
    divide: usize,
    /// Seconds for which the steady state is measured
    #[arg(long, default_value_t = 150)]
    steady: u64,
    /// Seconds after the start before that: looks that follow a start are over
    #[arg(long, default_value_t = 120)]
    settle: u64,
    /// Where the operator's logs are kept; without it they go with the run
    #[arg(long)]
    logs: Option<PathBuf>,
    /// The page to write; without one the figures are only printed
    #[arg(long)]
    page: Option<PathBuf>,
    /// Fails where a goal is missed
    #[arg(long)]
    assert: bool,
    /// cargo says so of each bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What there is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    /// Pods without GPUs.
    pub(crate) others: usize,
    /// Jobs that run, each with a pod and a GPU.
    pub(crate) live: usize,
    pub(crate) settled: usize,
    pub(crate) burst: usize,
}

impl Size {
    fn divided(by: usize) -> Self {
        let part = |whole: usize| (whole / by).max(10);
        Self { nodes: part(5_000), others: part(30_000), live: part(10_000), settled: part(50_000), burst: part(1_000) }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let size = Size::divided(options.divide);
    let began = Instant::now();
    let step = |what: &str| eprintln!("{:>4} s  {what}", began.elapsed().as_secs());

    let mut testbed = Testbed::new(size, &options.operator, &step).await?;
    let mut figures = Figures { bytes: testbed.bytes, size, profile: options.profile.clone(), ..Figures::default() };

    step("the operator starts among all of it");
    let operator = first_step(&mut testbed, &options, "first", &mut figures.start).await?;
    figures.memory_at_start = operator.memory()?;
    step(&format!("{:?}, {:?}", figures.start, figures.memory_at_start));
    let churn = churn::Churn::start(&testbed.client, size);
    watched(&operator, options.settle, &step).await?;

    let (cpu, at) = (operator.processor()?, Instant::now());
    let (looks, changes) = (operator.metric("hawser_reconciles_total").await?, churn.made());
    watched(&operator, options.steady, &step).await?;
    let took = at.elapsed().as_secs_f64();
    figures.cores = operator.processor()?.saturating_sub(cpu).as_secs_f64() / took;
    figures.looks = (operator.metric("hawser_reconciles_total").await? - looks) / took;
    figures.changes = f64::from(u32::try_from(churn.made() - changes)?) / took;
    figures.steady_seconds = took;
    figures.memory = operator.memory()?;
    step(&format!(
        "steady: {:.3} cores, {:.1} looks/s, {:.1} changes/s",
        figures.cores, figures.looks, figures.changes
    ));

    step("another replica stands by");
    let other = Operator::start(&options.operator, &testbed.plane, options.logs.as_deref(), "other")?;
    figures.stands_by = other.stands_by().await?;
    figures.peak = figures.peak.max(operator.memory()?.peak);
    step(&format!("{:?}, {:?}; the leader stops", figures.stands_by, other.memory()?));
    let at = Instant::now();
    operator.stop().await?;
    let order = order(&mut testbed).await?;
    accepted(&testbed, &order).await.with_context(|| other.tail())?;
    figures.hand_over = at.elapsed();

    step(&format!("{:?}; it stops too, and the operator starts again", figures.hand_over));
    let mut operator = other;
    for _ in 0..RESTARTS {
        figures.peak = figures.peak.max(operator.memory()?.peak);
        operator.stop().await?;
        let mut restart = page::Start::default();
        operator = first_step(&mut testbed, &options, "again", &mut restart).await?;
        figures.memory_at_restart = operator.memory()?;
        step(&format!("{restart:?}, {:?}", figures.memory_at_restart));
        figures.restarts.push(restart);
    }

    let before = testbed.jobs().await?;
    step(&format!("a burst of {} orders on {before} jobs", size.burst));
    let placed = testbed.order(size.burst).await?;
    let at = Instant::now();
    wait::until("each order of the burst has its ComputeJob", BURST, async || {
        let now = testbed.jobs().await?;
        Ok(if now >= before + placed.len() { Ok(()) } else { Err(format!("{} more", now - before)) })
    })
    .await
    .with_context(|| operator.tail())?;
    figures.burst = at.elapsed();
    step(&format!("{:?}, {:?}", figures.burst, operator.memory()?));
    figures.peak = figures.peak.max(operator.memory()?.peak);
    drop(churn);

    let page = figures.page();
    println!("{page}");
    if let Some(path) = options.page {
        std::fs::write(&path, page).with_context(|| format!("{} can't be written", path.display()))?;
    }
    operator.stop().await?;
    match figures.missed().filter(|_| options.assert) {
        Some(missed) => bail!("missed: {missed}"),
        None => Ok(()),
    }
}

/// Starts the operator with an order waiting, and measures until it leads and until it has taken the order up.
async fn first_step(testbed: &mut Testbed, options: &Options, run: &str, took: &mut page::Start) -> Result<Operator> {
    let order = order(testbed).await?;
    let operator = Operator::start(&options.operator, &testbed.plane, options.logs.as_deref(), run)?;
    took.leads = operator.leads().await?;
    accepted(testbed, &order).await.with_context(|| operator.tail())?;
    took.first_step = operator.began.elapsed();
    Ok(operator)
}

/// An order that is mined.
async fn order(testbed: &mut Testbed) -> Result<Order> {
    let placed = testbed.order(1).await?;
    let fresh: &Placed = placed.first().context("no order was placed")?;
    Ok(Order::new(fresh.id, &objects::tenant(fresh.offer)))
}

/// Waits until an order is accepted and its job's status written.
async fn accepted(testbed: &Testbed, order: &Order) -> Result<()> {
    let written = order.when(&testbed.client, "is accepted", FIRST_STEP, |job| {
        job.status.as_ref().is_some_and(|status| status.pod.is_some() || status.phase == hawser_crds::Phase::Starting)
    });
    written.await.map(drop)
}

/// Lets time pass, and says now and then how it stands.
async fn watched(operator: &Operator, seconds: u64, step: &impl Fn(&str)) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut cpu, mut at) = (operator.processor()?, Instant::now());
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(15).min(end.saturating_duration_since(Instant::now()))).await;
        let now = operator.processor()?;
        let cores = now.saturating_sub(cpu).as_secs_f64() / at.elapsed().as_secs_f64();
        step(&format!("{cores:.3} cores, {:.0?}", operator.memory()?));
        (cpu, at) = (now, Instant::now());
    }
    Ok(())
}
