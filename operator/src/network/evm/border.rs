//! An EVM network as the rest of the operator knows it.

use std::sync::Arc;
use std::time::Instant;

use alloy::primitives::{Address, U256};
use futures::future::BoxFuture;
use hawser_attestation::MarketId;
use hawser_market::COIN_DECIMALS;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{
    Checkpoint, Cursor, EvmNetwork, EvmOrder, EvmSpec, EvmStatus, Wallet, WalletError, WeiPerGas, checkpoint, names,
};
use crate::network::{
    ActionKey, ActionState, Advice, Backlog, Connection, Costs, Disconnected, Head, Job, JobId, Known, Network,
    NetworkAction, NetworkError, NetworkStatus, Offer, OfferId, OfferTerms, OrderHandler, Payment, Prepared, Profile,
    SignerFault, SpecError, Start, Subject, Token, TokenId, Units, Wallet as Sender,
};

/// Longest card of an offer, in bytes: what the market logs.
const LONGEST_CARD: usize = 4096;
/// Gas of a few batches: a wallet that can't pay for so much is told of.
const LOW_GAS: u64 = 1_000_000;
/// Gas of a claim that goes alone in its transaction, about (docs/reference/gas.md). In a batch it is a fifth of that; the
/// dearer case is assumed.
const CLAIM_GAS: u64 = 60_000;
/// The same of an order's `startJobs`, `claim` and `endJobs`.
const ORDER_GAS: u64 = 150_000;
/// Most GPUs of one order that the market keeps of an offer.
const MOST_GPUS: u16 = (1 << 15) - 1;
/// What is not mined after so many blocks, though nobody sends it any more, is not mined at all: the wallet's other transactions
/// have taken its nonce.
const LAPSES_AFTER: u64 = 256;
/// Confirmed blocks that may be unread: how far behind the head they lie is the chain's affair.
const FAR_BEHIND: u64 = 256;
const WEI_PER_COIN: u64 = 1_000_000_000_000_000_000;

/// A network that goes on from where an earlier process has stopped.
#[derive(Debug)]
struct Resumed {
    network: EvmNetwork,
    from: Option<Cursor>,
}

/// A network as its object describes it, with the wallet that is to send.
pub fn prepare(spec: EvmSpec, wallet: Wallet) -> Prepared {
    let sender = sender(wallet.address(), &spec);
    Prepared::new(sender, move |with| start(spec, wallet, with))
}

fn start(spec: EvmSpec, wallet: Wallet, with: Start) -> Result<Arc<dyn Network>, SpecError> {
    let mut checkpoint = Checkpoint::read(&with.stored, wallet.address());
    learn(&mut checkpoint.known, &with.known, &spec);
    let network = EvmNetwork::start_fenced(spec, wallet, &checkpoint, with.cancel, with.fence, with.requests)?;
    Ok(Arc::new(Resumed { network, from: checkpoint.cursor }))
}

/// What can't be the chain's is of no use to it.
fn learn(known: &mut super::Known, of_cluster: &Known, spec: &EvmSpec) {
    for terms in of_cluster.terms.iter().filter_map(|terms| names::terms(terms, spec).ok()) {
        known.offers.insert(spec.offer_id(&terms));
        known.tokens.insert(terms.token);
    }
    known.offers.extend(of_cluster.offers.iter().filter_map(|id| names::offer_id(id).ok()));
    known.offers.extend(of_cluster.jobs.iter().filter_map(|id| Some(names::job_id(id).ok()?.offer_id())));
}

fn sender(account: Address, spec: &EvmSpec) -> Sender {
    Sender { account: account.to_checksum(None).into(), sends_to: format!("chain {}", spec.chain_id) }
}

impl Resumed {
    fn head_of(status: &EvmStatus) -> Option<Head> {
        status.head.map(|head| Head { height: head.block.number, time: head.time })
    }
}

impl Network for Resumed {
    fn profile(&self) -> Profile {
        Profile {
            depth: self.network.spec().depth(),
            payment: Payment::Cumulative,
            longest_card: LONGEST_CARD,
            most_gpus: MOST_GPUS,
            lapses_after: LAPSES_AFTER,
        }
    }

    fn wallet(&self) -> Sender {
        sender(self.network.wallet(), self.network.spec())
    }

    fn status(&self) -> NetworkStatus {
        let status = self.network.observed().borrow().clone();
        described(status, self.network.spec(), Instant::now())
    }

    fn head(&self) -> Option<Head> {
        Self::head_of(&self.network.observed().borrow())
    }

    fn time_now(&self) -> Option<Timestamp> {
        self.network.observed().borrow().time_now(Instant::now())
    }

    fn backlog(&self) -> Backlog {
        self.network.backlog()
    }

    fn subject(&self, job: &JobId) -> Result<Subject, NetworkError> {
        let spec = self.network.spec();
        Ok(Subject { market: MarketId { chain_id: spec.chain_id, address: spec.market }, id: names::job_id(job)? })
    }

