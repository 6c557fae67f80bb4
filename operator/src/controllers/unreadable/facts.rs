//! What can be known of an object that can't be read: from its metadata, and from as much of its JSON as is as it was.
//! Pure. In doubt, it holds what it may hold.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;
use serde_json::Value;

use crate::controllers::{NETWORK_LABEL, OFFER_LABEL, label_value, migration};
use crate::network::{JobId, OrderRef};

/// GPUs that a job holds that doesn't say how many: it has at least one.
const AT_LEAST: u32 = 1;

/// Of a `ComputeJob`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Job {
    pub namespace: String,
    pub name: String,
    /// Name of its offer, as it stands in the spec.
    offer: Option<String>,
    /// Name of its network, as it stands in the spec.
    pub network: Option<String>,
    labels: BTreeMap<String, String>,
    /// The network's id.
    pub id: Option<JobId>,
    /// Whose its order is.
    pub order: OrderRef,
    /// It certainly has no order on chain.
    pub local: bool,
    pub gpus: u32,
    pub over: bool,
    pub settled: bool,
}

impl Job {
    /// From metadata alone where the JSON was not fetched yet.
    pub(crate) fn new(metadata: &ObjectMeta, raw: Option<&Value>) -> Self {
        let text = |path: &str| raw?.pointer(path)?.as_str().map(ToOwned::to_owned);
        let gpus = raw.and_then(|raw| raw.pointer("/spec/workload/gpus")).and_then(Value::as_u64);
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            offer: text("/spec/offerRef"),
            network: text("/spec/source/network"),
            labels: metadata.labels.clone().unwrap_or_default(),
            id: text("/spec/source/jobId").map(JobId::from),
            order: OrderRef::new(text("/spec/source/customer").as_deref(), text("/spec/source/orderHash").as_deref()),
            local: raw
                .and_then(|raw| raw.get("spec"))
                .is_some_and(|spec| spec.is_object() && spec.get("source").is_none()),
            gpus: gpus.and_then(|gpus| u32::try_from(gpus).ok()).unwrap_or(AT_LEAST),
            over: raw.is_some_and(migration::is_over),
            settled: raw.is_some_and(migration::is_settled),
        }
    }

    /// Whether it may be a job of this offer: not where spec or label name another.
    pub(crate) fn may_be_of(&self, namespace: &str, offer: &str) -> bool {
        let named = |named: &String, by: &str| named == by;
        self.namespace == namespace
            && match (&self.offer, self.labels.get(OFFER_LABEL)) {
                (Some(spec), _) => named(spec, offer),
                (None, Some(label)) => named(label, &label_value(offer)),
                (None, None) => true,
            }
    }

    /// Whether its order may be on this network.
    pub(crate) fn may_be_on(&self, network: &str) -> bool {
        if self.local {
            return false;
        }
        match (&self.network, self.labels.get(NETWORK_LABEL)) {
            (Some(spec), _) => spec == network,
            (None, Some(label)) => *label == label_value(network),
            (None, None) => true,
        }
    }
}

/// The network of an offer that can't be read; none where it is not known, so that it may be any.
pub(crate) fn network_of(raw: Option<&Value>) -> Option<String> {
    raw?.pointer("/spec/networkRef")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(labels: Value, raw: Option<Value>) -> Job {
        let metadata = serde_json::from_value(json!({"namespace": "t", "name": "j", "labels": labels})).unwrap();
        Job::new(&metadata, raw.as_ref())
    }

    #[test]
    fn a_job_that_cannot_be_read_may_be_of_any_offer_unless_it_says_of_which() {
        for (labels, raw, namespace, offer, may) in [
            (json!({}), None, "t", "a", true),
            (json!({}), None, "other", "a", false),
            (json!({"hawser.dev/offer": "a"}), None, "t", "a", true),
            (json!({"hawser.dev/offer": "b"}), None, "t", "a", false),
            (json!({"hawser.dev/offer": "b"}), Some(json!({"spec": {"offerRef": "a"}})), "t", "a", true),
            (json!({}), Some(json!({"spec": {"offerRef": 3}})), "t", "a", true),
        ] {
            assert_eq!(job(labels.clone(), raw.clone()).may_be_of(namespace, offer), may, "{labels} {raw:?}");
        }
    }

    #[test]
    fn a_network_may_hold_its_money_unless_it_says_otherwise() {
        for (labels, raw, may) in [
            (json!({}), None, true),
            (json!({"hawser.dev/network": "m"}), None, false),
            (json!({}), Some(json!({"spec": {"offerRef": "a"}})), false),
            (json!({}), Some(json!({"spec": {"source": {"network": "n"}}})), true),
            (json!({}), Some(json!({"spec": {"source": {"network": "m"}}})), false),
            (json!({}), Some(json!({"spec": {"source": {"network": {}}}})), true),
        ] {
            assert_eq!(job(labels.clone(), raw.clone()).may_be_on("n"), may, "{labels} {raw:?}");
        }
    }

    #[test]
    fn it_holds_the_gpus_that_it_names_or_one_until_it_says_that_it_is_over() {
        let over = json!([{"type": "Failed", "status": "True"}, {"type": "Settled", "status": "False"}]);
        for (raw, gpus, is_over, settled) in [
            (None, 1, false, false),
            (Some(json!({"spec": {"workload": {"gpus": 4, "new": {}}}})), 4, false, false),
            (Some(json!({"spec": {"workload": {"gpus": "many"}}})), 1, false, false),
            (Some(json!({"spec": {"workload": {"gpus": 2}}, "status": {"conditions": over}})), 2, true, false),
            (Some(json!({"status": {"conditions": [{"type": "Settled", "status": "True"}]}})), 1, false, true),
            (Some(json!({"status": {"conditions": "none"}})), 1, false, false),
        ] {
            let got = job(json!({}), raw.clone());
            assert_eq!((got.gpus, got.over, got.settled), (gpus, is_over, settled), "{raw:?}");
        }
    }
}
