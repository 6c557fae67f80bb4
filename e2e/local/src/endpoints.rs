//! Addresses of the cluster and its neighbours, or of another cluster that the environment names.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::{Layout, network::NODE};

pub(crate) const REGISTRY_PORT: u16 = 5000;
pub(crate) const RPC_PORT: u16 = 8545;
pub(crate) const S3_PORT: u16 = 9000;
/// Test credentials of a server that nothing outside this machine can reach.
const S3_ACCESS_KEY: &str = "hawser-local";
const S3_SECRET_KEY: &str = "hawser-local-secret";

/// Where tests find the cluster and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// `host:port` of the image registry, as kubelet and this machine both name it.
    pub registry: String,
    /// JSON-RPC of the EVM node, from pods and this machine.
    pub rpc_url: String,
    /// The S3 server, from pods and this machine.
    pub s3_url: String,
    pub s3_access_key: String,
    pub s3_secret_key: String,
    /// `kubectl`, `helm`, `kubeconform`, `anvil`, `cast`, `forge`; none when
    /// the cluster is not ours, whose owner has tools in `PATH`.
    pub bin_dir: Option<PathBuf>,
}

impl Endpoints {
    /// Those of the local cluster, up or not.
    pub(crate) fn local(layout: &Layout) -> Self {
        Self {
            kubeconfig: layout.kubeconfig(),
            registry: at(REGISTRY_PORT).to_string(),
            rpc_url: format!("http://{}", at(RPC_PORT)),
            s3_url: format!("http://{}", at(S3_PORT)),
            s3_access_key: S3_ACCESS_KEY.to_owned(),
            s3_secret_key: S3_SECRET_KEY.to_owned(),
            bin_dir: Some(layout.bin()),
        }
    }

    /// Those of a cluster that exists already, when `HAWSER_KUBECONFIG` names one.
    pub(crate) fn of_existing_cluster() -> Result<Option<Self>> {
        Self::existing(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn existing(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(kubeconfig) = variable("HAWSER_KUBECONFIG") else {
            return Ok(None);
        };
        if !Path::new(&kubeconfig).is_file() {
            bail!("HAWSER_KUBECONFIG={kubeconfig} is no file: name a kubeconfig, or unset it to use the local cluster");
        }
        let required = |name: &str, what: &str| match variable(name) {
            Some(value) => Ok(value),
            None => bail!("HAWSER_KUBECONFIG is set, so {name} must name {what}"),
        };
        Ok(Some(Self {
            kubeconfig: kubeconfig.into(),
            registry: required(
                "HAWSER_REGISTRY",
                "the image registry (host:port) that its nodes and this machine reach",
            )?,
            rpc_url: required("HAWSER_RPC_URL", "an EVM node's URL that its pods and this machine reach")?,
            s3_url: required("HAWSER_S3_URL", "an S3 server's URL that its pods and this machine reach")?,
            s3_access_key: variable("HAWSER_S3_ACCESS_KEY").unwrap_or_else(|| S3_ACCESS_KEY.to_owned()),
            s3_secret_key: variable("HAWSER_S3_SECRET_KEY").unwrap_or_else(|| S3_SECRET_KEY.to_owned()),
            bin_dir: None,
        }))
    }

    /// `export` lines for a POSIX shell to eval.
    pub fn shell_exports(&self) -> String {
        let mut variables = vec![
            ("KUBECONFIG", quoted(&self.kubeconfig.display().to_string())),
            ("HAWSER_REGISTRY", quoted(&self.registry)),
            ("HAWSER_RPC_URL", quoted(&self.rpc_url)),
            ("HAWSER_S3_URL", quoted(&self.s3_url)),
            ("HAWSER_S3_ACCESS_KEY", quoted(&self.s3_access_key)),
            ("HAWSER_S3_SECRET_KEY", quoted(&self.s3_secret_key)),
        ];
        if let Some(bin) = &self.bin_dir {
            variables.push(("PATH", format!("{}:\"$PATH\"", quoted(&bin.display().to_string()))));
        }
        let lines: Vec<_> = variables.iter().map(|(name, value)| format!("export {name}={value}\n")).collect();
        lines.concat()
    }
}

/// A port of the node.
pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from((NODE, port))
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_hawser_kubeconfig_there_is_no_existing_cluster() {
        assert_eq!(Endpoints::existing(|_| None).unwrap(), None);
    }

    #[test]
    fn an_existing_cluster_without_its_registry_is_refused_by_the_variables_name() {
        let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/endpoints.rs");
        let error =
            Endpoints::existing(|name| (name == "HAWSER_KUBECONFIG").then(|| this_file.to_owned())).unwrap_err();
        assert!(error.to_string().contains("HAWSER_REGISTRY"), "{error}");
    }

    #[test]
    fn a_kubeconfig_that_is_no_file_is_refused() {
        let error = Endpoints::existing(|_| Some("/nonexistent".to_owned())).unwrap_err();
        assert!(error.to_string().contains("HAWSER_KUBECONFIG=/nonexistent"), "{error}");
    }

    #[test]
    fn exports_survive_a_path_with_a_quote() {
        let layout = Layout::new("/c", "/it's");
        let exports = Endpoints::local(&layout).shell_exports();
        assert!(exports.starts_with(r"export KUBECONFIG='/it'\''s/kubeconfig'"), "{exports}");
        assert!(exports.contains(r#"export PATH='/it'\''s/bin':"$PATH""#), "{exports}");
    }
}