    fn offer_of(&self, job: &JobId) -> Option<OfferId> {
        Some(names::of_offer(names::job_id(job).ok()?.offer_id()))
    }

    fn resource_name(&self, job: &JobId) -> String {
        names::job_id(job).map_or_else(|_| String::new(), hawser_market::JobId::resource_name)
    }

    fn offer_id(&self, terms: &OfferTerms) -> Result<OfferId, SpecError> {
        let spec = self.network.spec();
        Ok(names::of_offer(spec.offer_id(&names::terms(terms, spec)?)))
    }

    fn costs(&self, token: &Token) -> Costs {
        let units = self.network.spec().tokens_per_coin.as_deref();
        let units = units.and_then(|text| token.parse_units(text).ok()).unwrap_or_default();
        let base_fee = self.network.observed().borrow().head.and_then(|head| head.base_fee).unwrap_or_default();
        costs(units, WeiPerGas(base_fee.into()))
    }

    fn job<'a>(&'a self, id: &'a JobId) -> BoxFuture<'a, Result<Job, NetworkError>> {
        Box::pin(async move { Ok(self.network.job(names::job_id(id)?).await.map_err(names::error)?.into()) })
    }

    fn offer<'a>(&'a self, id: &'a OfferId) -> BoxFuture<'a, Result<Option<Offer>, NetworkError>> {
        Box::pin(async move {
            let offer = self.network.offer(names::offer_id(id)?).await.map_err(names::error)?;
            Ok(offer.as_ref().map(names::offer))
        })
    }

    fn sunset(&self) -> BoxFuture<'_, Result<Option<Timestamp>, NetworkError>> {
        Box::pin(async move { self.network.sunset().await.map_err(names::error) })
    }

    fn token<'a>(&'a self, id: &'a TokenId) -> BoxFuture<'a, Result<Token, NetworkError>> {
        Box::pin(async move { Ok(names::of_erc20(self.network.token(names::token(id)?).await.map_err(names::error)?)) })
    }

    fn credit<'a>(&'a self, token: &'a TokenId) -> BoxFuture<'a, Result<Units, NetworkError>> {
        Box::pin(async move { self.network.credit(names::token(token)?).await.map_err(names::error) })
    }

    fn request(&self, action: NetworkAction) {
        let key = action.key();
        match names::action(action, self.network.spec()) {
            Ok(action) => self.network.request(action),
            // Whoever asks how far it has come is told the same.
            Err(error) => tracing::warn!(action = %key, %error, "an action can't be asked for"),
        }
    }

    fn action(&self, key: &ActionKey) -> Option<ActionState> {
        match names::key(key) {
            Ok(key) => self.network.action(&key).map(|state| state.map_tx(|tx| tx.to_string().into())),
            Err(error) => Some(ActionState::Refused { error: error.to_string() }),
        }
    }

    fn actions_changed(&self) -> broadcast::Receiver<ActionKey> {
        self.network.actions_changed()
    }

    fn watch_orders(self: Arc<Self>, handler: OrderHandler) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let take = |orders: Vec<EvmOrder>| handler(orders.into_iter().map(names::order).collect());
            self.network.watch_orders(self.from, take).await;
        })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.network.stopped())
    }
}

fn described(status: EvmStatus, spec: &EvmSpec, now: Instant) -> NetworkStatus {
    NetworkStatus {
        identity: format!("chain {} with the market at {}", spec.chain_id, spec.market.to_checksum(None)),
        advice: advice(&status.connection, spec),
        catching_up: catching_up(status.unread, status.cursor.map(|at| at.number)),
        head: Resumed::head_of(&status),
        time: status.chain_time(now),
        time_now: status.time_now(now),
        wallet: status.wallet.to_checksum(None).into(),
        balance: status.balance,
        least_balance: least_balance(status.head.and_then(|head| head.base_fee)),
        coin_decimals: COIN_DECIMALS,
        fees_paid: status.gas_spent,
        signer_trouble: status.signer_trouble.as_ref().map(|trouble| (SignerFault::from(trouble), trouble.to_string())),
        clock_in_sync: status.clock_in_sync(),
        cursor: status.cursor.map(|at| checkpoint::stored(at, &status.doubtful, &status.withdrawn)),
        withdrawn: status.withdrawn.iter().map(|(token, units)| (names::of_token(*token), *units)).collect(),
        connection: status.connection,
        orders_trouble: status.orders_trouble,
        unread: status.unread,
        confirmation_lag: status.confirmation_lag,
        clock_skew: status.clock_skew,
        fee_obstacle: status.fee_obstacle,
    }
}

impl From<&WalletError> for SignerFault {
    fn from(error: &WalletError) -> Self {
        match error {
            WalletError::NotHex | WalletError::NotAKey | WalletError::Signing => Self::InvalidKey,
            WalletError::Keystore(_) => Self::InvalidKeystore,
            WalletError::WrongPassword => Self::WrongPassword,
            WalletError::Unavailable { .. } => Self::Unavailable,
            WalletError::Refused { .. } => Self::Refused,
            WalletError::Mismatch { .. } => Self::Mismatch,
        }
    }
}

