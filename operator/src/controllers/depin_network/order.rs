//! From an order's public spec, which a stranger wrote, to a workload.

use alloy::primitives::Address;
use hawser_crds::{ComputeJob, ComputeJobSpec, OrderSource};
use hawser_market::workload::Workload;
use kube::api::ObjectMeta;

use crate::controllers::compute_job::stored;
use crate::controllers::{JOB_FINALIZER, NETWORK_LABEL, OFFER_LABEL, label_value};
use crate::network::Order;

/// What a customer is told whose order has no text.
const NOT_POSTED: &str = "the workload was not posted with the order, and this provider reads it nowhere else: order again with \
                          its text";

/// The `ComputeJob` of an order for an offer. A spec that can't be read gives one too: it is declined on chain with
/// the reason.
pub(crate) fn compute_job(network: &str, namespace: &str, offer: &str, order: &Order) -> ComputeJob {
    let Some(spec) = &order.spec else { return malformed_job(network, namespace, offer, order, NOT_POSTED) };
    match Workload::from_spec(spec, order.job.gpus()) {
        Ok(workload) => build(network, namespace, offer, order, stored(workload), None),
        Err(why) => malformed_job(network, namespace, offer, order, &why.to_string()),
    }
}

/// The `ComputeJob` of an order that can't be run as it was written.
pub(crate) fn malformed_job(network: &str, namespace: &str, offer: &str, order: &Order, why: &str) -> ComputeJob {
    let workload = hawser_crds::Workload {
        image: "none".to_owned(),
        gpus: u32::from(order.job.gpus()),
        ..hawser_crds::Workload::default()
    };
    build(network, namespace, offer, order, workload, Some(why.chars().take(400).collect()))
}

fn build(
    network: &str,
    namespace: &str,
    offer: &str,
    order: &Order,
    workload: hawser_crds::Workload,
    malformed: Option<String>,
) -> ComputeJob {
    let source = OrderSource {
        network: network.to_owned(),
        job_id: order.job.to_string(),
        customer: address(order.by.customer),
        order_hash: Some(order.by.hash.to_string()),
        seconds: order.duration_seconds,
        deposit: order.deposit().to_string(),
        price: order.job.price().to_string(),
        block: order.block.number,
        malformed,
    };
    ComputeJob {
        metadata: ObjectMeta {
            name: Some(order.job.resource_name()),
            namespace: Some(namespace.to_owned()),
            // Here from the beginning, so that no moment exists in which the job could be deleted and its money forgotten.
            finalizers: Some(vec![JOB_FINALIZER.to_owned()]),
            labels: Some(
                [(OFFER_LABEL.to_owned(), label_value(offer)), (NETWORK_LABEL.to_owned(), label_value(network))].into(),
            ),
            ..ObjectMeta::default()
        },
        spec: ComputeJobSpec { offer_ref: offer.to_owned(), source: Some(source), workload, terminate: false },
        status: None,
    }
}

fn address(address: Address) -> String {
    address.to_checksum(None)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Bytes, FixedBytes};
    use hawser_market::{JobId, OfferId, OrderRef};

    use super::*;
    use crate::network::Block;

    fn order(spec: &str) -> Order {
        let offer = OfferId(FixedBytes::repeat_byte(7));
        Order {
            job: JobId::from_parts(offer, 5, 2, FixedBytes::repeat_byte(0x5b)).unwrap(),
            offer,
            by: OrderRef { customer: Address::repeat_byte(9), hash: B256::repeat_byte(0xab) },
            duration_seconds: 60,
            spec_hash: B256::ZERO,
            spec: Some(Bytes::copy_from_slice(spec.as_bytes())),
            block: Block { number: 12, hash: B256::ZERO },
            tx: B256::ZERO,
        }
    }

    #[test]
    fn a_good_spec_becomes_a_workload() {
        let spec = r#"{"image":"r/i@sha256:0","gpus":2,"args":["-x"],"env":[{"name":"A","value":"b"}],"cpu":"2","memory":"1Gi"}"#;
        let job = compute_job("net", "tenants", "h100", &order(spec));
        let name = job.metadata.name.unwrap();
        assert_eq!((name.len(), name.starts_with("job-")), (20, true), "{name}");
        let source = job.spec.source.unwrap();
        assert_eq!((source.malformed, source.block, source.seconds), (None, 12, 60));
        assert_eq!(source.order_hash, Some(format!("0x{}", "ab".repeat(32))));
        assert_eq!((job.spec.workload.gpus, job.spec.workload.env[0].value.as_str()), (2, "b"));
    }

    #[test]
    fn a_spec_that_cannot_be_read_gives_a_job_that_says_why() {
        for (spec, why) in [
            ("hello", "not JSON"),
            (r#"{"kind":"Service","image":"i","gpus":2}"#, "known is Batch"),
            (r#"{"image":"i","gpus":4}"#, "asks for 4 GPUs, but 2"),
        ] {
            let job = compute_job("net", "tenants", "h100", &order(spec));
            let malformed = job.spec.source.unwrap().malformed.unwrap_or_default();
            assert!(malformed.contains(why), "{spec}: {malformed}");
            assert_eq!(job.spec.workload.gpus, 2);
        }
    }

    #[test]
    fn an_order_whose_spec_was_not_posted_gives_a_job_that_says_so() {
        let job = compute_job("net", "tenants", "h100", &Order { spec: None, ..order("{}") });
        let malformed = job.spec.source.unwrap().malformed.unwrap_or_default();
        assert!(malformed.contains("was not posted with the order"), "{malformed}");
        assert!(malformed.ends_with("order again with its text"), "{malformed}");
    }

    #[test]
    fn long_names_of_offers_and_networks_fit_into_labels() {
        let long = "o".repeat(200);
        let job = compute_job(&long, "tenants", &long, &order("{}"));
        let labels = job.metadata.labels.unwrap();
        assert!(labels.values().all(|value| value.len() <= 63), "{labels:?}");
        assert_eq!(job.spec.offer_ref, long);
    }
}
