//! What the chain holds for an accountant: claims, withdrawals and fees of a period, and where things stood before it.

use alloy::{
    contract,
    primitives::{Address, B256, U256},
    providers::Provider,
    rpc::types::{Filter, Log, TransactionReceipt},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{
    Deposited, FeeRaiseAnnounced, FeeSet, JobPaidBy, JobToppedUp, OwnershipTransferred, UsageClaimed, Withdrawn,
};
use hawser_evm::gas_price_of;
use hawser_market::{JobId, OfferId};
use tokio::task::JoinSet;

use super::{MarketClient, Pages, Period, endpoint::answer, send};
use crate::failure::Failure;

/// How many blocks of claims are held at once, at most.
const CLAIM_BLOCKS: u64 = 100_000;

/// A fee in hundredths of a percent, and the raise that was announced with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fee {
    bps: u16,
    /// From this Unix second on; no event says so once more.
    raise: Option<(u64, u16)>,
}

impl Fee {
    /// What is charged at a time.
    pub(crate) fn at(self, time: u64) -> u16 {
        self.raise.filter(|(from, _)| *from <= time).map_or(self.bps, |(_, bps)| bps)
    }
}

/// A fee, and from where on it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeeSince {
    pub(crate) block: u64,
    pub(crate) log_index: u64,
    pub(crate) fee: Fee,
}

impl MarketClient {
    /// From the first block to look in to this one, or to the newest.
    pub(crate) async fn period(&self, to: Option<u64>) -> Result<Period, Failure> {
        let (from, head) = (self.from_block, self.head().await?);
        let to = to.unwrap_or(head);
        if to > head {
            return Err(Failure::input(format!("--to-block {to} is yet to come: the newest block is {head}")));
        }
        if from > to {
            return Err(Failure::input(format!(
                "the first block to look in, {from}, is after the last one, {to}: choose an earlier --from-block \
                 (HAWSER_FROM_BLOCK)"
            )));
        }
        Ok(Period { from, to })
    }

    /// Whether the market was deployed in this period: then nothing of it happened before.
    pub(crate) async fn created_in(&self, period: Period) -> Result<bool, Failure> {
        if period.from == 0 {
            return Ok(true);
        }
        // Only the constructor hands the market over from nobody.
        let first = self.events::<OwnershipTransferred>().topic1(B256::ZERO);
        Ok(!self.logs_in(first, period).await?.is_empty())
    }

    /// The fees that were set in a period, in the order of the chain.
    pub(crate) async fn fees(&self, period: Period) -> Result<Vec<FeeSince>, Failure> {
        let raises = self.logs_in(self.events::<FeeRaiseAnnounced>(), period).await?;
        let raises = raises.iter().map(|log| Ok((place(log)?, read::<FeeRaiseAnnounced>(log)?)));
        let raises: Vec<_> = raises.collect::<Result<_, Failure>>()?;
        let logs = self.logs_in(self.events::<FeeSet>(), period).await?;
        logs.iter()
            .map(|log| {
                let (block, log_index, tx) = place(log)?;
                let set = read::<FeeSet>(log)?;
                // The market writes the two one after the other.
                let raise = raises.iter().find(|(place, _)| *place == (block, log_index + 1, tx));
                let fee = Fee { bps: set.bps, raise: raise.map(|(_, raise)| (raise.from, raise.bps)) };
                Ok(FeeSince { block, log_index, fee })
            })
            .collect()
    }

    /// Credit that an account took out in a period, with the logs that say so.
    pub(crate) async fn withdrawals(&self, account: Address, period: Period) -> Result<Vec<(Log, Withdrawn)>, Failure> {
        let filter = self.events::<Withdrawn>().topic1(account.into_word());
        let logs = self.logs_in(filter, period).await?;
        logs.into_iter().map(|log| read(&log).map(|withdrawn| (log, withdrawn))).collect()
    }

    /// Tokens of which somebody credited an account some.
    pub(crate) async fn tokens_deposited_for(&self, account: Address) -> Result<Vec<Address>, Failure> {
        let logs = self.logs(self.events::<Deposited>().topic1(account.into_word())).await?;
        logs.iter().map(|log| read::<Deposited>(log).map(|deposited| deposited.token)).collect()
    }

    /// Whether an account paid for orders or for more time of others' jobs.
    pub(crate) async fn paid_for_others(&self, account: Address) -> Result<bool, Failure> {
        let (orders, more) = (self.events::<JobPaidBy>(), self.events::<JobToppedUp>());
        let orders = self.logs(orders.topic2(account.into_word())).await?;
        Ok(!orders.is_empty() || !self.logs(more.topic3(account.into_word())).await?.is_empty())
    }

