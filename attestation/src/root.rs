//! The head of the hash chain over evidence.

use std::{fmt, str::FromStr};

use alloy::primitives::{B256, hex::FromHexError, keccak256};
use serde::{Deserialize, Serialize};

/// Head of the hash chain over an attestor's evidence lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EvidenceRoot(pub B256);

impl EvidenceRoot {
    /// The root before an attestor's header.
    pub const EMPTY: Self = Self(B256::ZERO);

    /// The root after one more line: `keccak256(root || keccak256(body))`.
    #[must_use]
    pub fn then(self, body: &[u8]) -> Self {
        Self(keccak256([self.0, keccak256(body)].concat()))
    }
}

impl FromStr for EvidenceRoot {
    type Err = FromHexError;

    fn from_str(text: &str) -> Result<Self, FromHexError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for EvidenceRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
