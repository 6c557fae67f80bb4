//! What keeps money from going astray: limits that an offer's card names, addresses with a digit wrong, another chain.

use std::{
    io::{BufRead, BufReader},
    process::Command,
};

use alloy::primitives::{U256, keccak256};
use hawser_contracts::{ComputeMarket::Order, TestToken};
use serde_json::json;

use crate::stage::{IMAGE, Stage, Trouble};

#[tokio::test]
async fn what_the_operator_would_decline_is_refused_before_money_moves() {
    let mut stage = Stage::set().await;
    stage
        .post_card(json!({
            "cpuPerGpu": "8", "memoryPerGpu": "64Gi", "storagePerGpu": "100Gi", "gpusPerJob": 4,
            "images": {"allow": ["example.com/"], "deny": []}, "tier": "metered", "evidence": "https://e.example.com"
        }))
        .await;
    let before = stage.token.balanceOf(stage.customer).call().await.unwrap();
    let offer = stage.offer.clone();
    let order = |workload: &str, gpus: &str| {
        let text = format!("offer: '{offer}'\ngpus: {gpus}\nseconds: 10m\nworkload: {{{workload}}}\n");
        stage.hawser().run(&["order", "-f", &stage.file("limits.yaml", &text)])
    };
    let image = format!("image: '{IMAGE}'");
    for (workload, gpus, parts) in [
        (format!("{image}, memory: 1000Gi"), "2", ["workload.memory: 1000Gi asked for", "allows 128Gi for 2 GPUs"]),
        (format!("{image}, storage: 1Ti"), "1", ["workload.storage: 1Ti asked for", "allows 100Gi for 1 GPUs"]),
        (format!("{image}, cpu: 9"), "1", ["workload.cpu: 9 asked for", "allows 8"]),
        ("image: docker.io/library/debian".to_owned(), "1", ["workload.image: \"docker.io/", "example.com/ only"]),
        (image.clone(), "5", ["order: gpus: 5 asked for", "allows 4 a job"]),
    ] {
        order(&workload, gpus).failed(1, &[parts[0], parts[1], "would decline"]);
    }
    order("image: 'example.com/povray@sha256:...'", "1").failed(2, &["is not an image reference"]);
    order(&format!("{image}, memory: 512m"), "1").failed(2, &["less than 1Mi", "512Mi"]);
    assert!(stage.ordered().await.is_empty());
    assert_eq!(stage.token.balanceOf(stage.customer).call().await.unwrap(), before);
    let wide = stage.stranger().run(&["offers", "-o", "wide"]).ok().stdout;
    for part in ["8 / 64Gi / 100Gi", "example.com/", "60 to 7200", "TIER", "metered", "https://e.example.com"] {
        assert!(wide.contains(part), "{part} is missing:\n{wide}");
    }
    let offers = stage.stranger().run(&["offers", "-o", "json"]).json();
    assert_eq!((&offers[0]["card"]["memoryPerGpu"], &offers[0]["card"]["tier"]), (&json!("64Gi"), &json!("metered")));
}

#[tokio::test]
async fn a_card_that_can_not_be_read_is_said_and_keeps_no_order_back() {
    let stage = Stage::set().await;
    let node = stage.behind(|request| {
        if request["method"] == "eth_getLogs" { Trouble::Refuse("no logs are kept here") } else { Trouble::None }
    });
    let ran = node.hawser(&stage).run(&["order", "-f", &stage.order_file(), "-o", "json"]);
    assert_eq!(ran.json()["deposited"], "750000");
    assert!(ran.stderr.contains("its limits are not known"), "{ran:#?}");
}

