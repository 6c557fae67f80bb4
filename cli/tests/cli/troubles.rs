//! Nodes that limit, lag and refuse.

use crate::stage::{Stage, Trouble};

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
