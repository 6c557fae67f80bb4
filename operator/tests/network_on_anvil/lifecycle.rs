//! An order's life: from the offer that it is for to its settlement.

use std::sync::{Arc, Mutex};

use alloy::{
    primitives::{Address, B256, U256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolStruct,
};
use hawser_market::{JobId, UsageVoucher};
use hawser_operator::{
    network::Payment,
    network::evm::{
        Action, ActionState, Checkpoint, Claim, Cursor, EvmNetwork, EvmOrder, GpuSeconds, JobStatus, Known,
    },
    settlement::plan::{self, Step},
};

use serde_json::json;

use crate::node::{GPUS, Node, PAYOUT, PRICE, SECONDS, assert_mined, assert_says, spec, start, start_again};

/// Orders that a watcher handed over.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<EvmOrder>>>);

impl Seen {
    pub fn watch(network: &EvmNetwork, from: Option<Cursor>) -> Self {
        let seen = Self::default();
        let (collected, network) = (seen.clone(), network.clone());
        tokio::spawn(async move {
            network
                .watch_orders(from, |orders| {
                    collected.0.lock().unwrap().extend(orders);
                    std::future::ready(Ok::<_, std::convert::Infallible>(()))
                })
                .await;
        });
        seen
    }

    pub fn orders(&self) -> Vec<EvmOrder> {
        self.0.lock().unwrap().clone()
    }

    pub fn jobs(&self) -> Vec<JobId> {
        self.orders().iter().map(|order| order.job).collect()
    }
}

pub fn claim(network: &EvmNetwork, attestor: &PrivateKeySigner, job: JobId, gpu_seconds: u64) -> Claim {
    let root = B256::repeat_byte(0x42);
    let hash = UsageVoucher::new(job, gpu_seconds, root).eip712_signing_hash(&network.domain());
    let signature = attestor.sign_hash_sync(&hash).unwrap();
    Claim { job, gpu_seconds: GpuSeconds(gpu_seconds), evidence_root: root, signature }
}

/// An order that is open, and the network through which its offer was posted.
pub async fn open(node: &Node, network: &EvmNetwork, salt: u8) -> JobId {
    let offer = node.offer(network).await;
    node.order(offer, salt).await
}

#[tokio::test]
async fn an_offer_is_posted_under_the_id_that_its_terms_give_and_then_changed() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let post = node.post();
    let id = post.offer;
    assert_eq!(network.offer(id).await.unwrap(), None);

    assert_mined(&node.done(&network, Action::SetOffer(post.clone())).await);
    let posted = network.offer(id).await.unwrap().unwrap();
    assert_eq!((posted.id, &posted.terms, posted.price, posted.available), (id, &post.terms, PRICE, 8));
    assert_eq!(posted.valid_until, post.valid_until);

    let update = Action::UpdateOffer { offer: id, price: PRICE + 1, available: 3, valid_until: post.valid_until };
    assert_mined(&node.done(&network, update).await);
    let posted = network.offer(id).await.unwrap().unwrap();
    assert_eq!((posted.price, posted.available), (PRICE + 1, 3));

    let token = network.token(node.token).await.unwrap();
    assert_eq!((token.decimals, token.symbol.as_str()), (6, "tUSD"));
}

#[tokio::test]
async fn a_contract_that_is_no_market_of_this_release_is_named_with_the_way_out() {
    let node = Node::start().await;
    let mut spec = node.spec();
    assert_eq!(start(spec.clone()).0.sunset().await.unwrap(), None);
    spec.market = node.token;
    let refused = start(spec).0.sunset().await.unwrap_err().to_string();
    assert!(refused.starts_with(&format!("the contract at {} is not the market", node.token)), "{refused}");
    assert!(refused.contains("run that until its jobs are settled"), "{refused}");
}

#[tokio::test]
async fn an_offer_that_the_market_refuses_is_reported_in_words() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let post = node.post_with(|terms| terms.token = Address::repeat_byte(9));
    assert_says(&node.done(&network, Action::SetOffer(post)).await, "call setFloor with its key");
    let mut post = node.post();
    post.price = 0;
    assert_says(&node.done(&network, Action::SetOffer(post)).await, "below the provider's floor of 1");
    let post = node.post_with(|terms| terms.provider = Address::repeat_byte(9));
    assert_says(&node.done(&network, Action::SetOffer(post)).await, "call setProvider with");
}

