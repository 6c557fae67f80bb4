//! The EVM side of a run: who the actors are, the market and the token they
//! trade in, and what the market credits to each side.

use std::time::Duration;

use alloy::contract::RawCallBuilder;
use alloy::eips::BlockNumberOrTag;
use alloy::network::{Ethereum, EthereumWallet};
use alloy::primitives::utils::parse_units;
use alloy::primitives::{Address, B256, Bytes, FixedBytes, TxHash, U256, keccak256};
use alloy::providers::{DynProvider, PendingTransactionBuilder, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor as _;
use anyhow::{Context, Result, ensure};
use hawser_contracts::{ComputeMarket, TestToken};
use hawser_market::{JobId, OfferId};

/// Most that an order pays for gas, in wei: more than tests let fees rise to.
const DEAR: u128 = 1_000_000_000_000;
/// What it tips, in wei per gas.
const USUAL_TIP: u128 = 1_000_000_000;

/// Fee of the market under test, in hundredths of a percent.
pub const FEE_BPS: u16 = 250;

/// An account with its key; the keys are anvil's own, which are public.
#[derive(Clone, Debug)]
pub struct Account {
    /// Private key in hex, as the CLI and the operator's Secret take it.
    pub key: String,
    /// Its address.
    pub address: Address,
}

impl Account {
    pub(crate) fn new(key: &str) -> Result<Self> {
        let signer: PrivateKeySigner = key.parse().context("an account's key")?;
        Ok(Self { key: key.to_owned(), address: signer.address() })
    }
}

/// The actors of a run.
#[derive(Clone, Debug)]
pub struct Actors {
    /// Deploys the market and owns it; its address is the fee sink too.
    pub owner: Account,
    /// The provider's cold key.
    pub provider: Account,
    /// The provider's hot key, in the cluster.
    pub operator: Account,
    /// Where the provider's earnings go.
    pub payout: Account,
    /// Who orders.
    pub customer: Account,
    /// Another who orders.
    pub rival: Account,
}

impl Actors {
    /// The first six accounts of anvil's published test mnemonic.
    ///
    /// # Errors
    /// Never, unless a key is mistyped.
    pub fn of_anvil() -> Result<Self> {
        Ok(Self {
            owner: Account::new("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")?,
            provider: Account::new("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")?,
            operator: Account::new("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a")?,
            payout: Account::new("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6")?,
            customer: Account::new("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a")?,
            rival: Account::new("0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba")?,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&Account; 6] {
        [&self.owner, &self.provider, &self.operator, &self.payout, &self.customer, &self.rival]
    }
}

/// A market of its own on the EVM node, with a token and a provider.
#[derive(Clone, Debug)]
pub struct Chain {
    /// JSON-RPC.
    pub rpc_url: String,
    /// Who is who.
    pub actors: Actors,
    /// The `ComputeMarket`.
    pub market: Address,
    /// The ERC-20 with permit that is paid in.
    pub token: Address,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Block before which nothing of this market can have happened.
    pub start_block: u64,
}

/// Token units credited to each side, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    /// The provider's credit.
    pub provider: U256,
    /// The customer's credit.
    pub customer: U256,
    /// The fee sink's credit.
    pub fee: U256,
}

impl Chain {
    /// Deploys token and market, gives the customers tokens, registers the provider.
    ///
    /// # Errors
    /// When the node doesn't answer or refuses a transaction.
    pub async fn deploy(rpc_url: &str) -> Result<Self> {
        Self::deploy_with(rpc_url, &ComputeMarket::BYTECODE).await
    }

    /// The same with the code of another release's market.
    ///
    /// # Errors
    /// When the node doesn't answer or refuses a transaction.
    pub async fn deploy_with(rpc_url: &str, code: &Bytes) -> Result<Self> {
        let actors = Actors::of_anvil()?;
        let owner = connect(rpc_url, &actors.owner)?;
        let chain_id = owner.get_chain_id().await.with_context(|| format!("no EVM node answers at {rpc_url}"))?;
        let start_block = owner.get_block_number().await?;
        // In two blocks: the gas of what calls a contract can be estimated once it is there.
        let nonce = owner.get_transaction_count(actors.owner.address).await?;
        let [token, market] = [nonce, nonce + 1].map(|nonce| actors.owner.address.create(nonce));
        let of =
            ComputeMarket::constructorCall { owner: actors.owner.address, bps: FEE_BPS, sink: actors.owner.address };
        let code: Bytes = [code.as_ref(), &of.abi_encode()].concat().into();
        let deployed = vec![
            TestToken::deploy_builder(owner.clone()).nonce(nonce).send().await?,
            RawCallBuilder::new_raw_deploy(owner.clone(), code).nonce(nonce + 1).send().await?,
        ];
        all_mined(deployed).await?;
        let amount = U256::from(1_000_000) * U256::from(10).pow(U256::from(18));
        let minter = TestToken::new(token, owner);
        let mut sent = Vec::new();
        for (nonce, customer) in (nonce + 2..).zip([&actors.customer, &actors.rival]) {
            sent.push(minter.mint(customer.address, amount).nonce(nonce).send().await?);
        }
        let provider = connect(rpc_url, &actors.provider)?;
        let nonce = provider.get_transaction_count(actors.provider.address).await?;
        let provider = ComputeMarket::new(market, provider);
        sent.push(provider.setProvider(actors.operator.address, actors.payout.address).nonce(nonce).send().await?);
        sent.push(provider.setFloor(token, B256::ZERO, 1).nonce(nonce + 1).send().await?);
        all_mined(sent).await?;
        Ok(Self { rpc_url: rpc_url.to_owned(), actors, market, token, chain_id, start_block })
    }

    /// The market, called by `account`.
    ///
    /// # Errors
    /// When the URL or the key can't be used.
    pub fn market_as(&self, account: &Account) -> Result<ComputeMarket::ComputeMarketInstance<DynProvider>> {
        Ok(ComputeMarket::new(self.market, connect(&self.rpc_url, account)?))
    }

    /// The payment token, called by `account`.
    pub(crate) fn token_as(&self, account: &Account) -> Result<TestToken::TestTokenInstance<DynProvider>> {
        Ok(TestToken::new(self.token, connect(&self.rpc_url, account)?))
    }

    /// The node, for whoever asks and changes nothing of an account's.
    pub(crate) fn node(&self) -> Result<DynProvider> {
        connect(&self.rpc_url, &self.actors.owner)
    }

    /// What the market credits to provider, `customer` and fee sink.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn credits(&self, customer: &Account) -> Result<Credits> {
        let market = self.market_as(&self.actors.owner)?;
        Ok(Credits {
            provider: market.credit(self.actors.provider.address, self.token).call().await?,
            customer: market.credit(customer.address, self.token).call().await?,
            fee: self.fees().await?,
        })
    }

    /// What the market owes the fee sink.
    pub(crate) async fn fees(&self) -> Result<U256> {
        let owner = &self.actors.owner;
        Ok(self.market_as(owner)?.feesOf(owner.address, self.token).call().await?)
    }

    /// A job as the market holds it.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn job(&self, id: JobId) -> Result<ComputeMarket::Job> {
        Ok(self.market_as(&self.actors.owner)?.job(id.0).call().await?)
    }

    /// GPUs that an offer says to be available.
    ///
    /// # Errors
    /// When the node doesn't answer, or there is no such offer.
    pub async fn available(&self, offer: &str) -> Result<u16> {
        let market = self.market_as(&self.actors.owner)?;
        Ok(market.offer(offer.parse::<OfferId>()?.0).call().await?.available)
    }

    /// The newest block that the chain's consensus stands behind.
    ///
    /// # Errors
    /// When the node doesn't answer, or knows no such block.
    pub async fn finalized(&self) -> Result<u64> {
        let block = self.node()?.get_block_by_number(BlockNumberOrTag::Finalized).await?;
        Ok(block.context("the EVM node has no finalized block")?.header.number)
    }

    /// Token units of `whole` tokens, a decimal number.
    ///
    /// # Errors
    /// When it is no number, or the node doesn't answer.
    pub async fn units(&self, whole: &str) -> Result<U256> {
        let token = self.token_as(&self.actors.owner)?;
        Ok(parse_units(whole, token.decimals().call().await?)?.get_absolute())
    }

    /// Every token unit that the market holds equals what it owes: deposits of jobs that are not closed and credits.
    ///
    /// # Errors
    /// When it doesn't, or the node doesn't answer.
    pub async fn assert_solvent(&self, open_deposits: U256) -> Result<()> {
        let token = self.token_as(&self.actors.owner)?;
        let held = token.balanceOf(self.market).call().await?;
        let customer = self.credits(&self.actors.customer).await?;
        let rival = self.credits(&self.actors.rival).await?.customer;
        let owed = customer.provider + customer.customer + customer.fee + rival + open_deposits;
        ensure!(held == owed, "the market holds {held} token units and owes {owed}");
        Ok(())
    }

    /// Opens a job with any bytes as spec, as a customer with a program of their own could.
    ///
    /// # Errors
    /// When the market refuses, with the refusal decoded.
    pub async fn open_job(&self, account: &Account, order: &RawOrder<'_>) -> Result<JobId> {
        self.allow(account).await?;
        let (id, sent) = self.send_order(account, order).await?;
        mined(sent).await?;
        Ok(id)
    }

    /// Lets the market take deposits from `account`.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn allow(&self, account: &Account) -> Result<()> {
        let token = self.token_as(account)?;
        mined(token.approve(self.market, U256::MAX).send().await?).await.map(drop)
    }

    /// Sends an order of an account whose deposits are [allowed](Self::allow), and doesn't wait until it is mined. Its fees
    /// stay enough when a test has them rise.
    ///
    /// # Errors
    /// When the market refuses, with the refusal decoded.
    pub async fn send_order(&self, account: &Account, order: &RawOrder<'_>) -> Result<(JobId, Sent)> {
        let market = self.market_as(account)?;
        let salt = keccak256(jiff::Timestamp::now().as_nanosecond().to_be_bytes());
        let call = market.openJob(order.of(account.address, salt), order.spec.to_vec().into());
        let id = call.call().await.map_err(refusal)?;
        // The id depends on nothing that can change between the two calls but the price, which tests leave alone.
        let call = call.max_fee_per_gas(DEAR).max_priority_fee_per_gas(USUAL_TIP);
        Ok((JobId(id), call.send().await.map_err(refusal)?))
    }

    /// Whether a transaction reverted in a block on which `depth` others lie: no reorganisation gives it another end.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn has_reverted(&self, tx: TxHash, depth: u64) -> Result<bool> {
        let node = self.node()?;
        let Some(receipt) = node.get_transaction_receipt(tx).await? else { return Ok(false) };
        let head = node.get_block_number().await?;
        Ok(!receipt.status() && receipt.block_number.is_some_and(|block| block + depth <= head))
    }
}

