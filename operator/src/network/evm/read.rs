//! Typed reads of the market and of tokens.

use alloy::{
    contract::{self, SolCallBuilder},
    primitives::{Address, Bytes, U256},
    providers::RootProvider,
    sol_types::{self, SolCall, SolInterface},
};
use hawser_contracts::{ComputeMarket, ComputeMarket::ComputeMarketInstance};
use hawser_evm::{Class, Pool, token_metadata};
use hawser_market::{JobId, OfferId};
use jiff::Timestamp;

use super::refusal;
use crate::network::evm::{EvmError, Job, Offer, Token};

type MarketError = ComputeMarket::ComputeMarketErrors;

fn instance(provider: &RootProvider, market: Address) -> ComputeMarketInstance<RootProvider> {
    ComputeMarket::new(market, provider.clone())
}

/// Calls a view function at the newest block.
async fn view<C>(pool: &Pool, call: SolCallBuilder<&RootProvider, C>) -> Result<C::Return, EvmError>
where
    C: SolCall + Send + Sync,
{
    call.call().await.map_err(|error| match error {
        contract::Error::TransportError(error) => error.into(),
        unread => pool.malformed(C::SIGNATURE, unread.to_string()).into(),
    })
}

fn malformed<C: SolCall>(pool: &Pool, error: &sol_types::Error) -> EvmError {
    pool.malformed(C::SIGNATURE, error.to_string()).into()
}

pub(super) async fn credit(pool: &Pool, market: Address, account: Address, token: Address) -> Result<U256, EvmError> {
    view(pool, instance(pool.provider(), market).credit(account, token)).await
}

pub(super) async fn sunset(pool: &Pool, market: Address) -> Result<Option<Timestamp>, EvmError> {
    let last = instance(pool.provider(), market).sunset().call().await.map_err(|error| match error {
        contract::Error::TransportError(error) => {
            let error = EvmError::from(error);
            if refusal::reverted(&error).is_some() { EvmError::OtherMarket(market) } else { error }
        }
        _ => EvmError::OtherMarket(market),
    })?;
    Ok((last != 0).then(|| hawser_market::timestamp(last)))
}

pub(super) async fn job(pool: &Pool, market: Address, id: JobId) -> Result<Job, EvmError> {
    let answer = view(pool, instance(pool.provider_as(Class::Jobs), market).job(id.0)).await?;
    Job::read(id, &answer)
        .map_err(|unknown| malformed::<ComputeMarket::jobCall>(pool, &sol_types::Error::custom(unknown.to_string())))
}

/// Many jobs in one call of the market's own `multicall`, so that no endpoint counts a request for each. Where that is
/// refused, one by one.
pub(super) async fn jobs(pool: &Pool, market: Address, ids: &[JobId]) -> Result<Vec<Job>, EvmError> {
    if let [id] = ids {
        return Ok(vec![job(pool, market, *id).await?]);
    }
    let all = view(pool, instance(pool.provider_as(Class::Jobs), market).multicall(calls(ids))).await;
    match all.and_then(|all| decoded(pool, ids, &all)) {
        Ok(jobs) => Ok(jobs),
        Err(error @ EvmError::Unavailable(_)) => Err(error),
        Err(error) => {
            tracing::debug!(%error, jobs = ids.len(), "read one by one");
            let mut jobs = Vec::with_capacity(ids.len());
            for id in ids {
                jobs.push(job(pool, market, *id).await?);
            }
            Ok(jobs)
        }
    }
}

/// What an endpoint that is not in use says of jobs; none where there is no such endpoint.
pub(super) async fn second_opinion(pool: &Pool, market: Address, ids: &[JobId]) -> Option<Vec<Job>> {
    let all = instance(pool.second_opinion(Class::Jobs), market).multicall(calls(ids)).call().await.ok()?;
    decoded(pool, ids, &all).ok()
}

fn calls(ids: &[JobId]) -> Vec<Bytes> {
    ids.iter().map(|id| ComputeMarket::jobCall { id: id.0 }.abi_encode().into()).collect()
}

fn decoded(pool: &Pool, ids: &[JobId], results: &[Bytes]) -> Result<Vec<Job>, EvmError> {
    let jobs: Result<Vec<_>, _> = ids
        .iter()
        .zip(results)
        .map(|(id, result)| {
            let answer = ComputeMarket::jobCall::abi_decode_returns(result)?;
            Job::read(*id, &answer).map_err(|unknown| sol_types::Error::custom(unknown.to_string()))
        })
        .collect();
    jobs.map_err(|error| malformed::<ComputeMarket::jobCall>(pool, &error))
}

pub(super) async fn offer(pool: &Pool, market: Address, id: OfferId) -> Result<Option<Offer>, EvmError> {
    match view(pool, instance(pool.provider(), market).offer(id.0)).await {
        Ok(offer) => Ok(Some(Offer::from(&offer))),
        Err(error) => match market_error(&error) {
            Some(MarketError::UnknownOffer(_)) => Ok(None),
            _ => Err(error),
        },
    }
}

pub(super) async fn token(pool: &Pool, address: Address) -> Result<Token, EvmError> {
    let metadata = token_metadata(pool.provider(), address).await?.ok_or(EvmError::NotAToken(address))?;
    Ok(Token { address, symbol: metadata.symbol.unwrap_or_default(), decimals: metadata.decimals })
}

/// The market's own error, where that is what was answered.
pub(super) fn market_error(error: &EvmError) -> Option<MarketError> {
    let EvmError::Answer { revert: Some(data), .. } = error else { return None };
    MarketError::abi_decode(data).ok()
}
