//! kubectl, for what must be there before tests begin.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Layout, command, components::NODE_NAME, poll::poll};

const TIMEOUT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);

/// `kubectl` as the local cluster's administrator.
pub(crate) fn kubectl(layout: &Layout) -> Command {
    let mut kubectl = Command::new(layout.bin().join("kubectl"));
    kubectl.env_clear().env("HOME", layout.state()).arg("--kubeconfig").arg(layout.kubeconfig());
    kubectl
}

/// Creates the objects of a `List`.
pub(crate) fn create(layout: &Layout, name: &str, objects: &Value) -> Result<()> {
    let file = layout.config().join(format!("{name}.json"));
    fs::write(&file, objects.to_string()).with_context(|| format!("{} can't be written", file.display()))?;
    command::succeed(kubectl(layout).args(["create", "--validate=false", "--filename"]).arg(file))
}

/// Returns when a pod can be created in the namespace `default` and would be
/// scheduled.
pub(crate) fn wait_until_usable(layout: &Layout) -> Result<()> {
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}/{.spec.taints}"#;
    wait_for(layout, "node ready", &["get", "node", NODE_NAME, "--output", ready], |answer| answer == "True/")?;
    wait_for(layout, "service account default", &["get", "serviceaccount", "default", "--output=name"], |answer| {
        !answer.is_empty()
    })
}

/// Returns when pods can have this many GPUs: kubelet says so a while after the device plugin has registered.
pub(crate) fn wait_until_allocatable(layout: &Layout, gpus: u32) -> Result<()> {
    let allocatable = r"jsonpath={.status.allocatable.nvidia\.com/gpu}";
    let args = ["get", "node", NODE_NAME, "--output", allocatable];
    wait_for(layout, "GPUs of the node", &args, |answer| answer == gpus.to_string())
}

fn wait_for(layout: &Layout, what: &str, args: &[&str], holds: impl Fn(&str) -> bool) -> Result<()> {
    let mut last = String::new();
    let held = poll(TIMEOUT, POLL, || {
        let answer = command::output(kubectl(layout).args(args));
        let held = answer.as_ref().is_ok_and(|answer| holds(answer.trim()));
        last = answer.unwrap_or_else(|error| error.to_string());
        Ok(held.then_some(()))
    })?;
    held.with_context(|| {
        format!(
            "{what}: not within {} s; the last answer was {last:?}; see {}",
            TIMEOUT.as_secs(),
            layout.logs().display()
        )
    })
}
