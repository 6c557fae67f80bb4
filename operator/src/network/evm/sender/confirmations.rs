//! Transactions that were mined and that a reorganisation may still take back.

use std::mem;

use alloy::{primitives::U256, rpc::types::TransactionReceipt};

use super::{super::holes::At, PendingTx, Sender};
use crate::network::evm::{Block, EvmError, Head};

/// However early orders are believed: what this wallet has done is looked after for so many blocks at least.
const LEAST_DEPTH: u64 = 12;
const TAKEN_BACK: &str = "a reorganisation of the chain took its transaction back: sent again";

/// A mined transaction.
#[derive(Debug)]
pub(super) struct MinedTx {
    pub(super) pending: PendingTx,
    pub(super) block: Block,
    /// Wei paid for its gas.
    pub(super) spent: U256,
}

impl Sender {
    /// Has what a reorganisation took back done again: nobody else may know of it any more.
    pub(super) async fn recheck_mined(&mut self, head: Head) -> Result<(), EvmError> {
        let Some(newest) = self.mined.iter().map(|mined| mined.block).max_by_key(|block| block.number) else {
            return Ok(());
        };
        match self.network.at(newest.number, head.block.number).await? {
            // Its ancestors are the same too.
            At::Block(now) if now.hash == newest.hash => {
                let depth = self.network.spec.depth().max(LEAST_DEPTH);
                self.mined.retain(|mined| head.block.number.saturating_sub(mined.block.number) < depth);
                return Ok(());
            }
            // An endpoint that lags, or a new chain that is shorter: nothing can be said yet.
            At::Unknown => return Ok(()),
            At::Block(_) | At::Hole { .. } => {}
        }
        let mut receipts = Vec::with_capacity(self.mined.len());
        for mined in &self.mined {
            receipts.push(self.receipt(&mined.pending).await?);
        }
        for (mined, receipt) in mem::take(&mut self.mined).into_iter().zip(receipts) {
            match receipt.as_ref().and_then(block) {
                Some(block) => self.mined.push(MinedTx { block, ..mined }),
                None => self.undo(&mined),
            }
        }
        Ok(())
    }

    fn undo(&self, mined: &MinedTx) {
        tracing::warn!(call = mined.pending.batch.name(), actions = %mined.pending.batch, block = mined.block.number, "{TAKEN_BACK}");
        self.network.observed.send_modify(|observed| {
            observed.gas_spent = observed.gas_spent.saturating_sub(mined.spent);
        });
        self.take_back(&mined.pending, TAKEN_BACK);
    }
}

fn block(receipt: &TransactionReceipt) -> Option<Block> {
    Some(Block { number: receipt.block_number?, hash: receipt.block_hash? })
}
