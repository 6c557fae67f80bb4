//! The wallet's one sender: what is asked for goes out in batches, and what is out is looked after until it is mined.
//!
//! ```text
//! request(action) ──> ActionQueue ──> batch ──> simulate ──> fees, nonce ──> sign ──> broadcast ──> mined ──> confirmations
//!                          ^            one call     what the market      wallet      one endpoint    receipt     deep enough
//!                          |            of a kind    won't do is left                                    |             |
//!                          |                         out, with its reason                                |             |
//!                          +──────────────── taken back by a reorganisation, or never mined ─────────────+─────────────+
//! ```
//!
//! - **A turn** begins with each block, and when something is asked for. It looks at what is in flight first ([`mined`]): a
//!   receipt settles its actions one by one, by the skips in its logs; a nonce that something else used sends them back to the
//!   queue; a transaction that waits for too many blocks is replaced with higher fees under the same nonce.
//! - **Batches** ([`batch`], pure) put actions of one kind into one call of the market. Starts and claims come first: money
//!   waits for them.
//! - **Simulation** ([`simulate`]) tries the call. Where it reverts, or would do fewer actions than were put into it, those that
//!   the market won't do are found one by one, and end as refused or as done already.
//! - **Fees and nonces** ([`fees`], [`nonce`], pure): never above the caps of the `DepinNetwork`; above them everything waits
//!   and says so. Transactions in the pool that this process did not send are waited for.
//! - **Broadcast** ([`broadcast`]) signs and gives the transaction to one endpoint, inside the lease. Where no endpoint says what
//!   became of it, it counts as sent: it is looked for until its nonce is used.
//! - **Confirmations** ([`confirmations`]): what was mined is looked at again until no reorganisation can take it back.
//!
//! Each turn starts from what the chain says. Nothing of a turn must survive it: where this process dies after sending,
//! the next one sees the transaction in the pool and waits for it, or its effect on the chain.

mod batch;
mod broadcast;
mod confirmations;
mod fees;
mod mined;
mod nonce;
mod simulate;
mod tx_pool_error;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{B256, Bytes},
    providers::Provider,
};

use self::{
    batch::{Batch, batches},
    broadcast::{Broadcast, broadcast},
    confirmations::MinedTx,
    fees::{Caps, Fees},
    nonce::{Choice, Foreign},
    simulate::Ready,
    tx_pool_error::TxPoolError,
};
use super::{Inner, lock, refusal::too_poor};
use crate::network::evm::{ActionState, EvmError, Head, WeiPerGas, queue};

/// Transactions on their way at the same time.
const IN_FLIGHT: usize = 8;
/// Blocks without being mined after which a transaction is replaced.
const STUCK: u64 = 3;
/// Assumed where a node doesn't say what a usual tip is.
const USUAL_TIP: WeiPerGas = WeiPerGas::from_gwei(1);
/// After a turn that came to nothing: requests alone bring the next one no sooner.
const HELD: Duration = Duration::from_secs(1);
/// After so many refusals that nobody understands fees are raised no more: it is not for them.
const UNKNOWN: u32 = 6;
/// How long what is in flight is waited for when the operator stops.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// A transaction on its way.
#[derive(Debug)]
struct PendingTx {
    nonce: u64,
    batch: Batch,
    call: Bytes,
    gas: u64,
    fees: Fees,
    /// Hashes of all its versions, the newest last.
    txs: Vec<B256>,
    /// Block at which it was last sent.
    sent: u64,
    /// Block at which its nonce was seen to be mined by something else.
    lost: Option<u64>,
}

struct Sender {
    network: Arc<Inner>,
    in_flight: VecDeque<PendingTx>,
    /// Mined, and not so deep yet that no reorganisation can take it back.
    mined: Vec<MinedTx>,
    foreign: Option<Foreign>,
    /// Fees that the pool found too low.
    outbid: Option<Fees>,
    /// Refusals on end for which there are no known words, and after which fees were raised.
    unknown: u32,
    /// Why the last turn came to nothing.
    held: Option<String>,
}

pub(super) async fn run(network: Arc<Inner>) {
    let mut observed = network.observed.subscribe();
    let mut sender = Sender {
        network: Arc::clone(&network),
        in_flight: VecDeque::new(),
        mined: Vec::new(),
        foreign: None,
        outbid: None,
        unknown: 0,
        held: None,
    };
    let mut seen = None;
    loop {
        let requested = async {
            if sender.held.is_some() {
                tokio::time::sleep(HELD).await;
            }
            network.requested.notified().await;
        };
        tokio::select! {
            () = network.cancel.cancelled() => break,
            () = requested => {}
            head = observed.wait_for(|observed| observed.head.map(|head| head.block) != seen) => {
                let Ok(head) = head else { return };
                seen = head.head.map(|head| head.block);
            }
        }
        sender.turn().await;
    }
    let last = async {
        while !sender.in_flight.is_empty() {
            if observed.wait_for(|observed| observed.head.map(|head| head.block) != seen).await.is_err() {
                return;
            }
            let Some(head) = sender.head() else { return };
            seen = Some(head.block);
            if let Err(error) = sender.settle_mined(head).await {
                tracing::debug!(%error, "receipts can't be read");
            }
        }
    };
    if tokio::time::timeout(LAST_WAIT, last).await.is_err() {
        tracing::warn!(transactions = sender.in_flight.len(), "stopped before these were mined");
    }
}

