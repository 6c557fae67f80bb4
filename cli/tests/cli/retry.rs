//! An order or a top-up of which nobody can say whether it was sent, and what keeps it from being paid twice.

use serde_json::{Value, json};

use crate::stage::{PRICE, Stage, Trouble};

fn sends(request: &Value) -> bool {
    request["method"] == "eth_sendRawTransaction"
}

/// The word that comes after another one.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {text}"));
    rest.split_whitespace().next().unwrap().trim_end_matches([',', ')', ':'])
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_found_by_its_hash() {
    let stage = Stage::set().await;
    let node = stage.behind(|request| if sends(request) { Trouble::Lost } else { Trouble::None });
    let placed = node.hawser(&stage).run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
    assert_eq!(placed["jobId"], stage.ordered().await[0].to_string());
}

#[tokio::test]
async fn an_order_that_may_have_been_sent_says_so_and_can_be_repeated() {
    let stage = Stage::set().await;
    let node = stage.behind(|request| if sends(request) { Trouble::Status(502) } else { Trouble::None });
    let file = stage.order_file();
    let ran = node.hawser(&stage).run(&["order", "-f", &file]);
    ran.failed(1, &["whether transaction 0x", "is not known", "HTTP status 502", "`hawser jobs`", "--salt 0x"]);
    let salt = after(&ran.stderr, "--salt ").to_owned();
    assert!(ran.stderr.lines().next().unwrap().contains(&salt), "the order's own line names the salt: {ran:#?}");
    assert!(stage.ordered().await.is_empty());
    let again = stage.hawser().run(&["order", "-f", &file, "--salt", &salt, "-o", "json"]).json();
    assert_eq!(again["salt"], salt.as_str());
}

#[tokio::test]
async fn an_order_that_was_sent_unseen_is_not_placed_again() {
    let stage = Stage::set().await;
    let node = stage.behind(|request| match request["method"].as_str().unwrap() {
        "eth_sendRawTransaction" => Trouble::Lost,
        "eth_getTransactionByHash" => Trouble::HangUp,
        _ => Trouble::None,
    });
    let file = stage.order_file();
    let ran = node.hawser(&stage).run(&["order", "-f", &file]);
    ran.failed(1, &["is not known", "--salt 0x"]);
    let salt = after(&ran.stderr, "--salt ").to_owned();
    let job = stage.ordered().await[0].to_string();
    stage.hawser().run(&["order", "-f", &file, "--salt", &salt]).failed(1, &["placed already", &job]);
}

#[tokio::test]
async fn a_top_up_that_may_have_been_sent_says_where_to_look() {
    let stage = Stage::set().await;
    let job = stage.order().to_string();
    let node = stage.behind(|request| if sends(request) { Trouble::HangUp } else { Trouble::None });
    let ran = node.hawser(&stage).run(&["topup", &job, "--seconds", "300"]);
    ran.failed(1, &["whether transaction 0x", "no answer", "`hawser jobs`", "900 seconds", "600"]);
}

#[tokio::test]
async fn what_the_node_refuses_to_take_was_not_sent() {
    let stage = Stage::set().await;
    let node =
        stage.behind(|request| if sends(request) { Trouble::Refuse("transaction underpriced") } else { Trouble::None });
    let ran = node.hawser(&stage).run(&["order", "-f", &stage.order_file()]);
    ran.failed(1, &["the node refused: transaction underpriced"]);
}

#[tokio::test]
async fn a_receipt_that_can_not_be_read_at_first_is_waited_for() {
    let stage = Stage::set().await;
    let mut polls = 0;
    let node = stage.behind(move |request| {
        polls += u32::from(request["method"] == "eth_getTransactionReceipt");
        match (request["method"] == "eth_getTransactionReceipt", polls) {
            (true, ..=4) => Trouble::HangUp,
            (true, ..=8) => Trouble::Status(500),
            _ => Trouble::None,
        }
    });
    node.hawser(&stage).run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
    assert!(node.asked("eth_getTransactionReceipt") > 8);
}

#[tokio::test]
async fn a_salt_that_was_used_places_no_second_order_at_another_price() {
    let stage = Stage::set().await;
    let file = stage.order_file();
    let salt = format!("0x{}", "5a".repeat(32));
    let args = ["order", "-f", &file, "--salt", &salt, "-o", "json"];
    let placed = stage.hawser().run(&args).json();
    stage.post_at(*stage.token.address(), 8, PRICE - 250_000).await;
    let job = placed["jobId"].as_str().unwrap();
    stage.hawser().run(&args).failed(1, &["placed already", job, "another --salt"]);
    assert_eq!(stage.ordered().await.len(), 1);

    // Where no event says so, the market itself knows the same order at the same price.
    stage.post_at(*stage.token.address(), 8, PRICE).await;
    let head = (stage.head().await + 1).to_string();
    let unseen = stage.hawser().run(&[&args[..], &["--from-block", &head]].concat());
    unseen.failed(1, &["placed already", job, "(JobExists)"]);
    assert_eq!(stage.ordered().await.len(), 1);

    let other = stage.post(*stage.token.address(), 4).await;
    stage.hawser().run(&["order", "-f", &file, "--salt", &salt, "--offer", &other]).ok();
}

#[tokio::test]
async fn a_salt_is_not_used_while_a_transaction_waits_that_may_be_the_same_order() {
    let stage = Stage::set().await;
    stage.ask("evm_setAutomine", json!([false])).await;
    let customer = stage.customer;
    stage.ask("eth_sendTransaction", json!([{"from": customer, "to": customer, "value": "0x0"}])).await;
    let salt = format!("0x{}", "5a".repeat(32));
    let args = ["order", "-f", &stage.order_file(), "--salt", &salt];
    stage.hawser().run(&args).failed(1, &["waits for its block", "the same order"]);
    stage.ask("evm_mine", json!([])).await;
    stage.ask("evm_setAutomine", json!([true])).await;
    stage.hawser().run(&args).ok();
}
