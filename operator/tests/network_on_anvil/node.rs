//! An anvil of its own for each test, with a market, a token and the accounts that action.

use std::{
    fmt::Debug,
    process::Stdio,
    time::{Duration, Instant},
};

use alloy::{
    network::EthereumWallet,
    primitives::{Address, B256, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use hawser_contracts::{ComputeMarket, TestToken};
use hawser_crds::Confirmations;
use hawser_market::{JobId, OfferId, OrderRef};
use hawser_operator::network::evm::{
    Action, ActionKey, ActionState, Checkpoint, EvmNetwork, EvmSpec, OfferPost, OfferTerms, RpcHeaders, StallLimit,
    Wallet, WalletKey,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

/// Anvil's published test accounts.
const OWNER: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const PROVIDER: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
pub const OPERATOR: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const CUSTOMER: &str = "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";

/// Where the provider's earnings go.
pub const PAYOUT: Address = Address::repeat_byte(0x77);

pub const CHAIN_ID: u64 = 31337;
/// Token units per GPU-hour: a GPU-second costs 1000.
pub const PRICE: u128 = 3_600_000;
pub const GPUS: u16 = 2;
pub const SECONDS: u32 = 3600;

const DEADLINE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

pub fn signer(key: &str) -> PrivateKeySigner {
    key.parse().unwrap()
}

pub struct Node {
    pub url: String,
    pub market: Address,
    pub token: Address,
    root: DynProvider,
    customer: DynProvider,
    _anvil: Child,
    /// What has no room in its memory; elsewhere it would stay behind.
    _old_states: TempDir,
}

impl Node {
    /// A node that mines each transaction at once, with a market whose provider has the operator's key as its operator.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same chain id, and another block 0: anvil dates it, and two that start within a second have the same.
    pub async fn start_another_chain() -> Self {
        let earlier = Timestamp::now().as_second() - 5;
        Self::start_with(&["--timestamp", &earlier.to_string()]).await
    }

    /// A node that from now on makes a block each two seconds, transactions or not.
    pub async fn start_by_time() -> Self {
        let node = Self::start().await;
        node.mines_each(2).await;
        node
    }

    async fn start_with(options: &[&str]) -> Self {
        // Only the first test of the process installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let binary = std::env::var("HAWSER_ANVIL").expect("set HAWSER_ANVIL to the path of an anvil binary (Foundry)");
        let old_states = tempfile::tempdir().unwrap();
        let mut anvil = Command::new(&binary)
            .args(["--port", "0", "--chain-id", &CHAIN_ID.to_string()])
            .arg("--cache-path")
            .arg(old_states.path())
            .args(options)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} can't be run: {error}"));
        let mut lines = BufReader::new(anvil.stdout.take().unwrap()).lines();
        let address = tokio::time::timeout(DEADLINE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("anvil says where it listens");
                if let Some((_, address)) = line.split_once("Listening on ") {
                    return address.trim().to_owned();
                }
            }
        });
        let url = format!("http://{}", address.await.expect("anvil starts"));
        // What it prints later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let [owner, provider, customer] = [OWNER, PROVIDER, CUSTOMER].map(|key| connect(&url, key));
        let token = TestToken::deploy(owner.clone()).await.unwrap();
        let owner_address = signer(OWNER).address();
        let market = ComputeMarket::deploy(owner.clone(), owner_address, 250, owner_address).await.unwrap();
        let (token, market) = (*token.address(), *market.address());
        let keys = ComputeMarket::new(market, provider);
        keys.setProvider(signer(OPERATOR).address(), PAYOUT).send().await.unwrap().watch().await.unwrap();
        keys.setFloor(token, B256::ZERO, 1).send().await.unwrap().watch().await.unwrap();
        let tokens = TestToken::new(token, customer.clone());
        tokens
            .mint(signer(CUSTOMER).address(), U256::from(10).pow(U256::from(30)))
            .send()
            .await
            .unwrap()
            .watch()
            .await
            .unwrap();
        tokens.approve(market, U256::MAX).send().await.unwrap().watch().await.unwrap();
        Self { url, market, token, root: owner, customer, _anvil: anvil, _old_states: old_states }
    }

    pub async fn rpc(&self, method: &'static str, params: Value) -> Value {
        self.root.raw_request(method.into(), params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub async fn mine(&self, blocks: u32) {
        for _ in 0..blocks {
            self.rpc("evm_mine", json!([])).await;
        }
    }

    /// Makes a block every `seconds`, transactions or not.
    pub async fn mines_each(&self, seconds: u64) {
        self.stop_mining().await;
        self.rpc("evm_setIntervalMining", json!([seconds])).await;
    }

    /// Mines only when told to.
    pub async fn stop_mining(&self) {
        self.rpc("evm_setAutomine", json!([false])).await;
    }

    pub async fn nonce(&self, address: Address) -> u64 {
        self.root.get_transaction_count(address).latest().await.unwrap()
    }

    pub async fn block(&self) -> u64 {
        self.root.get_block_number().await.unwrap()
    }

    /// Tokens of an account.
    pub async fn balance(&self, account: Address) -> U256 {
        TestToken::new(self.token, self.root.clone()).balanceOf(account).call().await.unwrap()
    }

    pub async fn job(&self, id: JobId) -> ComputeMarket::Job {
        ComputeMarket::new(self.market, self.root.clone()).job(id.0).call().await.unwrap()
    }

    /// Orders as the customer; on a node that doesn't mine by itself, a block is mined for it.
    pub async fn order(&self, offer: OfferId, salt: u8) -> JobId {
        let (id, tx) = self.send_order(offer, salt, spec(salt)).await;
        self.rpc("evm_mine", json!([])).await;
        self.ordered(tx).await;
        id
    }

    /// Orders as the customer with each of the salts in one block, and posts the text of the workload where that is asked for.
    pub async fn order_in_one_block(&self, offer: OfferId, orders: &[(u8, bool)]) -> Vec<JobId> {
        self.stop_mining().await;
        let (mut jobs, mut txs) = (Vec::new(), Vec::new());
        for (salt, posted) in orders {
            let text = if *posted { spec(*salt) } else { Vec::new() };
            let (job, tx) = self.send_order(offer, *salt, text).await;
            jobs.push(job);
            txs.push(tx);
        }
        self.mine(1).await;
        for tx in txs {
            self.ordered(tx).await;
        }
        jobs
    }

    /// Whose such an order is.
    pub fn by(&self, offer: OfferId, salt: u8) -> OrderRef {
        self.by_posted(offer, salt, true)
    }

    /// The same; `posted`: with the text of the workload.
    pub fn by_posted(&self, offer: OfferId, salt: u8, posted: bool) -> OrderRef {
        OrderRef::new(&order(offer, salt, !posted), CHAIN_ID, self.market)
    }

    /// Orders on a node that mines by time; and the block that holds the order.
    pub async fn place(&self, offer: OfferId, salt: u8) -> (JobId, u64) {
        let (id, tx) = self.send_order(offer, salt, spec(salt)).await;
        (id, self.ordered(tx).await)
    }

    async fn send_order(&self, offer: OfferId, salt: u8, text: Vec<u8>) -> (JobId, B256) {
        let market = ComputeMarket::new(self.market, self.customer.clone());
        let call = market.openJob(order(offer, salt, text.is_empty()), text.into());
        let id = JobId(call.call().await.unwrap());
        let pending = call.gas(500_000).send().await.unwrap();
        (id, *pending.tx_hash())
    }

    async fn ordered(&self, tx: B256) -> u64 {
        let receipt = self.until("the order is mined", async || self.root.get_transaction_receipt(tx).await.unwrap());
        let receipt = receipt.await;
        assert!(receipt.status());
        receipt.block_number.unwrap()
    }

    pub fn spec(&self) -> EvmSpec {
        EvmSpec {
            rpc_urls: vec![self.url.parse().unwrap()],
            rpc_headers: RpcHeaders::new(),
            chain_id: CHAIN_ID,
            market: self.market,
            provider: signer(PROVIDER).address(),
            start_block: 0,
            genesis: None,
            confirmations: Confirmations::Blocks(2),
            max_batch: 50,
            tokens_per_coin: None,
            max_fee: None,
            max_tip: None,
            stall: StallLimit::default(),
        }
    }

    pub fn network(&self) -> (EvmNetwork, CancellationToken) {
        start(self.spec())
    }

    pub fn post(&self) -> OfferPost {
        let terms = OfferTerms {
            provider: signer(PROVIDER).address(),
            token: self.token,
            gpu_class: B256::repeat_byte(b'H'),
            start_window_seconds: 3600,
            claim_window_seconds: 3600,
            min_seconds: 60,
            max_seconds: 86_400,
            verifier: Address::ZERO,
            salt: B256::ZERO,
        };
        OfferPost {
            offer: self.spec().offer_id(&terms),
            terms,
            price: PRICE,
            available: 8,
            // Less than the month that the market keeps, also where a test moves its clock.
            valid_until: Timestamp::from_second(Timestamp::now().as_second() + 20 * 86_400).unwrap(),
            card: r#"{"region":"nowhere"}"#.to_owned(),
        }
    }

    /// The same with other terms.
    pub fn post_with(&self, change: impl FnOnce(&mut OfferTerms)) -> OfferPost {
        let mut post = self.post();
        change(&mut post.terms);
        OfferPost { offer: self.spec().offer_id(&post.terms), ..post }
    }

    /// Posts the offer through the network.
    pub async fn offer(&self, network: &EvmNetwork) -> OfferId {
        let post = self.post();
        let id = post.offer;
        self.done(network, Action::SetOffer(post)).await;
        id
    }

    /// Asks for an action and mines until it is over.
    pub async fn done(&self, network: &EvmNetwork, action: Action) -> ActionState {
        let key = action.key();
        network.request(action);
        self.over(network, &key).await
    }

    pub async fn over(&self, network: &EvmNetwork, key: &ActionKey) -> ActionState {
        self.until(&format!("{key} is over"), async || {
            let state = network.action(key)?;
            match state {
                ActionState::Queued { .. } => None,
                // Nodes with automatic mining have mined it already.
                ActionState::Sent { .. } => {
                    self.mine(1).await;
                    None
                }
                over => Some(over),
            }
        })
        .await
    }

    /// Mines block after block until an action is over.
    pub async fn until_mining(&self, network: &EvmNetwork, key: &ActionKey) -> ActionState {
        self.until(&format!("{key} is over"), async || {
            self.mine(1).await;
            network.action(key).filter(|state| !matches!(state, ActionState::Queued { .. } | ActionState::Sent { .. }))
        })
        .await
    }

    /// Looks until something is there.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut looks = tokio::time::interval(LOOK);
        while Instant::now() < end {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
        panic!("not so within {} s: {what}", DEADLINE.as_secs());
    }
}

pub fn wallet() -> Wallet {
    WalletKey::from_hex(OPERATOR.as_bytes()).unwrap().into()
}

pub fn start(spec: EvmSpec) -> (EvmNetwork, CancellationToken) {
    start_with(spec, wallet())
}

pub fn start_with(spec: EvmSpec, wallet: Wallet) -> (EvmNetwork, CancellationToken) {
    start_from(spec, wallet, &Checkpoint::default())
}

/// What a restarted operator starts, which knows what an earlier one had stored.
pub fn start_again(spec: EvmSpec, past: &Checkpoint) -> (EvmNetwork, CancellationToken) {
    start_from(spec, wallet(), past)
}

fn start_from(spec: EvmSpec, wallet: Wallet, past: &Checkpoint) -> (EvmNetwork, CancellationToken) {
    let cancel = CancellationToken::new();
    (EvmNetwork::start(spec, wallet, past, cancel.clone()).unwrap(), cancel)
}

/// A provider whose transactions are signed with a key.
pub fn connect(url: &str, key: &str) -> DynProvider {
    let provider = ProviderBuilder::new()
        .with_simple_nonce_management()
        .wallet(EthereumWallet::from(signer(key)))
        .connect_http(url.parse().unwrap())
        .erased();
    provider.client().set_poll_interval(LOOK);
    provider
}

fn order(offer: OfferId, salt: u8, spec_off_chain: bool) -> ComputeMarket::Order {
    ComputeMarket::Order {
        offerId: offer.0,
        customer: signer(CUSTOMER).address(),
        gpus: GPUS,
        duration: SECONDS,
        maxPrice: PRICE,
        deadline: u64::MAX,
        salt: U256::from(salt),
        specHash: keccak256(spec(salt)),
        specOffChain: spec_off_chain,
    }
}

pub fn spec(salt: u8) -> Vec<u8> {
    format!(r#"{{"image":"example.org/render:{salt}","gpus":{GPUS}}}"#).into_bytes()
}

#[track_caller]
pub fn assert_mined(state: &ActionState) -> B256 {
    match state {
        ActionState::Mined { tx, .. } => *tx,
        other => panic!("not mined: {other:?}"),
    }
}

#[track_caller]
pub fn assert_says(state: &(impl Debug + ?Sized), words: &str) {
    let said = format!("{state:?}");
    assert!(said.contains(words), "{said} doesn't say {words:?}");
}
