//! What a log of the market's says.

use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::Log,
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{JobOpened, SpecPosted, Withdrawn};
use hawser_market::{JobId, OfferId, OrderRef};

use crate::network::evm::{Block, EvmOrder, EvmSpec};

/// Units of a token that left the market for the provider's payout address.
pub(super) struct Withdrawal {
    pub(super) token: Address,
    pub(super) units: U256,
    pub(super) block: u64,
}

/// The provider's withdrawal in a log; none where the log is of something or somebody else.
pub(super) fn withdrawal(log: &Log, spec: &EvmSpec) -> Option<Withdrawal> {
    let withdrawn = Withdrawn::decode_log(&log.inner).ok()?;
    let ours = withdrawn.address == spec.market && withdrawn.account == spec.provider && !log.removed;
    let block = log.block_number.filter(|_| ours)?;
    Some(Withdrawal { token: withdrawn.token, units: withdrawn.amount, block })
}

/// The order in a log, without its spec; none where the log is not what the market writes.
pub(super) fn order(log: &Log, market: Address) -> Option<EvmOrder> {
    let opened = JobOpened::decode_log(&log.inner).ok().filter(|opened| opened.address == market)?;
    let order = EvmOrder {
        job: JobId(opened.id),
        offer: OfferId(opened.offerId),
        by: OrderRef::from(&opened.data),
        duration_seconds: opened.duration,
        spec_hash: opened.specHash,
        spec: None,
        block: Block { number: log.block_number?, hash: log.block_hash? },
        tx: log.transaction_hash?,
    };
    if log.removed || !order.is_what_its_id_says() {
        tracing::warn!(job = %order.job, tx = %order.tx, "a log of an order that its id denies is left out");
        return None;
    }
    Some(order)
}

/// The text of a spec in a log, and the job whose it is.
pub(super) fn spec(log: &Log, market: Address) -> Option<(JobId, Bytes)> {
    let posted = SpecPosted::decode_log(&log.inner).ok().filter(|posted| posted.address == market && !log.removed)?;
    Some((JobId(posted.id), posted.spec.clone()))
}
