//! `DepinNetwork`: a network to sell on, the wallet that sends, and what was earned.

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
#[x_kube(
    validation = Rule::new("has(self.evm)").message("exactly one kind of network must be set: write spec.evm"),
    validation = Rule::new(SETTLEMENT_ONCE)
        .message("spec.settlement and spec.evm.settlement are both set: keep spec.settlement and remove spec.evm.settlement")
)]
pub struct DepinNetworkSpec {
    /// When earnings are claimed and withdrawn, whatever the kind of network. If unset, the defaults of its fields apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<Settlement>,
    /// An EVM chain with a `ComputeMarket` contract. Exactly one kind of network must be set, and this is the only kind today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm: Option<EvmNetwork>,
}

/// What an older API server has stored as defaults in `spec.evm.settlement` was written by nobody, and is in nobody's way.
const SETTLEMENT_ONCE: &str = "!has(self.settlement) || !has(self.evm) || !has(self.evm.settlement) || (\
    (!has(self.evm.settlement.intervalSeconds) || self.evm.settlement.intervalSeconds == 3600) && \
    (!has(self.evm.settlement.minPayout) || self.evm.settlement.minPayout == '0') && \
    !has(self.evm.settlement.withdraw))";

impl DepinNetworkSpec {
    /// When earnings are claimed and withdrawn: `spec.settlement` or, if that is unset, what an earlier release took from
    /// `spec.evm.settlement`.
    pub fn settlement(&self) -> Settlement {
        let earlier = self.evm.as_ref().and_then(|evm| evm.settlement.clone());
        match (&self.settlement, earlier) {
            (Some(settlement), _) => settlement.clone(),
            (None, None) => Settlement::default(),
            (None, Some(earlier)) => {
                let usual = Settlement::default();
                Settlement {
                    interval_seconds: earlier.interval_seconds.unwrap_or(usual.interval_seconds),
                    min_payout: earlier.min_payout.unwrap_or(usual.min_payout),
                    withdraw: earlier.withdraw,
                }
            }
        }
    }
}

/// An EVM chain and the market on it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.rpcUrls) != has(self.rpcUrlsSecretRef)")
        .message("evm needs exactly one of rpcUrls and rpcUrlsSecretRef"),
    validation = Rule::new(TRANSACTIONS_ONCE)
        .message("evm.gas and evm.settlement both set maxBatch or tokensPerCoin: keep evm.gas and remove evm.settlement")
)]
pub struct EvmNetwork {
    /// JSON-RPC endpoints (http or https), tried in order: the first healthy one is used, and a slow request is also sent to
    /// the next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    pub rpc_urls: Vec<String>,
    /// The same from a Secret in the operator's namespace, for URLs that contain a key and endpoints that require headers: one
    /// URL per line, followed by lines with its headers (`Authorization: Bearer ...`). Re-read every 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc_urls_secret_ref: Option<RpcUrlsRef>,
    /// EIP-155 chain id. An endpoint that reports another one is not used.
    #[schemars(range(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.chainId can't be changed while jobs may live on the old chain: make another DepinNetwork"))]
    pub chain_id: u64,
    /// Address of the `ComputeMarket` contract.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.market can't be changed while jobs may live on the old one: make another DepinNetwork"))]
    pub market: String,
    /// Address of the provider's cold key. With it, `setProvider` names the wallet as operator.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("evm.provider is part of every offer's identity on chain: make another DepinNetwork"))]
    pub provider: String,
    /// First block that can contain an order for this cluster. Orders are read from here if `status.cursor` is unset.
    #[serde(default)]
    pub start_block: u64,
    /// Hash of block 0, which tells apart chains with the same id: an endpoint with another one is not used. If unset, the hash
    /// reported by the first endpoint to respond is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{64}$"))]
    pub genesis_hash: Option<String>,
    /// When an order counts as confirmed: after this number of further blocks (0 to 1000), or once the chain reports its block
    /// as `safe` or `finalized`.
    #[serde(default)]
    pub confirmations: Confirmations,
    /// The operator's hot key. It can't move earnings: they can only go to the payout address set by the cold key.
    pub wallet: Wallet,
    /// What a transaction may contain and cost.
    #[serde(default)]
    pub gas: Gas,
    /// Deprecated: where earlier releases read what is now `spec.settlement` and `evm.gas`. Still read if those are unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settlement: Option<EarlierSettlement>,
}

