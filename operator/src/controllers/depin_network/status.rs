//! The status of a network, from what was last seen of it.

use std::time::Duration;

use hawser_crds::condition::{
    CHAIN_MATCHES, CLOCK_IN_SYNC, CONNECTED, ORDERS_WATCHED, READY, SIGNER_AVAILABLE, TRANSACTIONS_MOVING,
    WALLET_FUNDED,
};
use hawser_crds::{DepinNetwork, DepinNetworkStatus, Head, WalletStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controllers::conditions::{ConditionStatus, Conditions, find, is_true};
use crate::network::{Backlog, Connection, Disconnected, NetworkStatus, Units};
use crate::reasons::Reason;
use hawser_market::format_units;

/// Whether the network runs as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Startup {
    Runs,
    Refused { reason: Reason, message: String },
}

impl Startup {
    /// Whether it stays so until the spec or a Secret is changed. A signer that is away comes back by itself.
    pub(super) fn is_final(&self) -> bool {
        let Self::Refused { reason, .. } = self else { return false };
        matches!(reason, Reason::InvalidKey | Reason::InvalidKeystore | Reason::WrongPassword)
    }
}

/// What is to be sent may wait so long, and what is sent may take so long to be done.
const NOTHING_SENT: Duration = Duration::from_secs(45);
const NOT_DONE: Duration = Duration::from_mins(10);
/// The measured lag is told in steps of so many seconds: it varies.
const LAG_STEP: u64 = 10;
/// The status says where the head is so often, in seconds: a write for each would be noise.
const HEAD_EVERY: i64 = 15;

/// Builds the next status. `needed_by`: what holds up a deletion.
pub(crate) fn status(
    resource: &DepinNetwork,
    start: &Startup,
    seen: Option<&(NetworkStatus, Backlog)>,
    now: Timestamp,
    needed_by: Option<&str>,
) -> DepinNetworkStatus {
    let observed = seen.map(|(observed, _)| observed);
    let stored = resource.status.clone().unwrap_or_default();
    let mut list = Conditions::from_stored(&stored.conditions, resource.metadata.generation, now);
    match (start, seen) {
        (Startup::Refused { reason, message }, _) => {
            list.set(CONNECTED, ConditionStatus::False, reason, message.clone());
            list.set(CHAIN_MATCHES, ConditionStatus::Unknown, reason, "not connected");
            list.set(WALLET_FUNDED, ConditionStatus::Unknown, reason, "not connected");
            list.set(ORDERS_WATCHED, ConditionStatus::Unknown, reason, "not connected");
            list.set(SIGNER_AVAILABLE, ConditionStatus::Unknown, reason, "not asked");
            list.set(TRANSACTIONS_MOVING, ConditionStatus::Unknown, reason, "nothing is sent");
            list.set(CLOCK_IN_SYNC, ConditionStatus::Unknown, reason, "not connected");
        }
        // A restarted operator takes nothing back before it has tried.
        (Startup::Runs, _) if untried(observed) && is_said(&stored, resource.metadata.generation) => {}
        (Startup::Runs, None) => list.set(CONNECTED, ConditionStatus::Unknown, &Reason::Connecting, "not tried yet"),
        (Startup::Runs, Some((observed, backlog))) => {
            connected(observed, &mut list);
            chain_matches(observed, &mut list);
            wallet_funded(observed, &mut list);
            orders_watched(observed, &mut list);
            signer_available(observed, &mut list);
            transactions_moving(observed, backlog, &mut list);
            clock_in_sync(observed, &mut list);
        }
    }
    ready(&mut list);
    if let Some(why) = needed_by.filter(|_| resource.metadata.deletion_timestamp.is_some()) {
        list.set(
            READY,
            ConditionStatus::False,
            &Reason::Leaving,
            format!("deletion is pending, because it is still in use: {why}"),
        );
    }
    let head = observed.and_then(|o| o.head).map(|h| Head { block: h.height, time: Time(h.time) });
    DepinNetworkStatus {
        observed_generation: resource.metadata.generation,
        conditions: list.into_list(),
        head: newer(stored.head, head),
        wallet: observed.map_or(stored.wallet, |o| {
            Some(WalletStatus {
                address: o.wallet.to_string(),
                balance: format_units(o.balance.unwrap_or_default(), o.coin_decimals),
                gas_spent: format_units(o.fees_paid, o.coin_decimals),
            })
        }),
        earnings: stored.earnings,
        cursor: observed.and_then(|o| o.cursor.clone()).or(stored.cursor),
        confirmation_lag_seconds: observed
            .and_then(|o| Some(o.confirmation_lag?.as_secs().div_ceil(LAG_STEP) * LAG_STEP))
            .or(stored.confirmation_lag_seconds),
    }
}

