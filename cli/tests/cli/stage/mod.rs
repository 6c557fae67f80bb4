//! A market on a real EVM node (anvil), and the built `hawser` in front of it.

mod anvil;
mod bucket;
mod hawser;
mod meter;
mod picky;
mod proxy;

use alloy::{
    network::EthereumWallet,
    primitives::{Address, B256, Signature, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::Filter,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolEvent, SolStruct},
};
use hawser_contracts::{ComputeMarket, ComputeMarket::JobOpened, TestToken};
use hawser_market::{JobId, OrderRef, UsageVoucher, eip712_domain, last_voucher, signed_voucher};
use serde_json::Value;
use tempfile::TempDir;

use anvil::Anvil;
pub(crate) use bucket::{Bucket, respond};
pub(crate) use hawser::{Hawser, Ran};
pub(crate) use meter::Meter;
pub(crate) use picky::Picky;
pub(crate) use proxy::{KEY, Proxy, Trouble};

/// 2.25 tokens of six decimals per GPU-hour.
pub(crate) const PRICE: u128 = 2_250_000;

/// Keys of anvil's published test mnemonic.
const KEYS: [&str; 4] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// An image by digest.
pub(crate) const IMAGE: &str =
    "example.com/povray@sha256:0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) type MarketContract = ComputeMarket::ComputeMarketInstance<DynProvider>;

