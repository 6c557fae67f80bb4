//! Typed reads of the market and of tokens.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Bytes},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolInterface},
};
use hawser_contracts::{ComputeMarket, JobId, OfferId};
use jiff::Timestamp;

use super::connect::Chain;
use crate::network::{ChainJob, ChainOffer, GpuSeconds, JobStatus, NetworkError, OfferTerms, Token};

type MarketError = ComputeMarket::ComputeMarketErrors;

#[allow(missing_debug_implementations, clippy::pedantic, reason = "generated")]
mod erc20 {
    alloy::sol! {
        function decimals() external view returns (uint8);
        function symbol() external view returns (string);
    }
}

/// Calls a view function at the newest block.
pub(super) async fn view<C: SolCall>(chain: &Chain, to: Address, call: &C) -> Result<C::Return, NetworkError> {
    let request = TransactionRequest::default().to(to).input(call.abi_encode().into());
    let output: Bytes = chain.ask("eth_call", (request, BlockNumberOrTag::Latest)).await?;
    C::abi_decode_returns(&output).map_err(|error| NetworkError::Malformed {
        endpoint: chain.endpoint(),
        method: C::SIGNATURE,
        message: error.to_string(),
    })
}

pub(super) async fn job(chain: &Chain, market: Address, id: JobId) -> Result<ChainJob, NetworkError> {
    let job = view(chain, market, &ComputeMarket::jobCall { id: id.0 }).await?;
    Ok(ChainJob {
        id,
        status: match job.status {
            1 => JobStatus::Open,
            2 => JobStatus::Running,
            3 => JobStatus::Ended,
            4 => JobStatus::Closed,
            _ => JobStatus::None,
        },
        customer: job.customer,
        attestor: Some(job.attestor).filter(|attestor| !attestor.is_zero()),
        duration_seconds: job.duration,
        start_deadline: timestamp(job.startDeadline),
        started: some_timestamp(job.started),
        end: some_timestamp(job.end),
        ending: job.ending,
        refundable_from: some_timestamp(job.refundableFrom),
        used: GpuSeconds(job.used),
        deposit: job.deposit,
        paid: job.paid,
    })
}

pub(super) async fn offer(chain: &Chain, market: Address, id: OfferId) -> Result<Option<ChainOffer>, NetworkError> {
    match view(chain, market, &ComputeMarket::offerCall { offerId: id.0 }).await {
        Ok(offer) => Ok(Some(ChainOffer {
            id,
            terms: terms(&offer.terms),
            price: offer.price,
            available: offer.available,
            valid_until: timestamp(offer.validUntil),
            settled: GpuSeconds(offer.settledGpuSeconds.try_into().unwrap_or(u64::MAX)),
            settled_amount: offer.settledAmount,
        })),
        Err(error) => match market_error(&error) {
            Some(MarketError::UnknownOffer(_)) => Ok(None),
            _ => Err(error),
        },
    }
}

pub(super) async fn token(chain: &Chain, token: Address) -> Result<Token, NetworkError> {
    let decimals = view(chain, token, &erc20::decimalsCall {}).await?;
    // `symbol` is optional in ERC-20, and some early tokens give bytes32.
    let symbol = view(chain, token, &erc20::symbolCall {}).await.unwrap_or_default();
    Ok(Token { decimals, symbol })
}

/// The market's own error, where that is what was answered.
pub(super) fn market_error(error: &NetworkError) -> Option<MarketError> {
    let NetworkError::Answer { revert: Some(data), .. } = error else { return None };
    MarketError::abi_decode(data).ok()
}

/// Unix seconds of the market; one past the year 9999 is cut there, which is as good as never.
pub(super) fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
}

fn some_timestamp(seconds: u64) -> Option<Timestamp> {
    (seconds != 0).then(|| timestamp(seconds))
}

fn terms(terms: &ComputeMarket::OfferTerms) -> OfferTerms {
    OfferTerms {
        provider: terms.provider,
        token: terms.token,
        gpu_class: terms.gpuClass,
        start_window_seconds: terms.startWindow,
        claim_window_seconds: terms.claimWindow,
        min_seconds: terms.minDuration,
        max_seconds: terms.maxDuration,
        salt: terms.salt,
    }
}
