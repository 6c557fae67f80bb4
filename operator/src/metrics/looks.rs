//! What the controllers do: looks at objects, and what they found.

use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::book::{ANSWERS, Book, Durations, Number, WAITS};
use super::labels::{KindLabel, NetworkName, PhaseLabel};
use super::{Counted, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Looks {
    reconciles: Family<KindLabel, Counter>,
    errors: Family<KindLabel, Counter>,
    took: Durations<KindLabel>,
    watch_errors: Family<KindLabel, Counter>,
    unreadable: Family<KindLabel, Number>,
    abandoned: Family<KindLabel, Counter>,
    jobs: Family<PhaseLabel, Number>,
    to_running: Durations<NetworkName>,
    accepted: Counter,
    rejected: Counter,
}

impl Looks {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            reconciles: book.metric("reconciles", "Reconciles of resources"),
            errors: book.metric("reconcile_errors", "Failed reconciles (each is retried)"),
            took: book.durations("reconcile_duration_seconds", "How long reconciles took", ANSWERS),
            watch_errors: book.metric("watch_errors", "Failures of watches of resources, which go on"),
            unreadable: book
                .metric("unreadable_objects", "Objects that this operator can't read: see their condition Readable"),
            abandoned: book.metric("abandoned", "Objects let go by the annotation hawser.dev/abandon"),
            jobs: book.metric("jobs", "Jobs that are not settled, by status.phase; Unreadable where it can't be read"),
            to_running: book.durations(
                "order_to_running_seconds",
                "From an order's time to the start of the customer's program",
                WAITS,
            ),
            accepted: book.metric("vouchers_accepted", "Vouchers accepted, as far as written to the jobs' status"),
            rejected: book.metric("vouchers_rejected", "Vouchers refused, as far as written to the jobs' status"),
        }
    }

    pub(super) fn objects(&self, counted: &Counted) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (phase, jobs) in &counted.phases {
            self.jobs.get_or_create(&PhaseLabel { phase }).set(number(*jobs));
        }
        for (kind, count) in counted.unreadable {
            self.unreadable.get_or_create(&KindLabel { kind }).set(number(count));
        }
    }
}

/// A look that goes on until this is dropped, and is measured then.
#[derive(Debug)]
pub struct Timed(Histogram, Instant);

impl Drop for Timed {
    fn drop(&mut self) {
        self.0.observe(self.1.elapsed().as_secs_f64());
    }
}

impl Metrics {
    /// Reconciles of a kind.
    pub fn reconciles(&self, kind: &'static str) -> Counter {
        self.looks.reconciles.get_or_create(&KindLabel { kind }).clone()
    }

    /// Begins to measure a reconcile of a kind.
    pub fn timed(&self, kind: &'static str) -> Timed {
        Timed(self.looks.took.get_or_create(&KindLabel { kind }).clone(), Instant::now())
    }

    /// Failed reconciles of a kind.
    pub fn errors(&self, kind: &'static str) -> Counter {
        self.looks.errors.get_or_create(&KindLabel { kind }).clone()
    }

    /// Failed watches of a kind.
    pub fn watch_errors(&self, kind: &'static str) -> Counter {
        self.looks.watch_errors.get_or_create(&KindLabel { kind }).clone()
    }

    /// Vouchers accepted and refused since the last look.
    pub fn vouchers(&self, accepted: u64, rejected: u64) {
        self.looks.accepted.inc_by(accepted);
        self.looks.rejected.inc_by(rejected);
    }

    /// Objects of a kind that were let go by their annotation.
    pub(crate) fn abandoned(&self, kind: &'static str) -> Counter {
        self.looks.abandoned.get_or_create(&KindLabel { kind }).clone()
    }

    /// An order's program runs, so many seconds after the order's block.
    pub(crate) fn order_runs(&self, network: &str, after: f64) {
        self.looks.to_running.get_or_create(&NetworkName { network: network.to_owned() }).observe(after);
    }
}
