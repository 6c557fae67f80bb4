//! Nodes that limit, lag and refuse.

use std::thread;

use alloy::sol_types::SolCall;
use hawser_contracts::ComputeMarket::jobCall;
use serde_json::{Value, json};

use crate::{
    stage::{Stage, Trouble},
    until::until,
};

/// Whether it is a question for the state of one job.
fn looks(request: &Value) -> bool {
    let call = &request["params"][0];
    let data = call["input"].as_str().or(call["data"].as_str()).unwrap_or_default();
    request["method"] == "eth_call" && data.starts_with(&alloy::hex::encode_prefixed(jobCall::SELECTOR))
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_said_where_it_lasts() {
    let stage = Stage::set().await;
    let mut left = 2;
    let node = stage.behind(move |_| {
        left -= 1;
        if left >= 0 { Trouble::RateLimit } else { Trouble::None }
    });
    node.hawser(&stage).run(&["offers"]).ok();

    let strict = stage.behind(|_| Trouble::RateLimit);
    strict.hawser(&stage).run(&["offers"]).failed(1, &["HTTP status 429", "limits how often", "--rpc-url"]);
    assert_eq!(strict.asked("eth_chainId"), 4);
}

#[tokio::test]
async fn an_order_is_followed_although_the_node_is_behind() {
    let stage = Stage::set().await;
    let before = stage.head().await;
    let mut left = 4;
    let node = stage.behind(move |request| {
        if looks(request) && left > 0 {
            left -= 1;
            let mut old = request.clone();
            old["params"][1] = json!(format!("{before:#x}"));
            return Trouble::Instead(old);
        }
        Trouble::None
    });
    let hawser = node.hawser(&stage);
    let file = stage.order_file();
    let waiting = thread::spawn(move || hawser.run(&["order", "-f", &file, "--wait", "-o", "json"]));
    let job = until("an order is on chain", async || stage.ordered().await.first().copied()).await;
    stage.decline(job, "NoCapacity: no GPU is free").await;
    let ran = waiting.join().unwrap();
    assert_eq!(ran.code(), 1);
    ran.said(&["the provider declined the order"]);
    assert_eq!(ran.json_anyway()["outcome"], "declined");
}

#[tokio::test]
async fn a_watch_outlasts_refusals_of_the_node() {
    let stage = Stage::set().await;
    let job = stage.order();
    let mut looked = 0;
    let node = stage.behind(move |request| {
        looked += u32::from(looks(request));
        if looks(request) && (2..=4).contains(&looked) { Trouble::Refuse("header not found") } else { Trouble::None }
    });
    let hawser = node.hawser(&stage);
    let id = job.to_string();
    let watching = thread::spawn(move || hawser.run(&["watch", &id, "--until", "running", "-o", "json"]));
    until("the watch has looked three times", async || (node.asked("eth_call") >= 3).then_some(())).await;
    stage.start(job).await;
    assert_eq!(watching.join().unwrap().json()["status"], "Running");
}

/// A node that refuses ranges with many logs in them, and takes all others.
#[tokio::test]
async fn logs_are_asked_for_in_wide_ranges_again_after_a_dense_one() {
    let stage = Stage::set().await;
    let job = stage.order().to_string();
    let dense = stage.head().await;
    stage.ask("anvil_mine", json!([400])).await;
    let node = stage.behind(move |request| {
        let filter = &request["params"][0];
        let number = |name: &str| u64::from_str_radix(filter[name].as_str()?.strip_prefix("0x")?, 16).ok();
        match (number("fromBlock"), number("toBlock")) {
            (Some(from), Some(to)) if (from..=to).contains(&dense) && to - from > 3 => {
                Trouble::Refuse("query returned more than 10000 results")
            }
            _ => Trouble::None,
        }
    });
    let jobs = node.hawser(&stage).run(&["jobs", "-o", "json"]).json();
    assert_eq!((jobs[0]["jobId"].as_str(), jobs[0]["deposited"].as_str()), (Some(job.as_str()), Some("750000")));
    let asked = node.asked("eth_getLogs");
    assert!(asked < 120, "{asked} requests for logs");
}
