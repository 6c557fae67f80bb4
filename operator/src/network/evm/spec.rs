//! What a network is made from, read and checked from its `DepinNetwork`.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use hawser_crds::{Confirmations, EvmNetwork, Finality};
use hawser_evm::StallLimit;
use hawser_market::OfferId;
use reqwest::{Url, header::HeaderMap};

use super::{OfferTerms, SpecError, WeiPerGas};

/// Headers that an endpoint is asked with, by its URL: marked as secret, so that nothing prints them.
pub type RpcHeaders = BTreeMap<Url, HeaderMap>;

/// What a network is made from: `spec.evm` of a `DepinNetwork`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmSpec {
    /// JSON-RPC endpoints, the preferred first. At least one.
    pub rpc_urls: Vec<Url>,
    /// Headers of those endpoints that ask for some.
    pub rpc_headers: RpcHeaders,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The `ComputeMarket`.
    pub market: Address,
    /// The provider's cold key.
    pub provider: Address,
    /// Where a watcher without a cursor begins.
    pub start_block: u64,
    /// Hash of block 0; none: that of the first endpoint that answers.
    pub genesis: Option<B256>,
    /// How deep an order must lie before it is believed.
    pub confirmations: Confirmations,
    /// Jobs in one transaction.
    pub max_batch: usize,
    /// Whole tokens that a coin is worth, as a decimal number.
    pub tokens_per_coin: Option<String>,
    /// Cap of `maxFeePerGas`.
    pub max_fee: Option<WeiPerGas>,
    /// Cap of `maxPriorityFeePerGas`.
    pub max_tip: Option<WeiPerGas>,
    /// When a head counts as stalled.
    pub stall: StallLimit,
}

impl EvmSpec {
    /// Name of the offer with these terms on this network.
    pub fn offer_id(&self, terms: &OfferTerms) -> OfferId {
        terms.id(self.chain_id, self.market)
    }

    /// Blocks after which what happened in a block counts as final.
    pub const fn depth(&self) -> u64 {
        match self.confirmations {
            Confirmations::Blocks(blocks) => blocks,
            // Two epochs; what is safe is about half as deep.
            Confirmations::Tag(Finality::Safe) => 32,
            Confirmations::Tag(Finality::Finalized) => 64,
        }
    }
}

/// Caps where none are written: `maxFeePerGas` and the tip, in gwei. Far above what the chain usually asks, and far below
/// what would empty a wallet. Polygon's coin is worth little and its nodes want tips of 25 gwei and more.
const fn usual_caps(chain_id: u64) -> (u64, u64) {
    match chain_id {
        137 | 80_002 => (5_000, 200),
        _ => (500, 10),
    }
}

impl TryFrom<&EvmNetwork> for EvmSpec {
    type Error = SpecError;

    fn try_from(evm: &EvmNetwork) -> Result<Self, SpecError> {
        if evm.rpc_urls.is_empty() {
            return Err(SpecError {
                field: "spec.evm.rpcUrls",
                value: String::new(),
                expected: "a list of at least one http or https URL",
            });
        }
        Ok(Self {
            rpc_urls: evm.rpc_urls.iter().map(|url| http_url("spec.evm.rpcUrls", url)).collect::<Result<_, _>>()?,
            // These stand in a Secret only.
            rpc_headers: RpcHeaders::new(),
            chain_id: evm.chain_id,
            market: address("spec.evm.market", &evm.market)?,
            provider: address("spec.evm.provider", &evm.provider)?,
            start_block: evm.start_block,
            genesis: evm.genesis_hash.as_deref().map(hash).transpose()?,
            confirmations: evm.confirmations,
            max_batch: usize::from(evm.max_batch().max(1)),
            tokens_per_coin: evm.tokens_per_coin().map(ToOwned::to_owned),
            max_fee: Some(WeiPerGas::from_gwei(evm.gas.max_fee_per_gas_gwei.unwrap_or(usual_caps(evm.chain_id).0))),
            max_tip: Some(WeiPerGas::from_gwei(
                evm.gas.max_priority_fee_per_gas_gwei.unwrap_or(usual_caps(evm.chain_id).1),
            )),
            stall: StallLimit::default(),
        })
    }
}

/// An http or https URL as a field holds it.
pub(crate) fn http_url(field: &'static str, text: &str) -> Result<Url, SpecError> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(|| {
        // A URL's path often holds an API key: only its beginning is shown.
        SpecError {
            field,
            value: text.chars().take(16).chain("...".chars()).collect(),
            expected: "an http or https URL",
        }
    })
}

/// An address as a field holds it.
pub(crate) fn address(field: &'static str, text: &str) -> Result<Address, SpecError> {
    text.parse().map_err(|_| SpecError {
        field,
        value: text.to_owned(),
        expected: "an address: 0x and 40 hexadecimal digits",
    })
}

