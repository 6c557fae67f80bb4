//! What is seen of networks, what is done on them, and how their endpoints answer.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::book::{Book, Decimal, Number};
use super::labels::{ActionLabels, NetworkName};
use super::{Metrics, whole};
use crate::network::{ActionKey, Backlog, NetworkStatus};
use jiff::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct Networks {
    orders: Family<NetworkName, Counter>,
    actions: Family<ActionLabels, Counter>,
    connected: Family<NetworkName, Number>,
    head: Family<NetworkName, Number>,
    head_age: Family<NetworkName, Decimal>,
    unread: Family<NetworkName, Number>,
    balance: Family<NetworkName, Decimal>,
    gas_spent: Family<NetworkName, Decimal>,
    clock_skew: Family<NetworkName, Decimal>,
    actions_queued: Family<NetworkName, Number>,
    actions_oldest: Family<NetworkName, Decimal>,
}

impl Networks {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            orders: book.metric("orders", "Orders taken from the network"),
            actions: book.metric("actions", "Actions that the network has done or refused"),
            connected: book.metric("network_connected", "1 where the network can be seen"),
            head: book.metric("network_head_block", "Height of the newest state"),
            head_age: book.metric("network_head_age_seconds", "Age of the newest state"),
            unread: book.metric("network_unread_blocks", "Confirmed states of which no orders were read yet"),
            balance: book.metric("wallet_balance", "Coins of the operator's wallet, in whole coins"),
            gas_spent: book
                .metric("gas_spent", "Coins that the operator's wallet has paid in transaction fees, in whole coins"),
            clock_skew: book.metric(
                "clock_skew_seconds",
                "Seconds by which the operator's clock was ahead of the newest state's time when that came",
            ),
            actions_queued: book.metric("actions_queued", "Actions that are not done yet, sent or not"),
            actions_oldest: book.metric("actions_oldest_seconds", "Age of the oldest action that is not done yet"),
        }
    }

    pub(super) fn forget(&self, name: &str) {
        let label = NetworkName { network: name.to_owned() };
        for numbers in [&self.connected, &self.head, &self.unread, &self.actions_queued] {
            numbers.remove(&label);
        }
        for decimals in [&self.head_age, &self.balance, &self.gas_spent, &self.clock_skew, &self.actions_oldest] {
            decimals.remove(&label);
        }
    }
}

impl Metrics {
    /// Orders taken from a network.
    pub fn orders(&self, network: &str) -> Counter {
        self.networks.orders.get_or_create(&NetworkName { network: network.to_owned() }).clone()
    }

    /// An action that is over.
    pub fn action(&self, network: &str, key: &ActionKey, mined: bool) {
        let action = match key {
            ActionKey::Offer(_) => "offer",
            ActionKey::Decline(_) => "decline",
            ActionKey::Start(_) => "start",
            ActionKey::Claim(_) => "claim",
            ActionKey::Settle(_) => "settle",
            ActionKey::End(_) => "end",
            ActionKey::Refund(_) => "refund",
            ActionKey::Withdraw(_) => "withdraw",
        };
        let result = if mined { "mined" } else { "refused" };
        self.networks.actions.get_or_create(&ActionLabels { network: network.to_owned(), action, result }).inc();
    }

    /// What was last seen of a network.
    pub fn network(&self, name: &str, observed: &NetworkStatus, backlog: &Backlog, now: Timestamp) {
        let (label, all) = (NetworkName { network: name.to_owned() }, &self.networks);
        all.connected.get_or_create(&label).set(i64::from(observed.connection.is_connected()));
        if let Some(head) = observed.head {
            all.head.get_or_create(&label).set(i64::try_from(head.height).unwrap_or(i64::MAX));
            all.head_age.get_or_create(&label).set(now.duration_since(head.time).as_secs_f64());
        }
        if let Some(unread) = observed.unread {
            all.unread.get_or_create(&label).set(i64::try_from(unread).unwrap_or(i64::MAX));
        }
        if let Some(balance) = observed.balance {
            all.balance.get_or_create(&label).set(whole(balance, observed.coin_decimals));
        }
        all.gas_spent.get_or_create(&label).set(whole(observed.fees_paid, observed.coin_decimals));
        if let Some(skew) = observed.clock_skew.and_then(|skew| i32::try_from(skew).ok()) {
            all.clock_skew.get_or_create(&label).set(f64::from(skew));
        }
        let waiting = i64::try_from(backlog.queued + backlog.sent).unwrap_or(i64::MAX);
        all.actions_queued.get_or_create(&label).set(waiting);
        all.actions_oldest.get_or_create(&label).set(backlog.oldest.as_secs_f64());
    }

    /// A network that does not run is not connected, and what was last seen of it says nothing any more.
    pub(crate) fn network_away(&self, name: &str) {
        self.forget_what_ran(name);
        self.networks.connected.get_or_create(&NetworkName { network: name.to_owned() }).set(0);
    }

    /// The network is gone, and with it what was said of it.
    pub(crate) fn forget_network(&self, name: &str) {
        self.forget_what_ran(name);
        self.conditions.forget("DepinNetwork", "", name);
    }

    fn forget_what_ran(&self, name: &str) {
        self.networks.forget(name);
        self.money.forget_network(name);
        self.rpc.forget(name);
    }
}
