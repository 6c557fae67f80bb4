//! What was last seen of a network: connection, head, wallet, clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hawser_crds::Cursor;
use jiff::Timestamp;

use super::{AccountId, TokenId, Units};

/// Why there is no connection: the reason of the condition `Connected=False` (and `ChainMatches=False` for the wrong
/// chain).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disconnected {
    /// Not tried yet.
    Connecting,
    /// No endpoint answers.
    Unreachable,
    /// What answers is another network than the one that is written down.
    WrongChain,
    /// The network is the right one, and has no market where one is written down.
    NoMarket,
    /// Endpoints answer, and their newest state has been the same for too long.
    HeadStalled,
}

/// Whether the network can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// An endpoint of the right network with the market answers and its head moves.
    Connected {
        /// The endpoint without path, query or credentials: those can be secrets.
        endpoint: String,
    },
    /// Not; nothing is known of jobs meanwhile, and unknown is not failed.
    Disconnected {
        /// Which kind of trouble.
        reason: Disconnected,
        /// Each endpoint and what was wrong with it, in words.
        message: String,
    },
}

impl Connection {
    /// Whether it is [`Connection::Connected`].
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// Ways out of a network's troubles that only its kind knows: which of its fields to correct. Whoever says what is wrong puts
/// them behind it; empty where there is nothing to correct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// It can't be seen, or is another one than it should be; empty while all is well.
    pub connection: String,
    /// What was sent is not done for long.
    pub sent: &'static str,
    /// Orders are believed too late for an offer's start window.
    pub confirmation: &'static str,
    /// Not even an offer's biggest order pays its transactions.
    pub cost: &'static str,
}

/// The newest state of the network that was ever seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height: grows with each one.
    pub height: u64,
    /// When it was made, by the network's clock.
    pub time: Timestamp,
}

/// What is wrong with what signs for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignerFault {
    /// The key is none.
    InvalidKey,
    /// The keystore can't be read.
    InvalidKeystore,
    /// The keystore is not opened by the password.
    WrongPassword,
    /// A signer elsewhere does not answer.
    Unavailable,
    /// A signer elsewhere says no.
    Refused,
    /// A signer elsewhere signs with another key.
    Mismatch,
}

/// What was last seen of a network, at the moment at which it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkStatus {
    /// Whether it can be seen now.
    pub connection: Connection,
    /// What the endpoints must serve, in the network's words: `chain 1 with the market at 0x...`.
    pub identity: String,
    /// Ways out of its troubles.
    pub advice: Advice,
    /// The newest state ever seen.
    pub head: Option<Head>,
    /// The network's time: that of its head. Where nothing is made without a transaction, what would be made next would say
    /// this: time goes on there, too.
    pub time: Option<Timestamp>,
    /// The head's own time and what has passed since it was seen, by a clock that nobody can set.
    pub time_now: Option<Timestamp>,
    /// The operator's wallet.
    pub wallet: AccountId,
    /// The wallet's coins, in their smallest unit.
    pub balance: Option<Units>,
    /// What a few transactions cost now: it is said of a wallet that it holds less.
    pub least_balance: Units,
    /// Digits after the point of the network's own coin.
    pub coin_decimals: u8,
    /// Fees that the wallet has paid, in the coin's smallest unit, with what earlier processes knew of.
    pub fees_paid: Units,
    /// Why something that is to be sent is not signed; none where nothing waits for a signature.
    pub signer_trouble: Option<(SignerFault, String)>,
    /// Why orders can't be read or handed over, where that has failed several times; none while all is well.
    pub orders_trouble: Option<String>,
    /// Up to here every order was seen and taken over: kept in the status of the `DepinNetwork` for the next process.
    pub cursor: Option<Cursor>,
    /// What was withdrawn up to the cursor, whoever asked for it.
    pub withdrawn: BTreeMap<TokenId, Units>,
    /// States of the network that will stay and were not read yet; none before it was looked at.
    pub unread: Option<u64>,
    /// That these are so many that new orders come late, and the way out; none while they do not.
    pub catching_up: Option<String>,
    /// How long after it was placed an order is believed, at most, as far as that was measured.
    pub confirmation_lag: Option<Duration>,
    /// Whether this machine's clock agrees with the network's; none before a head came.
    pub clock_in_sync: Option<bool>,
    /// Seconds by which this machine's clock was ahead of the head's time when that was first seen.
    pub clock_skew: Option<i64>,
    /// Why everything that is queued waits: the network asks for more than the cap on fees.
    pub fee_obstacle: Option<String>,
}

/// What waits to be sent or mined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Actions that were not sent.
    pub queued: usize,
    /// Actions that are on their way.
    pub sent: usize,
    /// Since when the oldest of both waits.
    pub oldest: Duration,
    /// For so long nothing has been sent, though something was to be.
    pub unsent: Duration,
    /// Why, where that is known.
    pub waiting: Option<String>,
}
