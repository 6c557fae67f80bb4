//! Totals: exact to the unit, and to the wei.

use alloy::primitives::{B256, U256};
use serde_json::{Value, json};

use super::story::{Line, SINK, Story, claim, mined, order};
use crate::stage::{Hawser, Ran, Stage, Trouble};

fn units(value: &Value) -> U256 {
    value.as_str().unwrap().parse().unwrap()
}

fn earnings(hawser: Hawser, provider: &str, more: &[&str]) -> Ran {
    hawser.run(&[&["earnings", "--provider", provider, "-o", "json"], more].concat())
}

fn lines(statement: &Value) -> Vec<Line> {
    let line = |claim: &Value| Line {
        job: claim["jobId"].as_str().unwrap().parse().unwrap(),
        gpu_seconds: U256::from(claim["gpuSeconds"].as_u64().unwrap()),
        paid: units(&claim["paid"]),
        fee: units(&claim["fee"]),
    };
    statement["claims"].as_array().unwrap().iter().map(line).collect()
}

fn sum(values: &Value, field: &str) -> U256 {
    values.as_array().unwrap().iter().map(|value| units(&value[field])).sum()
}

#[tokio::test]
async fn every_claim_is_there_to_the_unit_and_its_gas_to_the_wei() {
    let Story { stage, lines: expected, receipts } = Story::tell().await;
    let provider = stage.provider.to_string();
    let ran = earnings(stage.stranger(), &provider, &[]);
    let statement = ran.json();
    assert_eq!(lines(&statement), expected);

    let claims = statement["claims"].as_array().unwrap();
    for (receipt, of_receipt) in receipts.iter().zip([&claims[..1], &claims[1..3], &claims[3..]]) {
        let block = stage.block(receipt.block_number.unwrap()).await;
        for claim in of_receipt {
            assert_eq!((&claim["tx"], &claim["time"]), (&json!(receipt.transaction_hash), &json!(block.timestamp)));
            assert_eq!((&claim["block"], &claim["gasPaidBy"]), (&json!(block.number), &json!(stage.provider)));
            assert_eq!(claim["offerId"].as_str().unwrap(), &claim["jobId"].as_str().unwrap()[..18]);
            assert_eq!(units(&claim["net"]), units(&claim["paid"]) - units(&claim["fee"]));
        }
        let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        assert_eq!(sum(&json!(of_receipt), "gas"), cost);
        let part = cost / U256::from(of_receipt.len());
        assert!(of_receipt.iter().all(|claim| units(&claim["gas"]) - part <= U256::from(1)), "{of_receipt:#?}");
    }
    assert_eq!(sum(&statement["gas"], "amount"), sum(&statement["claims"], "gas"));

    let [total] = &statement["totals"].as_array().unwrap()[..] else { panic!("{statement:#}") };
    let token = *stage.token.address();
    let credit = stage.market.credit(stage.provider, token).call().await.unwrap();
    let fees = stage.market.feesOf(SINK, token).call().await.unwrap();
    assert_eq!((units(&total["credit"]), units(&total["fee"])), (credit, fees));
    assert_eq!(units(&total["withdrawn"]), stage.token.balanceOf(stage.provider).call().await.unwrap());
    assert_eq!(units(&total["net"]), units(&total["withdrawn"]) + credit);
    assert_eq!(units(&total["paid"]), units(&total["net"]) + fees);
    assert_eq!(
        (&total["balanced"], &total["gpuSeconds"], &total["claims"]),
        (&json!(true), &json!(201 + 77 + 11), &json!(6))
    );
    assert_eq!((&total["token"]["symbol"], &statement["fromFirstBlock"]), (&json!("tUSD"), &json!(true)));
    let [withdrawn] = &statement["withdrawals"].as_array().unwrap()[..] else { panic!("{statement:#}") };
    assert_eq!((&withdrawn["amount"], &withdrawn["to"]), (&total["withdrawn"], &json!(stage.provider)));
    assert!(!credit.is_zero() && !ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(ran.stderr.contains("not claimed yet"), "{}", ran.stderr);
}

#[tokio::test]
async fn claims_are_added_up_by_job_by_offer_and_by_token() {
    let Story { stage, lines, .. } = Story::tell().await;
    let provider = stage.provider.to_string();
    let all = earnings(stage.stranger(), &provider, &[]).json();
    for (by, groups) in [("job", 3), ("offer", 2), ("token", 1)] {
        let statement = earnings(stage.stranger(), &provider, &["--by", by]).json();
        assert_eq!(statement["groups"].as_array().unwrap().len(), groups, "{statement:#}");
        assert_eq!(statement["claims"], Value::Null);
        for field in ["paid", "fee", "net", "gas"] {
            assert_eq!(sum(&statement["groups"], field), sum(&all["claims"], field), "{by} {field}");
        }
        assert_eq!(statement["totals"], all["totals"]);
    }
    let by_job = earnings(stage.stranger(), &provider, &["--by", "job"]).json();
    let first =
        by_job["groups"].as_array().unwrap().iter().find(|group| group["jobId"] == json!(lines[0].job)).unwrap();
    assert_eq!((&first["claims"], &first["gpuSeconds"]), (&json!(3), &json!(201)));
    assert_eq!(units(&first["paid"]), lines[0].job.paid(201));
    assert_eq!((&first["first"], &first["last"]), (&all["claims"][0]["time"], &all["claims"][4]["time"]));
}

#[tokio::test]
async fn a_period_has_the_same_lines_and_says_what_is_missing_for_the_balance() {
    let story = Story::tell().await;
    let provider = story.stage.provider.to_string();
    let all = earnings(story.stage.stranger(), &provider, &[]).json();
    // Before the first of these blocks there was credit; before the second, all of it had been withdrawn.
    for (claim, lines, balanced) in [(1, 1.., false), (2, 3.., true)] {
        let from = story.block(claim).to_string();
        let ran = earnings(story.stage.stranger().env("HAWSER_FROM_BLOCK", &from), &provider, &[]);
        let late = ran.json();
        assert_eq!(late["claims"].as_array().unwrap()[..], all["claims"].as_array().unwrap()[lines]);
        assert_eq!((&late["fromFirstBlock"], &late["totals"][0]["balanced"]), (&json!(false), &json!(balanced)));
        assert_eq!(ran.stderr.contains("warning: net is 0."), !balanced, "{}", ran.stderr);
        let why = format!("block {from} is later than the market's first one");
        assert_eq!(ran.stderr.contains(&why), !balanced, "{}", ran.stderr);
    }
    let to = story.block(1).to_string();
    let ran = earnings(story.stage.stranger(), &provider, &["--to-block", &to]);
    let early = ran.json();
    assert_eq!(early["claims"].as_array().unwrap()[..], all["claims"].as_array().unwrap()[..3]);
    assert_eq!((&early["totals"][0]["balanced"], &early["totals"][0]["withdrawn"]), (&json!(true), &json!("0")));
    assert_eq!(early["totals"][0]["credit"], early["totals"][0]["net"]);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    earnings(story.stage.stranger(), &provider, &["--to-block", "9999"]).failed(2, &["9999 is yet to come"]);
    let backwards = ["--from-block", "9", "--to-block", "8"];
    earnings(story.stage.stranger(), &provider, &backwards).failed(2, &["9, is after the last one, 8"]);
}

#[tokio::test]
async fn a_node_that_searches_few_blocks_and_forgets_old_state_tells_the_same() {
    let story = Story::tell().await;
    let provider = story.stage.provider.to_string();
    let all = earnings(story.stage.stranger(), &provider, &[]).json();
    let picky = story.stage.picky();
    let through = || story.stage.stranger().env("HAWSER_RPC_URL", &picky.url);
    assert_eq!(earnings(through(), &provider, &[]).json(), all);

    picky.forget_before(u64::MAX);
    let ran = earnings(through(), &provider, &[]);
    assert_eq!(
        (ran.json()["claims"].clone(), ran.json()["totals"][0]["balanced"].clone()),
        (all["claims"].clone(), Value::Null)
    );
    assert_eq!(ran.json()["totals"][0]["credit"], all["totals"][0]["credit"]);
    assert!(ran.stderr.contains("the credit shown is today's"), "{}", ran.stderr);
    let late = story.block(1).to_string();
    earnings(through(), &provider, &["--from-block", &late])
        .failed(1, &["can't be told apart", "--from-block", "old state"]);
}

#[tokio::test]
async fn credit_of_another_kind_is_named_where_the_balance_differs() {
    let Story { mut stage, lines, .. } = Story::tell().await;
    let provider = stage.provider.to_string();
    mined(stage.token.mint(stage.provider, U256::from(1_000_000))).await;
    let args = ["order", "-f", &stage.order_file(), "--max-price", "3", "-o", "json"];
    stage.seller().run(&args).json();
    let ran = earnings(stage.stranger(), &provider, &[]);
    assert_eq!(ran.json()["totals"][0]["balanced"], false);
    assert!(ran.stderr.contains("account also ordered jobs, which"), "{}", ran.stderr);

    stage.reconnect();
    mined(stage.market.setFee(1000, stage.provider)).await;
    claim(&stage, &[(lines[0].job, 301)]).await;
    let ran = earnings(stage.stranger(), &provider, &[]);
    assert!(ran.stderr.contains("account also ordered jobs, which"), "{}", ran.stderr);
    let fees = stage.market.feesOf(stage.provider, *stage.token.address()).call().await.unwrap();
    assert!(!fees.is_zero(), "the fee is no credit of its receiver");
}

#[tokio::test]
async fn what_was_sent_to_a_provider_or_spent_for_others_is_named_where_the_balance_differs() {
    let Story { stage, lines, .. } = Story::tell().await;
    let provider = stage.provider.to_string();
    mined(stage.token.mint(stage.provider, U256::from(1_000_000))).await;
    mined(stage.token.approve(*stage.market.address(), U256::MAX)).await;
    mined(stage.market.topUp(lines[0].job.0, 60)).await;
    let ran = earnings(stage.stranger(), &provider, &[]);
    assert_eq!(ran.json()["totals"][0]["balanced"], false);
    assert!(ran.stderr.contains("account also paid for others' jobs, which"), "{}", ran.stderr);

    mined(stage.market.deposit(stage.provider, *stage.token.address(), U256::from(5))).await;
    let ran = earnings(stage.stranger(), &provider, &[]);
    assert!(ran.stderr.contains("account also paid for others' jobs and was sent deposits, which"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_last_voucher_that_closes_its_job_is_a_claim_like_others() {
    let stage = Stage::set().await;
    let job = order(&stage, &stage.offer);
    stage.start(job).await;
    stage.pass(100).await;
    claim(&stage, &[(job, 50)]).await;
    stage.settle(job, 120, B256::repeat_byte(0xee)).await;
    let statement = earnings(stage.stranger(), &stage.provider.to_string(), &[]).json();
    let told: Vec<_> =
        statement["claims"].as_array().unwrap().iter().map(|claim| claim["gpuSeconds"].clone()).collect();
    assert_eq!(told, [50, 70]);
    assert_eq!(statement["totals"][0]["balanced"], true, "{statement:#}");
}

#[tokio::test]
async fn where_receipts_tell_no_price_of_gas_it_is_the_transactions_own() {
    let Story { stage, .. } = Story::tell().await;
    let provider = stage.provider.to_string();
    let told = earnings(stage.stranger(), &provider, &[]).json();
    let node = stage.behind(|request| match request["method"].as_str() {
        Some("eth_getTransactionReceipt") => Trouble::Without("effectiveGasPrice"),
        _ => Trouble::None,
    });
    assert_eq!(earnings(node.hawser(&stage), &provider, &[]).json()["gas"], told["gas"]);
}

#[tokio::test]
async fn the_gas_of_a_transaction_is_shared_with_the_other_provider_in_it() {
    let stage = Stage::set().await;
    let (rival, market) = stage.rivals_market();
    mined(market.setProvider(rival, rival)).await;
    mined(market.setFloor(*stage.token.address(), B256::ZERO, 1)).await;
    let mine = stage.market.offer(stage.offer.parse::<hawser_market::OfferId>().unwrap().0).call().await.unwrap();
    let terms = hawser_contracts::ComputeMarket::OfferTerms { provider: rival, ..mine.terms.clone() };
    let id = stage.market.offerIdOf(terms.clone()).call().await.unwrap();
    mined(market.setOffer(terms, 2_000_000, 8, mine.validUntil, String::new())).await;
    let jobs = [order(&stage, &hawser_market::OfferId(id).to_string()), order(&stage, &stage.offer)];
    mined(market.startJobs(vec![jobs[0].0], vec![stage.attestor.address()])).await;
    stage.start(jobs[1]).await;
    stage.pass(100).await;
    let claims = jobs.map(|job| super::story::call(&stage, &[(job, 50)]).calldata().clone());
    let receipt = mined(stage.market.multicall(claims.to_vec())).await;

    let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    let gas = [rival, stage.provider].map(|provider| {
        let statement = earnings(stage.stranger(), &provider.to_string(), &[]).json();
        assert_eq!(statement["claims"].as_array().map(Vec::len), Some(1), "{statement:#}");
        assert_eq!(statement["gas"][0]["paidBy"], json!(stage.provider));
        units(&statement["claims"][0]["gas"])
    });
    assert_eq!(gas[0] + gas[1], cost);
    assert_eq!(gas[1], cost / U256::from(2));
}

#[tokio::test]
async fn nobody_elses_address_has_earnings() {
    let stage = Stage::set().await;
    let nobody = B256::repeat_byte(7).to_string()[..42].to_owned();
    earnings(stage.stranger(), &nobody, &[])
        .failed(1, &["is not registered as a provider", "cold key", "payout address"]);
    stage.stranger().run(&["earnings"]).failed(2, &["no key"]);
    let own = stage.seller().run(&["earnings", "-o", "json"]).json();
    assert_eq!((&own["provider"], &own["claims"]), (&json!(stage.provider), &json!([])));
    assert_eq!((&own["totals"][0]["paid"], &own["totals"][0]["balanced"]), (&json!("0"), &json!(true)));
}