/// As [`SETTLEMENT_ONCE`], of the fields that are a chain's.
const TRANSACTIONS_ONCE: &str = "!has(self.settlement) || !has(self.gas) || (\
    (!has(self.gas.maxBatch) || !has(self.settlement.maxBatch) || self.settlement.maxBatch == 100) && \
    (!has(self.gas.tokensPerCoin) || !has(self.settlement.tokensPerCoin)))";

/// Jobs in one transaction where nothing is written.
const MAX_BATCH: u16 = 100;

impl EvmNetwork {
    /// Most jobs in one transaction, wherever it is written.
    pub fn max_batch(&self) -> u16 {
        let earlier = self.settlement.as_ref().and_then(|earlier| earlier.max_batch);
        self.gas.max_batch.or(earlier).unwrap_or(MAX_BATCH)
    }

    /// How many whole tokens one coin is worth, wherever it is written.
    pub fn tokens_per_coin(&self) -> Option<&str> {
        let earlier = self.settlement.as_ref().and_then(|earlier| earlier.tokens_per_coin.as_deref());
        self.gas.tokens_per_coin.as_deref().or(earlier)
    }
}

/// `spec.evm.settlement` of earlier releases, whose API servers stored its defaults. Without any today, so that what nobody has
/// written stays absent.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EarlierSettlement {
    /// Deprecated: set `spec.settlement.intervalSeconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub interval_seconds: Option<u64>,
    /// Deprecated: set `spec.evm.gas.maxBatch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub max_batch: Option<u16>,
    /// Deprecated: set `spec.settlement.minPayout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub min_payout: Option<String>,
    /// Deprecated: set `spec.evm.gas.tokensPerCoin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub tokens_per_coin: Option<String>,
    /// Deprecated: set `spec.settlement.withdraw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw: Option<Withdraw>,
}

/// JSON-RPC endpoints in a Secret in the operator's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RpcUrlsRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: at most 8 URLs, one per line, each followed by lines with its headers.
    #[serde(default = "default_rpc_urls_key")]
    pub key: String,
}

fn default_rpc_urls_key() -> String {
    "rpcUrls".to_owned()
}

/// When earnings are claimed and withdrawn.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settlement {
    /// Seconds between two claims of a running job.
    #[schemars(range(min = 1))]
    pub interval_seconds: u64,
    /// Minimum amount worth claiming for a running job, in whole tokens (decimal). Smaller amounts accumulate; when the job
    /// ends, and before its claim window closes, everything is claimed.
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub min_payout: String,
    /// Sends earnings to the provider's payout address. If unset, the provider withdraws with the cold key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraw: Option<Withdraw>,
}

impl Default for Settlement {
    fn default() -> Self {
        Self { interval_seconds: 3600, min_payout: "0".to_owned(), withdraw: None }
    }
}

/// When earnings are sent to the payout address set by the cold key; they can go nowhere else.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Withdraw {
    /// Seconds between two withdrawals of a token.
    #[schemars(range(min = 60))]
    pub interval_seconds: u64,
    /// Minimum amount that is sent, in whole tokens (decimal).
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub min_amount: String,
}

impl Default for Withdraw {
    fn default() -> Self {
        Self { interval_seconds: 86_400, min_amount: "0".to_owned() }
    }
}

/// What a transaction may contain and cost (EIP-1559).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gas {
    /// Maximum `maxFeePerGas`, in gwei. If unset, 500, on Polygon 5000. Nothing is sent while the chain's base fee is higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fee_per_gas_gwei: Option<u64>,
    /// Maximum `maxPriorityFeePerGas` (the tip), in gwei. If unset, 10, on Polygon 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_priority_fee_per_gas_gwei: Option<u64>,
    /// Maximum number of jobs in one transaction. If unset, 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    pub max_batch: Option<u16>,
    /// Approximate value of one coin of the chain, in whole tokens (decimal). If set, a running job is claimed only when the
    /// gas costs at most a twentieth of the claim, and orders that don't pay for their own gas are declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,30}(\.[0-9]{1,30})?$"))]
    pub tokens_per_coin: Option<String>,
}

