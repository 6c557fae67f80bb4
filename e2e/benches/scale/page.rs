//! The page with the figures.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Size;
use crate::market::SECONDS;
use crate::objects::{OFFERS, PRODUCTS, TEAMS};
use crate::process::Memory;

/// What must hold: MiB, cores, seconds.
const RESIDENT: f64 = 150.0;
const CORES: f64 = 0.3;
const FIRST_STEP: f64 = 15.0;
const BURST: f64 = 30.0;

/// From the start of the process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) leads: Duration,
    /// An order that waited is accepted, and its job's status written.
    pub(crate) first_step: Duration,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) size: Size,
    pub(crate) profile: String,
    /// Of all objects, as JSON.
    pub(crate) bytes: u64,
    /// The first start, while nothing else changes.
    pub(crate) start: Start,
    pub(crate) memory_at_start: Memory,
    pub(crate) memory: Memory,
    pub(crate) cores: f64,
    pub(crate) looks: f64,
    pub(crate) changes: f64,
    pub(crate) steady_seconds: f64,
    /// A second replica's start, until it could lead.
    pub(crate) stands_by: Duration,
    /// From when the leader is asked to stop to the other's first step.
    pub(crate) hand_over: Duration,
    /// Starts of the only replica, among changes.
    pub(crate) restarts: Vec<Start>,
    pub(crate) memory_at_restart: Memory,
    pub(crate) burst: Duration,
    /// The most that was resident at any time.
    pub(crate) peak: f64,
}

/// What must hold, and what was measured.
struct Goal {
    what: String,
    most: f64,
    unit: &'static str,
    measured: f64,
}

impl Figures {
    fn goals(&self) -> [Goal; 6] {
        let burst = format!("{} orders at once, until each has its ComputeJob", self.size.burst);
        let start = self.restart().first_step.as_secs_f64();
        [
            ("resident, steady", RESIDENT, "MiB", self.memory.resident),
            ("resident, the most at any time", RESIDENT, "MiB", self.peak),
            ("processor, steady", CORES, "cores", self.cores),
            ("stop of the leader to the other replica's first step", FIRST_STEP, "s", self.hand_over.as_secs_f64()),
            ("start of the only replica to first step", FIRST_STEP, "s", start),
            (burst.as_str(), BURST, "s", self.burst.as_secs_f64()),
        ]
        .map(|(what, most, unit, measured)| Goal { what: what.to_owned(), most, unit, measured })
    }

    /// The median of several.
    fn restart(&self) -> Start {
        let mut all = self.restarts.clone();
        all.sort_by_key(|start| start.first_step);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }

    /// The goals that were missed, in words; none where all were met.
    pub(crate) fn missed(&self) -> Option<String> {
        let missed = self.goals().into_iter().filter(|goal| goal.measured > goal.most);
        let words =
            missed.map(|goal| format!("{}: {:.3} {}, at most {}", goal.what, goal.measured, goal.unit, goal.most));
        Some(words.collect::<Vec<_>>().join("; ")).filter(|words| !words.is_empty())
    }

    pub(crate) fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let Size { nodes, others, live, settled, burst: _ } = self.size;
        _ = writeln!(
            page,
            "The cluster: {nodes} nodes with 8 GPUs each, {} pods of which {live} have a GPU, {live} live jobs, {settled} settled \
             jobs, {OFFERS} offers of {PRODUCTS} products. All of it is {} MB as JSON.\nThe machine: {}.\nThe operator: built \
             with the profile `{}`.\n",
            others + live,
            self.bytes / 1_000_000,
            machine(),
            self.profile,
        );
        page.push_str("| figure | goal | measured | measured / goal | |\n|---|--:|--:|--:|---|\n");
        for Goal { what, most: goal, unit, measured } in self.goals() {
            let digits = if goal < 1.0 { 3 } else { 1 };
            let word = if measured > goal { "missed" } else { "met" };
            _ = writeln!(
                page,
                "| {what} | {goal} {unit} | {measured:.digits$} {unit} | {:.2} | {word} |",
                measured / goal
            );
        }
        page.push_str("\n| more of it | |\n|---|--:|\n");
        for (what, measured) in [
            ("changes of nodes and pods, a second", format!("{:.1}", self.changes)),
            ("looks at jobs, offers and networks, a second", format!("{:.1}", self.looks)),
            ("measured for", format!("{:.0} s", self.steady_seconds)),
            ("of what is resident, the program itself", format!("{:.1} MiB", self.memory.files)),
            ("resident after the first start, and its peak", both(self.memory_at_start)),
            ("resident after the last start, and its peak", both(self.memory_at_restart)),
            ("second replica's start to Ready", format!("{:.1} s", self.stands_by.as_secs_f64())),
            (
                "each start of the only replica",
                self.restarts
                    .iter()
                    .map(|start| format!("{:.1} s", start.first_step.as_secs_f64()))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            ("start to leading", format!("{:.1} s", self.restart().leads.as_secs_f64())),
            ("first start to first step", format!("{:.1} s", self.start.first_step.as_secs_f64())),
        ] {
            _ = writeln!(page, "| {what} | {measured} |");
        }
        page.push_str(&method());
        page
    }
}

fn both(memory: Memory) -> String {
    format!("{:.1} MiB, {:.1} MiB", memory.resident, memory.peak)
}

/// Cores and memory, in words.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = total.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
    format!(
        "{cores} cores and {} GiB, shared by the operator, the API server, etcd, the chain and this measurement",
        kib / 1024 / 1024
    )
}

const HEAD: &str = "# Scale

What a large cluster costs the operator. Generated by `cargo xtask bench scale`; a page that was measured is committed with
what changed it.

";

fn method() -> String {
    format!(
        "
## How it is measured

The operator's own program runs before a real kube-apiserver and etcd on the same machine, and before an anvil with the
market. It publishes the offers and takes the first order; that job and its pod, as the operator wrote them and with what
kubelet says of a running pod, are the pattern of all others.

* Nodes, pods and jobs are written straight into etcd as the API server keeps them, nodes and pods in protobuf: with
  `managedFields`, labels, images, volumes, environment and statuses. Pods without GPUs lie in {TEAMS} namespaces. The operator
  starts once the API server knows all of it. The API server's own comparison of its cache with etcd, every five minutes, is off
  (`DetectCacheInconsistency`): on two cores it answers nobody meanwhile, for longer than a leader has to renew its lease.
* Live jobs are orders on chain for {} days, placed and started by the thousand before the operator begins; each has its
  `ComputeJob` and its pod on a node of its offer. Their meters do not report, and their statuses say so: what reports cost is
  not in these figures.
* Settled jobs are objects alone, settled between two hours and six days ago, and left as the operator leaves them: it does not
  watch them, and lists the metadata of all jobs, slowly, every ten minutes.
* *Steady* begins two minutes after the first start. All the while fifty changes a second come: a heartbeat of each node in
  five minutes, and changes of pods. Processor time is the process's own (`/proc/PID/stat`), memory is `VmRSS` and `VmHWM`.
* *First step*: an order is mined, the operator is started, and the order's job is accepted and has its status. That includes
  all lists, the connection to the chain, and the confirmation of the order's block. The operator before it was stopped in
  good order: after a crash the lease has to run out first. Of the only replica's starts the median counts.
* *Stop of the leader*: a second replica is Ready and has read all lists, as in a rollout of the chart, or where one of two
  replicas ends. The leader is asked to stop, ends, and then an order is placed: the time runs from when it is asked.
* *Burst*: the orders come in transactions of eighty in one or two blocks; the time runs from when they are mined.
",
        SECONDS / 86_400
    )
}
