use hawser_crds::DepinNetwork;
use kube::api::ApiResource;
use serde_json::json;

use super::{Case, Change, Table};

const ONE_KIND: &str = "exactly one kind of network must be set: write spec.evm";
const SETTLEMENT_TWICE: &str =
    "spec.settlement and spec.evm.settlement are both set: keep spec.settlement and remove spec.evm.settlement";
const GAS_TWICE: &str =
    "evm.gas and evm.settlement both set maxBatch or tokensPerCoin: keep evm.gas and remove evm.settlement";
const URLS: &str = "evm needs exactly one of rpcUrls and rpcUrlsSecretRef";
const WALLETS: &str = "wallet needs exactly one of secretRef, keystore, awsKms and web3signer";
const CONFIRMATIONS: &str = "must be a number of blocks from 0 to 1000, safe or finalized";

pub(super) const NULLS: &[Case] = &[
    ("/settlement", None),
    ("/evm/settlement", None),
    ("/evm/settlement/intervalSeconds", None),
    ("/evm", Some(ONE_KIND)),
];

const MADE: &[Case] = &[
    ("{}", None),
    (r#"{"evm": null}"#, Some(ONE_KIND)),
    (r#"{"evm": null, "ocean": {"url": "http://o"}}"#, Some(ONE_KIND)),
    (r#"{"settlement": {}}"#, None),
    (r#"{"settlement": {"intervalSeconds": 60, "minPayout": "1.5", "withdraw": {"minAmount": "2"}}}"#, None),
    (
        r#"{"settlement": {"intervalSeconds": 0}}"#,
        Some("spec.settlement.intervalSeconds in body should be greater than or equal to 1"),
    ),
    (r#"{"settlement": {"minPayout": "much"}}"#, Some("spec.settlement.minPayout in body should match")),
    (r#"{"settlement": {"withdraw": {"intervalSeconds": 59}}}"#, Some("should be greater than or equal to 60")),
    // As earlier releases had it.
    (
        r#"{"evm": {"settlement": {"intervalSeconds": 9, "minPayout": "5", "maxBatch": 7, "tokensPerCoin": "2", "withdraw": {}}}}"#,
        None,
    ),
    // What their API servers stored as defaults is in nobody's way.
    (
        r#"{"settlement": {}, "evm": {"settlement": {"intervalSeconds": 3600, "minPayout": "0", "maxBatch": 100}, "gas": {"maxBatch": 9}}}"#,
        None,
    ),
    (r#"{"settlement": {}, "evm": {"settlement": {"maxBatch": 7, "tokensPerCoin": "2"}}}"#, None),
    (r#"{"settlement": {}, "evm": {"settlement": {"intervalSeconds": 9}}}"#, Some(SETTLEMENT_TWICE)),
    (r#"{"settlement": {}, "evm": {"settlement": {"minPayout": "5"}}}"#, Some(SETTLEMENT_TWICE)),
    (r#"{"settlement": {}, "evm": {"settlement": {"withdraw": {}}}}"#, Some(SETTLEMENT_TWICE)),
    (r#"{"evm": {"settlement": {"maxBatch": 7}, "gas": {"tokensPerCoin": "2"}}}"#, None),
    (r#"{"evm": {"settlement": {"maxBatch": 7}, "gas": {"maxBatch": 8}}}"#, Some(GAS_TWICE)),
    (r#"{"evm": {"settlement": {"tokensPerCoin": "2"}, "gas": {"tokensPerCoin": "2"}}}"#, Some(GAS_TWICE)),
    (
        r#"{"evm": {"gas": {"maxBatch": 201}}}"#,
        Some("spec.evm.gas.maxBatch in body should be less than or equal to 200"),
    ),
    (r#"{"evm": {"rpcUrls": null, "rpcUrlsSecretRef": {"name": "r"}}}"#, None),
    (r#"{"evm": {"rpcUrls": null}}"#, Some(URLS)),
    (r#"{"evm": {"rpcUrlsSecretRef": {"name": "r"}}}"#, Some(URLS)),
    (r#"{"evm": {"rpcUrls": []}}"#, Some("spec.evm.rpcUrls in body should have at least 1 items")),
    (r#"{"evm": {"chainId": 0}}"#, Some("spec.evm.chainId in body should be greater than or equal to 1")),
    (r#"{"evm": {"market": "0x12"}}"#, Some("spec.evm.market in body should match")),
    (r#"{"evm": {"provider": "me"}}"#, Some("spec.evm.provider in body should match")),
    (r#"{"evm": {"genesisHash": "0x12"}}"#, Some("spec.evm.genesisHash in body should match")),
    (r#"{"evm": {"confirmations": 0}}"#, None),
    (r#"{"evm": {"confirmations": 1000}}"#, None),
    (r#"{"evm": {"confirmations": "safe"}}"#, None),
    (r#"{"evm": {"confirmations": "finalized"}}"#, None),
    (r#"{"evm": {"confirmations": 1001}}"#, Some(CONFIRMATIONS)),
    (r#"{"evm": {"confirmations": -1}}"#, Some(CONFIRMATIONS)),
    (r#"{"evm": {"confirmations": "latest"}}"#, Some(CONFIRMATIONS)),
    (r#"{"evm": {"wallet": {"secretRef": null}}}"#, Some(WALLETS)),
    (r#"{"evm": {"wallet": {"awsKms": {"keyId": "k", "region": "eu-central-1"}}}}"#, Some(WALLETS)),
    (r#"{"evm": {"wallet": {"secretRef": null, "awsKms": {"keyId": "k", "region": "eu-central-1"}}}}"#, None),
    (
        r#"{"evm": {"wallet": {"secretRef": null, "keystore": {"secretRef": {"name": "k"}, "passwordSecretRef": {"name": "k"}}}}}"#,
        None,
    ),
];

const CHANGED: &[Change] = &[
    ("{}", (r#"{"evm": {"rpcUrls": ["http://b"], "confirmations": 7}, "settlement": {"minPayout": "9"}}"#, None)),
    (
        "{}",
        (
            r#"{"evm": {"chainId": 2}}"#,
            Some("evm.chainId can't be changed while jobs may live on the old chain: make another DepinNetwork"),
        ),
    ),
    (
        "{}",
        (
            r#"{"evm": {"market": "0x0000000000000000000000000000000000000009"}}"#,
            Some("evm.market can't be changed while jobs may live on the old one: make another DepinNetwork"),
        ),
    ),
    (
        "{}",
        (
            r#"{"evm": {"provider": "0x0000000000000000000000000000000000000009"}}"#,
            Some("evm.provider is part of every offer's identity on chain: make another DepinNetwork"),
        ),
    ),
    ("{}", (r#"{"evm": null}"#, Some(ONE_KIND))),
];

const KEYSTORE: &str = r#"{"evm": {"wallet": {"secretRef": null, "keystore": {"secretRef": {"name": "k"}, "passwordSecretRef": {"name": "p"}}}}}"#;

pub(super) fn table() -> Table {
    let evm = json!({
        "rpcUrls": ["http://a"], "chainId": 1,
        "market": "0x0000000000000000000000000000000000000001", "provider": "0x0000000000000000000000000000000000000002",
        "wallet": {"secretRef": {"name": "w"}},
    });
    let mut stored = evm.clone();
    super::merge(
        &mut stored,
        json!({"startBlock": 0, "confirmations": 2, "gas": {}, "wallet": {"secretRef": {"key": "privateKey"}}}),
    );
    Table {
        kind: ApiResource::erase::<DepinNetwork>(&()),
        namespaced: false,
        plain: json!({"evm": evm}),
        made: MADE,
        changed: CHANGED,
        stored: json!({"evm": stored}),
        defaults: &[
            (r#"{"settlement": {}}"#, "/settlement/intervalSeconds", "3600"),
            (r#"{"settlement": {}}"#, "/settlement/minPayout", r#""0""#),
            (r#"{"settlement": {"withdraw": {}}}"#, "/settlement/withdraw/intervalSeconds", "86400"),
            (r#"{"settlement": {"withdraw": {}}}"#, "/settlement/withdraw/minAmount", r#""0""#),
            (r#"{"evm": {"settlement": {"withdraw": {}}}}"#, "/evm/settlement/withdraw/intervalSeconds", "86400"),
            (r#"{"evm": {"settlement": {"withdraw": {}}}}"#, "/evm/settlement/withdraw/minAmount", r#""0""#),
            (
                r#"{"evm": {"rpcUrls": null, "rpcUrlsSecretRef": {"name": "u"}}}"#,
                "/evm/rpcUrlsSecretRef/key",
                r#""rpcUrls""#,
            ),
            (KEYSTORE, "/evm/wallet/keystore/secretRef/key", r#""keystore.json""#),
            (KEYSTORE, "/evm/wallet/keystore/passwordSecretRef/key", r#""password""#),
        ],
        status: json!({
            "conditions": [{"type": "Ready", "status": "False", "reason": "Low", "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "head": {"block": 77, "time": "2026-01-01T00:00:00Z"},
            "wallet": {"address": "0xw", "balance": "0.5", "gasSpent": "1"},
        }),
        columns: [
            [
                &["NAME", "READY", "REASON", "CHAIN", "HEAD", "GAS BALANCE"],
                &["plain", "False", "Low", "1", "77", "0.5"],
            ],
            [
                &["NAME", "READY", "REASON", "CHAIN", "HEAD", "WALLET", "GAS BALANCE"],
                &["plain", "False", "Low", "1", "77", "0xw", "0.5"],
            ],
        ],
    }
}
