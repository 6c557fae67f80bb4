//! What a provider does with its cold key.

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

use crate::stage::Stage;

const HOT: &str = "0x00000000000000000000000000000000000000a1";
const PAYOUT: &str = "0x00000000000000000000000000000000000000A2";

#[tokio::test]
async fn setting_keys_makes_an_account_a_provider_and_the_zero_address_revokes_the_operator() {
    let stage = Stage::set().await;
    let (rival, _) = stage.rivals_market();
    stage
        .rival()
        .run(&["provider", "show"])
        .failed(1, &[&rival.to_string(), "is not registered as a provider", "`hawser provider set`"]);
    let keys = ["provider", "set", "--operator", HOT, "--payout", PAYOUT];
    stage.stranger().run(&keys).failed(2, &["no key"]);
    let set = stage.rival().run(&[&keys[..], &["-o", "json"]].concat()).json();
    assert_eq!(set["provider"], json!(rival));
    assert_eq!(
        (&set["operator"], set["payout"].as_str().map(str::to_lowercase)),
        (&json!(HOT), Some(PAYOUT.to_lowercase()))
    );

    let shown = stage.stranger().run(&["provider", "show", "--provider", &rival.to_string(), "-o", "json"]).json();
    assert_eq!((&shown["operator"], &shown["payout"], &shown["offers"]), (&set["operator"], &set["payout"], &json!(0)));
    assert_eq!(shown["tokens"], json!([]));

    let nobody = Address::ZERO.to_string();
    let revoked = ["provider", "set", "--operator", &nobody, "--payout", PAYOUT];
    assert_eq!(stage.rival().run(&[&revoked[..], &["-o", "json"]].concat()).json()["operator"], Value::Null);
    assert!(stage.rival().run(&["provider", "show"]).ok().stdout.contains("Operator  none"));
    let lost = ["provider", "set", "--operator", HOT, "--payout", &nobody];
    stage.rival().run(&lost).failed(1, &["earnings must go somewhere", "(ZeroPayout)"]);
}

#[tokio::test]
async fn a_floor_is_said_in_whole_tokens_and_zero_refuses_the_token() {
    let stage = Stage::set().await;
    let token = stage.token.address().to_string();
    let floor = |price: &'static str| ["provider", "floor", "--token", &token, "--price", price].map(str::to_owned);
    let run = |hawser: crate::stage::Hawser, price: &'static str, more: &[&str]| {
        let floor = floor(price);
        hawser.run(&floor.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let set = run(stage.seller(), "2.5", &["-o", "json"]).json();
    assert_eq!((set["floor"].as_str(), set["token"]["decimals"].as_u64()), (Some("2500000"), Some(6)));
    let of_all = stage.market.floor(stage.provider, *stage.token.address(), B256::ZERO);
    assert_eq!(of_all.call().await.unwrap(), 2_500_000);
    stage.hawser().run(&["order", "-f", &stage.order_file()]).failed(1, &["floor of 2.5 tUSD", "(PriceBelowFloor)"]);

    assert!(run(stage.seller(), "0", &[]).ok().stdout.contains("tUSD is refused"));
    stage.hawser().run(&["order", "-f", &stage.order_file()]).failed(1, &["takes no orders", "(TokenRefused)"]);
    let shown = stage.seller().run(&["provider", "show", "-o", "json"]).json();
    assert_eq!((shown["tokens"][0]["floor"].as_str(), shown["tokens"][0]["credit"].as_str()), (Some("0"), Some("0")));
    assert_eq!((shown["offers"].as_u64(), shown["tokens"].as_array().map(Vec::len)), (Some(1), Some(1)));

    run(stage.seller(), "2", &[]).ok();
    let class = "NVIDIA-H100-80GB-HBM3";
    let own = run(stage.seller(), "3", &["--gpu", class, "-o", "json"]).json();
    assert_eq!((own["gpu"].as_str(), own["floor"].as_str()), (Some(class), Some("3000000")));
    stage.hawser().run(&["order", "-f", &stage.order_file()]).failed(1, &["floor of 3 tUSD", "(PriceBelowFloor)"]);
    let shown = stage.seller().run(&["provider", "show", "-o", "json"]).json();
    assert_eq!(shown["tokens"][0]["classes"], json!([{"gpu": class, "floor": "3000000"}]));
    let table = stage.seller().run(&["provider", "show"]).ok().stdout;
    assert!(table.contains(class) && table.contains("3 tUSD per GPU-hour"), "{table}");
    assert!(run(stage.seller(), "0", &["--gpu", class]).ok().stdout.contains("none of its own"));
    assert_eq!(stage.seller().run(&["provider", "show", "-o", "json"]).json()["tokens"][0]["classes"], json!([]));
    stage.order();
    assert_eq!(run(stage.seller(), "1", &["--gpu", ""]).code(), 2);

    run(stage.seller(), "0.0000001", &[]).failed(2, &["the floor", "more decimals than the token, which has 6"]);
    run(stage.seller(), "1208925819614629175", &[]).failed(2, &["above every price", "0 to refuse"]);
    run(stage.rival(), "1", &[]).failed(1, &["is not registered as a provider", "cold key"]);
}
