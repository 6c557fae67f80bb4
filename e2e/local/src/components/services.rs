//! What goes with the cluster: image registry, S3 server and EVM node.

use anyhow::Result;
use serde_json::json;

use super::{Tools, write};
use crate::{
    Layout, debian,
    endpoints::{Endpoints, REGISTRY_PORT, RPC_PORT, S3_PORT, at},
    process::{Ready, Spec, StopSignal},
};

/// Debian's build of the reference registry.
pub(crate) fn registry(layout: &Layout) -> Spec {
    Spec::new("registry", "Debian", debian::REGISTRY)
        .arg("serve")
        .arg(layout.config().join("registry.json").display().to_string())
        .env("OTEL_TRACES_EXPORTER", "none")
        .ready(Ready::Http(at(REGISTRY_PORT), "/v2/".to_owned()))
}

pub(crate) fn write_registry_configuration(layout: &Layout) -> Result<()> {
    let configuration = json!({
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": layout.registry()},
            "delete": {"enabled": true},
        },
        "http": {"addr": at(REGISTRY_PORT).to_string()},
    });
    write(&layout.config().join("registry.json"), &configuration.to_string())
}

/// Versity's S3 gateway over a directory.
pub(crate) fn s3(layout: &Layout, endpoints: &Endpoints, tools: &Tools) -> Spec {
    Spec::new("s3", &tools.versitygw.version, tools.versitygw.binary("versitygw"))
        .arg(format!("--port={}", at(S3_PORT)))
        .arg("posix")
        .arg(layout.state().join("s3").display().to_string())
        .env("ROOT_ACCESS_KEY", &endpoints.s3_access_key)
        .env("ROOT_SECRET_KEY", &endpoints.s3_secret_key)
        .ready(Ready::Tcp(at(S3_PORT)))
}

/// An EVM node with a block every two seconds, like a rollup. Stopped and
/// started again it goes on with the same chain.
pub(crate) fn anvil(layout: &Layout, tools: &Tools) -> Spec {
    Spec::new("anvil", "1.7.1", tools.npm.anvil())
        .args(["--block-time", "2", "--chain-id", "31337"])
        .arg(format!("--host={}", at(RPC_PORT).ip()))
        .arg(format!("--port={RPC_PORT}"))
        .arg(format!("--state={}", layout.state().join("anvil.json").display()))
        .arg("--preserve-historical-states")
        // For what has no room in memory: elsewhere the folder would stay behind.
        .arg(format!("--cache-path={}", layout.state().join("anvil-states").display()))
        .ready(Ready::Tcp(at(RPC_PORT)))
        .stop(StopSignal::Interrupt)
}
