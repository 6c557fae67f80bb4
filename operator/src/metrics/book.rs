//! Where metrics are written down.

use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::{AtomicI64, AtomicU64};

pub(super) type Number = Gauge<i64, AtomicI64>;
pub(super) type Decimal = Gauge<f64, AtomicU64>;
/// Durations under some labels.
pub(super) type Durations<L> = Family<L, Histogram, Buckets>;

/// Upper bounds of a histogram's buckets, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckets(pub(super) &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// What an answer takes, from near by to a time-out.
pub(super) const ANSWERS: Buckets = Buckets(&[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
/// What a customer waits for.
pub(super) const WAITS: Buckets = Buckets(&[1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0]);

/// Registers metrics; names get the prefix `hawser_`.
#[derive(Debug)]
pub(super) struct Book(pub(super) Registry);

impl Book {
    pub(super) fn new() -> Self {
        Self(Registry::with_prefix("hawser"))
    }

    pub(super) fn metric<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn durations<L>(&mut self, name: &str, help: &str, buckets: Buckets) -> Durations<L>
    where
        Durations<L>: Metric,
        L: Clone + std::hash::Hash + Eq,
    {
        let metric = Family::new_with_constructor(buckets);
        self.0.register(name, help, metric.clone());
        metric
    }
}
