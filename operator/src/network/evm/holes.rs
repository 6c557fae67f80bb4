//! Block numbers that no block has: on Filecoin a number is a time, and some pass without a block. An endpoint that is
//! asked for one refuses, or says null, as it does for a block that it does not have yet. What tells the two apart is a later
//! block whose parent lies before the number.

use std::time::{Duration, Instant};

use alloy::{primitives::B256, providers::Provider};

use hawser_evm::{Class, Pool};

use super::{
    Inner,
    head::{header, header_of},
    headers::Header,
    lock,
};
use crate::network::evm::{Block, EvmError};

/// So many numbers after one are tried to find the next block, where none was seen.
const TRIED: u64 = 6;
/// After a try that found none so long passes before another one: what lacks them all is an endpoint that lags, and each is a
/// request.
const TRY_AGAIN: Duration = Duration::from_secs(15);
/// A next block that was seen may lie so far on.
const FAR: u64 = 64;

/// What has a number on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Block(Block),
    /// Nothing: the one is the other one's parent.
    Hole {
        below: Block,
        above: Block,
    },
    /// The endpoint does not say.
    Unknown,
}

impl Inner {
    /// What has a number on the chain whose newest block has the number `head`.
    pub(super) async fn at(&self, number: u64, head: u64) -> Result<At, EvmError> {
        let around = lock(&self.headers).around(number);
        if let Some((below, above)) = around {
            return Ok(At::Hole { below, above });
        }
        let refused = match self.block_at(number).await {
            Ok(Some(block)) => return Ok(At::Block(block)),
            Ok(None) => None,
            Err(error @ EvmError::Answer { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        match self.look_around(number, head).await? {
            At::Unknown => refused.map_or(Ok(At::Unknown), Err),
            known => Ok(known),
        }
    }

    async fn look_around(&self, number: u64, head: u64) -> Result<At, EvmError> {
        let Some(mut above) = self.next_block(number, head).await? else { return Ok(At::Unknown) };
        for _ in 0..FAR {
            let Some(below) = self.parent(&above).await? else { return Ok(At::Unknown) };
            let (low, high) = (below.head.block, above.head.block);
            if low.number < number {
                return Ok(At::Hole { below: low, above: high });
            }
            if low.number == number {
                // The endpoint gives it by its hash only.
                return Ok(At::Block(low));
            }
            above = below;
        }
        Ok(At::Unknown)
    }

    /// The first block after a number that was seen, or that the endpoint gives.
    async fn next_block(&self, number: u64, head: u64) -> Result<Option<Header>, EvmError> {
        let seen = lock(&self.headers).after(number).copied();
        if let Some(seen) = seen.filter(|seen| seen.head.block.number - number <= FAR) {
            return Ok(Some(seen));
        }
        if !self.may_try(number).await? {
            return Ok(None);
        }
        for next in number.saturating_add(1)..=head.min(number.saturating_add(TRIED)) {
            if let Some(header) = given(&self.pool, next).await? {
                return Ok(Some(header));
            }
        }
        *lock(&self.tried_in_vain) = Some(Instant::now());
        Ok(None)
    }

    /// Whether numbers after one that the endpoint does not give are tried: not soon after that was in vain, and not where it
    /// says itself that it has not come so far.
    async fn may_try(&self, number: u64) -> Result<bool, EvmError> {
        if lock(&self.tried_in_vain).is_some_and(|at| at.elapsed() < TRY_AGAIN) {
            return Ok(false);
        }
        match self.pool.provider_as(Class::First).get_block_number().await.map_err(EvmError::from) {
            Err(EvmError::Answer { .. }) => Ok(false),
            newest => Ok(newest? > number),
        }
    }

    async fn parent(&self, of: &Header) -> Result<Option<Header>, EvmError> {
        let seen = lock(&self.headers).with_hash(of.parent).copied();
        match seen {
            Some(seen) => Ok(Some(seen)),
            None => header_by_hash(&self.pool, of.parent).await,
        }
    }
}

/// The header of the block with a number; none where the endpoint gives none, in whatever words.
pub(super) async fn given(pool: &Pool, number: u64) -> Result<Option<Header>, EvmError> {
    match header(pool, number.into()).await {
        Err(EvmError::Answer { .. }) => Ok(None),
        answer => answer,
    }
}

pub(super) async fn header_by_hash(pool: &Pool, hash: B256) -> Result<Option<Header>, EvmError> {
    let block = match pool.provider().get_block_by_hash(hash).await.map_err(EvmError::from) {
        Err(EvmError::Answer { .. }) => None,
        answer => answer?,
    };
    Ok(block.filter(|block| block.header.hash == hash).map(|block| header_of(&block)))
}
