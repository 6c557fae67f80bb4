//! The market's logs, in ranges of blocks that the node answers.

use alloy::rpc::types::{Filter, Log};
use hawser_evm::LogPages;

use super::{MarketClient, Period, send};
use crate::failure::Failure;

/// Logs, a range at a time, so that no more than one range is held.
pub(crate) struct Pages<'a>(LogPages<'a>);

impl Pages<'_> {
    /// The next range's logs, in the order of the chain; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Log>>, Failure> {
        self.0.next().await.map_err(|error| send::failure(error, None))
    }
}

impl MarketClient {
    /// Logs of a period, at most this many blocks at a time.
    pub(super) fn pages(&self, filter: Filter, period: Period, longest: u64) -> Pages<'_> {
        Pages(LogPages::new(&self.provider, filter, period.from..=period.to, longest))
    }

    /// All logs of a period, for what is rare.
    pub(super) async fn logs_in(&self, filter: Filter, period: Period) -> Result<Vec<Log>, Failure> {
        let mut pages = self.pages(filter, period, (period.to - period.from).saturating_add(1));
        let mut logs = Vec::new();
        while let Some(some) = pages.next().await? {
            logs.extend(some);
        }
        Ok(logs)
    }

    /// Logs up to the newest block.
    pub(super) async fn logs(&self, filter: Filter) -> Result<Vec<Log>, Failure> {
        self.logs_from(filter, self.from_block).await
    }

    /// The same from this block on.
    pub(super) async fn logs_from(&self, filter: Filter, from: u64) -> Result<Vec<Log>, Failure> {
        let to = self.head().await?;
        if to < from {
            return Ok(Vec::new());
        }
        self.logs_in(filter, Period { from, to }).await
    }
}
