//! Transactions that an account without a key of its own sends, such as a Safe.

use alloy::primitives::{Address, B256, U256};
use hawser_contracts::ComputeMarket;
use serde_json::{Value, json};

use crate::{stage::Stage, until::until};

/// Sends a batch as the account would, in its order; the node signs for the account.
async fn send(stage: &Stage, batch: &Value) {
    let from = &batch["meta"]["createdFromSafeAddress"];
    for transaction in batch["transactions"].as_array().unwrap() {
        assert_eq!(transaction["value"], "0");
        let request = json!({"from": from, "to": transaction["to"], "data": transaction["data"]});
        let hash = stage.ask("eth_sendTransaction", json!([request])).await;
        let receipt = until("the transaction is mined", async || {
            Some(stage.ask("eth_getTransactionReceipt", json!([hash])).await).filter(|receipt| !receipt.is_null())
        });
        let receipt = receipt.await;
        assert_eq!(receipt["status"], "0x1", "{transaction}");
    }
}

#[tokio::test]
async fn a_safe_orders_ends_and_withdraws_by_batches_that_need_no_key() {
    let stage = Stage::set().await;
    let safe = stage.customer.to_string();
    let batch = |args: &[&str]| stage.stranger().run(&[args, &["--calldata", &safe]].concat()).json();

    let order = batch(&["order", "-f", &stage.order_file()]);
    assert_eq!((&order["version"], &order["chainId"]), (&json!("1.0"), &json!(stage.chain_id.to_string())));
    let called: Vec<_> = order["transactions"].as_array().unwrap().iter().map(|t| t["to"].clone()).collect();
    let (token, market) = (stage.token.address().to_string(), stage.market.address().to_string());
    assert_eq!(called, [json!(token), json!(market)], "the token allows the deposit, then the market takes it");
    assert_eq!(stage.ordered().await, [], "nothing was sent");
    send(&stage, &order).await;
    let job = stage.ordered().await[0];
    let shown = stage.stranger().run(&["jobs", "--calldata", &safe, "-o", "json"]).json();
    assert_eq!(shown[0]["jobId"], json!(job.to_string()));
    let left = stage.token.allowance(stage.customer, *stage.market.address()).call().await.unwrap();
    assert_eq!(left, U256::ZERO, "exactly the deposit was allowed");

    stage.start(job).await;
    let seconds = || async { stage.market.job(job.0).call().await.unwrap().duration };
    let before = seconds().await;
    send(&stage, &batch(&["topup", &job.to_string(), "--seconds", "300"])).await;
    assert_eq!(seconds().await, before + 300);
    send(&stage, &batch(&["end", &job.to_string()])).await;
    let credit = || async { stage.market.credit(stage.customer, *stage.token.address()).call().await.unwrap() };
    assert!(credit().await > U256::ZERO);
    send(&stage, &batch(&["withdraw"])).await;
    assert_eq!(credit().await, U256::ZERO);
}

#[tokio::test]
async fn a_safe_that_is_a_provider_sets_its_keys_and_its_floor() {
    let stage = Stage::set().await;
    let safe = stage.provider.to_string();
    let batch = |args: &[&str]| stage.stranger().run(&[args, &["--calldata", &safe]].concat()).json();
    let (hot, payout) = (Address::repeat_byte(0xA1), Address::repeat_byte(0xA2));
    send(&stage, &batch(&["provider", "set", "--operator", &hot.to_string(), "--payout", &payout.to_string()])).await;
    let asked = ComputeMarket::providerCall { account: stage.provider };
    let set = stage.market.call_builder(&asked).call().await.unwrap();
    assert_eq!((set.operator, set.payout), (hot, payout));
    let token = *stage.token.address();
    send(&stage, &batch(&["provider", "floor", "--token", &token.to_string(), "--price", "2.5"])).await;
    let floor = stage.market.floor(stage.provider, token, B256::ZERO).call().await.unwrap();
    assert_eq!(floor, 2_500_000);
}

#[tokio::test]
async fn what_would_be_refused_is_refused_before_anybody_signs_it() {
    let stage = Stage::set().await;
    let safe = stage.customer.to_string();
    let ran = stage.stranger().run(&["end", &format!("0x{}", "11".repeat(32)), "--calldata", &safe]);
    ran.failed(1, &["there is no job"]);
    let nobody = Address::repeat_byte(0xEE).to_string();
    let ran = stage.stranger().run(&["order", "-f", &stage.order_file(), "--calldata", &nobody]);
    ran.failed(1, &[&nobody, "more are needed"]);
}
