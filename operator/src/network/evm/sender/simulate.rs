//! Tries a batch before it is sent, and leaves out what the market won't do.

use std::time::{Duration, Instant};

use alloy::{
    eips::BlockId,
    primitives::Bytes,
    providers::{Provider, RootProvider},
    rpc::types::TransactionRequest,
    transports::TransportResult,
};
use futures::{StreamExt, TryStreamExt, stream};
use hawser_evm::Class;
use jiff::Timestamp;

use super::{
    super::{Inner, read, refusal},
    batch::Batch,
};
use crate::network::evm::{Action, ActionState, EvmError};

/// Items of a batch that are tried alone at the same time.
const AT_ONCE: usize = 8;
/// A head that is older, on a chain whose blocks come when they will, says nothing of the time at which ours would come.
const OLD: Duration = Duration::from_secs(2);
/// Gas of a claim that can't be estimated, and of each voucher in it.
const CLAIM_GAS: u64 = 120_000;
const VOUCHER_GAS: u64 = 60_000;

/// A batch that can be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) batch: Batch,
    pub(super) call: Bytes,
    pub(super) gas: u64,
}

/// What came of trying.
enum Trial {
    /// So many actions would be done.
    Done(usize),
    /// Nothing would: the call reverts.
    Reverted(String),
}

/// What is already so, though the market would do it again: the callers may have asked from an older look.
async fn already(network: &Inner, action: &Action) -> Result<Option<ActionState>, EvmError> {
    let market = network.spec.market;
    let why = match action {
        Action::Start { job, attestor } => {
            let job = read::job(&network.pool, market, *job).await?;
            job.is_attestor(*attestor).then_some("the job was started with this attestor")
        }
        Action::UpdateOffer { offer, price, available, valid_until } => {
            let posted = read::offer(&network.pool, market, *offer).await?;
            posted
                .is_some_and(|p| (p.price, p.available, p.valid_until) == (*price, *available, *valid_until))
                .then_some("the offer says so")
        }
        _ => None,
    };
    Ok(why.map(|why| ActionState::AlreadyDone { why: why.to_owned() }))
}

/// Leaves out what is already so.
async fn needed(network: &Inner, batch: Batch) -> Result<Option<Batch>, EvmError> {
    let looks: Vec<_> = stream::iter(batch.actions().iter().cloned())
        .map(async |action| Ok::<_, EvmError>((already(network, &action).await?, action)))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut left = Vec::with_capacity(looks.len());
    for (state, action) in looks {
        match state {
            Some(state) => network.set_action(&action, state),
            None => left.push(action),
        }
    }
    Ok(batch.only(left))
}

/// Tries a batch; its actions that can't be done get their state and are left out. None where nothing is left.
pub(super) async fn prepare(network: &Inner, batch: Batch) -> Result<Option<Ready>, EvmError> {
    let Some(batch) = needed(network, batch).await? else { return Ok(None) };
    let batch = match tried(network, &batch).await? {
        Trial::Done(all) if all == batch.actions().len() => batch,
        _ => match feasible(network, &batch).await? {
            Some(batch) => batch,
            None => return Ok(None),
        },
    };
    sized(network, batch).await
}

