//! Whether an order may run at all: the offer's terms and what keeps tenants apart.

use hawser_crds::rules::environment::steers_the_node;
use hawser_crds::rules::image;
use hawser_crds::rules::quantity::{Amount, LEAST_BYTES, parse};
use hawser_crds::{ComputeJob, GpuOffer, Limits, Workload};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::build::is_env_name;

/// Why an order is declined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// One `CamelCase` word.
    pub reason: &'static str,
    /// For the customer.
    pub message: String,
}

fn refused(reason: &'static str, message: impl Into<String>) -> Refused {
    Refused { reason, message: message.into() }
}

/// CPU, memory and storage of the customer's container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resources {
    pub cpu: Quantity,
    pub memory: Quantity,
    pub storage: Quantity,
}

/// Checks an order against its offer; gives the resources that the customer's container gets.
pub(crate) fn check(job: &ComputeJob, offer: &GpuOffer) -> Result<Resources, Refused> {
    let source = job.spec.source.as_ref();
    if let Some(why) = source.and_then(|s| s.malformed.as_deref()) {
        return Err(refused("Malformed", why));
    }
    let workload = &job.spec.workload;
    let limits = &offer.spec.limits;
    if workload.gpus == 0 {
        // Without a device of its own a container could be given every card of the node by its environment alone.
        return Err(refused("NoGpu", "a job needs at least one GPU"));
    }
    if let Some(most) = limits.gpus_per_job.filter(|most| workload.gpus > *most) {
        return Err(refused("TooManyGpus", format!("{} GPUs asked for, the offer allows {most} a job", workload.gpus)));
    }
    if let Some(seconds) = source.map(|s| s.seconds).filter(|s| !(limits.min_seconds..=limits.max_seconds).contains(s))
    {
        return Err(refused(
            "TimeOutOfRange",
            format!("{seconds} s asked for, the offer takes {} to {} s", limits.min_seconds, limits.max_seconds),
        ));
    }
    if workload.image.trim().is_empty() || workload.image.contains(char::is_whitespace) {
        return Err(refused("InvalidImage", format!("{:?} is not an image reference", workload.image)));
    }
    image::check(&workload.image, &offer.spec.images).map_err(|why| refused("ImageNotAllowed", why))?;
    environment(workload)?;
    resources(workload, limits)
}

/// What the customer's container gets.
pub(super) fn resources(workload: &Workload, limits: &Limits) -> Result<Resources, Refused> {
    Ok(Resources {
        cpu: within("cpu", workload.cpu.as_ref(), &limits.cpu_per_gpu, workload.gpus)?,
        memory: within("memory", workload.memory.as_ref(), &limits.memory_per_gpu, workload.gpus)?,
        storage: within("storage", workload.storage.as_ref(), &limits.storage_per_gpu, workload.gpus)?,
    })
}

fn environment(workload: &Workload) -> Result<(), Refused> {
    for variable in &workload.env {
        let name = &variable.name;
        if steers_the_node(name) {
            return Err(refused(
                "ForbiddenEnvironment",
                format!(
                    "env {name:?}: names that steer NVIDIA's runtime or the loader of programs on the node (LD_*, NVIDIA_*, \
                     CUDA_INJECTION*, GCONV_PATH, GLIBC_TUNABLES) are refused: set it in the container, as in command: \
                     [env, {name}=..., program]"
                ),
            ));
        }
        if !is_env_name(name) {
            return Err(refused("InvalidEnvironment", format!("env {name:?} is not a variable's name")));
        }
    }
    Ok(())
}

