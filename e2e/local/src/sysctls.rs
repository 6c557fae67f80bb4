//! The machine's kernel settings that kubelet changes at its start.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::Layout;

/// kubelet's `setupKernelTunables`.
pub(crate) const CHANGED_BY_KUBELET: &[&str] = &[
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Writes down what the settings are now.
pub(crate) fn save(layout: &Layout) -> Result<()> {
    let values: BTreeMap<&str, String> = CHANGED_BY_KUBELET
        .iter()
        .filter_map(|name| Some((*name, fs::read_to_string(setting(name)).ok()?.trim().to_owned())))
        .collect();
    let file = saved(layout);
    fs::write(&file, serde_json::to_vec(&values)?).with_context(|| format!("{} can't be written", file.display()))
}

/// Sets them back, if they were written down.
pub(crate) fn restore(layout: &Layout) -> Result<()> {
    let Ok(text) = fs::read(saved(layout)) else {
        return Ok(());
    };
    let values: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
    for (name, value) in values {
        let path = setting(&name);
        if fs::read_to_string(&path).is_ok_and(|now| now.trim() != value) {
            fs::write(&path, value).with_context(|| format!("{} can't be set back", path.display()))?;
        }
    }
    Ok(())
}

fn saved(layout: &Layout) -> PathBuf {
    layout.state().join("sysctls.json")
}

fn setting(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}
