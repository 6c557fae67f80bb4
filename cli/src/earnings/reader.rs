//! Reads a provider's claims from the chain, one range of blocks after the other.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
};

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::{Log, TransactionReceipt},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::UsageClaimed;
use hawser_market::{JobId, OfferId, Token};

use super::{
    Claim, Sum, Withdrawal,
    fee_split::{self, Before, Share},
};
use crate::{
    chain::{Fee, FeeSince, MarketClient, Period, place, read},
    failure::Failure,
};

/// How many receipts are asked for side by side.
const RECEIPTS: usize = 8;

/// A provider's account for a period. What it holds grows with the number of jobs and tokens, not with that of claims.
pub(crate) struct Reader<'a> {
    market: &'a MarketClient,
    pub(crate) provider: Address,
    pub(crate) period: Period,
    /// The market was deployed in this period, so that nothing was claimed before it.
    pub(crate) from_first_block: bool,
    fees: Vec<FeeSince>,
    /// The fee before the period, once it was needed.
    first_fee: Option<Fee>,
    offers: BTreeMap<OfferId, Token>,
    used: HashMap<JobId, u64>,
    paid: HashMap<OfferId, Paid>,
}

/// What was paid for an offer's jobs.
#[derive(Clone, Copy, Debug, Default)]
struct Paid {
    /// Before the period, once it was needed.
    earlier: Option<U256>,
    since: U256,
}

impl<'a> Reader<'a> {
    pub(crate) async fn open(market: &'a MarketClient, provider: Address, to: Option<u64>) -> Result<Self, Failure> {
        let period = market.period(to).await?;
        market.provider_keys(provider).await?;
        let mut reader = Self {
            market,
            provider,
            period,
            from_first_block: market.created_in(period).await?,
            fees: market.fees(period).await?,
            first_fee: None,
            offers: BTreeMap::new(),
            used: HashMap::new(),
            paid: HashMap::new(),
        };
        let mut tokens = BTreeMap::new();
        for offer in market.offers_of(provider).await? {
            let token = reader.token(offer.terms.token, &mut tokens).await?;
            reader.offers.insert(OfferId(offer.id), token);
        }
        Ok(reader)
    }

