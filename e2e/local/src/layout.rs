//! Paths of the cache and of the cluster's state.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Where the local cluster keeps its files.
///
/// The cache outlives the cluster and may be deleted at any time; the state
/// lives exactly as long as the cluster is up.
#[derive(Clone, Debug)]
pub struct Layout {
    cache: PathBuf,
    state: PathBuf,
}

impl Layout {
    /// The machine's one local cluster: `~/.cache/hawser` (or
    /// `$XDG_CACHE_HOME/hawser`) and `/var/lib/hawser-local`.
    pub fn of_this_machine() -> Result<Self> {
        let cache = match env::var_os("XDG_CACHE_HOME") {
            Some(dir) if !dir.is_empty() => PathBuf::from(dir),
            _ => PathBuf::from(
                env::var_os("HOME")
                    .context("HOME is not set: set it to a directory that can hold 3 GB of built tools")?,
            )
            .join(".cache"),
        };
        Ok(Self::new(cache.join("hawser"), "/var/lib/hawser-local"))
    }

    /// A layout with directories of the caller's choice. The state's path must
    /// be short: Unix sockets beneath it may have 107 bytes in all.
    pub fn new(cache: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), state: state.into() }
    }

    /// Built tools, by the hash of what they were built from.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Everything that the running cluster owns; gone after `down`.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Go modules, npm lock and other inputs in this crate's folder.
    pub fn source(&self) -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// One file per component.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// What service accounts asked the API server for: one audit event (`audit.k8s.io/v1`, JSON) a line.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    /// Links to every tool of the cluster (`kubectl`, `helm`, `anvil` ...): a
    /// directory for `PATH`.
    pub fn bin(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// What was pushed to the cluster's registry.
    pub fn registry(&self) -> PathBuf {
        self.state.join("registry")
    }

    /// Rendered configuration files.
    pub fn config(&self) -> PathBuf {
        self.state.join("config")
    }

    /// The cluster's certificate authority, keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// What was started: one spec and one pid file per component.
    pub fn components(&self) -> PathBuf {
        self.state.join("components")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// The socket that containerd serves CRI on.
    pub fn containerd_socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }
}
