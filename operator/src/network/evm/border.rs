//! An EVM network as the rest of the operator knows it.

use std::sync::Arc;
use std::time::Instant;

use alloy::primitives::{Address, U256};
use futures::future::BoxFuture;
use hawser_attestation::Market;
use hawser_market::COIN_DECIMALS;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{
    Checkpoint, Cursor, EvmNetwork, EvmOrder, EvmSpec, EvmStatus, Wallet, WalletError, WeiPerGas, checkpoint, names,
};
use crate::network::{
    ActionKey, ActionState, Backlog, Head, Job, JobId, Known, Network, NetworkAction, NetworkError, NetworkStatus,
    Offer, OfferId, OfferTerms, OrderHandler, Payment, Prepared, Profile, SignerFault, SpecError, Start, Subject,
    Token, TokenId, Units, Wallet as Sender,
};

/// Longest card of an offer, in bytes: what the market logs.
const LONGEST_CARD: usize = 4096;
/// Gas of a few batches: a wallet that can't pay for so much is told of.
const LOW_GAS: u64 = 1_000_000;
/// Gas of a claim that goes alone in its transaction, about (docs/reference/gas.md). In a batch it is a fifth of that; the
/// dearer case is assumed.
const CLAIM_GAS: u64 = 60_000;
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
    Sender { account: account.to_checksum(None).into(), ledger: format!("chain {}", spec.chain_id) }
}

impl Resumed {
    fn head_of(status: &EvmStatus) -> Option<Head> {
        status.head.map(|head| Head { height: head.block.number, time: head.time })
    }
}

impl Network for Resumed {
    fn profile(&self) -> Profile {
        Profile { depth: self.network.spec().depth(), payment: Payment::Cumulative, longest_card: LONGEST_CARD }
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
        Ok(Subject { market: Market { chain_id: spec.chain_id, address: spec.market }, id: names::job_id(job)? })
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

    fn claim_cost(&self, token: &Token) -> Units {
        let units = self.network.spec().tokens_per_coin.as_deref();
        let units = units.and_then(|text| token.parse_units(text).ok()).unwrap_or_default();
        let base_fee = self.network.observed().borrow().head.and_then(|head| head.base_fee).unwrap_or_default();
        gas_cost(units, WeiPerGas(base_fee.into()))
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
        advice: format!(
            "spec.evm.chainId is {}, and spec.evm.market {}: correct them, or the endpoint",
            spec.chain_id,
            spec.market.to_checksum(None)
        ),
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

/// What the gas of a claim costs in token units, where a coin of the chain is worth `units_per_coin` of them.
fn gas_cost(units_per_coin: U256, fee: WeiPerGas) -> U256 {
    let wei = U256::from(CLAIM_GAS).saturating_mul(U256::from(fee.0));
    wei.saturating_mul(units_per_coin) / U256::from(WEI_PER_COIN)
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
        assert_eq!(gas_cost(units_per_coin, WeiPerGas::from_gwei(2)), U256::from(360_000));
        assert_eq!(gas_cost(U256::ZERO, WeiPerGas::from_gwei(2)), U256::ZERO);
    }
}
