//! From an order's public spec, which a stranger wrote, to a workload.

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
    match Workload::from_spec(spec, order.gpus) {
        Ok(workload) => build(network, namespace, offer, order, stored(workload), None),
        Err(why) => malformed_job(network, namespace, offer, order, &why.to_string()),
    }
}

/// The `ComputeJob` of an order that can't be run as it was written.
pub(crate) fn malformed_job(network: &str, namespace: &str, offer: &str, order: &Order, why: &str) -> ComputeJob {
    let workload = hawser_crds::Workload {
        image: "none".to_owned(),
        gpus: u32::from(order.gpus),
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
        customer: order.by.customer.as_ref().map(ToString::to_string).unwrap_or_default(),
        order_hash: order.by.hash.clone(),
        seconds: order.duration_seconds,
        deposit: order.deposit.to_string(),
        price: order.price.to_string(),
        block: order.height,
        malformed,
    };
    ComputeJob {
        metadata: ObjectMeta {
            name: Some(order.resource_name.clone()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{OrderRef, Units};

    fn order(spec: &str) -> Order {
        Order {
            job: "order-5".into(),
            resource_name: "job-0707070707070707".to_owned(),
            offer: "offer-7".into(),
            by: OrderRef::new(Some("customer-9"), Some("hash-ab")),
            gpus: 2,
            price: 5,
            duration_seconds: 60,
            deposit: Units::from(7),
            spec: Some(spec.as_bytes().to_vec()),
            height: 12,
            tx: "tx".into(),
        }
    }

    #[test]
    fn a_good_spec_becomes_a_workload() {
        let spec = r#"{"image":"r/i@sha256:0","gpus":2,"args":["-x"],"env":[{"name":"A","value":"b"}],"cpu":"2","memory":"1Gi"}"#;
        let job = compute_job("net", "tenants", "h100", &order(spec));
        assert_eq!(job.metadata.name.as_deref(), Some("job-0707070707070707"));
        let source = job.spec.source.unwrap();
        assert_eq!((source.malformed, source.block, source.seconds), (None, 12, 60));
        assert_eq!((source.job_id.as_str(), source.customer.as_str()), ("order-5", "customer-9"));
        assert_eq!((source.price.as_str(), source.deposit.as_str()), ("5", "7"));
        assert_eq!(source.order_hash.as_deref(), Some("hash-ab"));
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