/// A transaction that is on its way.
pub type Sent = PendingTransactionBuilder<Ethereum>;

/// An order as the contract takes it.
#[derive(Clone, Copy, Debug)]
pub struct RawOrder<'a> {
    /// The offer.
    pub offer: FixedBytes<8>,
    /// GPUs.
    pub gpus: u16,
    /// Seconds.
    pub seconds: u32,
    /// The public spec.
    pub spec: &'a [u8],
}

impl RawOrder<'_> {
    /// The order of this customer, at any price and at any time.
    pub fn of(&self, customer: Address, salt: B256) -> ComputeMarket::Order {
        ComputeMarket::Order {
            offerId: self.offer,
            customer,
            gpus: self.gpus,
            duration: self.seconds,
            maxPrice: u128::MAX >> 48,
            deadline: u64::MAX,
            salt: salt.into(),
            specHash: keccak256(self.spec),
            specOffChain: self.spec.is_empty(),
        }
    }
}

/// A contract's custom error as text with its values.
pub fn refusal(error: alloy::contract::Error) -> anyhow::Error {
    match error.as_decoded_interface_error::<ComputeMarket::ComputeMarketErrors>() {
        Some(refused) => anyhow::anyhow!("the market refused: {refused:?}"),
        None => error.into(),
    }
}

/// The same for several.
async fn all_mined(sent: Vec<Sent>) -> Result<()> {
    for transaction in sent {
        mined(transaction).await?;
    }
    Ok(())
}

/// Waits until a transaction is mined and fails when it reverted.
///
/// # Errors
/// When it reverted or the node doesn't answer.
pub async fn mined(sent: Sent) -> Result<TransactionReceipt> {
    let receipt = sent.get_receipt().await?;
    ensure!(receipt.status(), "transaction {} reverted", receipt.transaction_hash);
    Ok(receipt)
}

/// The node at `rpc_url`, with transactions signed by `account`.
pub(crate) fn connect(rpc_url: &str, account: &Account) -> Result<DynProvider> {
    let signer: PrivateKeySigner = account.key.parse()?;
    let url = rpc_url.parse().with_context(|| format!("{rpc_url} is no URL"))?;
    let provider = ProviderBuilder::new().wallet(EthereumWallet::from(signer)).connect_http(url).erased();
    // alloy looks for receipts every 7 seconds on a node that is not on loopback; its blocks come every 2.
    provider.client().set_poll_interval(Duration::from_millis(250));
    Ok(provider)
}