fn within(field: &str, asked: Option<&Quantity>, per_gpu: &Quantity, gpus: u32) -> Result<Quantity, Refused> {
    let Some(limit) = parse(per_gpu).map(|one| one.times(gpus)) else {
        return Err(refused("InvalidLimit", format!("the offer's limit of {field} {:?} is not a quantity", per_gpu.0)));
    };
    let Some(asked) = asked else { return Ok(limit.to_quantity()) };
    match parse(asked) {
        None => Err(refused("InvalidResources", format!("{field} {:?} is not a quantity", asked.0))),
        Some(Amount(0)) => Err(refused("InvalidResources", format!("{field} is 0"))),
        Some(amount) if field != "cpu" && amount < LEAST_BYTES => Err(refused(
            "InvalidResources",
            format!(
                "{field} {} is less than 1Mi: bytes are meant, say Mi or Gi (m is a thousandth of a byte)",
                asked.0
            ),
        )),
        Some(amount) if amount > limit => Err(refused(
            "ResourcesOverLimit",
            format!("{field} {} asked for, the offer allows {} for {gpus} GPUs", asked.0, limit.to_quantity().0),
        )),
        Some(_) => Ok(asked.clone()),
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
        assert_eq!((got.cpu.0.as_str(), got.memory.0.as_str(), got.storage.0.as_str()), ("500m", "32Gi", "40Gi"));
    }

    #[test]
    fn what_only_looks_like_a_forbidden_name_and_the_least_of_memory_are_taken() {
        let workload = json!({
            "cpu": "1m", "memory": "1Mi", "storage": "1Mi",
            "env": [{"name": "LDAP_URL"}, {"name": "CUDA_VISIBLE_DEVICES"}, {"name": "MY_NVIDIA_X"}, {"name": "NCCL_DEBUG"}]
        });
        assert_eq!(check(&job(workload, json!({})), &offer()).map(|got| got.memory.0), Ok("1Mi".to_owned()));
    }

    #[test]
    fn orders_against_the_policy_are_refused_with_a_reason() {
        for (workload, source, reason, message) in [
            (json!({}), json!({"malformed": "not JSON"}), "Malformed", "not JSON"),
            (json!({"gpus": 0}), json!({}), "NoGpu", "at least one GPU"),
            (json!({"gpus": 5}), json!({}), "TooManyGpus", "allows 4"),
            (json!({}), json!({"seconds": 59}), "TimeOutOfRange", "60 to 600"),
            (json!({}), json!({"seconds": 601}), "TimeOutOfRange", "60 to 600"),
            (json!({"image": " "}), json!({}), "InvalidImage", "image"),
            (json!({"image": "10.0.0.5:5000/x"}), json!({}), "ImageNotAllowed", "public"),
            (
                json!({"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}),
                json!({}),
                "ForbiddenEnvironment",
                "NVIDIA_",
            ),
            (json!({"env": [{"name": "nvidia_x"}]}), json!({}), "ForbiddenEnvironment", "NVIDIA_"),
            (
                json!({"env": [{"name": "LD_PRELOAD"}]}),
                json!({}),
                "ForbiddenEnvironment",
                "[env, LD_PRELOAD=..., program]",
            ),
            (json!({"env": [{"name": "LD_LIBRARY_PATH"}]}), json!({}), "ForbiddenEnvironment", "LD_*"),
            (json!({"env": [{"name": "CUDA_INJECTION64_PATH"}]}), json!({}), "ForbiddenEnvironment", "CUDA_INJECTION"),
            (json!({"env": [{"name": "GLIBC_TUNABLES"}]}), json!({}), "ForbiddenEnvironment", "GLIBC_TUNABLES"),
            (json!({"memory": "512m"}), json!({}), "InvalidResources", "less than 1Mi"),
            (json!({"memory": "16"}), json!({}), "InvalidResources", "less than 1Mi"),
            (json!({"storage": "1023Ki"}), json!({}), "InvalidResources", "less than 1Mi"),
            (json!({"env": [{"name": "A=B"}]}), json!({}), "InvalidEnvironment", "A=B"),
            (json!({"env": [{"name": "é"}]}), json!({}), "InvalidEnvironment", "é"),
            (json!({"env": [{"name": "1A"}]}), json!({}), "InvalidEnvironment", "1A"),
            (json!({"env": [{"name": ""}]}), json!({}), "InvalidEnvironment", ""),
            (json!({"cpu": "9"}), json!({}), "ResourcesOverLimit", "allows 8"),
            (json!({"memory": "33Gi"}), json!({}), "ResourcesOverLimit", "allows 32Gi"),
            (json!({"memory": "lots"}), json!({}), "InvalidResources", "not a quantity"),
            (json!({"memory": "-1Gi"}), json!({}), "InvalidResources", "not a quantity"),
            (json!({"storage": "0"}), json!({}), "InvalidResources", "is 0"),
        ] {
            let got = check(&job(workload.clone(), source), &offer()).unwrap_err();
            assert_eq!(got.reason, reason, "{workload}");
            assert!(got.message.contains(message), "{}", got.message);
        }
    }
}
