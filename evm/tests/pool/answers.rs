use std::time::Duration;

use alloy::{
    primitives::Address,
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
    sol_types::SolError,
};
use hawser_evm::{Class, ClientProfile, Error, FailureKind, LogPages, Reason, Unavailable};
use serde_json::json;

use crate::fake::{Fake, NEVER, error, pool, pool_of, result};

fn call() -> TransactionRequest {
    TransactionRequest::default().to(Address::repeat_byte(7))
}

fn lapses(error: &Error) -> Vec<Option<FailureKind>> {
    let Error::Unavailable(Unavailable(troubles)) = error else { panic!("{error}") };
    troubles.iter().map(|(_, trouble)| trouble.failure).collect()
}

#[tokio::test]
async fn an_error_says_which_endpoint_answered_what_to_which_method() {
    let data = format!("0x{}", alloy::hex::encode(alloy::sol_types::Revert::from("no").abi_encode()));
    let given = data.clone();
    let fake =
        Fake::new(move |method, _| (method == "eth_call").then(|| (200, error(3, "execution reverted", Some(&given)))))
            .await;
    let told = pool(&[&fake], ClientProfile::SERVICE).provider().call(call()).await.map_err(Error::from).unwrap_err();
    let Error::Answer { endpoint, method, code, message, revert } = told else { panic!("{told}") };
    assert_eq!((endpoint, &*method, code, &*message), (fake.url.clone(), "eth_call", 3, "execution reverted"));
    assert_eq!(revert.unwrap().to_string(), data);
    assert_eq!(fake.asked("eth_call"), 1, "another try would be answered the same");
}

#[tokio::test]
async fn what_is_not_what_the_method_returns_is_asked_of_the_next_endpoint() {
    for answer in [json!("0x7"), json!({"no": "list"})] {
        let wrong = Fake::new(move |method, _| (method == "eth_getLogs").then(|| (200, result(answer.clone())))).await;
        let well = Fake::well().await;
        let both = pool(&[&wrong, &well], ClientProfile::SERVICE);
        assert_eq!(both.provider().get_logs(&Filter::new()).await.unwrap(), []);
        assert_eq!((well.asked("eth_getLogs"), both.endpoint()), (1, well.url.clone()));
        let alone = pool(&[&wrong], ClientProfile::SERVICE).provider().get_logs(&Filter::new()).await;
        assert_eq!(lapses(&alone.unwrap_err().into()), [Some(FailureKind::Garbage)]);
    }
}

