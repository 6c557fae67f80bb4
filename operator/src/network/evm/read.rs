//! Typed reads of the market and of tokens.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Bytes},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolInterface},
};
use hawser_contracts::ComputeMarket;
use hawser_evm::{Class, Pool};
use hawser_market::{JobId, OfferId};

use crate::network::{Job, NetworkError, Offer, Token};

type MarketError = ComputeMarket::ComputeMarketErrors;

#[allow(missing_debug_implementations, clippy::pedantic, reason = "generated")]
mod erc20 {
    alloy::sol! {
        function decimals() external view returns (uint8);
        function symbol() external view returns (string);
    }
}

/// Calls a view function at the newest block.
pub(super) async fn view<C: SolCall>(pool: &Pool, to: Address, call: &C) -> Result<C::Return, NetworkError> {
    view_as(Class::Rest, pool, to, call).await
}

async fn view_as<C: SolCall>(class: Class, pool: &Pool, to: Address, call: &C) -> Result<C::Return, NetworkError> {
    let output: Bytes = pool.ask_as(class, "eth_call", request(to, call)).await?;
    C::abi_decode_returns(&output).map_err(|error| malformed::<C>(pool, &error))
}

fn request<C: SolCall>(to: Address, call: &C) -> (TransactionRequest, BlockNumberOrTag) {
    (TransactionRequest::default().to(to).input(call.abi_encode().into()), BlockNumberOrTag::Latest)
}

fn malformed<C: SolCall>(pool: &Pool, error: &alloy::sol_types::Error) -> NetworkError {
    NetworkError::Malformed { endpoint: pool.endpoint(), method: C::SIGNATURE.into(), message: error.to_string() }
}

pub(super) async fn job(pool: &Pool, market: Address, id: JobId) -> Result<Job, NetworkError> {
    let answer = view_as(Class::Jobs, pool, market, &ComputeMarket::jobCall { id: id.0 }).await?;
    Job::read(id, &answer).map_err(|unknown| {
        malformed::<ComputeMarket::jobCall>(pool, &alloy::sol_types::Error::custom(unknown.to_string()))
    })
}

/// Many jobs in one call of the market's own `multicall`, so that no endpoint counts a request for each. Where that is
/// refused, one by one.
pub(super) async fn jobs(pool: &Pool, market: Address, ids: &[JobId]) -> Result<Vec<Job>, NetworkError> {
    if let [id] = ids {
        return Ok(vec![job(pool, market, *id).await?]);
    }
    match view_as(Class::Jobs, pool, market, &multicall(ids)).await.and_then(|all| decoded(pool, ids, &all)) {
        Ok(jobs) => Ok(jobs),
        Err(error @ NetworkError::Unavailable(_)) => Err(error),
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
    let output: Bytes = pool.second_opinion(Class::Jobs, "eth_call", request(market, &multicall(ids))).await?;
    decoded(pool, ids, &ComputeMarket::multicallCall::abi_decode_returns(&output).ok()?).ok()
}

fn multicall(ids: &[JobId]) -> ComputeMarket::multicallCall {
    let data = ids.iter().map(|id| ComputeMarket::jobCall { id: id.0 }.abi_encode().into()).collect();
    ComputeMarket::multicallCall { data }
}

fn decoded(pool: &Pool, ids: &[JobId], results: &[Bytes]) -> Result<Vec<Job>, NetworkError> {
    let jobs: Result<Vec<_>, _> = ids
        .iter()
        .zip(results)
        .map(|(id, result)| {
            let answer = ComputeMarket::jobCall::abi_decode_returns(result)?;
            Job::read(*id, &answer).map_err(|unknown| alloy::sol_types::Error::custom(unknown.to_string()))
        })
        .collect();
    jobs.map_err(|error| malformed::<ComputeMarket::jobCall>(pool, &error))
}

pub(super) async fn offer(pool: &Pool, market: Address, id: OfferId) -> Result<Option<Offer>, NetworkError> {
    match view(pool, market, &ComputeMarket::offerCall { offerId: id.0 }).await {
        Ok(offer) => Ok(Some(Offer::from(&offer))),
        Err(error) => match market_error(&error) {
            Some(MarketError::UnknownOffer(_)) => Ok(None),
            _ => Err(error),
        },
    }
}

pub(super) async fn token(pool: &Pool, token: Address) -> Result<Token, NetworkError> {
    let decimals = match view(pool, token, &erc20::decimalsCall {}).await {
        Ok(decimals) => decimals,
        Err(error @ (NetworkError::Malformed { .. } | NetworkError::Answer { .. })) if is_from_contract(&error) => {
            return Err(NetworkError::NotAToken(token));
        }
        Err(error) => return Err(error),
    };
    Ok(Token { address: token, symbol: symbol(pool, token).await?, decimals })
}

/// `symbol` is optional in ERC-20, and some early tokens give bytes32. An endpoint that is away says nothing of it.
async fn symbol(pool: &Pool, token: Address) -> Result<String, NetworkError> {
    let output: Bytes =
        match pool.ask("eth_call", request(token, &erc20::symbolCall {})).await.map_err(NetworkError::from) {
            Ok(output) => output,
            Err(error) if is_from_contract(&error) => return Ok(String::new()),
            Err(error) => return Err(error),
        };
    Ok(erc20::symbolCall::abi_decode_returns(&output).unwrap_or_else(|_| short_symbol(&output)))
}

/// Text that fills a word with zeros.
fn short_symbol(output: &[u8]) -> String {
    let text: Vec<u8> = output.iter().copied().take_while(|byte| *byte != 0).collect();
    if output.len() == 32 { String::from_utf8(text).unwrap_or_default() } else { String::new() }
}

/// Whether what was answered is the contract's own doing: it reverts, or returns what is not asked for.
fn is_from_contract(error: &NetworkError) -> bool {
    match error {
        NetworkError::Answer { code, message, revert, .. } => {
            revert.is_some() || *code == 3 || message.to_lowercase().contains("revert")
        }
        NetworkError::Malformed { method, .. } => *method == erc20::decimalsCall::SIGNATURE,
        NetworkError::Unavailable(_) | NetworkError::NotAToken(_) => false,
    }
}

/// The market's own error, where that is what was answered.
pub(super) fn market_error(error: &NetworkError) -> Option<MarketError> {
    let NetworkError::Answer { revert: Some(data), .. } = error else { return None };
    MarketError::abi_decode(data).ok()
}
