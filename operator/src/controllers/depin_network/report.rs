//! The status of a network, from what was last seen of it.

use alloy::primitives::U256;
use hawser_crds::condition::{CHAIN_MATCHES, CONNECTED, ORDERS_WATCHED, READY, SIGNER_AVAILABLE, WALLET_FUNDED};
use hawser_crds::{DepinNetwork, DepinNetworkStatus, Head, WalletStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::amount::{self, COIN_DECIMALS};
use crate::controllers::conditions::{Conditions, Truth, find, is_true};
use crate::network::{self, Connection, Disconnected, Observed};

/// Whether the network runs as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Runs,
    Refused { reason: &'static str, message: String },
}

impl Start {
    /// Whether it stays so until the spec or a Secret is changed. A signer that is away comes back by itself.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { reason: "InvalidKey" | "InvalidKeystore" | "WrongPassword", .. })
    }
}

/// Gas of a few batches: a wallet that can't pay for so much is told of.
const LOW_GAS: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);
/// Blocks that the reading of orders may lie behind the head: what is safe or final lies two epochs and more behind.
const FAR_BEHIND: u64 = 256;
/// The status says where the head is so often, in seconds: a write a block would be noise.
const HEAD_EVERY: i64 = 15;

/// Builds the next status. `needed_by`: what holds up a deletion.
pub(crate) fn status(
    resource: &DepinNetwork,
    start: &Start,
    observed: Option<&Observed>,
    now: Timestamp,
    needed_by: Option<&str>,
) -> DepinNetworkStatus {
    let stored = resource.status.clone().unwrap_or_default();
    let mut list = Conditions::from_stored(&stored.conditions, resource.metadata.generation, now);
    match (start, observed) {
        (Start::Refused { reason, message }, _) => {
            list.set(CONNECTED, Truth::No, reason, message.clone());
            list.set(CHAIN_MATCHES, Truth::Unknown, reason, "not connected");
            list.set(WALLET_FUNDED, Truth::Unknown, reason, "not connected");
            list.set(ORDERS_WATCHED, Truth::Unknown, reason, "not connected");
            list.set(SIGNER_AVAILABLE, Truth::Unknown, reason, "not asked");
        }
        // A restarted operator takes nothing back before it has tried.
        (Start::Runs, seen) if untried(seen) && is_said(&stored, resource.metadata.generation) => {}
        (Start::Runs, None) => list.set(CONNECTED, Truth::Unknown, "Connecting", "not tried yet"),
        (Start::Runs, Some(observed)) => {
            connected(observed, &mut list);
            chain_matches(resource, observed, &mut list);
            wallet_funded(observed, &mut list);
            orders_watched(observed, &mut list);
            signer_available(observed, &mut list);
        }
    }
    ready(&mut list);
    if let Some(why) = needed_by.filter(|_| resource.metadata.deletion_timestamp.is_some()) {
        list.set(READY, Truth::No, "Leaving", format!("it is being deleted and stays until nothing needs it: {why}"));
    }
    let head = observed.and_then(|o| o.head).map(|h| Head { block: h.block.number, time: Time(h.time) });
    DepinNetworkStatus {
        observed_generation: resource.metadata.generation,
        conditions: list.into_list(),
        head: newer(stored.head, head),
        wallet: observed.map_or(stored.wallet, |o| {
            Some(WalletStatus {
                address: o.wallet.to_checksum(None),
                balance: amount::whole(o.balance.unwrap_or_default(), COIN_DECIMALS),
                gas_spent: amount::whole(o.gas_spent, COIN_DECIMALS),
            })
        }),
        earnings: stored.earnings,
        cursor: observed.and_then(|o| Some(network::stored(o.cursor?, &o.withdrawn))).or(stored.cursor),
    }
}

fn untried(observed: Option<&Observed>) -> bool {
    let connecting = Disconnected::Connecting;
    observed.is_none_or(|o| matches!(&o.connection, Connection::Disconnected { reason, .. } if *reason == connecting))
}

