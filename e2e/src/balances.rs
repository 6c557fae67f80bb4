//! Where every token unit is, once all orders are over.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use anyhow::{Result, ensure};
use hawser_contracts::ComputeMarket;
use hawser_market::{JobId, JobStatus, OfferId};

use crate::chain::{Account, Chain};

/// Token units of each side, in the market or out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// The provider's, with its payout address.
    pub provider: U256,
    /// All customers'.
    pub customers: U256,
    /// The fee sink's.
    pub fee: U256,
}

/// What all orders of a test came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Orders that the chain holds.
    pub orders: usize,
    /// GPU-seconds that were paid for.
    pub gpu_seconds: u64,
    /// Token units that were paid.
    pub paid: U256,
}

impl Chain {
    /// What each side has now.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn balances(&self) -> Result<Balances> {
        let actors = &self.actors;
        Ok(Balances {
            provider: self.of(&actors.provider).await? + self.of(&actors.payout).await?,
            customers: self.of(&actors.customer).await? + self.of(&actors.rival).await?,
            fee: self.of(&actors.owner).await? + self.fees().await?,
        })
    }

    async fn of(&self, account: &Account) -> Result<U256> {
        let credit = self.market_as(account)?.credit(account.address, self.token).call().await?;
        Ok(credit + self.held(account.address).await?)
    }

    /// Token units that an account has outside of the market.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn held(&self, address: Address) -> Result<U256> {
        Ok(self.token_as(&self.actors.owner)?.balanceOf(address).call().await?)
    }

    /// Checks that every one of `jobs` is closed and was paid by its use to the last unit, that what the customers lost is
    /// what provider and fee sink gained, and that the market holds just what it owes.
    ///
    /// # Errors
    /// Says what does not add up.
    pub async fn assert_all_settled(&self, before: &Balances, jobs: &[JobId]) -> Result<Total> {
        let mut total = Total { orders: jobs.len(), ..Total::default() };
        for id in jobs {
            let job = self.job(*id).await?;
            ensure!(is(&job, JobStatus::Closed), "job {id} is not closed: status {}", job.status);
            let paid = id.paid(job.used);
            ensure!(job.paid == paid, "the market paid {} for {} GPU-seconds of {id}, not {paid}", job.paid, job.used);
            total.gpu_seconds += job.used;
            total.paid += paid;
        }
        let after = self.balances().await?;
        let spent = before.customers - after.customers;
        let gained = after.provider - before.provider + after.fee - before.fee;
        ensure!(
            spent == total.paid && gained == total.paid,
            "{} was paid; the customers have {spent} less, provider and fee sink {gained} more",
            total.paid
        );
        self.assert_solvent(U256::ZERO).await?;
        Ok(total)
    }

    /// How often use of a job was claimed, on the chain as it is now.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn claims(&self, id: JobId) -> Result<usize> {
        let market = self.market_as(&self.actors.owner)?;
        let logs = market.UsageClaimed_filter().from_block(self.start_block).query().await?;
        let of_this_job = |event: &ComputeMarket::UsageClaimed| {
            let mut uses = event.settlements.iter().map(|line| JobId::of_use(line.r#use, OfferId(event.offerId)));
            uses.any(|(job, _)| job == id)
        };
        Ok(logs.iter().filter(|(event, _)| of_this_job(event)).count())
    }

    /// How often a job was started, on the chain as it is now.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn starts(&self, id: JobId) -> Result<usize> {
        let market = self.market_as(&self.actors.owner)?;
        Ok(market.JobStarted_filter().topic1(id.0).from_block(self.start_block).query().await?.len())
    }

    /// Transactions that `account` has had mined.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn transactions(&self, account: &Account) -> Result<u64> {
        Ok(self.node()?.get_transaction_count(account.address).await?)
    }
}

/// Is a job in this status?
pub fn is(job: &ComputeMarket::Job, status: JobStatus) -> bool {
    JobStatus::try_from(job.status) == Ok(status)
}
