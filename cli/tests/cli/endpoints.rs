//! Several nodes, of which some are away, are of another chain, or go away in between.

use serde_json::{Value, json};

use crate::stage::{KEY, Stage, Trouble};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9/v2/wouldbeakey";

#[tokio::test]
async fn the_next_node_is_asked_where_the_first_is_away() {
    let stage = Stage::set().await;
    let node = stage.behind(|_| Trouble::None);
    let both = format!("{NOBODY}, {}", node.url());
    stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY).run(&["offers"]).ok();
    let apart = ["offers", "--rpc-url", NOBODY, "--rpc-url", node.url()];
    stage.hawser().env("HAWSER_RPC_URL", NOBODY).secret(KEY).run(&apart).ok();
    assert_eq!(node.asked("eth_chainId"), 2);
}

#[tokio::test]
async fn an_order_is_placed_although_the_first_node_goes_away_in_between() {
    let stage = Stage::set().await;
    let well = stage.behind(|_| Trouble::None);
    for last in ["eth_estimateGas", "eth_getTransactionCount"] {
        let mut gone = false;
        let first = stage.behind(move |request| {
            if gone {
                return Trouble::HangUp;
            }
            gone = request["method"] == last;
            Trouble::None
        });
        let both = format!("{},{}", first.url(), well.url());
        let hawser = stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY);
        let placed = hawser.run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
        assert_eq!(placed["jobId"], stage.ordered().await.last().unwrap().to_string());
        assert_eq!(first.asked("eth_sendRawTransaction"), 0);
    }
    assert_eq!(well.asked("eth_sendRawTransaction"), 2);
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_not_placed_twice_by_another_node() {
    let stage = Stage::set().await;
    let first = stage.behind(
        |request| {
            if request["method"] == "eth_sendRawTransaction" { Trouble::Lost } else { Trouble::None }
        },
    );
    let second = stage.behind(|_| Trouble::None);
    let both = format!("{},{}", first.url(), second.url());
    let hawser = stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY);
    let placed = hawser.run(&["order", "-f", &stage.order_file(), "-o", "json"]).json();
    let ordered: Vec<_> = stage.ordered().await.iter().map(ToString::to_string).collect();
    assert_eq!(json!(ordered), json!([placed["jobId"]]));
}

/// The id of a chain is asked for, and a number that is none is the answer.
fn of_another_chain(request: &Value) -> Trouble {
    if request["method"] != "eth_chainId" {
        return Trouble::None;
    }
    let mut other = request.clone();
    other["method"] = json!("eth_gasPrice");
    Trouble::Instead(other)
}

#[tokio::test]
async fn a_node_of_another_chain_is_left_for_the_next_one() {
    let stage = Stage::set().await;
    let (other, well) = (stage.behind(of_another_chain), stage.behind(|_| Trouble::None));
    let both = format!("{},{}", other.url(), well.url());
    let hawser = || stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY);
    hawser().run(&["offers", "--chain-id", "31337"]).ok();
    assert_eq!((other.asked("eth_call"), well.asked("eth_chainId")), (0, 1));
    hawser().run(&["offers", "--chain-id", "5"]).failed(2, &["chain 31337", "--chain-id", "5", "check --rpc-url"]);
}

#[tokio::test]
async fn which_chain_it_is_says_the_first_node_with_the_market() {
    let stage = Stage::set().await;
    let other = stage.behind(|request| match request["method"].as_str() {
        Some("eth_getCode") => {
            // An account's nonce is no code.
            Trouble::Instead(json!({"jsonrpc": "2.0", "id": request["id"], "method": "eth_getCode",
                "params": ["0x00000000000000000000000000000000000000ff", "latest"]}))
        }
        _ => of_another_chain(request),
    });
    let well = stage.behind(|_| Trouble::None);
    let both = format!("{},{}", other.url(), well.url());
    let ran = stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY).run(&["offers"]);
    assert!(ran.ok().stderr.contains("there is no contract at"));
}

#[tokio::test]
async fn a_node_that_goes_away_is_no_bad_input_where_another_one_is_of_another_chain() {
    let stage = Stage::set().await;
    let other = stage.behind(of_another_chain);
    let mut asked = 0;
    let first = stage.behind(move |request| {
        asked += i32::from(request["method"] == "eth_call");
        if asked > 0 { Trouble::HangUp } else { Trouble::None }
    });
    let both = format!("{},{}", other.url(), first.url());
    let hawser = stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY);
    hawser.run(&["offers", "--chain-id", "31337"]).failed(1, &["no answer from the node"]);
}

#[tokio::test]
async fn where_no_node_answers_each_is_named_without_its_key() {
    let stage = Stage::set().await;
    let busy = stage.behind(|_| Trouble::Status(503));
    let both = format!("{NOBODY},{}", busy.url());
    let ran = stage.hawser().env("HAWSER_RPC_URL", &both).secret(KEY).run(&["offers"]);
    ran.failed(1, &["http://127.0.0.1:9: no answer", "HTTP status 503", "--rpc-url"]);
    assert!(busy.asked("eth_chainId") > 1, "a blip is tried again");
}
