//! Takes down what was read of a job, and adds since when it has been so. What goes back on chain is believed after a
//! while: one endpoint may be behind the others.
//!
//! `dereference` (what is) -> `observe` (and for how long) -> `decide`.

use std::time::{Duration, Instant};

use hawser_crds::ComputeJob;

use super::dereference::MarketRead;
use super::lasting::{Fact, Lasting, Timers};
use super::memory::JobMemory;
use super::observation::{ChainView, JobObservation};
use super::pull;
use crate::controllers::allocation::Allocation;
use crate::controllers::watch::name_of;
use crate::controllers::work::Name;
use crate::network::JobStatus;
use crate::objects::pod_state::PodState;

/// One endpoint may be behind the others; for longer it is a reorganisation. Of a job that was started, whose pod would
/// be stopped for it, more certainty is wanted: no endpoint that is used can lag for so long.
const GONE: Duration = Duration::from_secs(30);
const GONE_AFTER_START: Duration = Duration::from_secs(90);

/// The job's start stands in its status.
pub(crate) fn was_started(job: &ComputeJob) -> bool {
    job.status.as_ref().is_some_and(|status| status.started_at.is_some())
}

/// Takes down what the market says, and gives what is believed of it; and whether it has lost the job's start.
pub(crate) fn chain(name: &Name, read: MarketRead, started: bool, memory: &JobMemory) -> (ChainView, bool) {
    let (job, head, time, depth) = match read {
        MarketRead::Local => return (ChainView::Local, false),
        MarketRead::Unknown(why) => return (ChainView::Unknown(why), false),
        MarketRead::Read { job, head, time, depth } => (job, head, time, depth),
    };
    let in_time = job.start_deadline.is_none_or(|deadline| head.time <= deadline);
    let unstarted = started && job.status == JobStatus::Open && in_time;
    let gone = is_gone(job.status, started);
    memory.note_gone(name, gone);
    let patience = if started { GONE_AFTER_START } else { GONE };
    if gone && memory.gone_for(name) < patience {
        let seconds = patience.as_secs();
        let why = format!(
            "the market shows the job in an earlier state ({}), because of a lagging node or a reorganisation; believed after {seconds} s",
            job.status
        );
        return (ChainView::Unknown(why), unstarted);
    }
    memory.note_closed(name, job.status == JobStatus::Closed, head.height);
    let deep = memory.closed_for(name, head.height).is_some_and(|blocks| blocks >= depth);
    (ChainView::Known { job, time, deep }, unstarted)
}

/// The chain seems to have gone back behind what is known of the job.
fn is_gone(status: JobStatus, started: bool) -> bool {
    status == JobStatus::None || started && status == JobStatus::Open
}

/// Takes down what is seen, and adds what is remembered: for how long it has been so, and what the API server said of the
/// job's pod.
pub(crate) fn note(seen: &mut JobObservation, memory: &JobMemory) {
    seen.lasting = lasting(seen, &memory.timers);
    seen.pod_refused = memory.pod_refused(&name_of(&*seen.job));
}

fn lasting(seen: &JobObservation, timers: &Timers) -> Lasting {
    let (name, pods, heard) = (&name_of(&*seen.job), &seen.pods, seen.heard.as_ref());
    let runs = pods.any_runs();
    let waiting = |pod: &PodState| pod.customer.waiting.clone();
    let missing = pods.iter().filter_map(waiting).any(|(reason, message)| pull::missing(&reason, &message));
    let lingers = pods.iter().any(|pod| pod.customer.ended.is_some() && !pod.is_finished);
    let node_away = matches!(&seen.allocation, Allocation::Short(shortage) if shortage.passing);
    let now = Instant::now();
    timers.note(name, Fact::Silent, runs.then(|| heard.and_then(|heard| heard.last_report)), now);
    for (fact, holds) in [
        (Fact::Unseen, matches!(seen.chain, ChainView::Unknown(_))),
        (Fact::Running, runs),
        (Fact::Leaving, pods.iter().any(|pod| pod.deleted.is_some())),
        (Fact::MeterDown, runs && pods.iter().any(|pod| pod.meter_down.is_some())),
        (Fact::ImageMissing, missing),
        (Fact::Lingering, lingers),
        (Fact::Failing, seen.failing.is_some()),
        (Fact::NodeAway, node_away),
    ] {
        timers.note(name, fact, holds.then_some(()), now);
    }
    let lasting = |fact| timers.lasting(name, fact, now);
    Lasting {
        unseen: lasting(Fact::Unseen),
        running: lasting(Fact::Running),
        leaving: lasting(Fact::Leaving),
        silent: lasting(Fact::Silent),
        meter_down: lasting(Fact::MeterDown),
        image_missing: lasting(Fact::ImageMissing),
        lingering: lasting(Fact::Lingering),
        failing: lasting(Fact::Failing),
        node_away: lasting(Fact::NodeAway),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{GpuSeconds, Head, Job, Units};

    const ID: &str = "0x07";

    fn read(status: JobStatus, height: u64) -> MarketRead {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let job = Job {
            id: ID.into(),
            status,
            attestor: None,
            gpus: 1,
            price: 3600,
            duration_seconds: 100,
            start_deadline: Some(now),
            started: None,
            end: None,
            ending: false,
            refundable_from: None,
            used: GpuSeconds(0),
            deposit: Units::ZERO,
            paid: Units::ZERO,
        };
        let head = Head { height, time: now };
        MarketRead::Read { job: Box::new(job), head, time: now, depth: 3 }
    }

    #[test]
    fn what_goes_back_on_chain_is_not_believed_at_once_and_what_was_closed_counts_once_it_is_deep() {
        let (memory, name) = (JobMemory::default(), ("t".to_owned(), "j".to_owned()));
        let look = |status, number, started| match chain(&name, read(status, number), started, &memory) {
            (ChainView::Known { deep, .. }, unstarted) => (Some(deep), unstarted),
            (ChainView::Unknown(_) | ChainView::Local, unstarted) => (None, unstarted),
        };
        for (status, number, started, expected) in [
            (JobStatus::Open, 10, false, (Some(false), false)),
            (JobStatus::None, 11, false, (None, false)),
            (JobStatus::Open, 12, true, (None, true)),
            (JobStatus::Closed, 13, true, (Some(false), false)),
            (JobStatus::Closed, 15, true, (Some(false), false)),
            (JobStatus::Closed, 16, true, (Some(true), false)),
            // One that is seen open again between counts anew.
            (JobStatus::Running, 17, true, (Some(false), false)),
            (JobStatus::Closed, 18, true, (Some(false), false)),
        ] {
            assert_eq!(look(status, number, started), expected, "{status:?} at {number}");
        }
    }

    #[test]
    fn only_what_the_chain_cannot_undo_counts_as_gone() {
        use JobStatus::{Closed, Ended, None, Open, Running};
        for (status, started, expected) in [
            (None, false, true),
            (None, true, true),
            (Open, false, false),
            (Open, true, true),
            (Running, true, false),
            (Ended, true, false),
            (Closed, true, false),
        ] {
            assert_eq!(is_gone(status, started), expected, "{status:?} {started}");
        }
    }
}