#[tokio::test]
async fn an_order_is_seen_once_it_is_deep_enough_and_again_from_an_old_cursor() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let seen = Seen::watch(&network, None);
    let job = open(&node, &network, 1).await;

    // One block lies on top of it: the node mines by itself, and once more when told to.
    let placed = node.block().await - 1;
    node.until("all that may be read is read", async || {
        network.observed().borrow().cursor.filter(|cursor| cursor.number + 1 == placed)
    })
    .await;
    assert_eq!(seen.jobs(), [], "one block on top is not enough");
    node.mine(1).await;
    node.until("the order is seen", async || (seen.jobs() == [job]).then_some(())).await;
    let order = seen.orders().remove(0);
    assert_eq!(order.block.number, placed);
    assert_eq!((order.job.gpus(), order.job.price(), order.duration_seconds), (GPUS, PRICE, SECONDS));
    assert_eq!((order.deposit(), order.by), (job.deposit(SECONDS), node.by(job.offer_id(), 1)));
    assert_eq!(order.spec.unwrap().to_vec(), spec(1));

    node.mine(5).await;
    let past = order.block.number + 3;
    let cursor = node
        .until("the cursor moved on", async || {
            network.observed().borrow().cursor.filter(|cursor| cursor.number >= past)
        })
        .await;
    assert_eq!(seen.jobs(), [job], "once, however many blocks follow");

    let again = Seen::watch(&network, None);
    node.until("an old cursor shows it again", async || (again.jobs() == [job]).then_some(())).await;
    let later = Seen::watch(&network, Some(cursor.into()));
    let second = node.order(job.offer_id(), 2).await;
    node.mine(2).await;
    node.until("a new cursor shows what follows", async || (later.jobs() == [second]).then_some(())).await;
}

#[tokio::test]
async fn orders_that_the_handler_refuses_come_again() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    node.mine(2).await;
    let head = node.block().await;
    let tries = Arc::new(Mutex::new(Vec::new()));
    let (handled, watcher) = (Arc::clone(&tries), network.clone());
    tokio::spawn(async move {
        watcher
            .watch_orders(None, |orders| {
                let mut tries = handled.lock().unwrap();
                tries.push(orders.iter().map(|order| order.job).collect::<Vec<_>>());
                std::future::ready(if tries.len() < 3 { Err("the API server is away") } else { Ok(()) })
            })
            .await;
    });
    node.until("the cursor passed it", async || {
        network.observed().borrow().cursor.filter(|cursor| cursor.number + 2 >= head)
    })
    .await;
    assert_eq!(*tries.lock().unwrap(), [vec![job], vec![job], vec![job]]);
}

#[tokio::test]
async fn a_job_is_started_paid_for_what_was_attested_and_ended() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let job = open(&node, &network, 1).await;
    assert_eq!(network.job(job).await.unwrap().status, JobStatus::Open);

    let attestor = PrivateKeySigner::random();
    assert_mined(&node.done(&network, Action::Start { job, attestor: attestor.address() }).await);
    let running = network.job(job).await.unwrap();
    assert_eq!((running.status, running.is_attestor(attestor.address())), (JobStatus::Running, true));

    node.rpc("evm_increaseTime", json!([60])).await;
    node.mine(1).await;
    assert_mined(&node.done(&network, Action::Claim(claim(&network, &attestor, job, 100))).await);
    assert_eq!(network.job(job).await.unwrap().used, GpuSeconds(100));

    let forged = claim(&network, &PrivateKeySigner::random(), job, 110);
    let state = node.done(&network, Action::Claim(forged)).await;
    assert_says(&state, "not signed by the job's attestor");
    assert!(matches!(state, ActionState::Refused { .. }));
    let replayed = node.done(&network, Action::Claim(claim(&network, &attestor, job, 90))).await;
    assert!(matches!(replayed, ActionState::AlreadyDone { .. }), "{replayed:?}");
    assert_eq!(network.job(job).await.unwrap().used, GpuSeconds(100), "neither was paid");

    let order = node.by(job.offer_id(), 1);
    let end = |used| Action::End { job, order, expect_used: GpuSeconds(used), reason: "finished".into() };
    assert_says(&node.done(&network, end(101)).await, "claim first");
    let foreign =
        Action::End { job, order: node.by(job.offer_id(), 2), expect_used: GpuSeconds(100), reason: String::new() };
    assert_says(&node.done(&network, foreign).await, "customer and order hash are not those of the job");
    assert_mined(&node.done(&network, end(100)).await);
    let closed = network.job(job).await.unwrap();
    assert_eq!((closed.status, closed.paid), (JobStatus::Closed, U256::from(100_000)));
    let now = network.observed().borrow().head.unwrap().time;
    let policy = plan::Policy {
        payment: Payment::Cumulative,
        interval: std::time::Duration::from_secs(1),
        least: U256::ZERO,
        claim_cost: U256::ZERO,
    };
    assert_eq!(plan::next(&closed.clone().into(), GpuSeconds(100), true, now, policy), Step::Done);
    let again = node.done(&network, Action::Refund { job, order }).await;
    assert!(matches!(again, ActionState::AlreadyDone { .. }), "{again:?}");
    let fee = 100_000 * 250 / 10_000;
    assert_eq!(network.credit(node.token).await.unwrap(), U256::from(100_000 - fee));
}