/// The stored conditions are about the spec as it is.
fn is_said(stored: &DepinNetworkStatus, generation: Option<i64>) -> bool {
    find(&stored.conditions, CONNECTED).is_some_and(|c| c.observed_generation == generation)
}

/// The stored head until the new one is some way ahead.
fn newer(stored: Option<Head>, seen: Option<Head>) -> Option<Head> {
    match (stored, seen) {
        (Some(old), Some(new)) if (0..HEAD_EVERY).contains(&(new.time.0.as_second() - old.time.0.as_second())) => {
            Some(old)
        }
        (old, new) => new.or(old),
    }
}

fn connected(observed: &Observed, list: &mut Conditions) {
    match &observed.connection {
        Connection::Connected { endpoint } => {
            list.set(CONNECTED, Truth::Yes, "Connected", format!("{endpoint} answers and its head moves"));
        }
        Connection::Disconnected { reason: Disconnected::Connecting, message } => {
            list.set(CONNECTED, Truth::Unknown, "Connecting", message.clone());
        }
        Connection::Disconnected { reason, message } => {
            let advice = "check spec.evm.rpcUrls and the endpoints; running jobs go on meanwhile";
            list.set(CONNECTED, Truth::No, reason.reason(), format!("{message}: {advice}"));
        }
    }
}

fn chain_matches(resource: &DepinNetwork, observed: &Observed, list: &mut Conditions) {
    let evm = &resource.spec.evm;
    match &observed.connection {
        Connection::Connected { .. } => {
            list.set(
                CHAIN_MATCHES,
                Truth::Yes,
                "Matches",
                format!("chain {} with the market at {}", evm.chain_id, evm.market),
            );
        }
        Connection::Disconnected { reason: Disconnected::WrongChain, message } => {
            let message = format!("{message}: spec.evm.chainId is {}, correct it or the endpoint", evm.chain_id);
            list.set(CHAIN_MATCHES, Truth::No, "WrongChain", message);
        }
        Connection::Disconnected { reason: Disconnected::NoMarket, message } => {
            let message = format!("{message}: there is no contract at spec.evm.market {}", evm.market);
            list.set(CHAIN_MATCHES, Truth::No, "NoMarket", message);
        }
        Connection::Disconnected { message, .. } => {
            list.set(CHAIN_MATCHES, Truth::Unknown, "NotConnected", message.clone());
        }
    }
}

fn wallet_funded(observed: &Observed, list: &mut Conditions) {
    let wallet = observed.wallet.to_checksum(None);
    let least = LOW_GAS.saturating_mul(U256::from(observed.head.and_then(|h| h.base_fee).unwrap_or(0)));
    match observed.balance {
        None => {
            list.set(WALLET_FUNDED, Truth::Unknown, "NotConnected", format!("the balance of {wallet} is not known"));
        }
        Some(U256::ZERO) => {
            list.set(WALLET_FUNDED, Truth::No, "Empty", format!("send coins for gas to {wallet}"));
        }
        Some(balance) if balance < least => {
            let (has, needs) = (amount::whole(balance, COIN_DECIMALS), amount::whole(least, COIN_DECIMALS));
            let message = format!("{wallet} has {has} coins, a few transactions cost {needs} now: send coins to it");
            list.set(WALLET_FUNDED, Truth::No, "Low", message);
        }
        Some(_) => list.set(WALLET_FUNDED, Truth::Yes, "Funded", format!("{wallet} can pay for gas")),
    }
}

