//! How a person or a test names a card.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A card, by its index on the node or by its UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpu {
    /// N of `/dev/nvidiaN`.
    Index(u32),
    /// `GPU-...`, as `nvmlDeviceGetUUID` gives it.
    Uuid(String),
}

/// The state has no such card.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the double has no GPU {gpu}; it has {known}")]
pub struct NotAGpu {
    pub gpu: Gpu,
    pub known: String,
}

impl FromStr for Gpu {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Uuid(text.to_owned()), Self::Index))
    }
}

impl From<u32> for Gpu {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(formatter, "{index}"),
            Self::Uuid(uuid) => formatter.write_str(uuid),
        }
    }
}
