//! Whether an order may run at all: the offer's terms and what keeps tenants apart. What a workload may be is decided by the
//! market's rules, which customers ask before they pay.

use hawser_crds::{ComputeJob, GpuOffer, Workload, WorkloadKind};
use hawser_market::workload::{self as market, Images, Refusal, Resources};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::reasons::Reason;

/// Why an order is declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub reason: Reason,
    /// For the customer.
    pub message: String,
}

fn refused(reason: Reason, message: impl Into<String>) -> Refused {
    Refused { reason, message: message.into() }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::NoGpu => Reason::NoGpu,
            Refusal::TooManyGpus { .. } => Reason::TooManyGpus,
            Refusal::InvalidImage(_) => Reason::InvalidImage,
            Refusal::ImageNotAllowed { .. } => Reason::ImageNotAllowed,
            Refusal::TooLong { .. } => Reason::Malformed,
            Refusal::ForbiddenEnvironment(_) => Reason::ForbiddenEnvironment,
            Refusal::InvalidEnvironment(_) => Reason::InvalidEnvironment,
            Refusal::InvalidResources { .. } => Reason::InvalidResources,
            Refusal::ResourcesOverLimit { .. } => Reason::ResourcesOverLimit,
            Refusal::InvalidLimit { .. } => Reason::InvalidLimit,
        };
        debug_assert_eq!(reason.as_str(), refusal.reason(), "customers read the market's word");
        refused(reason, refusal.to_string())
    }
}

/// Checks an order against its offer; returns the resources that the customer's container gets.
pub(crate) fn check(job: &ComputeJob, offer: &GpuOffer) -> Result<Resources, Refused> {
    let source = job.spec.source.as_ref();
    if let Some(why) = source.and_then(|s| s.malformed.as_deref()) {
        return Err(refused(Reason::Malformed, why));
    }
    let limits = &offer.spec.limits;
    if let Some(seconds) = source.map(|s| s.seconds).filter(|s| !(limits.min_seconds..=limits.max_seconds).contains(s))
    {
        return Err(refused(
            Reason::TimeOutOfRange,
            format!("{seconds} s asked for, the offer takes {} to {} s", limits.min_seconds, limits.max_seconds),
        ));
    }
    let images = Images { allow: offer.spec.images.allow.clone(), deny: offer.spec.images.deny.clone() };
    ordered(&job.spec.workload).check_against(&market::Limits {
        gpus_per_job: limits.gpus_per_job,
        images: Some(&images),
        ..market::Limits::default()
    })?;
    resources(&job.spec.workload, offer)
}

/// What the customer's container gets.
pub(super) fn resources(workload: &Workload, offer: &GpuOffer) -> Result<Resources, Refused> {
    let limits = &offer.spec.limits;
    Ok(ordered(workload).resources(&limits.cpu_per_gpu.0, &limits.memory_per_gpu.0, &limits.storage_per_gpu.0)?)
}

/// The workload in the market's words.
fn ordered(workload: &Workload) -> market::Workload {
    let text = |quantity: &Option<Quantity>| quantity.as_ref().map(|quantity| quantity.0.clone());
    let variable = |v: &hawser_crds::EnvVar| market::EnvVar { name: v.name.clone(), value: v.value.clone() };
    market::Workload {
        kind: match workload.kind {
            WorkloadKind::Batch => market::WorkloadKind::Batch,
        },
        image: workload.image.clone(),
        command: workload.command.clone(),
        args: workload.args.clone(),
        env: workload.env.iter().map(variable).collect(),
        gpus: workload.gpus,
        cpu: text(&workload.cpu),
        memory: text(&workload.memory),
        storage: text(&workload.storage),
    }
}