#[tokio::test]
async fn a_last_voucher_is_paid_and_its_job_closed_in_one_call() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let attestor = PrivateKeySigner::random();
    let first = open(&node, &network, 1).await;
    let second = node.order(first.offer_id(), 2).await;
    let order = |salt| node.by(first.offer_id(), salt);
    for job in [first, second] {
        assert_mined(&node.done(&network, Action::Start { job, attestor: attestor.address() }).await);
    }
    node.rpc("evm_increaseTime", json!([60])).await;
    node.mine(1).await;
    let mined = node.block().await;
    node.until("the block is seen", async || {
        network.observed().borrow().head.filter(|head| head.block.number >= mined)
    })
    .await;

    let settle = |job, by, used| Action::Settle { claim: claim(&network, &attestor, job, used), order: by };
    let foreign = node.done(&network, settle(first, order(2), 100)).await;
    assert_says(&foreign, "customer and order hash are not those of the job");
    let ahead = node.done(&network, settle(first, order(1), 10_000)).await;
    assert_says(&ahead, "more is signed for than can be paid yet");
    let forged = Action::Settle { claim: claim(&network, &PrivateKeySigner::random(), first, 100), order: order(1) };
    assert_says(&node.done(&network, forged).await, "not signed by the job's attestor");
    assert_eq!(network.job(first).await.unwrap().status, JobStatus::Running, "nothing of that closed it");

    // A stranger brought the second one's voucher before.
    assert_mined(&node.done(&network, Action::Claim(claim(&network, &attestor, second, 40))).await);
    node.stop_mining().await;
    let actions = [settle(first, order(1), 100), settle(second, order(2), 40)];
    actions.iter().cloned().for_each(|action| network.request(action));
    let tx = assert_mined(&node.over(&network, &actions[0].key()).await);
    assert_eq!(assert_mined(&node.over(&network, &actions[1].key()).await), tx);
    for (job, paid) in [(first, 100_000), (second, 40_000)] {
        let closed = network.job(job).await.unwrap();
        assert_eq!((closed.status, closed.paid), (JobStatus::Closed, U256::from(paid)));
    }
    let fees = 140_000 * 250 / 10_000;
    assert_eq!(network.credit(node.token).await.unwrap(), U256::from(140_000 - fees));
}

#[tokio::test]
async fn an_order_whose_text_was_not_posted_comes_without_it_beside_those_with_their_texts() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let offer = node.offer(&network).await;
    let seen = Seen::watch(&network, None);
    // Of few the receipts are read; of many the texts are asked for together.
    let few: Vec<_> = (0..2).map(|salt| (salt, salt != 1)).collect();
    let many: Vec<_> = (2..14).map(|salt| (salt, salt != 7)).collect();
    for orders in [few, many] {
        let jobs = node.order_in_one_block(offer, &orders).await;
        node.mine(2).await;
        let here = || seen.orders().into_iter().filter(|order| jobs.contains(&order.job)).collect::<Vec<_>>();
        node.until("all are seen", async || (here().len() == jobs.len()).then_some(())).await;
        for (salt, posted) in orders {
            let order = here().into_iter().find(|order| order.by == node.by_posted(offer, salt, posted)).unwrap();
            assert_eq!(order.spec.map(|text| text.to_vec()), posted.then(|| spec(salt)), "order {salt}");
        }
    }
}

/// Earns 97,500 units: 100,000, less the fee of 2.5 %.
pub async fn earn(node: &Node, network: &EvmNetwork, salt: u8) -> U256 {
    let job = open(node, network, salt).await;
    let attestor = PrivateKeySigner::random();
    assert_mined(&node.done(network, Action::Start { job, attestor: attestor.address() }).await);
    node.rpc("evm_increaseTime", json!([100])).await;
    node.mine(1).await;
    assert_mined(&node.done(network, Action::Claim(claim(network, &attestor, job, 100))).await);
    U256::from(97_500)
}

