use alloy::sol_types::SolCall as _;
use anyhow::{Result, ensure};
use hawser_contracts::ComputeMarket::{settleCall, startJobsCall};
use hawser_e2e::doubles::endpoint::Moment;
use hawser_e2e::{operator, wait};

use crate::faults::{all_succeed, behind_an_endpoint};
use crate::testbed::sleep;

#[tokio::test]
#[ignore = "not run here: only the local cluster's pods reach the endpoint"]
async fn an_operator_that_dies_at_any_moment_of_a_transaction_starts_once_and_claims_once() -> Result<()> {
    behind_an_endpoint("deaths", 3, async |testbed, endpoint| {
        let before = testbed.fixture.chain.balances().await?;
        let mut orders = Vec::new();
        for moment in [Moment::BeforeSent, Moment::Sent, Moment::Mined] {
            let mut starting = endpoint.catch(startJobsCall::SELECTOR, moment);
            // Longer than no operator is there: the first death meets a job that is to start, the second one that is to be paid.
            let order = testbed.order(&testbed.job_spec(1, 300, &sleep(30))).await?.order;
            starting.came(wait::SOON).await?;
            let mut claiming = endpoint.catch(settleCall::SELECTOR, moment);
            operator::kill(&testbed.client).await?;
            claiming.came(wait::SOON).await?;
            operator::kill(&testbed.client).await?;
            order.over(&testbed.client).await?;
            let starts = testbed.fixture.chain.starts(order.id).await?;
            ensure!(starts == 1, "{moment:?}: the order was started {starts} times");
            orders.push(order);
        }
        all_succeed(testbed, &before, &orders.iter().collect::<Vec<_>>()).await?;
        Ok(())
    })
    .await
}
