use std::time::Duration;

use alloy::sol_types::SolCall as _;
use anyhow::{Result, ensure};
use hawser_contracts::ComputeMarket::startJobsCall;
use hawser_e2e::balances::is;
use hawser_e2e::doubles::endpoint::Moment;
use hawser_e2e::wait;
use hawser_market::JobStatus;

use super::{all_succeed, behind_an_endpoint};
use crate::testbed::{Testbed, sleep};

/// Far above what a transaction of a quiet chain offers.
const DEAR: u128 = 500_000_000_000;
const QUIET: u128 = 1_000_000_000;

#[tokio::test]
#[ignore = "not run here: only the local cluster's pods reach the endpoint"]
async fn a_start_that_the_fees_have_left_behind_is_replaced() -> Result<()> {
    behind_an_endpoint("stuck", 1, async |testbed, endpoint| {
        let chain = &testbed.fixture.chain;
        let before = chain.balances().await?;
        let mut starting = endpoint.catch(startJobsCall::SELECTOR, Moment::BeforeSent);
        let order = testbed.order(&testbed.job_spec(1, 300, &sleep(5))).await?.order;
        starting.came(wait::SOON).await?;
        chain.leave_behind(startJobsCall::SELECTOR, DEAR, || starting.release()).await?;
        wait::until("the job is started in spite of the fees", wait::SOON, async || {
            chain.set_next_base_fee(DEAR).await?;
            let job = chain.job(order.id).await?;
            Ok(if is(&job, JobStatus::Open) { Err("it is open") } else { Ok(()) })
        })
        .await?;
        chain.set_next_base_fee(QUIET).await?;
        let versions = endpoint.sent(startJobsCall::SELECTOR);
        ensure!(versions > 1, "the start was sent in {versions} version: it was never left behind");
        ensure!(chain.starts(order.id).await? == 1, "it was started more than once");
        all_succeed(testbed, &before, &[&order]).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_sender_of_the_wallets_key_only_delays() -> Result<()> {
    Testbed::with_gpus("another-sender", 2, async |testbed| {
        let chain = &testbed.fixture.chain;
        let before = chain.balances().await?;
        let other = tokio::spawn({
            let chain = chain.clone();
            async move {
                let mut sent = 0_u64;
                let mut looks = tokio::time::interval(Duration::from_secs(1));
                loop {
                    looks.tick().await;
                    // Which of the two has a nonce first is chance.
                    if chain.send_nothing(&chain.actors.operator).await.is_ok() {
                        sent += 1;
                    }
                    if sent > 100 {
                        return;
                    }
                }
            }
        });
        let first = testbed.order(&testbed.job_spec(1, 300, &sleep(8))).await?.order;
        let second = testbed.order(&testbed.job_spec(1, 300, &sleep(8))).await?.order;
        let wallet = &chain.actors.operator;
        let told = async {
            let transactions = chain.transactions(wallet).await?;
            all_succeed(testbed, &before, &[&first, &second]).await?;
            Ok::<_, anyhow::Error>(chain.transactions(wallet).await? - transactions)
        }
        .await;
        other.abort();
        let mined = told?;
        ensure!(mined > 10, "{mined} transactions of the wallet in all: the other sender was hardly there");
        Ok(())
    })
    .await
}
