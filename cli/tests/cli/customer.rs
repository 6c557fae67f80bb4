//! What a customer does: orders, and what becomes of the money.

use alloy::{primitives::U256, sol_types::SolEvent};
use hawser_contracts::{ComputeMarket::SpecPosted, TestToken};
use hawser_market::JobId;

use crate::stage::Stage;

/// `ceil(2.25 * 2 GPUs * 600 s / 3600)` tokens of six decimals.
const DEPOSIT: &str = "750000";

#[tokio::test]
async fn offers_show_the_price_in_whole_tokens_and_hide_what_takes_no_orders() {
    let stage = Stage::set().await;
    let paused = stage.post(*stage.token.address(), 0).await;
    let table = stage.stranger().run(&["offers"]).ok().stdout;
    for part in ["OFFER", &stage.offer, "NVIDIA-H100-80GB-HBM3", "2.25 tUSD", "0 GPU-s, 0 tUSD"] {
        assert!(table.contains(part), "{part} is missing:\n{table}");
    }
    assert!(!table.contains(&paused), "{table}");
    let all = stage.stranger().run(&["offers", "--all", "-o", "json"]).json();
    let ids: Vec<&str> = all.as_array().unwrap().iter().map(|offer| offer["offerId"].as_str().unwrap()).collect();
    assert!(ids.contains(&paused.as_str()) && ids.contains(&stage.offer.as_str()), "{all:#}");
    let offer = all.as_array().unwrap().iter().find(|offer| offer["offerId"] == stage.offer.as_str()).unwrap();
    assert_eq!((offer["price"].as_str(), offer["available"].as_u64()), (Some("2250000"), Some(8)));
    assert_eq!((offer["token"]["decimals"].as_u64(), offer["minSeconds"].as_u64()), (Some(6), Some(60)));
}

#[tokio::test]
async fn an_order_is_one_transaction_by_permit_and_carries_the_public_spec() {
    let stage = Stage::set().await;
    let placed = stage.hawser().run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
    assert_eq!(placed["deposited"], DEPOSIT);
    assert_eq!(stage.token.nonces(stage.customer).call().await.unwrap(), U256::from(1), "the permit was not used");
    let left = stage.token.allowance(stage.customer, *stage.market.address()).call().await.unwrap();
    assert_eq!(left, U256::ZERO, "an allowance is left over");
    let filter = alloy::rpc::types::Filter::new().event_signature(SpecPosted::SIGNATURE_HASH).from_block(0);
    let logs = alloy::providers::Provider::get_logs(&stage.node, &filter).await.unwrap();
    let [log] = &logs[..] else { panic!("{logs:?}") };
    let spec: serde_json::Value = serde_json::from_slice(&SpecPosted::decode_log(&log.inner).unwrap().spec).unwrap();
    assert_eq!(
        spec,
        serde_json::json!({"image": crate::stage::IMAGE, "env": [{"name": "SCENE", "value": "chess"}], "gpus": 2})
    );
    let jobs = stage.hawser().run(&["jobs", "-o", "json"]).json();
    assert_eq!(jobs[0]["jobId"], placed["jobId"]);
    assert_eq!((jobs[0]["status"].as_str(), jobs[0]["deposited"].as_str()), (Some("Open"), Some(DEPOSIT)));
    assert_eq!(stage.rival().run(&["jobs", "-o", "json"]).json(), serde_json::json!([]));
}

#[tokio::test]
async fn a_token_without_permit_is_allowed_exactly_the_deposit() {
    let stage = Stage::set().await;
    let token = stage.token_without_permit().await;
    let offer = stage.post(*token.address(), 4).await;
    let file = stage.order_file();
    let too_many = stage.hawser().run(&["order", "-f", &file, "--offer", &offer, "--gpus", "5"]);
    too_many.failed(1, &["5 GPUs and the offer has 4", "(GpusUnavailable)"]);
    assert!(!too_many.stderr.contains("allowed the market"), "{too_many:#?}");
    let args = ["order", "-f", &file, "--offer", &offer, "-o", "json"];
    let ran = stage.hawser().run(&args);
    assert_eq!(ran.json()["deposited"], DEPOSIT);
    assert!(ran.stderr.contains("allowed the market to take 0.75"), "{}", ran.stderr);
    let left = token.allowance(stage.customer, *stage.market.address()).call().await.unwrap();
    assert_eq!(left, U256::ZERO, "an allowance is left over");
}