/// One node, one market, one provider with an offer, one customer with a thousand tokens.
pub(crate) struct Stage {
    pub(crate) node: DynProvider,
    pub(crate) market: MarketContract,
    pub(crate) token: TestToken::TestTokenInstance<DynProvider>,
    pub(crate) offer: String,
    pub(crate) customer: Address,
    pub(crate) provider: Address,
    pub(crate) chain_id: u64,
    pub(crate) attestor: PrivateKeySigner,
    card: Value,
    directory: TempDir,
    anvil: Anvil,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let anvil = Anvil::start();
        let provider = connect(&anvil.url, KEYS[0]);
        let chain_id = provider.get_chain_id().await.unwrap();
        let me = seller();
        let market = ComputeMarket::deploy(provider.clone(), me, 100, Address::repeat_byte(0xfe)).await.unwrap();
        let token = TestToken::deploy(provider.clone()).await.unwrap();
        let customer = signer(KEYS[1]).address();
        let mut stage = Self {
            node: provider,
            market,
            token,
            offer: String::new(),
            customer,
            provider: me,
            chain_id,
            attestor: signer(KEYS[3]),
            card: serde_json::json!({}),
            directory: tempfile::tempdir().unwrap(),
            anvil,
        };
        stage.market.setProvider(me, me).send().await.unwrap().get_receipt().await.unwrap();
        stage.offer = stage.post(*stage.token.address(), 8).await;
        stage.token.mint(customer, U256::from(1_000_000_000)).send().await.unwrap().get_receipt().await.unwrap();
        stage
    }

    /// Posts an offer for a token, and takes that token.
    pub(crate) async fn post(&self, token: Address, available: u16) -> String {
        self.post_at(token, available, PRICE).await
    }

    /// Posts that offer, or posts it again, at another price.
    pub(crate) async fn post_at(&self, token: Address, available: u16, price: u128) -> String {
        self.market.setFloor(token, B256::ZERO, 1).send().await.unwrap().get_receipt().await.unwrap();
        let mut gpu = B256::ZERO;
        gpu[..21].copy_from_slice(b"NVIDIA-H100-80GB-HBM3");
        let terms = ComputeMarket::OfferTerms {
            provider: seller(),
            token,
            gpuClass: gpu,
            startWindow: 600,
            claimWindow: 3600,
            minDuration: 60,
            maxDuration: 7200,
            verifier: Address::ZERO,
            salt: B256::with_last_byte(u8::try_from(available).unwrap()),
        };
        let id = self.market.offerIdOf(terms.clone()).call().await.unwrap();
        let card = self.card.to_string();
        let set = self.market.setOffer(terms, price, available, self.now().await + 86_400, card);
        set.send().await.unwrap().get_receipt().await.unwrap();
        id.to_string()
    }

    /// Posts the stage's offer again, with this card.
    pub(crate) async fn post_card(&mut self, card: Value) {
        self.card = card;
        self.post(*self.token.address(), 8).await;
    }

    /// `hawser` with the customer's key.
    pub(crate) fn hawser(&self) -> Hawser {
        self.stranger().env("HAWSER_PRIVATE_KEY", KEYS[1])
    }

    /// `hawser` with the key of an account that has gas and nothing else.
    pub(crate) fn rival(&self) -> Hawser {
        self.stranger().env("HAWSER_PRIVATE_KEY", KEYS[2])
    }

    /// `hawser` with the provider's key.
    pub(crate) fn seller(&self) -> Hawser {
        self.stranger().env("HAWSER_PRIVATE_KEY", KEYS[0]).secret(KEYS[0])
    }

    /// The market in the hands of an account that has gas and nothing else.
    pub(crate) fn rivals_market(&self) -> (Address, MarketContract) {
        let market = ComputeMarket::new(*self.market.address(), connect(&self.anvil.url, KEYS[2]));
        (signer(KEYS[2]).address(), market)
    }

    /// The node behind one that answers less.
    pub(crate) fn picky(&self) -> Picky {
        Picky::before(&self.anvil.url)
    }

    /// `hawser` that knows node and market, and has no key.
    pub(crate) fn stranger(&self) -> Hawser {
        Hawser::new()
            .env("HAWSER_RPC_URL", &self.anvil.url)
            .env("HAWSER_MARKET", &self.market.address().to_string())
            .secret(KEYS[1])
            .secret(KEYS[2])
    }

    /// A node in front of this stage's own that does with each request what the rule says.
    pub(crate) fn behind(&self, rule: impl FnMut(&Value) -> Trouble + Send + 'static) -> Proxy {
        Proxy::start(&self.anvil.url, rule)
    }

    /// A file in a directory of this stage.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An order's file with everything in it.
    pub(crate) fn order_file(&self) -> String {
        let offer = &self.offer;
        self.file(
            "job.yaml",
            &format!(
                "offer: '{offer}'\ngpus: 2\nseconds: 600\nmaxPrice: 2.25\nworkload:\n  image: {IMAGE}\n  env: {{SCENE: chess}}\n"
            ),
        )
    }

    /// Places the order of [`order_file`](Self::order_file).
    pub(crate) fn order(&self) -> JobId {
        let placed = self.hawser().run(&["order", "-f", &self.order_file(), "-o", "json"]).json();
        placed["jobId"].as_str().unwrap().parse().unwrap()
    }

    /// The jobs that were ordered, oldest first.
    pub(crate) async fn ordered(&self) -> Vec<JobId> {
        let filter = Filter::new().event_signature(JobOpened::SIGNATURE_HASH).from_block(0);
        let logs = self.node.get_logs(&filter).await.unwrap();
        logs.iter().map(|log| JobId(log.topics()[1])).collect()
    }

    /// The newest block.
    pub(crate) async fn head(&self) -> u64 {
        self.node.get_block_number().await.unwrap()
    }

    pub(crate) async fn block(&self, number: u64) -> alloy::rpc::types::Header {
        self.node.get_block(number.into()).await.unwrap().unwrap().header
    }

    pub(crate) async fn now(&self) -> u64 {
        self.node.get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap().header.timestamp
    }

    /// Lets the chain's clock run.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.ask("evm_increaseTime", serde_json::json!([seconds])).await;
        self.ask("evm_mine", serde_json::json!([])).await;
    }

    pub(crate) async fn ask(&self, method: &'static str, params: serde_json::Value) -> serde_json::Value {
        self.node.raw_request(method.into(), params).await.unwrap()
    }

    /// Takes the chain back to a snapshot.
    pub(crate) async fn undo_to(&mut self, snapshot: serde_json::Value) {
        assert_eq!(self.ask("evm_revert", serde_json::json!([snapshot])).await, true);
        self.reconnect();
    }

    /// A new client, where the old one's idea of the chain's head or of its own nonce is wrong.
    pub(crate) fn reconnect(&mut self) {
        self.node = connect(&self.anvil.url, KEYS[0]);
        self.market = ComputeMarket::new(*self.market.address(), self.node.clone());
        self.token = TestToken::new(*self.token.address(), self.node.clone());
    }

    pub(crate) async fn start(&self, job: JobId) {
        self.start_with(job, self.attestor.address()).await;
    }

    /// Second of a job's start.
    pub(crate) async fn started(&self, job: JobId) -> u64 {
        self.market.job(job.0).call().await.unwrap().started
    }

    /// Starts a job, or gives a running one another attestor.
    pub(crate) async fn start_with(&self, job: JobId, attestor: Address) {
        let call = self.market.startJobs(vec![job.0], vec![attestor]);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    pub(crate) async fn claim(&self, job: JobId, gpu_seconds: u64) {
        self.claim_on(job, gpu_seconds, B256::repeat_byte(0xee)).await;
    }

    /// A claim that rests on this evidence.
    pub(crate) async fn claim_on(&self, job: JobId, gpu_seconds: u64, evidence_root: B256) {
        let voucher = self.voucher(job, gpu_seconds, evidence_root);
        let call = self.market.claim(job.offer_id().0, vec![voucher], vec![]);
        assert_eq!(call.call().await.unwrap(), U256::from(1));
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// A voucher as it is claimed.
    pub(crate) fn voucher(&self, job: JobId, gpu_seconds: u64, evidence_root: B256) -> ComputeMarket::Voucher {
        let (voucher, signature) = self.signed(job, gpu_seconds, evidence_root);
        signed_voucher(&voucher, &signature).unwrap()
    }

    /// What the attestor signs.
    fn signed(&self, job: JobId, gpu_seconds: u64, evidence_root: B256) -> (UsageVoucher, Signature) {
        let voucher = UsageVoucher::new(job, gpu_seconds, evidence_root);
        let digest = voucher.eip712_signing_hash(&eip712_domain(self.chain_id, *self.market.address()));
        let signature = self.attestor.sign_hash_sync(&digest).unwrap();
        (voucher, signature)
    }

    /// Claims the last voucher of a job and closes it with that.
    pub(crate) async fn settle(&self, job: JobId, gpu_seconds: u64, evidence_root: B256) {
        let (voucher, signature) = self.signed(job, gpu_seconds, evidence_root);
        let last = last_voucher(&voucher, &signature, self.order_of(job).await).unwrap();
        let call = self.market.settle(job.offer_id().0, vec![last], vec![]);
        assert_eq!(call.call().await.unwrap(), U256::from(1));
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// Whose a job is, as its order was logged.
    async fn order_of(&self, job: JobId) -> OrderRef {
        let filter = Filter::new().event_signature(JobOpened::SIGNATURE_HASH).topic1(job.0).from_block(0);
        let logs = self.node.get_logs(&filter).await.unwrap();
        OrderRef::from(&JobOpened::decode_log(&logs[0].inner).unwrap().data)
    }

    /// What the operator does when the program is done.
    pub(crate) async fn end(&self, job: JobId, used: u64, reason: &str) {
        let job = self.order_of(job).await.of_job(job);
        let call = self.market.endJobs(vec![job], 0, vec![used], reason.to_owned());
        assert_eq!(call.call().await.unwrap(), U256::from(1));
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    pub(crate) async fn decline(&self, job: JobId, reason: &str) {
        let job = self.order_of(job).await.of_job(job);
        let call = self.market.declineJobs(vec![job], reason.to_owned());
        assert_eq!(call.call().await.unwrap(), U256::from(1));
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// A token that has everything of the test token but a permit: a contract that hands each call on to its code,
    /// and reverts when it is asked for `DOMAIN_SEPARATOR`.
    pub(crate) async fn token_without_permit(&self) -> TestToken::TestTokenInstance<DynProvider> {
        let code = format!(
            "60003560e01c633644e51514603c57365f5f375f5f365f73{}5af43d5f5f3e6038573d5ffd5b3d5ff35b5f5ffd",
            alloy::hex::encode(self.token.address())
        );
        let address = Address::repeat_byte(0x70);
        self.ask("anvil_setCode", serde_json::json!([address, format!("0x{code}")])).await;
        let token = TestToken::new(address, self.node.clone());
        token.mint(self.customer, U256::from(1_000_000_000)).send().await.unwrap().get_receipt().await.unwrap();
        token
    }
}

fn seller() -> Address {
    signer(KEYS[0]).address()
}

fn signer(key: &str) -> PrivateKeySigner {
    key.parse().unwrap()
}

fn connect(url: &str, key: &str) -> DynProvider {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ProviderBuilder::new().wallet(EthereumWallet::from(signer(key))).connect_http(url.parse().unwrap()).erased()
}