    /// Tokens in which the provider has offers.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.offers.values()
    }

    /// What was taken out, oldest first.
    pub(crate) async fn withdrawals(&self) -> Result<Vec<Withdrawal>, Failure> {
        let mut tokens = self.tokens().map(|token| (token.address, token.clone())).collect();
        let mut withdrawals = Vec::new();
        for (log, withdrawn) in self.market.withdrawals(self.provider, self.period).await? {
            let (block, _, tx) = place(&log)?;
            let token = self.token(withdrawn.token, &mut tokens).await?;
            let time = self.market.time_of(&log).await?;
            withdrawals.push(Withdrawal { time, block, amount: withdrawn.amount, token, to: withdrawn.to, tx });
        }
        Ok(withdrawals)
    }

    async fn token(&self, address: Address, known: &mut BTreeMap<Address, Token>) -> Result<Token, Failure> {
        if let Some(token) = known.get(&address) {
            return Ok(token.clone());
        }
        let token = self.market.token_or_units(address).await?;
        known.insert(address, token.clone());
        Ok(token)
    }

    /// Hands each claim on as it is read, in the order of the chain, until `each` says that this is enough.
    pub(crate) async fn claims(
        &mut self,
        mut each: impl FnMut(Claim) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let mut pages = self.market.claims_of(self.provider, self.period);
        while let Some(logs) = pages.next().await? {
            let transactions = logs.chunk_by(|a, b| a.transaction_hash == b.transaction_hash).collect::<Vec<_>>();
            for some in transactions.chunks(RECEIPTS) {
                let hashes = some.iter().map(|logs| Ok(place(&logs[0])?.2)).collect::<Result<Vec<_>, Failure>>()?;
                let receipts = self.market.receipts(&hashes).await?;
                for (logs, tx) in some.iter().zip(hashes) {
                    let receipt = receipts.iter().find(|receipt| receipt.transaction_hash == tx);
                    let receipt = receipt.ok_or_else(|| contradiction(tx))?;
                    if self.transaction(logs, receipt, &mut each).await?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    async fn transaction(
        &mut self,
        logs: &[Log],
        receipt: &TransactionReceipt,
        each: &mut impl FnMut(Claim) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<ControlFlow<()>, Failure> {
        let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        // Other providers' lines of the same transaction bear their part too.
        let positions = self.positions(receipt)?;
        let lines = positions.values().map(|(_, lines)| lines).sum();
        for log in logs {
            let (block, index, tx) = place(log)?;
            let (first, _) = positions.get(&index).copied().ok_or_else(|| contradiction(tx))?;
            let claim = read::<UsageClaimed>(log)?;
            let offer_id = OfferId(claim.offerId);
            let token = self.offers.get(&offer_id).cloned().ok_or_else(|| contradiction(tx))?;
            let time = self.market.time_of(log).await?;
            for (position, share) in (first..).zip(self.shares(&claim, (block, index, tx), time).await?) {
                let Share { job, gpu_seconds, paid, fee } = share;
                let flow = each(Claim {
                    time,
                    block,
                    offer_id,
                    job_id: job,
                    sum: Sum { gpu_seconds, paid, fee, net: paid.saturating_sub(fee) },
                    token: token.clone(),
                    tx,
                    gas: fee_split::gas_share(cost, position, lines),
                    gas_paid_by: receipt.from,
                })?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// For each claim of a transaction: which of its lines is the claim's first, and how many it has.
    fn positions(&self, receipt: &TransactionReceipt) -> Result<BTreeMap<u64, (u64, u64)>, Failure> {
        let mut positions = BTreeMap::new();
        let mut next = 0;
        let of_market = |log: &&Log| {
            log.address() == self.market.address() && log.topics().first() == Some(&UsageClaimed::SIGNATURE_HASH)
        };
        for log in receipt.logs().iter().filter(of_market) {
            let lines = read::<UsageClaimed>(log)?.settlements.len() as u64;
            positions.insert(place(log)?.1, (next, lines));
            next += lines;
        }
        Ok(positions)
    }

    /// What a claim paid for each job, and from now on counts as claimed.
    async fn shares(
        &mut self,
        claim: &UsageClaimed,
        (block, index, tx): (u64, u64, B256),
        time: u64,
    ) -> Result<Vec<Share>, Failure> {
        let offer = OfferId(claim.offerId);
        let shares = match fee_split::single(claim) {
            Some(share) => vec![share],
            None if claim.settlements.len() == 1 => return Err(contradiction(tx)),
            None => {
                let mut used = Vec::with_capacity(claim.settlements.len());
                for (job, now) in fee_split::uses(claim) {
                    used.push(self.used_before(job).await?);
                    self.used.insert(job, now);
                }
                let before =
                    Before { settled: self.settled(offer).await?, bps: self.fee_at(block, index, time).await? };
                fee_split::several(claim, &used, before).ok_or_else(|| contradiction(tx))?
            }
        };
        if let ([share], [(_, used)]) = (&shares[..], &fee_split::uses(claim)[..]) {
            let used = *used;
            let before = self.used.insert(share.job, used).or(self.from_first_block.then_some(0));
            if before.is_some_and(|before| before + share.gpu_seconds != used) {
                return Err(contradiction(tx));
            }
        }
        let paid = self.paid.entry(offer).or_default();
        paid.since = paid.since.saturating_add(claim.paid);
        Ok(shares)
    }

    async fn used_before(&self, job: JobId) -> Result<u64, Failure> {
        match self.used.get(&job) {
            Some(used) => Ok(*used),
            None if self.from_first_block => Ok(0),
            None => self.market.used_after(job, self.period.from - 1).await,
        }
    }

    async fn settled(&mut self, offer: OfferId) -> Result<U256, Failure> {
        let Paid { earlier, since } = self.paid.get(&offer).copied().unwrap_or_default();
        let earlier = match earlier {
            Some(earlier) => earlier,
            None if self.from_first_block => U256::ZERO,
            None => self.market.settled_after(offer, self.period.from - 1).await?,
        };
        self.paid.insert(offer, Paid { earlier: Some(earlier), since });
        // The market stops counting there.
        Ok(earlier.saturating_add(since).min(U256::from(u128::MAX)))
    }

    async fn fee_at(&mut self, block: u64, index: u64, time: u64) -> Result<u16, Failure> {
        let set = self.fees.iter().rev().find(|fee| (fee.block, fee.log_index) < (block, index));
        let fee = match (set, self.first_fee) {
            (Some(set), _) => set.fee,
            (None, Some(fee)) => fee,
            (None, None) => *self.first_fee.insert(self.market.fee_after(self.period.from.saturating_sub(1)).await?),
        };
        Ok(fee.at(time))
    }
}

fn contradiction(tx: B256) -> Failure {
    Failure::refused(format!(
        "the claim in transaction {tx} doesn't follow from what the node told of the claims before it: nothing can be \
         summed up from this; ask another node (--rpc-url), and check --market"
    ))
}