#[tokio::test]
async fn a_job_is_followed_from_order_to_payment_and_every_unit_is_accounted_for() {
    let stage = Stage::set().await;
    let job = stage.order();
    let id = job.to_string();
    stage.start(job).await;
    let started = stage.stranger().run(&["watch", &id, "--until", "running", "-o", "json"]);
    assert_eq!(started.json()["status"], "Running");
    assert!(started.stderr.contains("running since"), "{}", started.stderr);

    let topped_up = stage.hawser().run(&["topup", &id, "--seconds", "300", "-o", "json"]).json();
    assert_eq!((topped_up["seconds"].as_u64(), topped_up["added"].as_str()), (Some(900), Some("375000")));
    stage.pass(100).await;
    stage.claim(job, 120).await;
    let ending = stage.hawser().run(&["end", &id, "-o", "json"]).json();
    assert!(ending["released"].as_str().unwrap().parse::<u64>().unwrap() > 0, "{ending:#}");
    stage.end(job, 120, "EndedByCustomer: the customer ended the job").await;

    let closed = stage.stranger().run(&["watch", &id, "-o", "json"]).json();
    assert_eq!((closed["status"].as_str(), closed["outcome"].as_str()), (Some("Closed"), Some("ended")));
    let reason = "EndedByCustomer: the customer ended the job";
    assert_eq!((closed["reason"].as_str(), closed["usedGpuSeconds"].as_u64()), (Some(reason), Some(120)));
    let units = |field: &str| closed[field].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(units("paid"), 75_000);
    assert_eq!(units("deposited"), 750_000 + 375_000);
    assert_eq!(units("paid") + units("returned"), units("deposited"));
    assert_eq!(stage.hawser().run(&["jobs", "-o", "json"]).json(), serde_json::json!([]));
    let table = stage.hawser().run(&["jobs", "--all"]).ok().stdout;
    assert!(table.contains(&id) && table.contains("EndedByCustomer") && table.contains("0.075 tUSD"), "{table}");
}