fn untried(observed: Option<&NetworkStatus>) -> bool {
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

/// What is wrong, and the network's own way out, if it knows one.
fn advised(wrong: &str, advice: &str) -> String {
    if advice.is_empty() { wrong.to_owned() } else { format!("{wrong}: {advice}") }
}

fn connected(observed: &NetworkStatus, list: &mut Conditions) {
    match &observed.connection {
        Connection::Connected { endpoint } => {
            list.set(
                CONNECTED,
                ConditionStatus::True,
                &Reason::Connected,
                format!("{endpoint} answers and its head moves"),
            );
        }
        Connection::Disconnected { reason: Disconnected::Connecting, message } => {
            list.set(CONNECTED, ConditionStatus::Unknown, &Reason::Connecting, message.clone());
        }
        Connection::Disconnected { reason, message } => {
            let why = advised(message, &observed.advice.connection);
            let message = format!("{why}; running jobs go on meanwhile");
            list.set(CONNECTED, ConditionStatus::False, &Reason::from(*reason), message);
        }
    }
}

fn chain_matches(observed: &NetworkStatus, list: &mut Conditions) {
    match &observed.connection {
        Connection::Connected { .. } => {
            list.set(CHAIN_MATCHES, ConditionStatus::True, &Reason::Matches, observed.identity.clone());
        }
        Connection::Disconnected { reason: Disconnected::WrongChain, message } => {
            let message = advised(message, &observed.advice.connection);
            list.set(CHAIN_MATCHES, ConditionStatus::False, &Reason::WrongChain, message);
        }
        Connection::Disconnected { reason: Disconnected::NoMarket, message } => {
            let message = advised(message, &observed.advice.connection);
            list.set(CHAIN_MATCHES, ConditionStatus::False, &Reason::NoMarket, message);
        }
        Connection::Disconnected { message, .. } => {
            list.set(CHAIN_MATCHES, ConditionStatus::Unknown, &Reason::NotConnected, message.clone());
        }
    }
}

fn wallet_funded(observed: &NetworkStatus, list: &mut Conditions) {
    let NetworkStatus { wallet, least_balance: least, coin_decimals, .. } = observed;
    match observed.balance {
        None => {
            list.set(
                WALLET_FUNDED,
                ConditionStatus::Unknown,
                &Reason::NotConnected,
                format!("the balance of {wallet} is not known"),
            );
        }
        Some(Units::ZERO) => {
            let message = format!("send coins for transaction fees to {wallet}");
            list.set(WALLET_FUNDED, ConditionStatus::False, &Reason::Empty, message);
        }
        Some(balance) if balance < *least => {
            let (has, needs) = (format_units(balance, *coin_decimals), format_units(*least, *coin_decimals));
            let message = format!(
                "{wallet} holds only {has} coins, not enough for transaction fees (a few transactions cost {needs} now): top it up"
            );
            list.set(WALLET_FUNDED, ConditionStatus::False, &Reason::Low, message);
        }
        Some(_) => {
            let message = format!("{wallet} can pay transaction fees");
            list.set(WALLET_FUNDED, ConditionStatus::True, &Reason::Funded, message);
        }
    }
}

fn orders_watched(observed: &NetworkStatus, list: &mut Conditions) {
    let told = (&observed.orders_trouble, &observed.catching_up, observed.unread);
    match (&observed.connection, told) {
        (Connection::Disconnected { .. }, _) => {
            list.set(
                ORDERS_WATCHED,
                ConditionStatus::Unknown,
                &Reason::NotConnected,
                "orders are read again once the network can be seen",
            );
        }
        (_, (Some(why), ..)) => {
            list.set(
                ORDERS_WATCHED,
                ConditionStatus::False,
                &Reason::OrdersNotRead,
                format!("{why}: it is tried again, and orders wait for as long as their start windows"),
            );
        }
        (_, (None, Some(why), _)) => {
            list.set(ORDERS_WATCHED, ConditionStatus::Unknown, &Reason::CatchingUp, why.clone());
        }
        (_, (None, None, None)) => {
            list.set(ORDERS_WATCHED, ConditionStatus::Unknown, &Reason::Reading, "nothing was read yet");
        }
        (_, (None, None, Some(_))) => {
            list.set(
                ORDERS_WATCHED,
                ConditionStatus::True,
                &Reason::Watching,
                "every order up to status.cursor is taken",
            );
        }
    }
}

fn transactions_moving(observed: &NetworkStatus, backlog: &Backlog, list: &mut Conditions) {
    let Backlog { queued, sent, oldest, unsent, waiting } = backlog;
    if *unsent >= NOTHING_SENT {
        let (reason, why) = match (&observed.fee_obstacle, waiting) {
            (Some(above), _) => (&Reason::FeeAboveCap, above.as_str()),
            (None, Some(why)) => (&Reason::NothingSent, why.as_str()),
            (None, None) => (&Reason::NothingSent, "see the operator's log"),
        };
        let message = format!(
            "{queued} actions are to be sent, and none could be for more than {} s: {why}",
            NOTHING_SENT.as_secs()
        );
        list.set(TRANSACTIONS_MOVING, ConditionStatus::False, reason, message);
    } else if *sent > 0 && *oldest >= NOT_DONE {
        let minutes = NOT_DONE.as_secs() / 60;
        let message = format!("{sent} actions were sent, and one of them is not done for more than {minutes} min");
        let message = advised(&message, observed.advice.sent);
        list.set(TRANSACTIONS_MOVING, ConditionStatus::False, &Reason::NotMined, message);
    } else {
        list.set(TRANSACTIONS_MOVING, ConditionStatus::True, &Reason::Moving, "what is to be sent is sent and done");
    }
}

fn clock_in_sync(observed: &NetworkStatus, list: &mut Conditions) {
    match (observed.clock_in_sync, observed.clock_skew.unwrap_or(0)) {
        (None, _) => {
            list.set(
                CLOCK_IN_SYNC,
                ConditionStatus::Unknown,
                &Reason::NoBlockSeen,
                "nothing of the network has come yet to compare with",
            );
        }
        (Some(true), _) => {
            list.set(
                CLOCK_IN_SYNC,
                ConditionStatus::True,
                &Reason::InSync,
                "this cluster's clock and the network's agree",
            );
        }
        // Without the running number, which would be an event each time.
        (Some(false), skew) => {
            let (reason, direction) =
                if skew > 0 { (&Reason::ClockAhead, "ahead of") } else { (&Reason::ClockBehind, "behind") };
            let message = format!(
                "the operator's clock is far {direction} the network's (metric hawser_clock_skew_seconds): check NTP on its node, and the endpoint"
            );
            list.set(CLOCK_IN_SYNC, ConditionStatus::False, reason, message);
        }
    }
}

fn signer_available(observed: &NetworkStatus, list: &mut Conditions) {
    let wallet = &observed.wallet;
    match &observed.signer_trouble {
        None => {
            let message = format!("nothing waits for a signature of {wallet}");
            list.set(SIGNER_AVAILABLE, ConditionStatus::True, &Reason::Available, message);
        }
        Some((fault, trouble)) => {
            let message =
                format!("{trouble}: nothing is sent until it signs; what is to be sent waits and is not lost");
            list.set(SIGNER_AVAILABLE, ConditionStatus::False, &Reason::from(*fault), message);
        }
    }
}

fn ready(list: &mut Conditions) {
    let now = list.clone().into_list();
    let wanted = [CONNECTED, CHAIN_MATCHES, WALLET_FUNDED, SIGNER_AVAILABLE, ORDERS_WATCHED, TRANSACTIONS_MOVING];
    let missing = wanted.into_iter().find(|kind| !is_true(&now, kind));
    match missing.and_then(|kind| now.iter().find(|c| c.type_ == kind)) {
        None => {
            list.set(READY, ConditionStatus::True, &Reason::Ready, "orders are watched and transactions can be sent");
        }
        Some(c) => list.repeat(READY, ConditionStatus::False, c),
    }
}

/// Whether what was earned is told and withdrawn: whatever else is wrong with the network, as long as the chain is the right
/// one. Least of all it waits for final blocks.
pub(super) fn withdraws(status: &DepinNetworkStatus) -> bool {
    is_true(&status.conditions, CHAIN_MATCHES)
}

/// Whether a status says that all is well.
pub(crate) fn is_ready(status: &DepinNetworkStatus) -> bool {
    is_true(&status.conditions, READY)
}

#[cfg(test)]
mod tests;