/// Each action alone: those that can be done.
async fn feasible(network: &Inner, batch: &Batch) -> Result<Option<Batch>, EvmError> {
    let trials: Vec<_> = stream::iter(batch.actions().iter().cloned())
        .map(async |action| -> Result<_, EvmError> {
            let Some(alone) = batch.only(vec![action.clone()]) else { return Ok(None) };
            match tried(network, &alone).await? {
                Trial::Done(1) => Ok(Some(action)),
                Trial::Done(_) => match skipped(network, &action).await? {
                    Some(state) => {
                        network.set_action(&action, state);
                        Ok(None)
                    }
                    None => Ok(Some(action)),
                },
                Trial::Reverted(error) => {
                    network.set_action(&action, ActionState::Refused { error });
                    Ok(None)
                }
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(batch.only(trials.into_iter().flatten().collect()))
}

/// Why the market leaves an action out. None: because of the time of the newest block alone, which will be another one when
/// the action is mined.
async fn skipped(network: &Inner, action: &Action) -> Result<Option<ActionState>, EvmError> {
    let Some(id) = action.key().job() else {
        return Ok(Some(ActionState::Refused { error: "the market leaves it out".to_owned() }));
    };
    let job = read::job(&network.pool, network.spec.market, id).await?;
    let (head, soon) = {
        let observed = network.observed.borrow();
        let soon = observed.chain_time(Instant::now()).unwrap_or(Timestamp::UNIX_EPOCH);
        (observed.head.map_or(Timestamp::UNIX_EPOCH, |head| head.time), soon)
    };
    let domain = network.domain();
    let why = |now| refusal::why_skipped(action, &job, now, &domain);
    if matches!(action, Action::Claim(_) | Action::Settle { .. }) && why(head).is_some() && why(soon).is_none() {
        return Ok(None);
    }
    Ok(Some(refusal::state(why(head).unwrap_or(refusal::unseen(action)), action)))
}

/// On a quiet chain the block that ours would come into, otherwise the newest one. Not every endpoint knows the former.
async fn ask<R, F>(network: &Inner, ask: impl Fn(&RootProvider, BlockId) -> F) -> Result<R, EvmError>
where
    F: Future<Output = TransportResult<R>>,
{
    let provider = network.pool.provider_as(Class::Jobs);
    if is_quiet(network) {
        match ask(provider, BlockId::pending()).await.map_err(EvmError::from) {
            Err(error @ EvmError::Answer { .. }) if refusal::reverted(&error).is_none() => {
                tracing::debug!(%error, "the endpoint doesn't know the pending block");
            }
            answer => return answer,
        }
    }
    Ok(ask(provider, BlockId::latest()).await?)
}

fn is_quiet(network: &Inner) -> bool {
    let observed = network.observed.borrow();
    observed.block_time.is_none() && observed.head.is_some_and(|head| head.seen.elapsed() >= OLD)
}

async fn tried(network: &Inner, batch: &Batch) -> Result<Trial, EvmError> {
    let request = request(network, batch.call());
    match ask(network, |provider, block| provider.call(request.clone()).block(block).into_future()).await {
        Ok(output) => Ok(Trial::Done(batch.done(&output))),
        Err(error) => refusal::reverted(&error).map(Trial::Reverted).ok_or(error),
    }
}

/// Estimates gas, with headroom for what changes until it is mined, and halves a batch that fills half a block.
async fn sized(network: &Inner, mut batch: Batch) -> Result<Option<Ready>, EvmError> {
    let block = network.observed.borrow().head.map_or(u64::MAX, |head| head.gas_limit);
    loop {
        let call = batch.call();
        let request = request(network, call.clone());
        let estimate =
            ask(network, |provider, block| provider.estimate_gas(request.clone()).block(block).into_future());
        let estimate = match estimate.await {
            Ok(estimate) => estimate,
            Err(error) => {
                let Some(words) = refusal::reverted(&error) else { return Err(error) };
                // It could be done a moment ago: whoever wants it still will ask again.
                for action in batch.actions() {
                    network.set_action(action, ActionState::Refused { error: words.clone() });
                }
                return Ok(None);
            }
        };
        let gas = with_headroom(estimate).max(least_gas(network, &batch));
        match batch.half() {
            Some(half) if gas > block / 2 => batch = half,
            _ => return Ok(Some(Ready { batch, call, gas: gas.min(block) })),
        }
    }
}

/// A quarter more, and what a cold storage slot costs.
fn with_headroom(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 4).saturating_add(22_100)
}

/// On a quiet chain the estimate may be of a claim that is left out.
fn least_gas(network: &Inner, batch: &Batch) -> u64 {
    let vouchers = u64::try_from(batch.actions().len()).unwrap_or(u64::MAX);
    let claims = batch.actions().iter().any(|action| matches!(action, Action::Claim(_) | Action::Settle { .. }));
    if claims && is_quiet(network) { CLAIM_GAS.saturating_add(VOUCHER_GAS.saturating_mul(vouchers)) } else { 0 }
}

fn request(network: &Inner, call: Bytes) -> TransactionRequest {
    TransactionRequest::default().from(network.wallet.address()).to(network.spec.market).input(call.into())
}