impl Sender {
    async fn turn(&mut self) {
        lock(&self.network.queue).forget(Instant::now());
        let Some(head) = self.head() else { return self.wait("no endpoint has shown a block yet") };
        let before = self.held.take();
        // An endpoint that lied about the head is left one day, and what was sent under it is older than it seemed.
        for pending in &mut self.in_flight {
            pending.sent = pending.sent.min(head.block.number);
        }
        let turn = async {
            self.recheck_mined(head).await?;
            self.settle_mined(head).await?;
            self.replace_stuck(head).await?;
            self.send_queued(head).await
        };
        if let Err(error) = turn.await {
            let why = error.to_string();
            if before.as_ref() != Some(&why) {
                tracing::warn!(error = why, "the sender waits for the network");
            }
            self.wait(&why);
            self.held = Some(why);
        }
    }

    fn head(&self) -> Option<Head> {
        self.network.observed.borrow().head
    }

    /// Says of all that is queued why it waits.
    fn wait(&self, why: &str) {
        let queued = lock(&self.network.queue).queued();
        for action in queued {
            self.network.set_action(&action, ActionState::Queued { waiting: Some(why.to_owned()) });
        }
    }

    async fn count(&self, at: BlockNumberOrTag) -> Result<u64, EvmError> {
        let wallet = self.network.wallet.address();
        Ok(self.network.pool.provider().get_transaction_count(wallet).block_id(at.into()).await?)
    }

    /// Replaces the transaction that holds up the others, if it does so for long.
    async fn replace_stuck(&mut self, head: Head) -> Result<(), EvmError> {
        let Some(first) = self.in_flight.iter().find(|pending| pending.lost.is_none()) else { return Ok(()) };
        if head.block.number.saturating_sub(first.sent) < STUCK {
            return Ok(());
        }
        let mined = self.count(BlockNumberOrTag::Latest).await?;
        if first.nonce > mined {
            // A transaction before ours fell out of the pool, and nothing fills the gap: start again from the chain.
            tracing::warn!(nonce = first.nonce, mined, "a gap in the wallet's nonces: what is in flight is sent again");
            for pending in std::mem::take(&mut self.in_flight) {
                self.take_back(&pending, "a gap in the wallet's nonces: sent again");
            }
            return Ok(());
        }
        let fresh = self.fees(head).await?;
        let Some(pending) = self.in_flight.iter_mut().find(|pending| pending.lost.is_none()) else { return Ok(()) };
        let raised = fees::bump(pending.fees, fresh.unwrap_or(pending.fees), caps(&self.network));
        let fees = raised.unwrap_or(pending.fees);
        pending.sent = head.block.number;
        tracing::warn!(actions = %pending.batch, nonce = pending.nonce, most = %fees.most, tip = %fees.tip, raised = raised.is_some(), "not mined in time: sent again");
        match broadcast(&self.network, pending.nonce, pending.gas, &pending.call, fees).await? {
            Broadcast::Accepted(tx) => {
                pending.fees = fees;
                if !pending.txs.contains(&tx) {
                    pending.txs.push(tx);
                }
                for action in pending.batch.actions() {
                    self.network.set_action(action, queue::sent(tx));
                }
            }
            // The pool knows higher fees: the next replacement starts from there.
            Broadcast::Rejected { answer: TxPoolError::Underpriced, .. } => pending.fees = fees,
            Broadcast::Rejected { message, .. } => tracing::debug!(message, "replacement not taken"),
            Broadcast::Unsigned(error) => {
                tracing::warn!(actions = %pending.batch, %error, nonce = pending.nonce, "replacement not signed");
            }
        }
        Ok(())
    }

    async fn fees(&self, head: Head) -> Result<Result<Fees, fees::AboveCap>, EvmError> {
        let tip = self.network.pool.provider().get_max_priority_fee_per_gas().await;
        let tip = match tip.map_err(EvmError::from) {
            Ok(tip) => WeiPerGas(tip),
            Err(EvmError::Answer { .. }) => USUAL_TIP,
            Err(error) => return Err(error),
        };
        let base = WeiPerGas(head.base_fee.unwrap_or_default().into());
        Ok(fees::first(base, tip, caps(&self.network)))
    }

