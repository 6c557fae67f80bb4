//! Whether a network goes, and whether it runs on, is started or can't be. Pure.

use super::status::Startup;
use crate::network::Wallet;
use crate::reasons::Reason;

/// What becomes of a `DepinNetwork`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stays,
    /// It is being deleted, and nothing needs it.
    Goes,
    /// It is being deleted, and its owner gives up what is owed on it.
    GivenUp,
}

/// Decides that. `abandoned`: its annotation says so.
pub(crate) fn fate(is_deleted: bool, is_needed: bool, abandoned: bool) -> Fate {
    match (is_deleted, abandoned, is_needed) {
        (false, ..) | (true, false, true) => Fate::Stays,
        (true, true, _) => Fate::GivenUp,
        (true, false, false) => Fate::Goes,
    }
}

/// What to do about a network's wallet and connection.
#[derive(Debug)]
pub(crate) enum NetworkStep<T> {
    /// It runs as it is written.
    Keep,
    /// What it is made from can't be read: what runs under its name ends.
    Stop(Startup),
    /// It can't be started as it is written: what runs under its name goes on.
    Refuse(Startup),
    /// Its wallet is to be opened with this, and the network started.
    Open(T),
}

/// Decides that. `source`: what it is made from, where that could be read; `runs`: it runs, and was made from just that;
/// `opening`: what opens its wallet, where it can be made as it is written; `refused`: that the wallet can't be opened was
/// found out before.
pub(crate) fn decide<S, T>(
    source: Result<S, Startup>,
    runs: bool,
    opening: impl FnOnce(S) -> Result<T, Startup>,
    refused: impl FnOnce() -> Option<Startup>,
) -> NetworkStep<T> {
    match source {
        Err(why) => NetworkStep::Stop(why),
        Ok(_) if runs => NetworkStep::Keep,
        Ok(source) => match (opening(source), refused()) {
            (Err(why), _) | (Ok(_), Some(why)) => NetworkStep::Refuse(why),
            (Ok(opening), None) => NetworkStep::Open(opening),
        },
    }
}

/// Why a network does not start with this wallet; none where no other one sends from it.
pub(crate) fn wallet_in_use(other: Option<&str>, wallet: &Wallet) -> Option<Startup> {
    let (other, Wallet { account, sends_to }) = (other?, wallet);
    let message = format!(
        "DepinNetwork {other:?} already sends from wallet {account} on {sends_to}, and two networks that share a wallet would replace each other's transactions: configure a separate key for this one",
    );
    Some(Startup::Refused { reason: Reason::WalletInUse, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_goes_once_it_is_deleted_and_nothing_needs_it_or_its_owner_gives_up() {
        for (is_deleted, is_needed, abandoned, expected) in [
            (false, false, false, Fate::Stays),
            (false, false, true, Fate::Stays),
            (true, true, false, Fate::Stays),
            (true, false, false, Fate::Goes),
            (true, true, true, Fate::GivenUp),
            (true, false, true, Fate::GivenUp),
        ] {
            assert_eq!(fate(is_deleted, is_needed, abandoned), expected, "{is_deleted} {is_needed} {abandoned}");
        }
    }

    #[test]
    fn a_network_is_kept_stopped_refused_or_started_by_what_it_is_made_from() {
        let refused = |reason: Reason| Startup::Refused { reason, message: String::new() };
        let why = |step: &NetworkStep<u64>| match step {
            NetworkStep::Keep => "keep".to_owned(),
            NetworkStep::Open(opening) => format!("open {opening}"),
            NetworkStep::Stop(Startup::Refused { reason, .. }) => format!("stop: {reason}"),
            NetworkStep::Refuse(Startup::Refused { reason, .. }) => format!("refuse: {reason}"),
            other => format!("{other:?}"),
        };
        let good = |source: u64| Ok(source);
        let bad = |_| Err(refused(Reason::InvalidSpec));
        let wrong = || Some(refused(Reason::WrongPassword));
        let no_secret = || Err::<u64, _>(refused(Reason::SecretNotFound));
        for (step, expected) in [
            (decide(no_secret(), false, good, || None), "stop: SecretNotFound"),
            (decide(Ok(31337), true, bad, wrong), "keep"),
            (decide(Ok(31337), false, bad, || None), "refuse: InvalidSpec"),
            (decide(Ok(31337), false, good, wrong), "refuse: WrongPassword"),
            (decide(Ok(31337), false, bad, wrong), "refuse: InvalidSpec"),
            (decide(Ok(31337), false, good, || None), "open 31337"),
        ] {
            assert_eq!(why(&step), expected);
        }
    }

    #[test]
    fn two_networks_do_not_send_from_one_wallet() {
        let wallet = Wallet { account: "0x07".into(), sends_to: "chain 7".to_owned() };
        assert_eq!(wallet_in_use(None, &wallet), None);
        let Some(Startup::Refused { reason, message }) = wallet_in_use(Some("other"), &wallet) else {
            panic!("it is refused");
        };
        assert_eq!(reason, Reason::WalletInUse);
        assert_eq!(
            message,
            "DepinNetwork \"other\" already sends from wallet 0x07 on chain 7, and two networks that share a wallet would replace each other's transactions: configure a separate key for this one"
        );
    }
}
