//! NVIDIA's own parts on top of a **double** of the driver: device plugin, GPU Feature Discovery and
//! container toolkit are NVIDIA's and unchanged; the library that they load (NVML) is the double of
//! the crate `nvml-double`, and the device nodes have no driver behind them.

mod discovery;
pub mod double;
mod driver;
mod gpus;
mod plugin;
mod toolkit;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

pub use double::Double;
pub use gpus::Gpus;
pub use nvml_double_state::{Card, Gpu, State, Xid};

use crate::{
    Layout, debian,
    go::{self, Built, Module, Tool},
    kubectl,
    process::Supervisor,
};
use driver::DriverRoot;

const MODULE: Module<'_> = Module {
    folder: "nvidia",
    main: "github.com/NVIDIA/k8s-device-plugin",
    tools: &[
        Tool {
            binary: "gpu-feature-discovery",
            package: "github.com/NVIDIA/k8s-device-plugin/cmd/gpu-feature-discovery",
        },
        Tool {
            binary: "nvidia-device-plugin",
            package: "github.com/NVIDIA/k8s-device-plugin/cmd/nvidia-device-plugin",
        },
        Tool { binary: "nvidia-cdi-hook", package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-cdi-hook" },
        Tool {
            binary: "nvidia-container-runtime",
            package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime",
        },
        Tool { binary: "nvidia-ctk", package: "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk" },
    ],
    tags: "",
    // NVML's functions are found when they are called: the library is loaded after the program.
    ldflags: "-extldflags=-Wl,-z,lazy",
    cgo: true,
};

/// NVIDIA's binaries.
#[derive(Clone, Debug)]
struct Parts(Built);

impl Parts {
    /// From the cache, if they are there.
    fn build(layout: &Layout) -> Result<Self> {
        go::build(layout, &MODULE).map(Self)
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.0.binary(name)
    }

    fn version(&self) -> &str {
        &self.0.version
    }
}

/// What [`install`] prepared.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// TOML tables that containerd's configuration gets.
    pub containerd_runtime: String,
    /// Tools that join the cluster's `PATH`.
    pub tools: Vec<PathBuf>,
}

/// Builds what [`install`] and [`start`] use, unless the cache has it.
pub fn build(layout: &Layout) -> Result<()> {
    Parts::build(layout)?;
    driver::build_double(layout).map(drop)
}

/// Prepares the driver root, the CDI specification and the container runtime's
/// configuration, all under the state directory. Called before containerd starts. Which cards there are
/// is chosen by `HAWSER_GPUS`, for example `l40s:4`; otherwise `h100:14`.
pub fn install(layout: &Layout) -> Result<Installed> {
    let gpus = Gpus::of_environment()?;
    let parts = Parts::build(layout)?;
    let driver = DriverRoot::of(layout);
    driver.install(&gpus, &driver::build_double(layout)?)?;
    let containerd_runtime = toolkit::install(layout, &parts, &driver, debian::RUNC)?;
    Ok(Installed { containerd_runtime, tools: vec![parts.binary("nvidia-ctk")] })
}

/// Starts the device plugin, labels the node and makes the runtime class, once kubelet is up. Pods can have GPUs then.
pub fn start(layout: &Layout, supervisor: &Supervisor) -> Result<()> {
    let parts = Parts::build(layout)?;
    let driver = DriverRoot::of(layout);
    supervisor.run(&plugin::spec(&parts, &driver))?;
    kubectl::create(layout, "nvidia-runtime-class", &runtime_class())?;
    discovery::label_node(layout, &parts, &driver)?;
    kubectl::wait_until_allocatable(layout, Gpus::of_environment()?.count())
}

/// Removes what [`start`] left outside the state directory. Called by `down` when no process is
/// left, and before `up` after a crash.
pub fn uninstall() -> Result<()> {
    plugin::remove_specification()
}

/// Pods of this class get the cards that `NVIDIA_VISIBLE_DEVICES` names without asking for any.
fn runtime_class() -> Value {
    json!({
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": toolkit::RUNTIME},
        "handler": toolkit::RUNTIME,
    })
}