/// The workload as a `ComputeJob` holds it.
pub(crate) fn stored(workload: market::Workload) -> Workload {
    Workload {
        kind: match workload.kind {
            market::WorkloadKind::Batch => WorkloadKind::Batch,
        },
        image: workload.image,
        command: workload.command,
        args: workload.args,
        env: workload.env.into_iter().map(|v| hawser_crds::EnvVar { name: v.name, value: v.value }).collect(),
        gpus: workload.gpus,
        cpu: workload.cpu.map(Quantity),
        memory: workload.memory.map(Quantity),
        storage: workload.storage.map(Quantity),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn offer() -> GpuOffer {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "p"},
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"},
                "limits": {"minSeconds": 60, "maxSeconds": 600, "gpusPerJob": 4}
            }
        }))
        .unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn job(workload: Value, source: Value) -> ComputeJob {
        let mut spec = json!({"image": "i", "gpus": 2});
        for (key, value) in workload.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let mut order = json!({
            "network": "n", "jobId": "0x", "customer": "0x", "seconds": 60, "deposit": "1", "price": "1", "block": 1
        });
        for (key, value) in source.as_object().unwrap() {
            order[key] = value.clone();
        }
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
            "spec": {"offerRef": "o", "source": order, "workload": spec}
        }))
        .unwrap()
    }

    #[test]
    fn an_order_gets_what_it_asked_for_or_the_offers_share_per_gpu() {
        let got = check(&job(json!({"cpu": "500m"}), json!({})), &offer()).unwrap();
        assert_eq!((got.cpu.as_str(), got.memory.as_str(), got.storage.as_str()), ("500m", "32Gi", "40Gi"));
    }

    #[test]
    fn orders_against_the_offers_terms_are_refused_with_a_reason() {
        for (workload, source, reason, message) in [
            (json!({}), json!({"malformed": "not JSON"}), "Malformed", "not JSON"),
            (json!({"gpus": 0}), json!({}), "NoGpu", "at least one GPU"),
            (json!({"gpus": 5}), json!({}), "TooManyGpus", "allows 4"),
            (json!({}), json!({"seconds": 59}), "TimeOutOfRange", "60 to 600"),
            (json!({}), json!({"seconds": 601}), "TimeOutOfRange", "60 to 600"),
            (json!({"image": "10.0.0.5:5000/x"}), json!({}), "ImageNotAllowed", "public"),
            (
                json!({"env": [{"name": "LD_PRELOAD"}]}),
                json!({}),
                "ForbiddenEnvironment",
                "[env, LD_PRELOAD=..., program]",
            ),
            (json!({"cpu": "9"}), json!({}), "ResourcesOverLimit", "allows 8"),
            (json!({"memory": "33Gi"}), json!({}), "ResourcesOverLimit", "allows 32Gi"),
            (json!({"storage": "0"}), json!({}), "InvalidResources", "is 0"),
        ] {
            let got = check(&job(workload.clone(), source), &offer()).unwrap_err();
            assert_eq!(got.reason.as_str(), reason, "{workload}");
            assert!(got.message.contains(message), "{}", got.message);
        }
    }

    #[test]
    fn a_workload_keeps_every_field_on_its_way_to_the_cluster_and_back() {
        let workload: market::Workload = serde_json::from_value(json!({
            "image": "i", "command": ["a"], "args": ["b"], "env": [{"name": "A", "value": "b"}], "gpus": 2,
            "cpu": "1", "memory": "2Gi", "storage": "3Gi"
        }))
        .unwrap();
        assert_eq!(ordered(&stored(workload.clone())), workload);
    }

    /// A longer list would be refused by the API server, after the customer has paid.
    #[test]
    fn the_schema_and_the_rules_have_the_same_bounds() {
        let definition = serde_json::to_value(<ComputeJob as kube::CustomResourceExt>::crd()).unwrap();
        let workload = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            ["workload"]["properties"];
        for (field, key, most) in [
            ("image", "maxLength", market::MAX_IMAGE),
            ("command", "maxItems", market::MAX_COMMAND),
            ("args", "maxItems", market::MAX_ARGS),
            ("env", "maxItems", market::MAX_ENV),
        ] {
            assert_eq!(workload[field][key], most, "{field}");
        }
        assert_eq!(workload["env"]["items"]["properties"]["name"]["maxLength"], market::MAX_ENV_NAME);
    }
}