/// What a few transactions cost now, in wei; nothing where no block says what gas costs.
fn least_balance(base_fee: Option<u64>) -> U256 {
    U256::from(LOW_GAS).saturating_mul(U256::from(base_fee.unwrap_or_default()))
}

/// What gas costs in token units, where a coin of the chain is worth `units_per_coin` of them.
fn costs(units_per_coin: U256, fee: WeiPerGas) -> Costs {
    let cost = |gas: u64| {
        let wei = U256::from(gas).saturating_mul(U256::from(fee.0));
        wei.saturating_mul(units_per_coin) / U256::from(WEI_PER_COIN)
    };
    Costs { claim: cost(CLAIM_GAS), order: cost(ORDER_GAS) }
}

/// Which fields of `spec.evm` to look at.
fn advice(connection: &Connection, spec: &EvmSpec) -> Advice {
    let connection = match connection {
        Connection::Connected { .. } => String::new(),
        Connection::Disconnected { reason: Disconnected::WrongChain | Disconnected::NoMarket, .. } => format!(
            "spec.evm.chainId is {}, and spec.evm.market {}: correct them, or the endpoint",
            spec.chain_id,
            spec.market.to_checksum(None)
        ),
        Connection::Disconnected { .. } => "check spec.evm.rpcUrls and the endpoints".to_owned(),
    };
    Advice {
        connection,
        sent: "raise spec.evm.gas.maxFeePerGasGwei or maxPriorityFeePerGasGwei if they are lower than what the chain asks",
        confirmation: "have orders believed after fewer blocks (spec.evm.confirmations of the network)",
        cost: "correct spec.evm.gas.tokensPerCoin of the network",
    }
}

/// That confirmed blocks are read that may hold orders long over; none while few are unread.
fn catching_up(unread: Option<u64>, cursor: Option<u64>) -> Option<String> {
    let (unread, cursor) = (unread.filter(|unread| *unread > FAR_BEHIND)?, cursor.unwrap_or_default());
    Some(format!(
        "{unread} confirmed blocks after block {cursor} are still to be read: set spec.evm.startBlock where no order is older"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wallet_needs_the_more_the_dearer_gas_is() {
        // 1,000,000 gas at 30 gwei.
        assert_eq!(least_balance(Some(30_000_000_000)), U256::from(30_000_000_000_000_000_u64));
        assert_eq!(least_balance(None), U256::ZERO);
    }

    #[test]
    fn gas_is_counted_in_tokens() {
        // 60,000 gas at 2 gwei are 0.00012 coins; at 3000 tokens of 6 decimals a coin, 0.36 tokens.
        let units_per_coin = U256::from(3_000_000_000_u64);
        let expected = Costs { claim: U256::from(360_000), order: U256::from(900_000) };
        assert_eq!(costs(units_per_coin, WeiPerGas::from_gwei(2)), expected);
        assert_eq!(costs(U256::ZERO, WeiPerGas::from_gwei(2)), Costs::default());
    }

    #[test]
    fn many_unread_blocks_are_told_with_the_field_that_skips_them() {
        for (unread, cursor, far) in
            [(None, Some(4), false), (Some(0), None, false), (Some(256), Some(4), false), (Some(257), Some(4), true)]
        {
            let told = catching_up(unread, cursor);
            assert_eq!(told.is_some(), far, "{unread:?} {cursor:?}");
            let words = "257 confirmed blocks after block 4 are still to be read: set spec.evm.startBlock where";
            assert!(told.is_none_or(|told| told.starts_with(words)), "{unread:?}");
        }
    }

    #[test]
    fn the_field_to_correct_depends_on_why_the_chain_is_not_seen() {
        let spec = spec();
        let lost = |reason| Connection::Disconnected { reason, message: String::new() };
        for (connection, words) in [
            (Connection::Connected { endpoint: String::new() }, ""),
            (lost(Disconnected::Unreachable), "check spec.evm.rpcUrls and the endpoints"),
            (lost(Disconnected::HeadStalled), "check spec.evm.rpcUrls and the endpoints"),
            (lost(Disconnected::WrongChain), "spec.evm.chainId is 31337, and spec.evm.market 0x"),
            (lost(Disconnected::NoMarket), "spec.evm.chainId is 31337, and spec.evm.market 0x"),
        ] {
            let advice = advice(&connection, &spec).connection;
            assert!(advice.starts_with(words) && advice.is_empty() == words.is_empty(), "{connection:?}: {advice}");
        }
    }

    fn spec() -> EvmSpec {
        let evm: hawser_crds::EvmNetwork = serde_json::from_value(serde_json::json!({
            "rpcUrls": ["http://127.0.0.1:8545"],
            "chainId": 31337,
            "market": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
            "provider": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "wallet": {"secretRef": {"name": "wallet"}},
        }))
        .unwrap();
        EvmSpec::try_from(&evm).unwrap()
    }
}