fn orders_watched(observed: &Observed, list: &mut Conditions) {
    match (&observed.connection, &observed.orders_trouble, observed.cursor) {
        (Connection::Disconnected { .. }, ..) => {
            list.set(
                ORDERS_WATCHED,
                Truth::Unknown,
                "NotConnected",
                "orders are read again once the chain can be seen",
            );
        }
        (_, Some(why), _) => {
            list.set(
                ORDERS_WATCHED,
                Truth::No,
                "OrdersNotRead",
                format!("{why}: it is tried again, and no order is lost"),
            );
        }
        (_, None, None) => list.set(ORDERS_WATCHED, Truth::Unknown, "Reading", "no block was read yet"),
        (_, None, Some(cursor)) if observed.head.is_some_and(|h| h.block.number > cursor.number + FAR_BEHIND) => {
            let head = observed.head.map_or(0, |h| h.block.number);
            let message =
                format!("block {} of {head} was read: set spec.evm.startBlock where no order is older", cursor.number);
            list.set(ORDERS_WATCHED, Truth::Unknown, "CatchingUp", message);
        }
        (_, None, Some(_)) => {
            list.set(ORDERS_WATCHED, Truth::Yes, "Watching", "every order up to status.cursor is taken");
        }
    }
}

fn signer_available(observed: &Observed, list: &mut Conditions) {
    let wallet = observed.wallet.to_checksum(None);
    match &observed.signer_trouble {
        None => {
            let message = format!("nothing waits for a signature of {wallet}");
            list.set(SIGNER_AVAILABLE, Truth::Yes, "Available", message);
        }
        Some(trouble) => {
            let message =
                format!("{trouble}: nothing is sent until it signs; what is to be sent waits and is not lost");
            list.set(SIGNER_AVAILABLE, Truth::No, trouble.reason(), message);
        }
    }
}

fn ready(list: &mut Conditions) {
    let now = list.clone().into_list();
    let wanted = [CONNECTED, CHAIN_MATCHES, WALLET_FUNDED, SIGNER_AVAILABLE, ORDERS_WATCHED];
    let missing = wanted.into_iter().find(|kind| !is_true(&now, kind));
    match missing.and_then(|kind| now.iter().find(|c| c.type_ == kind)) {
        None => list.set(READY, Truth::Yes, "Ready", "orders are watched and transactions can be sent"),
        Some(c) => list.set(READY, Truth::No, &c.reason, c.message.clone()),
    }
}