#[tokio::test]
async fn a_dry_run_says_what_an_order_would_cost_and_sends_nothing() {
    let stage = Stage::set().await;
    let file = stage.order_file();
    let plan = stage.hawser().run(&["order", "-f", &file, "--dry-run", "-o", "json"]).json();
    assert_eq!((plan["dryRun"].as_bool(), plan["deposit"].as_str()), (Some(true), Some("750000")));
    assert_eq!(plan["spec"]["image"], IMAGE);
    stage.hawser().run(&["order", "-f", &file, "--dry-run", "--gpus", "9"]).failed(1, &["(GpusUnavailable)"]);
    stage.rival().run(&["order", "-f", &file, "--dry-run"]).failed(1, &["has 0 tUSD"]);
    assert!(stage.ordered().await.is_empty());
    assert_eq!(stage.token.nonces(stage.customer).call().await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn an_address_with_a_wrong_checksum_is_bad_input_everywhere() {
    let stage = Stage::set().await;
    let market = stage.market.address().to_string();
    let wrong = swapped(&market);
    let token = swapped(&stage.token.address().to_string());
    stage.hawser().env("HAWSER_MARKET", &market).run(&["offers"]).ok();
    for args in [
        &["offers", "--market", &wrong][..],
        &["withdraw", "--to", &wrong],
        &["withdraw", "--token", &token],
        &["jobs", "--customer", &wrong],
        &["earnings", "--provider", &wrong],
        &["provider", "show", "--provider", &wrong],
        &["provider", "set", "--operator", &wrong, "--payout", &market],
        &["provider", "set", "--operator", &market, "--payout", &wrong],
        &["provider", "floor", "--token", &token, "--price", "1"],
    ] {
        let ran = stage.hawser().run(args);
        assert!(ran.code() == 2 && ran.stderr.contains("checksum"), "{ran:#?}");
    }
    let ran = stage.hawser().env("HAWSER_MARKET", &wrong).run(&["offers"]);
    assert!(ran.code() == 2 && ran.stderr.contains("checksum"), "{ran:#?}");
    let ran = stage.hawser().run(&["offers", "--market", "0xe7f1"]);
    assert!(ran.code() == 2 && ran.stderr.contains("0x and 40 hexadecimal digits"), "{ran:#?}");
}

/// The same address with one letter in its other case.
fn swapped(address: &str) -> String {
    let at = address.rfind(|c: char| c.is_ascii_alphabetic()).unwrap();
    let letter = address[at..].chars().next().unwrap();
    let other = if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    format!("{}{other}{}", &address[..at], &address[at + 1..])
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused() {
    let stage = Stage::set().await;
    stage.hawser().run(&["offers", "--chain-id", "31337"]).ok();
    stage.hawser().run(&["offers", "--chain-id", "1"]).failed(2, &["chain 31337", "--chain-id", "1"]);
    stage.hawser().env("HAWSER_CHAIN_ID", "1").run(&["offers"]).failed(2, &["HAWSER_CHAIN_ID"]);
}

#[tokio::test]
async fn a_token_that_is_none_is_named() {
    let stage = Stage::set().await;
    let nobody = "0x0000000000000000000000000000000000000001".to_owned();
    let no_token = stage.market.address().to_string();
    for address in [nobody, no_token] {
        let words = format!("the token {address} has no decimals");
        stage.hawser().run(&["withdraw", "--token", &address]).failed(2, &[&words]);
    }
}

#[tokio::test]
async fn jobs_that_may_be_missing_from_the_list_are_told() {
    let stage = Stage::set().await;
    stage.order();
    let head = (stage.head().await + 1).to_string();
    let late = stage.hawser().run(&["jobs", "--from-block", &head]).ok();
    assert!(late.stderr.contains("the market is older than block"), "{late:#?}");
    let whole = stage.hawser().run(&["jobs"]).ok();
    assert_eq!(whole.stderr, "");
}

#[tokio::test]
async fn without_the_order_in_the_events_nothing_is_sent_and_the_customer_is_unknown() {
    let stage = Stage::set().await;
    let job = stage.order();
    let id = job.to_string();
    stage.start(job).await;
    stage.pass(10).await;
    let head = (stage.head().await + 1).to_string();
    let late = |verb: &[&str]| stage.hawser().run(&[verb, &["--from-block", &head]].concat());
    late(&["end", &id]).failed(1, &["the order of job", &id, "lower --from-block (HAWSER_FROM_BLOCK)"]);
    let watched = late(&["watch", &id, "--until", "running", "-o", "json"]).json();
    assert_eq!((&watched["customer"], &watched["startDeadline"]), (&json!(null), &json!(0)));
    // More time for a job that may be another's costs nobody but who pays for it.
    let topped_up = late(&["topup", &id, "--seconds", "60", "-o", "json"]);
    assert_eq!(topped_up.json()["seconds"], 660);
    assert!(topped_up.stderr.contains("whose it is was not checked"), "{topped_up:#?}");

    stage.pass(660 + 3601).await;
    let head = (stage.head().await + 1).to_string();
    let late = ["refund", &id, "--from-block", &head];
    stage.hawser().run(&late).failed(1, &["the order of job", &id, "lower --from-block"]);
    let other = stage.order().to_string();
    stage.pass(601).await;
    let both = stage.hawser().run(&["refund", &id, &other, "--from-block", &head, "-o", "json"]);
    assert_eq!((&both.json()[0]["jobId"], both.json().as_array().map(Vec::len)), (&json!(other), Some(1)));
    assert!(both.stderr.contains(&format!("left out: the order of job {id}")), "{both:#?}");
    stage.hawser().run(&["refund", &id]).ok();
}

#[tokio::test]
async fn an_offer_that_was_changed_since_is_listed_although_it_was_posted_before() {
    let stage = Stage::set().await;
    let offer: hawser_market::OfferId = stage.offer.parse().unwrap();
    let head = (stage.head().await + 1).to_string();
    let late = || stage.stranger().run(&["offers", "--from-block", &head]).ok();
    let ran = late();
    assert!(!ran.stdout.contains(&stage.offer), "{ran:#?}");
    assert!(ran.stderr.contains("offers of providers that posted and changed none since are not listed"), "{ran:#?}");
    let until = stage.now().await + 86_400;
    let change = stage.market.updateOffer(offer.0, 2_500_000, 7, until);
    assert!(change.send().await.unwrap().get_receipt().await.unwrap().status());
    let ran = late();
    assert!(ran.stdout.contains(&stage.offer) && ran.stdout.contains("2.5 tUSD"), "{ran:#?}");
}

#[tokio::test]
async fn an_order_of_a_delegate_is_its_principals_who_needs_no_event_to_end_it() {
    let stage = Stage::set().await;
    let (principal, market) = stage.rivals_market();
    let (token, spec) = (*stage.token.address(), br#"{"image":"a","gpus":2}"#);
    stage.token.mint(stage.provider, U256::from(750_000)).send().await.unwrap().get_receipt().await.unwrap();
    stage.token.approve(*stage.market.address(), U256::MAX).send().await.unwrap().get_receipt().await.unwrap();
    let credit = stage.market.deposit(principal, token, U256::from(750_000));
    assert!(credit.send().await.unwrap().get_receipt().await.unwrap().status());
    let delegate = market.delegate(stage.provider, token, "750000".parse().unwrap(), "1099511627775".parse().unwrap());
    assert!(delegate.send().await.unwrap().get_receipt().await.unwrap().status());
    let order = Order {
        offerId: stage.offer.parse::<hawser_market::OfferId>().unwrap().0,
        customer: principal,
        gpus: 2,
        duration: 600,
        maxPrice: u128::MAX,
        deadline: u64::MAX,
        salt: U256::ZERO,
        specHash: keccak256(spec),
        specOffChain: false,
    };
    let open = stage.market.openJobAs(1, order, spec.into());
    assert!(open.send().await.unwrap().get_receipt().await.unwrap().status());
    let job = stage.ordered().await[0];
    stage.start(job).await;

    let id = job.to_string();
    let jobs = stage.rival().run(&["jobs", "-o", "json"]).json();
    assert_eq!((&jobs[0]["jobId"], &jobs[0]["customer"]), (&json!(job), &json!(principal)));
    let head = (stage.head().await + 1).to_string();
    stage.hawser().run(&["end", &id, "--from-block", &head]).failed(1, &["another account", "(NotCustomer)"]);
    stage.rival().run(&["end", &id, "--from-block", &head]).ok();
}

#[tokio::test]
async fn credit_in_a_token_that_no_offer_is_in_is_withdrawn_too() {
    let stage = Stage::set().await;
    let token = TestToken::deploy(stage.node.clone()).await.unwrap();
    token.mint(stage.provider, U256::from(5)).send().await.unwrap().get_receipt().await.unwrap();
    token.approve(*stage.market.address(), U256::MAX).send().await.unwrap().get_receipt().await.unwrap();
    let credit = stage.market.deposit(stage.customer, *token.address(), U256::from(5));
    assert!(credit.send().await.unwrap().get_receipt().await.unwrap().status());
    let withdrawn = stage.hawser().run(&["withdraw", "-o", "json"]).json();
    assert_eq!((&withdrawn[0]["amount"], withdrawn.as_array().map(Vec::len)), (&json!("5"), Some(1)));
    assert_eq!(token.balanceOf(stage.customer).call().await.unwrap(), U256::from(5));
}

#[tokio::test]
async fn credit_is_said_to_pay_only_what_it_has_paid() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.decline(job, "no GPU is free").await;
    let file = stage.order_file();
    let refused = stage.hawser().run(&["order", "-f", &file, "--gpus", "9"]);
    refused.failed(1, &["(GpusUnavailable)"]);
    assert!(!refused.stderr.contains("from credit"), "{refused:#?}");
}

#[tokio::test]
async fn who_stops_watching_is_told_that_the_job_goes_on() {
    let stage = Stage::set().await;
    let job = stage.order().to_string();
    let mut watching = stage.stranger().start(&["watch", &job]);
    let mut lines = BufReader::new(watching.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("ordered"));
    let sent = Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let told = lines.next().unwrap().unwrap();
    assert!(told.contains(&job) && told.contains("goes on") && told.contains("hawser end"), "{told}");
    assert_eq!(watching.wait().unwrap().code(), Some(130));
}