    /// Logs of the claims that were paid to a provider in a period.
    pub(crate) fn claims_of(&self, provider: Address, period: Period) -> Pages<'_> {
        self.pages(self.events::<UsageClaimed>().topic2(provider.into_word()), period, CLAIM_BLOCKS)
    }

    fn events<E: SolEvent>(&self) -> Filter {
        Filter::new().address(self.address()).event_signature(E::SIGNATURE_HASH)
    }

    /// Receipts of transactions that are mined, asked for side by side. Those of old clients tell no price of gas: there it is
    /// the transaction's own.
    pub(crate) async fn receipts(&self, txs: &[B256]) -> Result<Vec<TransactionReceipt>, Failure> {
        let mut asked = JoinSet::new();
        for tx in txs.iter().copied() {
            let node = self.provider.clone();
            asked.spawn(async move {
                let mut receipt = node.get_transaction_receipt(tx).await;
                if let Ok(Some(receipt)) = &mut receipt
                    && receipt.effective_gas_price == 0
                    && let Ok(Some(price)) = gas_price_of(&node, tx).await
                {
                    receipt.effective_gas_price = price;
                }
                (tx, receipt)
            });
        }
        let mut receipts = Vec::with_capacity(txs.len());
        while let Some(answer) = asked.join_next().await {
            let (tx, receipt) =
                answer.map_err(|error| Failure::Unreachable(format!("a request was given up: {error}")))?;
            let receipt = receipt.map_err(|error| send::failure(error, None))?;
            receipts.push(receipt.ok_or_else(|| {
                Failure::Unreachable(format!(
                    "the node has no receipt of transaction {tx}: it keeps too little, or its chain was reorganized; \
                     try again, or ask another node (--rpc-url)"
                ))
            })?);
        }
        Ok(receipts)
    }

    /// When a log's block was made. Not every node says it with the log.
    pub(crate) async fn time_of(&self, log: &Log) -> Result<u64, Failure> {
        if let Some(time) = log.block_timestamp {
            return Ok(time);
        }
        let (number, ..) = place(log)?;
        let block = self.provider.get_block_by_number(number.into()).await;
        let block = block.map_err(|error| send::failure(error, None))?;
        block
            .map(|block| block.header.timestamp)
            .ok_or_else(|| Failure::Unreachable(format!("the node has no block {number}: ask another (--rpc-url)")))
    }

    /// Credit after a block; `None` where the node doesn't keep what stood then.
    pub(crate) async fn credit_after(
        &self,
        account: Address,
        token: Address,
        block: u64,
    ) -> Result<Option<U256>, Failure> {
        let call = self.contract.credit(account, token).block(block.into());
        match call.call().await {
            Ok(credit) => Ok(Some(credit)),
            Err(error) if is_forgotten(&error) => Ok(None),
            Err(error) => Err(send::call_failure(error, None)),
        }
    }

    /// GPU-seconds of a job that were claimed up to a block.
    pub(crate) async fn used_after(&self, job: JobId, block: u64) -> Result<u64, Failure> {
        let call = self.contract.job(job.0).block(block.into());
        call.call().await.map(|job| job.used).map_err(|error| forgotten(error, block))
    }

    /// Token units that were claimed of an offer up to a block, fees included.
    pub(crate) async fn settled_after(&self, offer: OfferId, block: u64) -> Result<U256, Failure> {
        let call = self.contract.offer(offer.0).block(block.into());
        match call.call().await {
            Ok(offer) => Ok(offer.settledAmount),
            // It was not posted yet.
            Err(error) if answer(&error).is_some_and(|error| error.revert().is_some()) => Ok(U256::ZERO),
            Err(error) => Err(forgotten(error, block)),
        }
    }

    /// The fee, in hundredths of a percent, that was in force after a block.
    pub(crate) async fn fee_after(&self, block: u64) -> Result<Fee, Failure> {
        let now = self.contract.fee().block(block.into()).call().await.map_err(|error| forgotten(error, block))?;
        let announced = self.contract.announcedFee().block(block.into());
        let announced = announced.call().await.map_err(|error| forgotten(error, block))?;
        Ok(Fee { bps: now.bps, raise: Some((announced.from, announced.bps)) })
    }
}

/// Block, number of the log within it, and transaction: a log that was mined has all three.
pub(crate) fn place(log: &Log) -> Result<(u64, u64, B256), Failure> {
    match (log.block_number, log.log_index, log.transaction_hash) {
        (Some(block), Some(index), Some(tx)) => Ok((block, index, tx)),
        _ => Err(Failure::Unreachable("the node gave an event without its block: ask another (--rpc-url)".to_owned())),
    }
}

/// An event that can't be read must not be left out of a sum.
pub(crate) fn read<E: SolEvent>(log: &Log) -> Result<E, Failure> {
    E::decode_log(&log.inner).map(|event| event.data).map_err(|error| {
        Failure::refused(format!("the market gave a {} that can't be read ({error}): check --market", E::SIGNATURE))
    })
}

fn is_forgotten(error: &contract::Error) -> bool {
    answer(error).is_some_and(|error| error.revert().is_none())
}

fn forgotten(error: contract::Error, block: u64) -> Failure {
    if !is_forgotten(&error) {
        return send::call_failure(error, None);
    }
    Failure::refused(format!(
        "the node doesn't say how things stood at block {block}, without which a claim of several jobs can't be told \
         apart: begin at the market's first block (--from-block), or ask a node that keeps old state (--rpc-url)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_raise_is_charged_from_its_second_on() {
        let fee = Fee { bps: 100, raise: Some((1000, 250)) };
        assert_eq!((fee.at(999), fee.at(1000)), (100, 250));
        assert_eq!(Fee { bps: 100, raise: None }.at(u64::MAX), 100);
    }
}
