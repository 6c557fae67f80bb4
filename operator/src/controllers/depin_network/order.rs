//! From an order's public spec, which a stranger wrote, to a workload.

use alloy::hex;
use alloy::primitives::{Address, keccak256};
use hawser_contracts::JobId;
use hawser_crds::{ComputeJob, ComputeJobSpec, OrderSource, Workload};
use kube::api::ObjectMeta;
use serde_json::Value;

use crate::controllers::{JOB_FINALIZER, NETWORK_LABEL, OFFER_LABEL, label_value};
use crate::network::Order;

/// Longest public spec that is read, in bytes: what the market logs.
const MAX_SPEC: usize = 4096;
const WORKLOAD_FIELDS: [&str; 8] = ["image", "command", "args", "env", "gpus", "cpu", "memory", "storage"];
const ENV_FIELDS: [&str; 2] = ["name", "value"];

/// Name of an order's `ComputeJob`: the same order always has the same name, so seeing it twice is harmless.
pub(crate) fn job_name(order: &Order) -> String {
    name_of_job(order.job)
}

/// The name of the `ComputeJob` of an order with this id.
pub(crate) fn name_of_job(id: JobId) -> String {
    let hash = keccak256(id.0);
    format!("job-{}", hex::encode(&hash[..8]))
}

/// The `ComputeJob` of an order for an offer. A spec that can't be read gives one too: it is declined on chain with
/// the reason.
pub(crate) fn compute_job(network: &str, namespace: &str, offer: &str, order: &Order) -> ComputeJob {
    match workload(order) {
        Ok(workload) => build(network, namespace, offer, order, workload, None),
        Err(why) => malformed_job(network, namespace, offer, order, &why),
    }
}

/// The `ComputeJob` of an order that can't be run as it was written.
pub(crate) fn malformed_job(network: &str, namespace: &str, offer: &str, order: &Order, why: &str) -> ComputeJob {
    let workload = Workload { image: "none".to_owned(), gpus: u32::from(order.job.gpus()), ..Workload::default() };
    build(network, namespace, offer, order, workload, Some(why.chars().take(400).collect()))
}

fn build(
    network: &str,
    namespace: &str,
    offer: &str,
    order: &Order,
    workload: Workload,
    malformed: Option<String>,
) -> ComputeJob {
    let source = OrderSource {
        network: network.to_owned(),
        job_id: order.job.to_string(),
        customer: address(order.customer),
        seconds: order.duration_seconds,
        deposit: order.deposit.to_string(),
        price: order.job.price().to_string(),
        block: order.block.number,
        malformed,
    };
    ComputeJob {
        metadata: ObjectMeta {
            name: Some(job_name(order)),
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

/// Reads the public spec strictly: what is not understood is refused, so that nobody pays for something else than
/// what was meant.
fn workload(order: &Order) -> Result<Workload, String> {
    let spec = order.spec.as_ref();
    if spec.len() > MAX_SPEC {
        return Err(format!("the spec has {} bytes, at most {MAX_SPEC} are read", spec.len()));
    }
    let value: Value = serde_json::from_slice(spec).map_err(|e| format!("the spec is not JSON: {e}"))?;
    let Value::Object(fields) = &value else { return Err("the spec is not a JSON object".to_owned()) };
    if let Some(unknown) = fields.keys().find(|key| !WORKLOAD_FIELDS.contains(&key.as_str())) {
        return Err(format!("the spec has an unknown field {unknown:?}; known are {}", WORKLOAD_FIELDS.join(", ")));
    }
    for variable in fields.get("env").and_then(Value::as_array).into_iter().flatten() {
        if let Some(unknown) =
            variable.as_object().and_then(|v| v.keys().find(|key| !ENV_FIELDS.contains(&key.as_str())))
        {
            return Err(format!("the spec's env has an unknown field {unknown:?}; known are name, value"));
        }
    }
    let workload: Workload = serde_json::from_value(value).map_err(|e| format!("the spec can't be read: {e}"))?;
    if workload.gpus != u32::from(order.job.gpus()) {
        return Err(format!("the spec asks for {} GPUs, but {} were paid for", workload.gpus, order.job.gpus()));
    }
    Ok(workload)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Bytes, FixedBytes, U256};
    use hawser_contracts::{JobId, OfferId};
    use jiff::Timestamp;

    use super::*;
    use crate::network::Block;

    fn order(spec: &str) -> Order {
        let offer = OfferId(FixedBytes::repeat_byte(7));
        Order {
            job: JobId::from_parts(offer, 5, 2, FixedBytes([0, 1, 2, 3, 4, 5, 6, 0xab])).unwrap(),
            offer,
            customer: Address::repeat_byte(9),
            duration_seconds: 60,
            start_deadline: Timestamp::from_second(1000).unwrap(),
            deposit: U256::from(1),
            salt: B256::ZERO,
            spec: Bytes::copy_from_slice(spec.as_bytes()),
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
        assert_eq!((job.spec.workload.gpus, job.spec.workload.env[0].value.as_str()), (2, "b"));
    }

    #[test]
    fn a_spec_that_cannot_be_read_gives_a_job_that_says_why() {
        let long = format!(r#"{{"image":"{}","gpus":2}}"#, "x".repeat(5000));
        for (spec, why) in [
            ("hello", "not JSON"),
            ("[1]", "not a JSON object"),
            (r#"{"image":"i"}"#, "gpus"),
            (r#"{"image":"i","gpus":-1}"#, "-1"),
            (r#"{"image":"i","gpus":0}"#, "asks for 0 GPUs, but 2"),
            (r#"{"image":"i","gpus":4}"#, "asks for 4 GPUs, but 2"),
            (r#"{"image":"i","gpus":2,"privileged":true}"#, "unknown field \"privileged\""),
            (r#"{"image":"i","gpus":2,"env":[{"name":"A","valueFrom":{}}]}"#, "unknown field \"valueFrom\""),
            (r#"{"image":"i","gpus":2,"env":[1]}"#, "can't be read"),
            (long.as_str(), "bytes, at most 4096"),
        ] {
            let job = compute_job("net", "tenants", "h100", &order(spec));
            let malformed = job.spec.source.unwrap().malformed.unwrap_or_default();
            assert!(malformed.contains(why), "{spec}: {malformed}");
            assert_eq!(job.spec.workload.gpus, 2);
        }
    }

    #[test]
    fn the_same_order_has_the_same_name() {
        assert_eq!(job_name(&order("{}")), job_name(&order("{}")));
        // The same order at another price is another job.
        let mut dearer = order("{}");
        dearer.job = JobId::from_parts(dearer.offer, 6, 2, dearer.job.order_hash()).unwrap();
        assert_ne!(job_name(&order("{}")), job_name(&dearer));
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