/// Whether a status says that all is well.
pub(crate) fn is_ready(status: &DepinNetworkStatus) -> bool {
    is_true(&status.conditions, READY)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};
    use serde_json::json;

    use super::*;
    use crate::controllers::conditions::news;
    use crate::network::{Block, WalletError, Withdrawn};

    fn resource() -> DepinNetwork {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "n"},
            "spec": {"evm": {
                "rpcUrls": ["http://a"], "chainId": 31337,
                "market": "0x0000000000000000000000000000000000000001",
                "provider": "0x0000000000000000000000000000000000000002",
                "wallet": {"secretRef": {"name": "w"}}
            }}
        }))
        .unwrap()
    }

    fn observed(connection: Connection, balance: Option<u64>) -> Observed {
        Observed {
            connection,
            chain_id: Some(31337),
            head: None,
            wallet: Address::ZERO,
            balance: balance.map(U256::from),
            signer_trouble: None,
            gas_spent: U256::ZERO,
            orders_trouble: None,
            cursor: Some(Block { number: 4, hash: B256::ZERO }),
            withdrawn: Withdrawn::default(),
        }
    }

    fn disconnected(reason: Disconnected) -> Connection {
        Connection::Disconnected { reason, message: "m".to_owned() }
    }

    #[test]
    fn conditions_name_the_trouble_and_ready_takes_its_reason() {
        let good = Connection::Connected { endpoint: "http://a".to_owned() };
        let refused = Start::Refused { reason: "SecretNotFound", message: "create it".to_owned() };
        let unread = Observed { orders_trouble: Some("why".to_owned()), ..observed(good.clone(), Some(5)) };
        for (start, seen, connected, matches, funded, ready) in [
            (Start::Runs, Some(unread), "Connected", "Matches", "Funded", "OrdersNotRead"),
            (Start::Runs, Some(observed(good.clone(), Some(5))), "Connected", "Matches", "Funded", "Ready"),
            (Start::Runs, Some(observed(good, Some(0))), "Connected", "Matches", "Empty", "Empty"),
            (
                Start::Runs,
                Some(observed(disconnected(Disconnected::WrongChain), None)),
                "WrongChain",
                "WrongChain",
                "NotConnected",
                "WrongChain",
            ),
            (
                Start::Runs,
                Some(observed(disconnected(Disconnected::NoMarket), None)),
                "NoMarket",
                "NoMarket",
                "NotConnected",
                "NoMarket",
            ),
            (
                Start::Runs,
                Some(observed(disconnected(Disconnected::HeadStalled), None)),
                "HeadStalled",
                "NotConnected",
                "NotConnected",
                "HeadStalled",
            ),
            (refused, None, "SecretNotFound", "SecretNotFound", "SecretNotFound", "SecretNotFound"),
        ] {
            let status = status(&resource(), &start, seen.as_ref(), Timestamp::UNIX_EPOCH, None);
            let reason = |kind: &str| find(&status.conditions, kind).unwrap().reason.clone();
            assert_eq!(
                [reason(CONNECTED), reason(CHAIN_MATCHES), reason(WALLET_FUNDED), reason(READY)],
                [connected, matches, funded, ready]
            );
            assert_eq!(is_ready(&status), ready == "Ready");
        }
    }

    #[test]
    fn a_signer_that_does_not_sign_is_a_condition_of_its_own_and_goes_when_it_signs() {
        let good = Connection::Connected { endpoint: "http://a".to_owned() };
        let mut seen = observed(good, Some(5));
        let (signer, why) = ("AWS KMS key k in r".to_owned(), "no answer within 10 s".to_owned());
        seen.signer_trouble = Some(WalletError::Unavailable { signer, why });
        let mut network = resource();
        let away = status(&network, &Start::Runs, Some(&seen), Timestamp::UNIX_EPOCH, None);
        for kind in [SIGNER_AVAILABLE, READY] {
            let condition = find(&away.conditions, kind).unwrap();
            assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "SignerUnavailable"));
            assert!(condition.message.starts_with("AWS KMS key k in r can't be asked now: no answer within 10 s: "));
        }
        assert!(is_true(&away.conditions, WALLET_FUNDED), "that is another question");
        let told = news(&[], &away.conditions);
        assert!(told.iter().any(|condition| condition.type_ == SIGNER_AVAILABLE), "an event says so");

        seen.signer_trouble = None;
        network.status = Some(away);
        let back = status(&network, &Start::Runs, Some(&seen), Timestamp::UNIX_EPOCH, None);
        assert!(is_ready(&back) && is_true(&back.conditions, SIGNER_AVAILABLE));
    }

    #[test]
    fn a_restarted_operator_takes_nothing_back_before_it_has_tried() {
        let good = Connection::Connected { endpoint: "http://a".to_owned() };
        let mut network = resource();
        network.metadata.generation = Some(1);
        let look = |network: &DepinNetwork, seen: Option<&Observed>| {
            status(network, &Start::Runs, seen, Timestamp::UNIX_EPOCH, None)
        };
        assert!(!is_ready(&look(&network, None)));
        network.status = Some(look(&network, Some(&observed(good, Some(5)))));
        let connecting = observed(disconnected(Disconnected::Connecting), None);
        assert!(is_ready(&look(&network, None)) && is_ready(&look(&network, Some(&connecting))));
        assert!(!is_ready(&look(&network, Some(&observed(disconnected(Disconnected::HeadStalled), None)))));
        network.metadata.generation = Some(2);
        assert!(!is_ready(&look(&network, None)), "said of another spec");
    }

    #[test]
    fn the_head_in_the_status_moves_in_steps() {
        let head = |block, second| Some(Head { block, time: Time(Timestamp::from_second(second).unwrap()) });
        assert_eq!(newer(head(1, 0), head(5, 10)), head(1, 0));
        assert_eq!(newer(head(1, 0), head(8, 16)), head(8, 16));
        assert_eq!(newer(None, head(8, 16)), head(8, 16));
        assert_eq!(newer(head(9, 30), head(8, 16)), head(8, 16), "after a reorganisation");
        assert_eq!(newer(head(9, 30), None), head(9, 30));
    }
}