    fn set_fee_obstacle(&self, why: Option<String>) {
        self.network.observed.send_if_modified(|observed| {
            let changed = observed.fee_obstacle != why;
            observed.fee_obstacle = why;
            changed
        });
    }

    /// The nonce to send with next; none while something foreign is waited for.
    async fn next_nonce(&mut self, head: Head) -> Result<Option<u64>, EvmError> {
        if let Some(last) = self.in_flight.back() {
            return Ok(Some(last.nonce + 1));
        }
        let mined = self.count(BlockNumberOrTag::Latest).await?;
        let pooled = match self.count(BlockNumberOrTag::Pending).await {
            // Not every node shows its pool.
            Err(EvmError::Answer { .. }) => mined,
            pooled => pooled?,
        };
        match nonce::choose(mined, pooled, head.block.number, self.foreign) {
            Choice::Use(nonce) => Ok(Some(nonce)),
            Choice::Wait(foreign) => {
                self.foreign = Some(foreign);
                Ok(None)
            }
        }
    }

    async fn send_queued(&mut self, head: Head) -> Result<(), EvmError> {
        let queued = lock(&self.network.queue).queued();
        if queued.is_empty() {
            self.set_fee_obstacle(None);
            self.foreign = None;
            if self.in_flight.is_empty() {
                self.network.set_signer_trouble(None);
            }
        }
        if queued.is_empty() || self.in_flight.len() >= IN_FLIGHT {
            return Ok(());
        }
        let Some(mut nonce) = self.next_nonce(head).await? else {
            self.wait("another transaction of the wallet, not of this process, is in the pool");
            return Ok(());
        };
        let fees = match (self.fees(head).await?, self.outbid) {
            (Ok(fees), None) => fees,
            (Ok(fees), Some(refused)) => fees::outbid(refused, fees, caps(&self.network)).unwrap_or(refused),
            (Err(above), _) => {
                self.wait(&above.to_string());
                self.set_fee_obstacle(Some(above.to_string()));
                return Ok(());
            }
        };
        self.set_fee_obstacle(None);
        for batch in batches(queued, self.network.spec.max_batch) {
            if self.in_flight.len() >= IN_FLIGHT || self.network.cancel.is_cancelled() {
                break;
            }
            let declines = self.in_flight.iter().filter(|pending| pending.batch.is_decline()).count();
            if batch.is_decline() && declines >= IN_FLIGHT / 2 {
                continue;
            }
            let Some(ready) = simulate::prepare(&self.network, batch).await? else { continue };
            if !self.send(ready, nonce, fees, head).await? {
                break;
            }
            nonce += 1;
        }
        Ok(())
    }

    /// Sends one batch; false where the nonce has to be thought over.
    async fn send(&mut self, ready: Ready, nonce: u64, fees: Fees, head: Head) -> Result<bool, EvmError> {
        let Ready { batch, call, gas } = ready;
        match broadcast(&self.network, nonce, gas, &call, fees).await? {
            Broadcast::Accepted(tx) => {
                tracing::info!(call = batch.name(), actions = %batch, %tx, nonce, "sent");
                self.foreign = None;
                self.outbid = None;
                self.unknown = 0;
                for action in batch.actions() {
                    self.network.set_action(action, queue::sent(tx));
                }
                let sent = head.block.number;
                self.in_flight.push_back(PendingTx { nonce, batch, call, gas, fees, txs: vec![tx], sent, lost: None });
                self.network.sent.notify_one();
                Ok(true)
            }
            Broadcast::Rejected { answer, message } => {
                tracing::warn!(call = batch.name(), actions = %batch, nonce, message, "not sent");
                self.held = Some(message.clone());
                match answer {
                    TxPoolError::Underpriced => self.outbid = Some(fees),
                    // Each client has words of its own for fees that are too low. Raising them does no harm: they are
                    // capped, and what is paid is what the chain asks.
                    TxPoolError::Other if self.unknown < UNKNOWN => {
                        self.unknown += 1;
                        self.outbid = Some(fees);
                    }
                    _ => {}
                }
                let why = match answer {
                    TxPoolError::InsufficientFunds => {
                        too_poor(self.network.wallet.address(), self.network.observed.borrow().balance)
                    }
                    _ => message,
                };
                for action in batch.actions() {
                    self.network.set_action(action, ActionState::Queued { waiting: Some(why.clone()) });
                }
                Ok(false)
            }
            Broadcast::Unsigned(error) => {
                tracing::warn!(call = batch.name(), actions = %batch, nonce, %error, "not signed");
                self.wait(&error.to_string());
                self.held = Some(error.to_string());
                Ok(false)
            }
        }
    }
}

const fn caps(network: &Inner) -> Caps {
    Caps { most: network.spec.max_fee, tip: network.spec.max_tip }
}