/// What the operator last saw of the network.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DepinNetworkStatus {
    /// `metadata.generation` that this status is based on.
    pub observed_generation: Option<i64>,
    /// `Connected`, `ChainMatches`, `WalletFunded`, `SignerAvailable`, `OrdersWatched`, `TransactionsMoving`,
    /// `ClockInSync`, `EvidenceStored`, `Readable`, `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The chain's head.
    pub head: Option<Head>,
    /// The operator's wallet.
    pub wallet: Option<WalletStatus>,
    /// Earnings of this cluster's offers, by token.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["token"]))]
    pub earnings: Vec<Earnings>,
    /// Block up to which every order was read and written as a `ComputeJob`.
    pub cursor: Option<Cursor>,
    /// Maximum number of seconds between an order's block and its confirmation, as measured. An offer's
    /// `limits.startWindowSeconds` must be longer.
    pub confirmation_lag_seconds: Option<u64>,
}

/// Earnings in one token, in whole tokens as decimal numbers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earnings {
    /// Address of the token.
    pub token: String,
    /// Symbol of the token, as reported by its contract.
    #[serde(default)]
    pub symbol: String,
    /// Attested but not claimed yet, including the market's fee.
    pub pending: String,
    /// When the first part of it is lost if it is not claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_lost_at: Option<Time>,
    /// Claimed but not withdrawn: the provider's credit in the market.
    pub credit: String,
    /// Total sent to the payout address, whoever requested it, up to `status.cursor`.
    #[serde(default)]
    pub withdrawn: String,
    /// When the credit was last sent to the payout address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Time>,
    /// Why the credit can't be withdrawn now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// The newest block reported by an endpoint.
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
    /// Gas paid since the operator first used this wallet, in the chain's own coin. A restart may lose the last 15 seconds of
    /// it; `hawser earnings` adds up what the chain says.
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
    /// Earlier blocks that will be read again, because a lagging node behind the endpoint may have left out their orders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_DOUBTFUL))]
    pub doubtful: Vec<u64>,
    /// What the provider has withdrawn up to this block. Recomputed if the block is reorganised away.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(settlement: &Value, earlier: &Value) -> DepinNetworkSpec {
        let evm = json!({"chainId": 1, "market": "m", "provider": "p", "wallet": {}, "settlement": earlier});
        serde_json::from_value(json!({"settlement": settlement, "evm": evm})).unwrap()
    }

    #[test]
    fn settlement_is_read_from_where_an_earlier_release_had_it_where_nobody_has_written_it_anew() {
        let withdraw = json!({"intervalSeconds": 60, "minAmount": "2"});
        let read = |settlement: &Value, earlier: &Value| {
            let read = spec(settlement, earlier).settlement();
            (read.interval_seconds, read.min_payout, read.withdraw.is_some())
        };
        for (settlement, earlier, expected) in [
            (json!(null), json!(null), (3600, "0", false)),
            (json!(null), json!({"intervalSeconds": 9, "minPayout": "5", "withdraw": withdraw}), (9, "5", true)),
            (json!(null), json!({"maxBatch": 7}), (3600, "0", false)),
            (json!({"minPayout": "5"}), json!(null), (3600, "5", false)),
            // As an older API server has stored it.
            (json!({"intervalSeconds": 9}), json!({"intervalSeconds": 3600, "minPayout": "0"}), (9, "0", false)),
        ] {
            let (interval, payout, withdraws) = read(&settlement, &earlier);
            assert_eq!((interval, payout.as_str(), withdraws), expected, "{settlement} {earlier}");
        }
    }

    #[test]
    fn what_nobody_has_written_in_the_place_of_an_earlier_release_is_not_written_there() {
        let network = DepinNetwork::new("n", spec(&json!(null), &json!(null)));
        let written = serde_json::to_value(&network.spec).unwrap();
        assert_eq!((written.get("settlement"), written["evm"].get("settlement")), (None, None), "{written}");
    }
}
