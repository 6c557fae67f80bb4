//! When an order's block counts as confirmed: a number of blocks, or a block tag.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// When an order counts as confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Confirmations {
    /// Number of blocks that must follow the order's block.
    Blocks(u64),
    /// The chain itself reports the order's block as final.
    Tag(Finality),
}

/// A block that the chain's consensus stands behind (block parameters of the Ethereum JSON-RPC specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finality {
    /// Safe from reorganisation while two thirds of the validators are honest and the network is synchronous.
    Safe,
    /// Not to be taken back without a third of the stake being burnt.
    Finalized,
}

impl Default for Confirmations {
    fn default() -> Self {
        Self::Blocks(2)
    }
}

impl JsonSchema for Confirmations {
    fn schema_name() -> Cow<'static, str> {
        "Confirmations".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self >= 0 && self <= 1000 : self in ['safe', 'finalized']",
                "message": "must be a number of blocks from 0 to 1000, safe or finalized",
            }],
        })
    }
}
