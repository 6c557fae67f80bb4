//! The customer's container.

use hawser_crds::ComputeJob;
use hawser_market::workload::Resources;
use hawser_market::workload::quantity::{Amount, parse};
use hawser_proto::pod::JOB_CONTAINER;
use serde_json::{Value, json};

use super::pod::restricted;

/// Its volumes: a home that the job's user may write to, and shared memory as large as the job's memory. What lies in
/// them counts as the job's storage and as its memory.
const HOME_VOLUME: &str = "home";
const SHM_VOLUME: &str = "shm";
const HOME: &str = "/home/hawser";

/// Set whatever the image says: NVIDIA's runtime reads them, and opens devices by them that the order did not pay for
/// (`InfiniBand`, `NVSwitch`, GPU memory of other nodes). Which cards are the job's only kubelet says: with
/// `NVIDIA_VISIBLE_DEVICES` or by CDI, so that name is not here. `LD_PRELOAD` and `LD_AUDIT` reach the runtime's hooks, which
/// run on the node as root.
const RUNTIME_ENV: [(&str, &str); 8] = [
    ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility,video"),
    ("NVIDIA_MOFED", "disabled"),
    ("NVIDIA_NVSWITCH", "disabled"),
    ("NVIDIA_GDS", "disabled"),
    ("NVIDIA_GDRCOPY", "disabled"),
    ("NVIDIA_IMEX_CHANNELS", ""),
    ("LD_PRELOAD", ""),
    ("LD_AUDIT", ""),
];