#[tokio::test]
async fn earnings_go_to_the_payout_address_and_nowhere_else() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let earned = earn(&node, &network, 1).await;
    assert_eq!(network.credit(node.token).await.unwrap(), earned);
    let withdraw = Action::Withdraw { provider: network.spec().provider, token: node.token };
    assert_mined(&node.done(&network, withdraw).await);
    assert_eq!(network.credit(node.token).await.unwrap(), U256::ZERO);
    assert_eq!(node.balance(PAYOUT).await, earned);

    let foreign = Action::Withdraw { provider: Address::repeat_byte(5), token: Address::repeat_byte(6) };
    assert_says(&node.done(&network, foreign).await, "provider");
}

#[tokio::test]
async fn what_was_withdrawn_and_paid_for_gas_is_added_up_over_restarts() {
    let node = Node::start().await;
    let (network, stop) = node.network();
    let token = node.token;
    let withdraw = Action::Withdraw { provider: network.spec().provider, token };
    let counted = async |network: &EvmNetwork, sum: U256| {
        node.mine(2).await;
        let what = format!("{sum} units are counted as withdrawn");
        let seen = async || {
            let observed = network.observed().borrow().clone();
            (observed.withdrawn.get(&token) == Some(&sum)).then_some(observed)
        };
        node.until(&what, seen).await
    };
    Seen::watch(&network, None);
    let earned = earn(&node, &network, 1).await;
    assert_mined(&node.done(&network, withdraw.clone()).await);
    let first = counted(&network, earned).await;
    assert!(first.gas_spent > U256::ZERO);
    let past = Checkpoint {
        cursor: first.cursor.map(Cursor::from),
        doubtful: first.doubtful,
        withdrawn: first.withdrawn.clone(),
        gas_spent: first.gas_spent,
        known: Known::default(),
    };
    stop.cancel();
    network.stopped().await;

    let (network, _stop) = start_again(network.spec().clone(), &past);
    Seen::watch(&network, past.cursor);
    earn(&node, &network, 2).await;
    assert_mined(&node.done(&network, withdraw).await);
    let second = counted(&network, earned * U256::from(2)).await;
    assert!(second.gas_spent > first.gas_spent);

    // Without a past all of it is found on the chain.
    let (anew, _stop) = start_again(network.spec().clone(), &Checkpoint::default());
    Seen::watch(&anew, None);
    let all = counted(&anew, earned * U256::from(2)).await;

    // A reorganisation while nobody looked has blocks read a second time: nothing is counted twice.
    let at = all.cursor.unwrap().number;
    let lost = Cursor { number: at, hash: Some(B256::repeat_byte(1)) };
    let past = Checkpoint { cursor: Some(lost), withdrawn: all.withdrawn.clone(), ..past };
    let (after, _stop) = start_again(network.spec().clone(), &past);
    let again = Seen::watch(&after, past.cursor);
    node.mine(3).await;
    let observed = after.observed();
    node.until("it has read on", async || observed.borrow().cursor.filter(|cursor| cursor.number > at)).await;
    assert_eq!(again.jobs().len(), 2, "the blocks were read again");
    assert_eq!(observed.borrow().withdrawn, all.withdrawn);
}

#[tokio::test]
async fn one_bad_item_is_left_out_and_the_others_go_in_one_transaction() {
    let node = Node::start().await;
    let (network, _stop) = node.network();
    let first = open(&node, &network, 1).await;
    let second = node.order(first.offer_id(), 2).await;
    let declined = node.order(first.offer_id(), 3).await;
    assert_mined(
        &node
            .done(
                &network,
                Action::Decline { job: declined, order: node.by(first.offer_id(), 3), reason: "no room".into() },
            )
            .await,
    );

    node.stop_mining().await;
    let actions = [first, second, declined].map(|job| Action::Start { job, attestor: Address::repeat_byte(5) });
    for action in actions.clone() {
        network.request(action);
    }
    let [one, two, left_out] = actions.map(|action| action.key());
    let tx = assert_mined(&node.over(&network, &one).await);
    assert_eq!(assert_mined(&node.over(&network, &two).await), tx);
    assert_says(&node.over(&network, &left_out).await, "it was closed, or never ordered");
}
