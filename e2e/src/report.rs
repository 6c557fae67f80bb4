//! The demo's closing table.

use hawser_crds::Phase;
use serde::Serialize;

/// What one order came to. Token amounts are in the token's smallest unit, as decimal text.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoReport {
    /// The market's `JobId`.
    pub job_id: String,
    /// How the customer's program ended: `Succeeded`, or how it failed.
    pub phase: Phase,
    /// From the order's confirmation to the customer, to the customer's container running as the API server shows it.
    pub order_to_running_seconds: f64,
    /// Vouchers that the operator accepted.
    pub vouchers_accepted: u64,
    /// GPU-seconds by kubelet's clock (container start to end, whole seconds, times GPUs).
    pub gpu_seconds_kubelet: i64,
    /// GPU-seconds in the newest voucher.
    pub gpu_seconds_sidecar: u64,
    /// GPU-seconds that the market paid for.
    pub gpu_seconds_chain: u64,
    /// What the customer paid in.
    pub deposit: String,
    /// What the provider was credited.
    pub to_provider: String,
    /// What the customer was credited back.
    pub to_customer: String,
    /// What the fee sink was credited.
    pub fee: String,
    /// Whether `hawser verify` found the evidence good.
    pub verified: bool,
}

impl DemoReport {
    /// The table that a person reads.
    pub fn table(&self) -> String {
        let seconds = format!(
            "{} by kubelet, {} by the sidecar, {} on chain",
            self.gpu_seconds_kubelet, self.gpu_seconds_sidecar, self.gpu_seconds_chain
        );
        let rows = [
            ("job", self.job_id.clone()),
            ("customer's program", format!("{:?}", self.phase)),
            ("order to Running", format!("{:.1} s", self.order_to_running_seconds)),
            ("vouchers accepted", self.vouchers_accepted.to_string()),
            ("GPU-seconds", seconds),
            ("deposit", self.deposit.clone()),
            ("  to the provider", self.to_provider.clone()),
            ("  back to the customer", self.to_customer.clone()),
            ("  fee", self.fee.clone()),
            ("hawser verify", if self.verified { "ok" } else { "NOT ok" }.to_owned()),
        ];
        rows.map(|(name, value)| format!("{name:<24}{value}")).join("\n")
    }
}