fn hash(text: &str) -> Result<B256, SpecError> {
    text.parse().map_err(|_| SpecError {
        field: "spec.evm.genesisHash",
        value: text.to_owned(),
        expected: "a block's hash: 0x and 64 hexadecimal digits",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evm() -> EvmNetwork {
        serde_json::from_value(serde_json::json!({
            "rpcUrls": ["http://127.0.0.1:8545", "https://rpc.example.org/v2/key"],
            "chainId": 31337,
            "market": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
            "provider": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "wallet": {"secretRef": {"name": "wallet"}},
            "gas": {"maxFeePerGasGwei": 40},
        }))
        .unwrap()
    }

    #[test]
    fn a_network_is_read_with_its_defaults() {
        let spec = EvmSpec::try_from(&evm()).unwrap();
        assert_eq!(spec.rpc_urls.len(), 2);
        assert_eq!((spec.confirmations, spec.genesis), (Confirmations::Blocks(2), None));
        assert_eq!(spec.max_batch, 100);
        assert_eq!(spec.max_fee, Some(WeiPerGas(40_000_000_000)));
        assert_eq!(spec.max_tip, Some(WeiPerGas::from_gwei(10)));
    }

    #[test]
    fn what_a_transaction_may_hold_is_read_from_where_an_earlier_release_had_it_too() {
        let read = |settlement: serde_json::Value, gas: serde_json::Value| {
            let mut evm = evm();
            evm.settlement = serde_json::from_value(settlement).unwrap();
            evm.gas = serde_json::from_value(gas).unwrap();
            let spec = EvmSpec::try_from(&evm).unwrap();
            (spec.max_batch, spec.tokens_per_coin)
        };
        let json = |text: &str| serde_json::from_str(text).unwrap();
        for (settlement, gas, expected) in [
            ("null", "{}", (100, None)),
            (r#"{"maxBatch": 7, "tokensPerCoin": "5"}"#, "{}", (7, Some("5"))),
            (r#"{"maxBatch": 100, "intervalSeconds": 3600}"#, r#"{"maxBatch": 7}"#, (7, None)),
            (r#"{"maxBatch": 100}"#, r#"{"tokensPerCoin": "6"}"#, (100, Some("6"))),
        ] {
            let (batch, tokens) = read(json(settlement), json(gas));
            assert_eq!((batch, tokens.as_deref()), expected, "{settlement} {gas}");
        }
    }

    #[test]
    fn fees_are_capped_where_nothing_is_written() {
        for (chain_id, most, tip) in [(1, 500, 10), (137, 5_000, 200)] {
            let mut evm = evm();
            (evm.chain_id, evm.gas) = (chain_id, hawser_crds::Gas::default());
            let spec = EvmSpec::try_from(&evm).unwrap();
            assert_eq!(
                (spec.max_fee, spec.max_tip),
                (Some(WeiPerGas::from_gwei(most)), Some(WeiPerGas::from_gwei(tip)))
            );
            evm.gas.max_priority_fee_per_gas_gwei = Some(3);
            assert_eq!(EvmSpec::try_from(&evm).unwrap().max_tip, Some(WeiPerGas::from_gwei(3)));
        }
    }

    #[test]
    fn a_wrong_field_is_named_with_its_value() {
        type Spoil = fn(&mut EvmNetwork);
        let cases: [(Spoil, &str); 5] = [
            (
                |evm| evm.genesis_hash = Some("0x1".into()),
                "spec.evm.genesisHash: \"0x1\" is not a block's hash: 0x and 64 hexadecimal digits",
            ),
            (|evm| evm.rpc_urls.clear(), "spec.evm.rpcUrls: \"\" is not a list of at least one http or https URL"),
            (
                |evm| evm.market = "0x12".into(),
                "spec.evm.market: \"0x12\" is not an address: 0x and 40 hexadecimal digits",
            ),
            (
                |evm| evm.provider = "me".into(),
                "spec.evm.provider: \"me\" is not an address: 0x and 40 hexadecimal digits",
            ),
            (
                |evm| evm.rpc_urls[0] = "ws://node".into(),
                "spec.evm.rpcUrls: \"ws://node...\" is not an http or https URL",
            ),
        ];
        for (spoil, expected) in cases {
            let mut evm = evm();
            spoil(&mut evm);
            assert_eq!(EvmSpec::try_from(&evm).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_read_does_not_show_its_api_key() {
        let mut evm = evm();
        evm.rpc_urls[0] = "wss://rpc.example.org/v2/secret".into();
        assert!(!EvmSpec::try_from(&evm).unwrap_err().to_string().contains("secret"));
    }
}