pub(super) fn volumes(resources: &Resources) -> [Value; 2] {
    [
        json!({"name": HOME_VOLUME, "emptyDir": {"sizeLimit": normal(&resources.storage)}}),
        json!({"name": SHM_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": normal(&resources.memory)}}),
    ]
}

pub(super) fn container(job: &ComputeJob, resources: &Resources, gpus: &Value) -> Value {
    let workload = &job.spec.workload;
    let mut limits = gpus.clone();
    limits["cpu"] = json!(normal(&resources.cpu));
    limits["memory"] = json!(normal(&resources.memory));
    limits["ephemeral-storage"] = json!(normal(&resources.storage));
    let mut requests = limits.clone();
    // Memory and disk are the job's own. CPU is shared by weight, so that a node with fewer CPUs than the offer's limit
    // times its GPUs can still run a job on each. No more than the limit, or the API server refuses the pod.
    let share = Amount(100).times(workload.gpus);
    let least = parse(&resources.cpu).map_or(share, |limit| limit.min(share));
    requests["cpu"] = json!(least.to_quantity());
    let literals = |words: &[String]| words.iter().map(|word| literal(word)).collect::<Vec<_>>();
    json!({
        "name": JOB_CONTAINER,
        "image": workload.image,
        "imagePullPolicy": "Always",
        "command": (!workload.command.is_empty()).then(|| literals(&workload.command)),
        "args": (!workload.args.is_empty()).then(|| literals(&workload.args)),
        "env": env(job),
        "securityContext": restricted(false),
        "resources": {"limits": limits, "requests": requests},
        "volumeMounts": [
            {"name": HOME_VOLUME, "mountPath": HOME},
            {"name": SHM_VOLUME, "mountPath": "/dev/shm"}
        ],
    })
}

fn env(job: &ComputeJob) -> Vec<Value> {
    let ordered = &job.spec.workload.env;
    // An order may set these; an image can't be asked. Without them the home of a user that no image knows is `/`.
    let defaults = [("HOME", HOME), ("USER", "hawser")];
    let defaults = defaults.into_iter().filter(|(name, _)| ordered.iter().all(|v| v.name != *name));
    let fixed = RUNTIME_ENV.into_iter().chain(defaults).map(|(name, value)| json!({"name": name, "value": value}));
    fixed.chain(ordered.iter().map(|v| json!({"name": v.name, "value": literal(&v.value)}))).collect()
}

/// Text that a program reads as it was written: kubelet replaces `$(NAME)`, and makes one `$` of two.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A quantity as the API server takes it: a customer may have written blanks around it.
fn normal(quantity: &str) -> String {
    parse(quantity).map_or_else(|| quantity.to_owned(), Amount::to_quantity)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Container;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn built(workload: Value, cpu: &str) -> Container {
        let job = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "job-1"},
            "spec": {"offerRef": "h100", "workload": workload}
        }))
        .unwrap();
        let [cpu, memory, storage] = [cpu, "32Gi", "40Gi"].map(str::to_owned);
        let container = container(&job, &Resources { cpu, memory, storage }, &json!({"nvidia.com/gpu": "1"}));
        serde_json::from_value(container).unwrap()
    }

    fn variables(workload: Value) -> Vec<(String, String)> {
        let env = built(workload, "8").env.unwrap();
        env.into_iter().map(|v| (v.name, v.value.unwrap_or_default())).collect()
    }

    /// As kubelet does it (`k8s.io/kubernetes/third_party/forked/golang/expansion`).
    fn expanded(text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                out.extend(["<value of ", name, ">"]);
                rest = after;
            } else {
                out.push('$');
            }
        }
        out + rest
    }

    #[test]
    fn a_program_reads_its_words_and_variables_as_they_were_written() {
        for text in ["$2b$12$abc", "$$2b$$12", "$(BASE) $(NOPE)", "pid-of-shell=$$", "$", "$$$(X)$", "none"] {
            let workload = json!({"image": "i", "gpus": 1, "command": [text], "args": ["-c", text],
                "env": [{"name": "A", "value": text}]});
            let job = built(workload, "8");
            let value = job.env.unwrap().into_iter().find(|v| v.name == "A").unwrap().value.unwrap();
            assert_eq!(expanded(&job.command.unwrap()[0]), text);
            assert_eq!(expanded(&job.args.unwrap()[1]), text);
            assert_eq!(expanded(&value), text);
        }
    }

    #[test]
    fn an_images_environment_steers_neither_nvidias_runtime_nor_its_hooks() {
        let set = variables(json!({"image": "i", "gpus": 1}));
        for (name, value) in [
            ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility,video"),
            ("NVIDIA_MOFED", "disabled"),
            ("NVIDIA_NVSWITCH", "disabled"),
            ("NVIDIA_GDS", "disabled"),
            ("NVIDIA_GDRCOPY", "disabled"),
            ("NVIDIA_IMEX_CHANNELS", ""),
            ("LD_PRELOAD", ""),
            ("LD_AUDIT", ""),
        ] {
            assert!(set.contains(&(name.to_owned(), value.to_owned())), "{name}: {set:?}");
        }
        // Kubelet says by it which cards the job has: a value of the pod's would win over that.
        assert!(set.iter().all(|(name, _)| name != "NVIDIA_VISIBLE_DEVICES"), "{set:?}");
    }

    #[test]
    fn a_program_has_a_home_of_its_own_unless_the_order_names_one() {
        let of = |workload: Value| {
            let set = variables(workload);
            set.into_iter().filter(|(name, _)| matches!(name.as_str(), "HOME" | "USER")).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of(json!({"image": "i", "gpus": 1})), [pair("HOME", HOME), pair("USER", "hawser")]);
        let named = json!({"image": "i", "gpus": 1, "env": [{"name": "HOME", "value": "/x"}]});
        assert_eq!(of(named), [pair("USER", "hawser"), pair("HOME", "/x")]);
    }

    #[test]
    fn home_and_shared_memory_are_within_the_jobs_limits_and_are_all_it_sees() {
        let job = built(json!({"image": "i", "gpus": 1}), "8");
        let paths: Vec<_> = job.volume_mounts.unwrap().into_iter().map(|m| (m.name, m.mount_path)).collect();
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(paths, [pair(HOME_VOLUME, HOME), pair(SHM_VOLUME, "/dev/shm")]);
        let [cpu, memory, storage] = ["8", "32Gi", "40Gi"].map(str::to_owned);
        let [home, shm] = volumes(&Resources { cpu, memory, storage });
        assert_eq!(home["emptyDir"], json!({"sizeLimit": "40Gi"}));
        assert_eq!(shm["emptyDir"], json!({"medium": "Memory", "sizeLimit": "32Gi"}));
    }

    #[test]
    fn no_more_cpu_is_requested_than_the_limit() {
        for (cpu, gpus, limit, request) in
            [("8", 2, "8", "200m"), ("50m", 1, "50m", "50m"), (" 0.15 ", 2, "150m", "150m"), ("1", 10, "1", "1")]
        {
            let resources = built(json!({"image": "i", "gpus": gpus}), cpu).resources.unwrap();
            let (limits, requests) = (resources.limits.unwrap(), resources.requests.unwrap());
            assert_eq!((limits["cpu"].0.as_str(), requests["cpu"].0.as_str()), (limit, request), "{cpu:?}");
        }
    }
}
