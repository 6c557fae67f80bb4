//! The operator's arguments, as the chart writes them.

use std::net::SocketAddr;

use clap::Parser;
use ipnet::IpNet;

/// Hawser's operator: offers this cluster's GPUs on compute networks, runs what is ordered and settles its attested use.
///
/// Exit codes: 0 after SIGTERM or SIGINT, the lease handed over; 1 where it can't begin or go on (the log's last line says why),
/// and where it lost its lease; 2 for arguments that it can't read.
#[derive(Clone, Debug, Parser)]
#[command(name = "hawser-operator", version)]
pub struct Config {
    /// Namespace of the operator: its lease, its certificates and the wallets' Secrets are here.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// Name of this replica, the lease's holder.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,
    /// Where the attestation service (gRPC over TLS) listens.
    #[arg(long, env = "HAWSER_ATTESTATION_LISTEN", default_value = "[::]:9443")]
    pub attestation_listen: SocketAddr,
    /// Where the jobs' pods reach it; absent: `https://hawser-attestation.NAMESPACE.svc:9443`.
    #[arg(long, env = "HAWSER_ATTESTATION_URL")]
    pub attestation_url: Option<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "HAWSER_HEALTH_LISTEN", default_value = "[::]:8080")]
    pub health_listen: SocketAddr,
    /// Image with hawser-sidecar, for the jobs' pods.
    #[arg(long, env = "HAWSER_SIDECAR_IMAGE")]
    pub sidecar_image: String,
    /// Where evidence is kept: `s3://bucket/prefix` (settings in `AWS_*`) or `file:///path`.
    #[arg(long, env = "HAWSER_EVIDENCE_URL")]
    pub evidence_url: String,
    /// Where customers read the same files.
    #[arg(long, env = "HAWSER_EVIDENCE_PUBLIC_URL", default_value = "")]
    pub evidence_public_url: String,
    /// Address ranges that jobs may not reach besides what is found of the cluster's own (nodes, their pods, Services, API
    /// servers), separated by commas.
    #[arg(long, env = "HAWSER_CLUSTER_CIDRS", value_delimiter = ',', value_parser = range)]
    pub cluster_cidrs: Vec<IpNet>,
    /// Seconds for which a settled job is kept. Its pod, with the log, goes after ten minutes.
    #[arg(long, env = "HAWSER_JOB_RETENTION_SECONDS", default_value = "604800")]
    pub job_retention_seconds: u64,
    /// How the log is written.
    #[arg(long, env = "HAWSER_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person at a terminal.
    Text,
}

impl Config {
    /// Where the jobs' pods reach the attestation service.
    pub fn attestation_url(&self) -> String {
        self.attestation_url
            .clone()
            .unwrap_or_else(|| format!("https://hawser-attestation.{}.svc:9443", self.namespace))
    }

    /// Host name in that URL: the subject of the serving certificate.
    pub fn attestation_host(&self) -> String {
        let url = self.attestation_url();
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned()
    }
}

/// A range that can be left out of "everywhere" in a `NetworkPolicy`.
fn range(text: &str) -> Result<IpNet, String> {
    let range: IpNet =
        text.parse().map_err(|_| format!("{text:?} is no address range: write 10.0.0.0/8 or fd00::/8"))?;
    if range.prefix_len() == 0 {
        return Err(format!(
            "{text} is every address: for jobs that reach nothing, set isolation.egress: None in the GpuOffer"
        ));
    }
    Ok(range.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &[&str]) -> Config {
        let base = ["x", "--namespace", "ns", "--pod-name", "p", "--sidecar-image", "i", "--evidence-url", "file:///e"];
        Config::parse_from(base.iter().chain(more))
    }

    #[test]
    fn the_attestation_url_follows_the_namespace_unless_it_is_given() {
        assert_eq!(config(&[]).attestation_url(), "https://hawser-attestation.ns.svc:9443");
        assert_eq!(config(&[]).attestation_host(), "hawser-attestation.ns.svc");
        assert_eq!(config(&["--attestation-url", "https://10.0.0.1:9443/"]).attestation_host(), "10.0.0.1");
    }

    #[test]
    fn help_names_the_exit_codes() {
        let help = <Config as clap::CommandFactory>::command().render_long_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for code in ["0 after SIGTERM", "1 where it can't begin", "lost its lease", "2 for arguments"] {
            assert!(words.contains(code), "{code}: {words}");
        }
    }

    #[test]
    fn cidrs_are_separated_by_commas() {
        let ranges = config(&["--cluster-cidrs", "10.1.2.3/8,fd00::/8"]).cluster_cidrs;
        assert_eq!(ranges.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "fd00::/8"]);
        for (text, words) in
            [("10.0.0.0/33", "10.0.0.0/33"), ("::/0", "every address"), ("10.0.0.1", "no address range")]
        {
            let refused = range(text).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
