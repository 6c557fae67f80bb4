//! This process among others.

use jiff::Timestamp;
use prometheus_client::metrics::family::Family;

use super::Metrics;
use super::book::{Book, Number};
use super::labels::BuildLabels;

#[derive(Clone, Debug)]
pub(super) struct Process {
    leading: Number,
    transitions: Number,
    outdated: Number,
    certificate_ends: Number,
}

impl Process {
    pub(super) fn new(book: &mut Book) -> Self {
        let build: Family<BuildLabels, Number> = book.metric("build_info", "1, with the version that runs");
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        Self {
            leading: book.metric("leading", "1 while this replica holds the lease"),
            transitions: book.metric(
                "lease_transitions",
                "How often the lease has changed hands, as the Lease says it; 0 on a replica that does not lead",
            ),
            outdated: book
                .metric("definitions_outdated", "1 while this replica waits for newer custom resource definitions"),
            certificate_ends: book.metric(
                "attestation_certificate_expiry_timestamp_seconds",
                "When the attestation service's certificate ends, Unix seconds; 0 on a replica that does not serve",
            ),
        }
    }
}

impl Metrics {
    /// Whether this replica leads.
    pub fn leading(&self, leads: bool) {
        self.process.leading.set(i64::from(leads));
    }

    /// How often the lease has changed hands.
    pub fn transitions(&self, transitions: i32) {
        self.process.transitions.set(i64::from(transitions));
    }

    /// Whether this replica waits for newer custom resource definitions.
    pub fn outdated(&self, waits: bool) {
        self.process.outdated.set(i64::from(waits));
    }

    /// When the certificate ends that is served.
    pub fn certificate(&self, ends: Timestamp) {
        self.process.certificate_ends.set(ends.as_second());
    }
}
