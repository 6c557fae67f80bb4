//! What this service counts for Prometheus.

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Among whom a connection waits that has proved nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// It has said nothing at all.
    Arriving,
    /// It brought an attestor's pass.
    Attestor,
    /// It comes from the address of an expected job's pod.
    Pod,
    /// It comes from anywhere else.
    Stranger,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Arriving => "arriving",
            Self::Attestor => "attestor",
            Self::Pod => "pod",
            Self::Stranger => "stranger",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

/// What the attestation service counts for Prometheus. Clones are the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    seats: Family<ClassLabel, Gauge>,
    most_seats: Family<ClassLabel, Gauge>,
    refused: Family<ClassLabel, Counter>,
    evicted: Family<ClassLabel, Counter>,
    stored: Counter,
    failed: Counter,
    failing_since: Gauge,
    stored_at: Gauge,
}

impl Measures {
    /// Registers all of them; names begin with the registry's prefix.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("attestation_seats", "Connections that have proved nothing yet", self.seats.clone());
        registry.register(
            "attestation_seats_most",
            "Seats that there are for connections that have proved nothing yet",
            self.most_seats.clone(),
        );
        registry.register("attestation_seats_refused", "Connections that found no seat", self.refused.clone());
        registry.register(
            "attestation_seats_evicted",
            "Connections that lost their seat to another before they proved anything",
            self.evicted.clone(),
        );
        registry.register("evidence_writes", "Files of evidence written to the evidence store", self.stored.clone());
        registry.register("evidence_failures", "Reads and writes that the evidence store failed", self.failed.clone());
        registry.register(
            "evidence_failing_since_seconds",
            "Since when the evidence store fails, Unix seconds; 0: it does not",
            self.failing_since.clone(),
        );
        registry.register(
            "evidence_stored_seconds",
            "When evidence was stored last, Unix seconds; 0: not since the start",
            self.stored_at.clone(),
        );
    }

    pub(super) fn seats(&self, class: Class, taken: usize) {
        let taken = i64::try_from(taken).unwrap_or(i64::MAX);
        self.seats.get_or_create(&ClassLabel { class: class.name() }).set(taken);
    }

    pub(super) fn most_seats(&self, class: Class, most: usize) {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.most_seats.get_or_create(&ClassLabel { class: class.name() }).set(most);
    }

    /// Something of everything.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        self.seats(Class::Pod, 1);
        self.most_seats(Class::Pod, 1);
        self.refused(Class::Pod);
        self.evicted(Class::Pod);
    }

    pub(super) fn refused(&self, class: Class) {
        self.refused.get_or_create(&ClassLabel { class: class.name() }).inc();
    }

    pub(super) fn evicted(&self, class: Class) {
        self.evicted.get_or_create(&ClassLabel { class: class.name() }).inc();
    }

    pub(super) fn stored(&self, at: Timestamp) {
        self.stored.inc();
        self.stored_at.set(at.as_second());
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }

    pub(super) fn failing_since(&self, since: Option<Timestamp>) {
        self.failing_since.set(since.map_or(0, Timestamp::as_second));
    }
}
