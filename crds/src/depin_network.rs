use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Confirmations;

/// A decentralised compute network that this cluster sells GPU time on.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hawser.dev",
    version = "v1alpha1",
    kind = "DepinNetwork",
    shortname = "dnet",
    category = "hawser",
    status = "DepinNetworkStatus",
    doc = "A decentralised compute network that this cluster sells GPU time on.",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Chain","type":"integer","jsonPath":".spec.evm.chainId"}"#,
    printcolumn = r#"{"name":"Head","type":"integer","jsonPath":".status.head.block"}"#,
    printcolumn = r#"{"name":"Wallet","type":"string","jsonPath":".status.wallet.address","priority":1}"#,
    printcolumn = r#"{"name":"Gas balance","type":"string","jsonPath":".status.wallet.balance"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DepinNetworkSpec {
    /// An EVM chain with a `ComputeMarket` on it.
    pub evm: EvmNetwork,
}

/// An EVM chain and the market on it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EvmNetwork {
    /// JSON-RPC endpoints (http or https): the first that is well is used, and where it is slow the next is asked too.
    #[schemars(length(min = 1, max = 8))]
    pub rpc_urls: Vec<String>,
    /// EIP-155 chain id; an endpoint that answers with another one is refused.
    #[schemars(range(min = 1))]
    pub chain_id: u64,
    /// Address of the `ComputeMarket` contract.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub market: String,
    /// Address of the provider's cold key, whose operator the wallet is (`setProvider`).
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub provider: String,
    /// First block that can hold an order for this cluster: where a watcher without a cursor begins.
    #[serde(default)]
    pub start_block: u64,
    /// Hash of block 0. Chains can share an id: an endpoint with another genesis is refused. Absent: that of the first
    /// endpoint that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{64}$"))]
    pub genesis_hash: Option<String>,
    /// How deep an order must lie before it is believed: a number of blocks on top of it (0 to 1000), `safe` or
    /// `finalized`.
    #[serde(default)]
    pub confirmations: Confirmations,
    /// The operator's hot key. It can't move earnings: they go to the payout address of the cold key.
    pub wallet: Wallet,
    /// When vouchers are claimed.
    #[serde(default)]
    pub settlement: Settlement,
    /// Limits on what a transaction may cost.
    #[serde(default)]
    pub gas: Gas,
}

/// Where the operator's key comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wallet {
    /// A Secret in the operator's namespace that holds the key.
    pub secret_ref: SecretKeyRef,
}

/// A key of a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: a 32-byte private key in hex.
    #[serde(default = "default_secret_key")]
    pub key: String,
}

fn default_secret_key() -> String {
    "privateKey".to_owned()
}

/// When the newest vouchers are claimed on chain.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settlement {
    /// Seconds between two claims of a running job.
    #[schemars(range(min = 1))]
    pub interval_seconds: u64,
    /// Jobs in one claim transaction.
    #[schemars(range(min = 1, max = 200))]
    pub max_batch: u16,
}

impl Default for Settlement {
    fn default() -> Self {
        Self { interval_seconds: 3600, max_batch: 100 }
    }
}

/// Limits on the fee of a transaction (EIP-1559).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gas {
    /// Upper bound of `maxFeePerGas`, in gwei; absent: what the chain asks.
    pub max_fee_per_gas_gwei: Option<u64>,
}

/// What the operator last saw of the network.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DepinNetworkStatus {
    /// `metadata.generation` that this status was made from.
    pub observed_generation: Option<i64>,
    /// `Connected`, `ChainMatches`, `WalletFunded`, `OrdersWatched`, `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The chain's head.
    pub head: Option<Head>,
    /// The operator's wallet.
    pub wallet: Option<WalletStatus>,
    /// Up to here every order was seen and written as a `ComputeJob`.
    pub cursor: Option<Cursor>,
}

/// The newest block that an endpoint showed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Block number.
    pub block: u64,
    /// The block's own time.
    pub time: Time,
}

/// The wallet that pays for gas.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletStatus {
    /// Address of the operator's key.
    pub address: String,
    /// Balance in the chain's own coin, as a decimal number.
    pub balance: String,
}

/// A block up to which logs were read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Block number.
    pub block: u64,
    /// The block's hash when it was read.
    pub hash: String,
}
