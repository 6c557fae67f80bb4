//! The kinds of network there are.

use hawser_crds::{DepinNetworkSpec, EvmNetwork};

/// The kind of network that a `DepinNetwork` describes. Nothing else looks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NetworkKind<'a> {
    /// An EVM chain with a market's contract.
    Evm(&'a EvmNetwork),
}

/// A `DepinNetwork` of no kind that this operator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec sets no kind of network that this operator knows (it knows evm): upgrade the operator, or set spec.evm")]
pub struct UnknownKind;

impl<'a> NetworkKind<'a> {
    /// Looks for it. The API server refuses an object without a kind, so that one without a known kind is from a newer release.
    pub fn of(spec: &'a DepinNetworkSpec) -> Result<Self, UnknownKind> {
        spec.evm.as_ref().map(Self::Evm).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_a_kind_that_a_newer_operator_knows_is_refused_with_the_kinds_that_this_one_knows() {
        let spec: DepinNetworkSpec = serde_json::from_value(serde_json::json!({"ocean": {"url": "http://o"}})).unwrap();
        let refused = NetworkKind::of(&spec).unwrap_err().to_string();
        assert!(refused.contains("it knows evm") && refused.contains("upgrade the operator"), "{refused}");
        let spec = DepinNetworkSpec { evm: Some(evm()), settlement: None };
        assert_eq!(NetworkKind::of(&spec), Ok(NetworkKind::Evm(&evm())));
    }

    fn evm() -> EvmNetwork {
        let address = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
        serde_json::from_value(serde_json::json!({
            "rpcUrls": ["http://127.0.0.1:8545"], "chainId": 31337, "market": address, "provider": address,
            "wallet": {"secretRef": {"name": "wallet"}}
        }))
        .unwrap()
    }
}