#[tokio::test]
async fn nothing_where_something_was_asked_for_is_an_answer_that_can_not_be_read() {
    let fake = Fake::new(|method, _| (method == "eth_call").then(|| (200, result(json!(null))))).await;
    let told = pool(&[&fake], ClientProfile::SERVICE).provider().call(call()).await.map_err(Error::from).unwrap_err();
    assert!(matches!(&told, Error::Malformed { method, .. } if method == "eth_call"), "{told}");
    let none = pool(&[&fake], ClientProfile::SERVICE).provider().get_transaction_receipt([1; 32].into()).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_not_used_and_is_told_first() {
    let other = Fake::new(|method, _| (method == "eth_chainId").then(|| (200, result(json!("0x1"))))).await;
    let well = Fake::well().await;
    assert_eq!(pool(&[&other, &well], ClientProfile::SERVICE).ready().await.unwrap(), 1337);
    let away = Fake::new(|_, _| Some((500, json!("a page")))).await;
    let told = pool(&[&other, &away], ClientProfile::SERVICE).ready().await.unwrap_err();
    let Error::Unavailable(why) = &told else { panic!("{told}") };
    assert_eq!(why.reason(), Reason::WrongChain);
    assert!(why.to_string().contains("serves chain 1, and chainId is 1337"), "{why}");
    assert_eq!(lapses(&told), [None, Some(FailureKind::Status(500))]);
}

#[tokio::test]
async fn a_second_opinion_is_that_of_an_endpoint_that_is_not_in_use() {
    let first = Fake::well().await;
    let second = Fake::new(|method, _| (method == "eth_blockNumber").then(|| (200, result(json!("0x9"))))).await;
    let both = pool(&[&first, &second], ClientProfile::SERVICE);
    assert_eq!(both.provider().get_block_number().await.unwrap(), 7);
    assert_eq!(both.second_opinion(Class::Jobs).get_block_number().await.unwrap(), 9);
    let alone = pool(&[&first], ClientProfile::SERVICE);
    let nobody = alone.second_opinion(Class::Jobs).get_block_number().await.map_err(Error::from).unwrap_err();
    assert_eq!(lapses(&nobody), []);
}

#[tokio::test]
async fn a_command_tries_a_blip_three_times_again_and_a_lasting_fault_never() {
    for (status, failing, asked, expected) in
        [(502, 3, 4, true), (502, 9, 4, false), (400, 9, 1, false), (401, 9, 1, false), (500, 9, 1, false)]
    {
        let mut left = failing;
        let fake = Fake::new(move |method, _| {
            left -= i32::from(method == "eth_blockNumber");
            (method == "eth_blockNumber" && left >= 0).then(|| (status, json!("a page")))
        })
        .await;
        let answer = pool(&[&fake], ClientProfile::COMMAND).provider().get_block_number().await;
        assert_eq!((answer.is_ok(), fake.asked("eth_blockNumber")), (expected, asked), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn a_command_waits_in_vain_for_no_endpoint_twice() {
    let hangs = || Fake::new(|method, _| (method == "eth_blockNumber").then_some((NEVER, json!(null))));
    let profile = ClientProfile::COMMAND.with_timeout(Duration::from_millis(300));
    let (first, well) = (hangs().await, Fake::well().await);
    assert_eq!(pool(&[&first, &well], profile).provider().get_block_number().await.unwrap(), 7);
    assert_eq!((first.asked("eth_blockNumber"), first.asked("eth_chainId")), (1, 1));
    let alone = hangs().await;
    let told = pool(&[&alone], profile).provider().get_block_number().await.unwrap_err();
    assert_eq!((lapses(&told.into()), alone.asked("eth_blockNumber")), (vec![Some(FailureKind::TimedOut)], 1));
}

#[tokio::test]
async fn a_command_gives_up_who_was_waited_for_where_nobody_else_can_be_used() {
    let hangs = Fake::new(|method, _| (method == "eth_blockNumber").then_some((NEVER, json!(null)))).await;
    let away = Fake::new(|_, _| Some((500, json!("a page")))).await;
    let profile = ClientProfile::COMMAND.with_timeout(Duration::from_millis(300));
    let told = pool(&[&hangs, &away], profile).provider().get_block_number().await.unwrap_err();
    assert_eq!((lapses(&told.into()), hangs.asked("eth_blockNumber")), (vec![Some(FailureKind::TimedOut)], 1));
}

#[tokio::test]
async fn a_batch_is_refused_with_what_to_do_instead() {
    let fake = Fake::well().await;
    let pool = pool(&[&fake], ClientProfile::SERVICE);
    let mut batch = alloy::rpc::client::BatchRequest::new(pool.provider().client());
    let _waiter = batch.add_call::<_, alloy::primitives::U64>("eth_blockNumber", &()).unwrap();
    assert!(batch.send().await.unwrap_err().to_string().contains("one by one"));
}

#[tokio::test]
async fn a_transaction_that_one_endpoint_may_have_taken_is_not_said_to_be_refused_by_another() {
    let refuses = || {
        Fake::new(|method, _| {
            (method == "eth_sendRawTransaction").then(|| (200, error(-32000, "insufficient funds", None)))
        })
    };
    for (status, heard) in [(502, true), (NEVER, true), (429, false), (401, false)] {
        let lost = Fake::new(move |method, _| (method == "eth_sendRawTransaction").then(|| (status, json!("x")))).await;
        let second = refuses().await;
        let profile = ClientProfile::COMMAND.with_timeout(Duration::from_millis(300));
        let both = pool(&[&lost, &second], profile);
        let told = both.provider().send_raw_transaction(&[1]).await.map_err(Error::from).unwrap_err();
        assert_eq!(matches!(told, Error::Unavailable(_)), heard, "{status}: {told}");
        assert_eq!(second.asked("eth_sendRawTransaction"), 1, "{status}");
    }
    let alone = pool(&[&refuses().await], ClientProfile::COMMAND);
    let told = alone.provider().send_raw_transaction(&[1]).await.map_err(Error::from).unwrap_err();
    assert!(matches!(&told, Error::Answer { message, .. } if message == "insufficient funds"), "{told}");
}

#[tokio::test]
async fn only_an_endpoint_that_can_be_used_says_which_chain_it_is() {
    let other = Fake::new(|method, _| match method {
        "eth_chainId" => Some((200, result(json!("0x1")))),
        "eth_getCode" => Some((200, result(json!("0x")))),
        _ => None,
    })
    .await;
    let well = Fake::well().await;
    let any = |fakes: &[&Fake]| pool_of(fakes, ClientProfile::COMMAND, None);
    assert_eq!(any(&[&other, &well]).ready().await.unwrap(), 1337);
    let third = Fake::new(|method, _| (method == "eth_chainId").then(|| (200, result(json!("0x5"))))).await;
    let learned = any(&[&well, &third]);
    learned.ready().await.unwrap();
    learned.demote("for the test");
    learned.provider().get_block_number().await.unwrap();
    assert_eq!(learned.endpoint(), well.url, "the other one is of another chain");
}

#[tokio::test]
async fn a_range_that_is_refused_by_its_http_status_is_halved_and_one_block_is_not() {
    let fake = Fake::new(|method, params| {
        let number = |name: &str| u64::from_str_radix(params[0][name].as_str()?.strip_prefix("0x")?, 16).ok();
        let wide = || number("toBlock").unwrap() - number("fromBlock").unwrap() >= 4;
        (method == "eth_getLogs" && wide()).then(|| (413, json!("too much")))
    })
    .await;
    let pool = pool(&[&fake], ClientProfile::SERVICE);
    let mut pages = LogPages::new(pool.provider(), Filter::new(), 1..=9, 100);
    let mut read = 0;
    while pages.next().await.unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, 3);
    let strict = Fake::new(|method, _| (method == "eth_getLogs").then(|| (400, json!("no logs")))).await;
    let pool = crate::fake::pool(&[&strict], ClientProfile::SERVICE);
    let told = LogPages::new(pool.provider(), Filter::new(), 1..=2, 100).next().await.unwrap_err();
    assert_eq!(lapses(&told), [Some(FailureKind::Status(400))]);
}
