use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Confirmations, Wallet};

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
#[x_kube(validation = Rule::new("has(self.rpcUrls) != has(self.rpcUrlsSecretRef)")
    .message("evm needs exactly one of rpcUrls and rpcUrlsSecretRef"))]
pub struct EvmNetwork {
    /// JSON-RPC endpoints (http or https): the first that is well is used, and where it is slow the next is asked too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    pub rpc_urls: Vec<String>,
    /// The same out of a Secret in the operator's namespace, where a URL holds a key or an endpoint wants a header: one URL a
    /// line, and beneath it its headers (`Authorization: Bearer ...`). It is read again every 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc_urls_secret_ref: Option<RpcUrlsRef>,
    /// EIP-155 chain id; an endpoint that answers with another one is refused.
    #[schemars(range(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.chainId can't be changed while jobs may live on the old chain: make another DepinNetwork"))]
    pub chain_id: u64,
    /// Address of the `ComputeMarket` contract.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.market can't be changed while jobs may live on the old one: make another DepinNetwork"))]
    pub market: String,
    /// Address of the provider's cold key, whose operator the wallet is (`setProvider`).
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.provider is part of every offer's identity on chain: make another DepinNetwork"))]
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

/// JSON-RPC endpoints in a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcUrlsRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: URLs, one a line, 8 at most, each with its headers in the lines beneath it.
    #[serde(default = "default_rpc_urls_key")]
    pub key: String,
}

fn default_rpc_urls_key() -> String {
    "rpcUrls".to_owned()
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
    /// Least that a claim of a running job must bring, in whole tokens (decimal). What is worth less waits; at the job's
    /// end, and before its claim window closes, everything is claimed.
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub min_payout: String,
    /// How many whole tokens one coin of the chain is worth (decimal): a hint. With it, a running job is claimed only once
    /// the gas costs at most a twentieth of what the claim brings.
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub tokens_per_coin: Option<String>,
    /// Sends what was earned to the provider's payout address; absent: the provider withdraws with the cold key.
    pub withdraw: Option<Withdraw>,
}

impl Default for Settlement {
    fn default() -> Self {
        Self {
            interval_seconds: 3600,
            max_batch: 100,
            min_payout: "0".to_owned(),
            tokens_per_coin: None,
            withdraw: None,
        }
    }
}

/// When earnings are sent to the payout address that the cold key has set; no other receiver is possible.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Withdraw {
    /// Seconds between two withdrawals of a token.
    #[schemars(range(min = 60))]
    pub interval_seconds: u64,
    /// Least that is sent, in whole tokens (decimal).
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub min_amount: String,
}

impl Default for Withdraw {
    fn default() -> Self {
        Self { interval_seconds: 86_400, min_amount: "0".to_owned() }
    }
}

/// Limits on the fee of a transaction (EIP-1559).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gas {
    /// Upper bound of `maxFeePerGas`, in gwei; absent: 500, on Polygon 5000. While the chain's base fee is above it nothing
    /// is sent.
    pub max_fee_per_gas_gwei: Option<u64>,
    /// Upper bound of `maxPriorityFeePerGas`, the tip, in gwei; absent: 10, on Polygon 200.
    pub max_priority_fee_per_gas_gwei: Option<u64>,
}

/// What the operator last saw of the network.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DepinNetworkStatus {
    /// `metadata.generation` that this status was made from.
    pub observed_generation: Option<i64>,
    /// `Connected`, `ChainMatches`, `WalletFunded`, `SignerAvailable`, `OrdersWatched`, `TransactionsMoving`,
    /// `ClockInSync`, `EvidenceStored`, `Readable`, `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The chain's head.
    pub head: Option<Head>,
    /// The operator's wallet.
    pub wallet: Option<WalletStatus>,
    /// What the jobs of this cluster's offers have earned, by token.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["token"]))]
    pub earnings: Vec<Earnings>,
    /// Up to here every order was seen and written as a `ComputeJob`.
    pub cursor: Option<Cursor>,
    /// Seconds after its block in which an order is believed, at most, as measured with `confirmations`. An offer's
    /// `limits.startWindowSeconds` must be longer.
    pub confirmation_lag_seconds: Option<u64>,
}

/// Earnings in one token, in whole tokens as decimal numbers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earnings {
    /// Address of the token.
    pub token: String,
    /// Its symbol, as the contract says.
    #[serde(default)]
    pub symbol: String,
    /// Attested and not claimed yet, the market's fee included.
    pub pending: String,
    /// When the first of it is lost if it is not claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_lost_at: Option<Time>,
    /// Claimed and not withdrawn: the provider's credit in the market.
    pub credit: String,
    /// Sent to the payout address in all, whoever asked for it. Counted as far as `status.cursor`.
    #[serde(default)]
    pub withdrawn: String,
    /// When the operator last sent the credit to the payout address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Time>,
    /// Why it can't be sent now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
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
    /// What it has paid for gas since the operator first had it, in the chain's own coin. A restart may lose the
    /// last quarter of a minute of it; `hawser earnings` adds up what the chain says.
    #[serde(default)]
    pub gas_spent: String,
}

/// Most blocks up to the cursor that are to be read once more.
pub const MAX_DOUBTFUL: usize = 64;

/// A block up to which logs were read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// Block number.
    pub block: u64,
    /// The block's hash when it was read.
    pub hash: String,
    /// Blocks up to this one that are to be read once more: a node of the endpoint that lags may have told nothing of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_DOUBTFUL))]
    pub doubtful: Vec<u64>,
    /// What the provider has withdrawn up to this block. Removed together with the block it is counted anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["token"]))]
    pub withdrawn: Vec<Withdrawn>,
}

/// What was withdrawn in one token.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawn {
    /// Address of the token.
    pub token: String,
    /// In the token's smallest unit, as a decimal number.
    pub units: String,
}