#[tokio::test]
async fn a_job_that_its_last_voucher_closed_succeeds_and_tells_what_the_market_keeps_no_more() {
    let stage = Stage::set().await;
    let placed = stage.hawser().run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
    let id = placed["jobId"].as_str().unwrap();
    let job: JobId = id.parse().unwrap();
    let deadline = stage.market.job(job.0).call().await.unwrap().startDeadline;
    assert_eq!(placed["startDeadline"], deadline);
    stage.start(job).await;
    let running = stage.stranger().run(&["watch", id, "--until", "running", "-o", "json"]).json();
    assert_eq!((&running["startDeadline"], &running["customer"]), (&placed["startDeadline"], &placed["customer"]));
    stage.pass(100).await;
    stage.settle(job, 120, alloy::primitives::B256::repeat_byte(0xee)).await;

    let closed = stage.stranger().run(&["watch", id, "-o", "json"]).json();
    assert_eq!((closed["status"].as_str(), closed["outcome"].as_str()), (Some("Closed"), Some("ended")));
    assert_eq!((&closed["reason"], closed["usedGpuSeconds"].as_u64()), (&serde_json::Value::Null, Some(120)));
    assert_eq!((&closed["startDeadline"], &closed["customer"]), (&placed["startDeadline"], &placed["customer"]));
    let units = |field: &str| closed[field].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!((units("paid"), units("returned")), (75_000, 675_000));
    assert_eq!(units("deposited"), 750_000);
    let table = stage.hawser().run(&["jobs", "--all"]).ok().stdout;
    assert!(table.lines().any(|line| line.contains(id) && line.contains("Ended")), "{table}");
    let offers = stage.stranger().run(&["offers", "-o", "json"]).json();
    assert_eq!((&offers[0]["counters"]["endedByProvider"], &offers[0]["counters"]["declined"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn a_declined_order_fails_the_watch_with_the_reason_and_its_credit_pays_the_next_one() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.decline(job, "no GPU is free").await;
    let watched = stage.hawser().run(&["watch", &job.to_string(), "-o", "json"]);
    assert_eq!(watched.code(), 1, "{watched:#?}");
    watched.said(&["declined", "no GPU is free", "0.75 tUSD came back as credit"]);
    assert_eq!(watched.json_anyway()["outcome"], "declined");

    let before = stage.token.balanceOf(stage.customer).call().await.unwrap();
    let again = stage.hawser().run(&["order", "-f", &stage.order_file(), "-o", "json"]);
    assert_eq!(again.json()["deposited"], DEPOSIT);
    assert!(again.stderr.contains("paid 0.75 tUSD from credit"), "{}", again.stderr);
    assert_eq!(stage.token.balanceOf(stage.customer).call().await.unwrap(), before);
}

#[tokio::test]
async fn what_was_not_started_in_time_comes_back_and_leaves_the_market() {
    let stage = Stage::set().await;
    let job = stage.order().to_string();
    stage.hawser().run(&["refund", &job]).failed(1, &["can be refunded from", "may start it"]);
    stage.pass(601).await;
    let refunded = stage.hawser().run(&["refund", &job, "-o", "json"]).json();
    assert_eq!(refunded[0]["returned"], DEPOSIT);
    stage.hawser().run(&["refund", &job]).failed(1, &["closed already"]);
    let watched = stage.hawser().run(&["watch", &job]);
    watched.said(&["not started in time"]);

    let withdrawn = stage.hawser().run(&["withdraw", "-o", "json"]).json();
    assert_eq!((withdrawn[0]["amount"].as_str(), withdrawn[0]["to"].as_str().map(str::len)), (Some(DEPOSIT), Some(42)));
    assert_eq!(stage.token.balanceOf(stage.customer).call().await.unwrap(), U256::from(1_000_000_000));
    stage.hawser().run(&["withdraw"]).failed(1, &["nothing to withdraw"]);
    let token = stage.token.address().to_string();
    stage.hawser().run(&["withdraw", "--token", &token]).failed(1, &["no credit", "(NothingToWithdraw)"]);
}

#[tokio::test]
async fn an_order_that_the_market_refuses_says_why_and_costs_nothing() {
    let stage = Stage::set().await;
    let file = stage.order_file();
    let order = |more: &[&str]| {
        let mut args = vec!["order", "-f", &file];
        args.extend(more);
        stage.hawser().run(&args)
    };
    let before = stage.token.balanceOf(stage.customer).call().await.unwrap();
    order(&["--gpus", "9"]).failed(1, &["asks for 9 GPUs and the offer has 8 available", "(GpusUnavailable)"]);
    order(&["--max-price", "2"]).failed(1, &["2.25 tUSD per GPU-hour now", "the 2 tUSD", "(PriceAboveMax)"]);
    order(&["--seconds", "59"]).failed(1, &["59 seconds", "60 to 7200", "(DurationOutOfRange)"]);
    order(&["--offer", "0x0102030405060708"]).failed(1, &["no offer 0x0102030405060708"]);
    stage.rival().run(&["order", "-f", &file]).failed(1, &["has 0 tUSD", "0.75 tUSD more are needed"]);
    let long = stage
        .file("long.yaml", &format!("gpus: 1\nseconds: 60\nworkload: {{image: a, args: ['{}']}}\n", "x".repeat(4096)));
    stage.hawser().run(&["order", "-f", &long, "--offer", &stage.offer]).failed(2, &["at most 4096 are read"]);
    stage.pass(86_401).await;
    order(&[]).failed(1, &["took orders until", "(OfferExpired)"]);
    assert_eq!(stage.token.balanceOf(stage.customer).call().await.unwrap(), before);
    assert_eq!(stage.token.nonces(stage.customer).call().await.unwrap(), U256::ZERO);
}

#[tokio::test]
async fn the_same_order_with_the_same_salt_is_placed_once() {
    let stage = Stage::set().await;
    let file = stage.order_file();
    let salt = format!("0x{}", "5a".repeat(32));
    let args = ["order", "-f", &file, "--salt", &salt, "-o", "json"];
    let placed = stage.hawser().run(&args).json();
    let job = placed["jobId"].as_str().unwrap();
    stage.hawser().run(&args).failed(1, &["placed already", job]);
}

#[tokio::test]
async fn a_job_can_be_changed_only_in_the_states_and_by_the_customer_that_may() {
    let stage = Stage::set().await;
    let job = stage.order();
    let id = job.to_string();
    let end = || stage.hawser().run(&["end", &id]);
    end().failed(1, &["not started yet", "`hawser refund`", "(WrongStatus)"]);
    stage.start(job).await;
    for verb in [&["end", &id][..], &["topup", &id, "--seconds", "60"]] {
        stage.rival().run(verb).failed(1, &["ordered by another account", "(NotCustomer)"]);
    }
    let topup = |seconds: &str| stage.hawser().run(&["topup", &id, "--seconds", seconds]);
    topup("7000").failed(1, &["7600 seconds", "60 to 7200", "(DurationOutOfRange)"]);
    end().ok();
    end().failed(1, &["anyway", "(EndNotEarlier)"]);
    topup("60").failed(1, &["is announced", "place a new order", "(EndAnnounced)"]);
    stage.hawser().run(&["refund", &id]).failed(1, &["can be refunded from", "`hawser end`"]);
    let unknown = JobId(alloy::primitives::B256::repeat_byte(1)).to_string();
    for verb in [&["end", &unknown][..], &["watch", &unknown], &["topup", &unknown, "--seconds", "1"]] {
        stage.hawser().run(verb).failed(1, &["there is no job"]);
    }
}

#[tokio::test]
async fn a_job_that_did_not_do_its_work_fails_the_watch_with_the_reason() {
    let stage = Stage::set().await;
    for (reason, code) in [
        ("ProgramEnded: the program ended with exit code 0", 0),
        ("TimeUp: the 600 s that were paid for are over", 0),
        ("Error: the program ended with exit code 3", 1),
        ("ImagePullTimeout: the program did not start within 300 s", 1),
        ("", 1),
    ] {
        let job = stage.order();
        stage.start(job).await;
        stage.end(job, 0, reason).await;
        let watched = stage.stranger().run(&["watch", &job.to_string(), "-o", "json"]);
        assert_eq!((watched.code(), watched.json_anyway()["outcome"].as_str()), (code, Some("ended")), "{watched:#?}");
        if code == 1 {
            watched.said(&["did not end as it should", reason, "came back as credit"]);
        }
    }
}

#[tokio::test]
async fn a_token_that_fails_keeps_no_other_from_being_withdrawn() {
    let stage = Stage::set().await;
    let mut tokens = vec![*stage.token.address()];
    for available in [5, 6] {
        let token = TestToken::deploy(stage.node.clone()).await.unwrap();
        token.mint(stage.customer, U256::from(750_000)).send().await.unwrap().get_receipt().await.unwrap();
        let offer = stage.post(*token.address(), available).await;
        let file = stage.order_file();
        stage.hawser().run(&["order", "-f", &file, "--offer", &offer]).ok();
        tokens.push(*token.address());
    }
    stage.order();
    for job in stage.ordered().await {
        stage.decline(job, "NoCapacity: none").await;
    }
    tokens.sort();
    // Reverts whatever it is asked.
    stage.ask("anvil_setCode", serde_json::json!([tokens[1], "0x5f5ffd"])).await;
    let withdrawn = stage.hawser().run(&["withdraw", "-o", "json"]);
    assert_eq!(withdrawn.code(), 1, "{withdrawn:#?}");
    withdrawn.said(&["1 of 3", &tokens[1].to_string()]);
    let sent = withdrawn.json_anyway();
    let sent: Vec<_> = sent.as_array().unwrap().iter().map(|one| one["token"]["address"].as_str().unwrap()).collect();
    assert_eq!(sent, [tokens[0], tokens[2]].map(|token| format!("{token:#x}")));
    for tx in withdrawn.json_anyway().as_array().unwrap() {
        assert!(withdrawn.stderr.contains(tx["tx"].as_str().unwrap()), "{withdrawn:#?}");
    }
}

#[tokio::test]
async fn a_watch_gives_up_after_its_time_and_the_job_goes_on() {
    let stage = Stage::set().await;
    let job = stage.order().to_string();
    let watched = stage.stranger().run(&["watch", &job, "--timeout", "1", "-o", "json"]);
    assert_eq!(watched.code(), 1);
    watched.said(&["timed out", "is still Open", "`hawser watch`"]);
    assert_eq!(watched.json_anyway()["status"], "Open");
}

/// Key and password of the Web3 Secret Storage definition's test vector, with fewer rounds.
const KEYSTORE: &str = include_str!("keystore.json");

#[tokio::test]
async fn a_keystore_with_a_password_file_signs_like_a_key() {
    let stage = Stage::set().await;
    let keystore = stage.file("key.json", KEYSTORE);
    let right = stage.file("password", "testpassword\n");
    let wrong = stage.file("wrong", "guess\n");
    let order = stage.order_file();
    let args = ["order", "-f", &order, "--keystore", &keystore];
    let with = |password: &str| stage.stranger().env("HAWSER_PASSWORD_FILE", password).run(&args);
    with(&wrong).failed(2, &["can't be opened", "check the password"]);
    with(&right).failed(1, &["0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b has 0 tUSD"]);
}

#[tokio::test]
async fn bad_input_is_one_sentence_that_says_what_to_do() {
    let stage = Stage::set().await;
    let file = stage.order_file();
    let order = ["order", "-f", &file];
    stage.hawser().without("HAWSER_RPC_URL").run(&["offers"]).failed(2, &["--rpc-url URL or HAWSER_RPC_URL"]);
    stage.hawser().without("HAWSER_MARKET").run(&["offers"]).failed(2, &["--market ADDRESS or HAWSER_MARKET"]);
    stage.stranger().run(&order).failed(2, &["no key", "--keystore", "HAWSER_PRIVATE_KEY"]);
    stage.hawser().env("HAWSER_PRIVATE_KEY", "0x12").run(&order).failed(2, &["holds no private key"]);
    let nobody = "0x00000000000000000000000000000000000000aa";
    stage.hawser().env("HAWSER_MARKET", nobody).run(&["offers"]).failed(2, &["no contract at", "chain 31337"]);
    let token = stage.token.address().to_string();
    stage.hawser().env("HAWSER_MARKET", &token).run(&["offers"]).failed(1, &["--market"]);
    stage.hawser().env("HAWSER_RPC_URL", "ftp://x").run(&["offers"]).failed(2, &["ftp://", "expected http://"]);
    stage
        .hawser()
        .env("HAWSER_RPC_URL", "http://127.0.0.1:1/secret")
        .secret("/secret")
        .run(&["offers"])
        .failed(1, &["no answer"]);
    stage.hawser().run(&["order", "-f", "nowhere.yaml"]).failed(2, &["nowhere.yaml can't be read"]);
    let typo = stage.file("typo.yaml", "gpu: 1\nworkload: {image: a}\n");
    stage.hawser().run(&["order", "-f", &typo]).failed(2, &["typo.yaml", "unknown field `gpu`"]);
    let bare = stage.file("bare.yaml", "workload: {image: a}\n");
    stage.hawser().run(&["order", "-f", &bare]).failed(2, &["no `gpus`", "--gpus N"]);
    stage.hawser().run(&["order", "-f", &file, "--max-price", "cheap"]).failed(2, &["\"cheap\" is not an amount"]);
    assert_eq!(stage.hawser().run(&["end", "0x12"]).code(), 2);
    assert_eq!(stage.hawser().run(&["order", "-f", &file, "--gpus", "0"]).code(), 2);
}
