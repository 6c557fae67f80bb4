//! What became of the transactions on their way.

use std::collections::VecDeque;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{B256, U256},
    providers::Provider,
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::JobSkipped;
use hawser_evm::gas_price_of;
use hawser_market::{JobId, SkipReason};

use super::{super::refusal, PendingTx, Sender, confirmations::MinedTx};
use crate::network::evm::{ActionState, Block, EvmError, Head};

impl Sender {
    /// Settles what was mined.
    pub(super) async fn settle_mined(&mut self, head: Head) -> Result<(), EvmError> {
        if self.in_flight.is_empty() {
            return Ok(());
        }
        let mined = self.count(BlockNumberOrTag::Latest).await?;
        let mut waiting = VecDeque::with_capacity(self.in_flight.len());
        while let Some(mut pending) = self.in_flight.pop_front() {
            if pending.nonce >= mined {
                pending.lost = None;
                waiting.push_back(pending);
                continue;
            }
            match self.receipt(&pending).await {
                Ok(Some(receipt)) => {
                    let spent = self.spent(&receipt).await;
                    self.settle(pending, &receipt, spent);
                }
                // The node that has the receipt may be another one than the node that counted: one block's patience.
                Ok(None) if pending.lost.is_none_or(|lost| lost >= head.block.number) => {
                    pending.lost.get_or_insert(head.block.number);
                    waiting.push_back(pending);
                }
                Ok(None) => {
                    tracing::warn!(actions = %pending.batch, nonce = pending.nonce, "another transaction of the wallet took this nonce");
                    self.take_back(&pending, "another transaction of the wallet took its nonce: sent again");
                }
                Err(error) => {
                    waiting.push_back(pending);
                    waiting.append(&mut self.in_flight);
                    self.in_flight = waiting;
                    return Err(error);
                }
            }
        }
        self.in_flight = waiting;
        Ok(())
    }

    pub(super) async fn receipt(&self, pending: &PendingTx) -> Result<Option<TransactionReceipt>, EvmError> {
        for tx in pending.txs.iter().rev() {
            let receipt = self.network.pool.provider().get_transaction_receipt(*tx).await?;
            if receipt.is_some() {
                return Ok(receipt);
            }
        }
        Ok(None)
    }

    /// Wei paid for a transaction's gas. Receipts of old clients tell no price: there it is the one that the transaction has.
    async fn spent(&self, receipt: &TransactionReceipt) -> U256 {
        let price = match receipt.effective_gas_price {
            0 => self.price(receipt.transaction_hash).await,
            told => told,
        };
        U256::from(u128::from(receipt.gas_used).saturating_mul(price))
    }

    async fn price(&self, tx: B256) -> u128 {
        let told = gas_price_of(self.network.pool.provider(), tx).await;
        let told = told.inspect_err(|error| tracing::debug!(%tx, %error, "what its gas cost is not known"));
        told.ok().flatten().unwrap_or(0)
    }

    fn settle(&mut self, pending: PendingTx, receipt: &TransactionReceipt, spent: U256) {
        let (tx, block) = (receipt.transaction_hash, receipt.block_number.unwrap_or_default());
        self.network.observed.send_modify(|observed| {
            observed.gas_spent = observed.gas_spent.saturating_add(spent);
        });
        let actions = pending.batch.actions();
        tracing::info!(call = pending.batch.name(), actions = %pending.batch, %tx, block, gas = receipt.gas_used, "mined");
        let skipped: Vec<(JobId, SkipReason)> = receipt
            .logs()
            .iter()
            .filter(|log| log.address() == self.network.spec.market)
            .filter_map(|log| JobSkipped::decode_log(&log.inner).ok())
            .filter_map(|log| Some((JobId(log.id), SkipReason::from_number(log.reason)?)))
            .collect();
        for action in actions {
            let skip = skipped.iter().find(|(job, _)| action.key().job() == Some(*job));
            let state = match skip {
                Some((_, skip)) => refusal::state(*skip, action),
                None if receipt.status() => ActionState::Mined { tx, block },
                None => ActionState::Refused { error: format!("transaction {tx} failed in block {block}") },
            };
            self.network.set_action(action, state);
        }
        let hash = receipt.block_hash.unwrap_or_default();
        self.mined.push(MinedTx { pending, block: Block { number: block, hash }, spent });
    }

    pub(super) fn take_back(&self, pending: &PendingTx, why: &str) {
        for action in pending.batch.actions() {
            self.network.set_action(action, ActionState::Queued { waiting: Some(why.to_owned()) });
        }
    }
}
