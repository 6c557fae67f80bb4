//! Tries a batch before it is sent, and leaves out what the market won't do.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Bytes, U64},
    rpc::types::TransactionRequest,
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Inner, batch::Batch, read, refusal};
use crate::network::{Act, ActState, NetworkError};

/// Items of a batch that are tried alone at the same time.
const AT_ONCE: usize = 8;

/// A batch that can be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) batch: Batch,
    pub(super) call: Bytes,
    pub(super) gas: u64,
}

/// What came of trying.
enum Trial {
    /// So many acts would be done.
    Done(usize),
    /// Nothing would: the call reverts.
    Reverted(String),
}

/// What is already so, though the market would do it again: the callers may have asked from an older look.
async fn already(network: &Inner, act: &Act) -> Result<Option<ActState>, NetworkError> {
    let market = network.spec.market;
    let why = match act {
        Act::Start { job, attestor } => {
            let job = read::job(&network.chain, market, *job).await?;
            (job.attestor == Some(*attestor)).then_some("the job was started with this attestor")
        }
        Act::UpdateOffer { offer, price, available, valid_until } => {
            let posted = read::offer(&network.chain, market, *offer).await?;
            posted
                .is_some_and(|p| (p.price, p.available, p.valid_until) == (*price, *available, *valid_until))
                .then_some("the offer says so")
        }
        _ => None,
    };
    Ok(why.map(|why| ActState::Needless { why: why.to_owned() }))
}

/// Leaves out what is already so.
async fn needed(network: &Inner, batch: Batch) -> Result<Option<Batch>, NetworkError> {
    let looks: Vec<_> = stream::iter(batch.acts().iter().cloned())
        .map(async |act| Ok::<_, NetworkError>((already(network, &act).await?, act)))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut left = Vec::with_capacity(looks.len());
    for (state, act) in looks {
        match state {
            Some(state) => network.set_act(&act, state),
            None => left.push(act),
        }
    }
    Ok(batch.only(left))
}

/// Tries a batch; its acts that can't be done get their state and are left out. None where nothing is left.
pub(super) async fn prepare(network: &Inner, batch: Batch) -> Result<Option<Ready>, NetworkError> {
    let Some(batch) = needed(network, batch).await? else { return Ok(None) };
    let batch = match tried(network, &batch).await? {
        Trial::Done(all) if all == batch.acts().len() => batch,
        _ => match feasible(network, &batch).await? {
            Some(batch) => batch,
            None => return Ok(None),
        },
    };
    sized(network, batch).await
}

/// Each act alone: those that can be done.
async fn feasible(network: &Inner, batch: &Batch) -> Result<Option<Batch>, NetworkError> {
    let trials: Vec<_> = stream::iter(batch.acts().iter().cloned())
        .map(async |act| -> Result<_, NetworkError> {
            let Some(alone) = batch.only(vec![act.clone()]) else { return Ok(None) };
            match tried(network, &alone).await? {
                Trial::Done(1) => Ok(Some(act)),
                Trial::Done(_) => {
                    network.set_act(&act, skipped(network, &act).await?);
                    Ok(None)
                }
                Trial::Reverted(error) => {
                    network.set_act(&act, ActState::Refused { error });
                    Ok(None)
                }
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(batch.only(trials.into_iter().flatten().collect()))
}

/// Why the market leaves an act out.
async fn skipped(network: &Inner, act: &Act) -> Result<ActState, NetworkError> {
    let Some(id) = act.key().job() else {
        return Ok(ActState::Refused { error: "the market leaves it out".to_owned() });
    };
    let job = read::job(&network.chain, network.spec.market, id).await?;
    let now = network.observed.borrow().head.map_or(Timestamp::UNIX_EPOCH, |head| head.time);
    // What doesn't show in the job is the caller.
    let skip = refusal::why_skipped(act, &job, now, &network.domain()).unwrap_or(refusal::Skip::NotOperator);
    Ok(skip.state(act))
}

async fn tried(network: &Inner, batch: &Batch) -> Result<Trial, NetworkError> {
    let request = request(network, batch.call());
    match network.chain.ask::<_, Bytes>("eth_call", (request, BlockNumberOrTag::Latest)).await {
        Ok(output) => Ok(Trial::Done(batch.done(&output))),
        Err(error) => refusal::reverted(&error).map(Trial::Reverted).ok_or(error),
    }
}

/// Estimates gas, with headroom for what changes until it is mined, and halves a batch that fills half a block.
async fn sized(network: &Inner, mut batch: Batch) -> Result<Option<Ready>, NetworkError> {
    let block = network.observed.borrow().head.map_or(u64::MAX, |head| head.gas_limit);
    loop {
        let call = batch.call();
        let asked = (request(network, call.clone()), BlockNumberOrTag::Latest);
        let estimate = match network.chain.ask::<_, U64>("eth_estimateGas", asked).await {
            Ok(estimate) => estimate.to::<u64>(),
            Err(error) => {
                let Some(words) = refusal::reverted(&error) else { return Err(error) };
                // It could be done a moment ago: whoever wants it still will ask again.
                for act in batch.acts() {
                    network.set_act(act, ActState::Refused { error: words.clone() });
                }
                return Ok(None);
            }
        };
        let gas = with_headroom(estimate);
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

fn request(network: &Inner, call: Bytes) -> TransactionRequest {
    TransactionRequest::default().from(network.wallet.address()).to(network.spec.market).input(call.into())
}
