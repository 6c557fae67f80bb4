use std::collections::BTreeMap;

use hawser_crds::Cursor;

use super::*;
use crate::controllers::conditions::transitions;
use crate::controllers::depin_network::test_network as resource;
use crate::network::{self, Advice, SignerFault};

fn observed(connection: Connection, balance: Option<u64>) -> NetworkStatus {
    NetworkStatus {
        connection,
        identity: "chain 31337 with the market at 0x01".to_owned(),
        advice: Advice {
            connection: "correct spec.other.url".to_owned(),
            sent: "raise spec.other.fees",
            ..Advice::default()
        },
        head: None,
        time: None,
        time_now: None,
        wallet: "0x00".into(),
        balance: balance.map(Units::from),
        least_balance: Units::ZERO,
        coin_decimals: 18,
        fees_paid: Units::ZERO,
        signer_trouble: None,
        orders_trouble: None,
        cursor: Some(at(4)),
        withdrawn: BTreeMap::new(),
        unread: Some(0),
        catching_up: None,
        confirmation_lag: None,
        clock_in_sync: None,
        clock_skew: None,
        fee_obstacle: None,
    }
}

fn at(block: u64) -> Cursor {
    Cursor { block, hash: "h".to_owned(), doubtful: Vec::new(), withdrawn: Vec::new() }
}

fn look(network: &DepinNetwork, seen: NetworkStatus, backlog: Backlog) -> DepinNetworkStatus {
    status(network, &Startup::Runs, Some(&(seen, backlog)), Timestamp::UNIX_EPOCH, None)
}

fn good() -> NetworkStatus {
    observed(Connection::Connected { endpoint: "http://a".to_owned() }, Some(5))
}

fn said(status: &DepinNetworkStatus, kind: &str) -> (String, String) {
    let condition = find(&status.conditions, kind).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

#[test]
fn how_far_what_is_final_lies_behind_the_head_is_no_trouble_and_what_the_network_calls_far_is() {
    let head = network::Head { height: 10_000, time: Timestamp::UNIX_EPOCH };
    for (unread, catching_up, cursor, expected) in [
        (None, None, Some(4), ("Unknown", "Reading")),
        (Some(0), None, None, ("True", "Watching")),
        (Some(0), None, Some(4), ("True", "Watching")),
        (Some(9_000), None, Some(4), ("True", "Watching")),
        (Some(9), Some("9 are much here".to_owned()), Some(4), ("Unknown", "CatchingUp")),
    ] {
        let words = catching_up.clone().unwrap_or_default();
        let seen = NetworkStatus { unread, catching_up, cursor: cursor.map(at), head: Some(head), ..good() };
        let status = look(&resource(), seen, Backlog::default());
        let (word, reason) = said(&status, ORDERS_WATCHED);
        assert_eq!((word.as_str(), reason.as_str()), expected, "{unread:?} {cursor:?}");
        assert!(find(&status.conditions, ORDERS_WATCHED).unwrap().message.starts_with(&words), "{words}");
    }
}

#[test]
fn the_way_out_of_a_trouble_is_the_networks_own_and_is_left_out_where_it_knows_none() {
    let stuck = || Backlog { sent: 1, oldest: NOT_DONE, ..Backlog::default() };
    let lost = |reason| NetworkStatus { connection: disconnected(reason), ..good() };
    for (seen, backlog, kind, words, advice, rest) in [
        (lost(Disconnected::Unreachable), Backlog::default(), CONNECTED, "m", "correct spec.other.url", "; running"),
        (lost(Disconnected::WrongChain), Backlog::default(), CHAIN_MATCHES, "m", "correct spec.other.url", ""),
        (lost(Disconnected::NoMarket), Backlog::default(), CHAIN_MATCHES, "m", "correct spec.other.url", ""),
        (good(), stuck(), TRANSACTIONS_MOVING, "not done for more than 10 min", "raise spec.other.fees", ""),
    ] {
        for (advises, expected) in [(true, format!("{words}: {advice}{rest}")), (false, format!("{words}{rest}"))] {
            let mut seen = seen.clone();
            if !advises {
                seen.advice = Advice::default();
            }
            let status = look(&resource(), seen, backlog.clone());
            let message = &find(&status.conditions, kind).unwrap().message;
            assert!(message.contains(&expected) && !message.ends_with(": "), "{message}");
            assert_eq!(message.contains("spec."), advises, "{message}");
        }
    }
}

#[test]
fn what_is_to_be_sent_and_does_not_go_out_costs_the_network_its_ready() {
    let (s, why) = (Duration::from_secs, Some("fees".to_owned()));
    for (backlog, fee, expected) in [
        (Backlog::default(), None, "Moving"),
        (Backlog { queued: 9, oldest: s(300), unsent: s(44), ..Backlog::default() }, None, "Moving"),
        (Backlog { queued: 9, unsent: s(45), waiting: why.clone(), ..Backlog::default() }, None, "NothingSent"),
        (Backlog { queued: 9, unsent: s(45), waiting: why.clone(), ..Backlog::default() }, why, "FeeAboveCap"),
        (Backlog { sent: 1, oldest: s(599), ..Backlog::default() }, None, "Moving"),
        (Backlog { sent: 1, oldest: s(600), ..Backlog::default() }, None, "NotMined"),
    ] {
        let status = look(&resource(), NetworkStatus { fee_obstacle: fee, ..good() }, backlog.clone());
        assert_eq!(said(&status, TRANSACTIONS_MOVING).1, expected, "{backlog:?}");
        assert_eq!(is_ready(&status), expected == "Moving");
    }
}

#[test]
fn a_clock_that_is_off_is_told_and_does_not_stop_anything() {
    for (skew, in_sync, expected) in [
        (None, None, ("Unknown", "NoBlockSeen")),
        (Some(0), Some(true), ("True", "InSync")),
        (Some(60), Some(true), ("True", "InSync")),
        (Some(-20), Some(true), ("True", "InSync")),
        (Some(61), Some(false), ("False", "ClockAhead")),
        (Some(-21), Some(false), ("False", "ClockBehind")),
    ] {
        let seen = NetworkStatus { clock_skew: skew, clock_in_sync: in_sync, ..good() };
        let status = look(&resource(), seen, Backlog::default());
        let (word, reason) = said(&status, CLOCK_IN_SYNC);
        assert_eq!((word.as_str(), reason.as_str()), expected, "{skew:?}");
        assert!(is_ready(&status));
    }
}

#[test]
fn the_measured_lag_stands_in_the_status_and_stays_there_until_it_is_measured_again() {
    let mut network = resource();
    let seen = NetworkStatus { confirmation_lag: Some(Duration::from_secs(781)), ..good() };
    network.status = Some(look(&network, seen, Backlog::default()));
    assert_eq!(network.status.as_ref().unwrap().confirmation_lag_seconds, Some(790));
    assert_eq!(look(&network, good(), Backlog::default()).confirmation_lag_seconds, Some(790));
}

fn disconnected(reason: Disconnected) -> Connection {
    Connection::Disconnected { reason, message: "m".to_owned() }
}

#[test]
fn conditions_name_the_trouble_and_ready_takes_its_reason() {
    let good = Connection::Connected { endpoint: "http://a".to_owned() };
    let refused = Startup::Refused { reason: Reason::SecretNotFound, message: "create it".to_owned() };
    let unread = NetworkStatus { orders_trouble: Some("why".to_owned()), ..observed(good.clone(), Some(5)) };
    for (start, seen, connected, matches, funded, ready) in [
        (Startup::Runs, Some(unread), "Connected", "Matches", "Funded", "OrdersNotRead"),
        (Startup::Runs, Some(observed(good.clone(), Some(5))), "Connected", "Matches", "Funded", "Ready"),
        (Startup::Runs, Some(observed(good, Some(0))), "Connected", "Matches", "Empty", "Empty"),
        (
            Startup::Runs,
            Some(observed(disconnected(Disconnected::WrongChain), None)),
            "WrongChain",
            "WrongChain",
            "NotConnected",
            "WrongChain",
        ),
        (
            Startup::Runs,
            Some(observed(disconnected(Disconnected::NoMarket), None)),
            "NoMarket",
            "NoMarket",
            "NotConnected",
            "NoMarket",
        ),
        (
            Startup::Runs,
            Some(observed(disconnected(Disconnected::HeadStalled), None)),
            "HeadStalled",
            "NotConnected",
            "NotConnected",
            "HeadStalled",
        ),
        (refused, None, "SecretNotFound", "SecretNotFound", "SecretNotFound", "SecretNotFound"),
    ] {
        let seen = seen.map(|seen| (seen, Backlog::default()));
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
    let why = "AWS KMS key k in r is unavailable: no answer within 10 s".to_owned();
    seen.signer_trouble = Some((SignerFault::Unavailable, why));
    let mut network = resource();
    let away = look(&network, seen.clone(), Backlog::default());
    for kind in [SIGNER_AVAILABLE, READY] {
        let condition = find(&away.conditions, kind).unwrap();
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "SignerUnavailable"));
        assert!(condition.message.starts_with("AWS KMS key k in r is unavailable: no answer within 10 s: "));
    }
    assert!(is_true(&away.conditions, WALLET_FUNDED), "that is another question");
    let told = transitions(&[], &away.conditions);
    assert!(told.iter().any(|condition| condition.type_ == SIGNER_AVAILABLE), "an event says so");

    seen.signer_trouble = None;
    network.status = Some(away);
    let back = look(&network, seen, Backlog::default());
    assert!(is_ready(&back) && is_true(&back.conditions, SIGNER_AVAILABLE));
}

#[test]
fn a_restarted_operator_takes_nothing_back_before_it_has_tried() {
    let good = Connection::Connected { endpoint: "http://a".to_owned() };
    let mut network = resource();
    network.metadata.generation = Some(1);
    let look = |network: &DepinNetwork, seen: Option<&NetworkStatus>| {
        let seen = seen.map(|seen| (seen.clone(), Backlog::default()));
        status(network, &Startup::Runs, seen.as_ref(), Timestamp::UNIX_EPOCH, None)
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

#[test]
fn where_final_blocks_lie_twenty_minutes_behind_a_network_is_ready_and_withdraws() {
    let behind = NetworkStatus {
        head: Some(network::Head { height: 10_000, time: Timestamp::UNIX_EPOCH }),
        cursor: Some(at(9_400)),
        confirmation_lag: Some(Duration::from_mins(20)),
        ..good()
    };
    let stuck = Backlog { queued: 1, unsent: NOTHING_SENT, ..Backlog::default() };
    let trouble = Some("it has no finalized block".to_owned());
    for (what, seen, backlog, ready, withdraws) in [
        ("all that is final was read", behind.clone(), Backlog::default(), true, true),
        (
            "a start block far behind",
            NetworkStatus { catching_up: Some("9000 are unread".to_owned()), ..behind.clone() },
            Backlog::default(),
            false,
            true,
        ),
        (
            "nothing is called final",
            NetworkStatus { orders_trouble: trouble, ..behind.clone() },
            Backlog::default(),
            false,
            true,
        ),
        ("something waits", behind.clone(), stuck, false, true),
        ("no coins", NetworkStatus { balance: Some(Units::ZERO), ..behind.clone() }, Backlog::default(), false, true),
        (
            "another chain",
            NetworkStatus { connection: disconnected(Disconnected::WrongChain), ..behind },
            Backlog::default(),
            false,
            false,
        ),
    ] {
        let status = look(&resource(), seen, backlog);
        assert_eq!((is_ready(&status), super::withdraws(&status)), (ready, withdraws), "{what}");
        assert_eq!(status.confirmation_lag_seconds, Some(1200));
    }
}

#[test]
fn a_wallet_with_less_than_a_few_transactions_cost_is_told_of_before_it_is_empty() {
    for (balance, status_of, reason, words) in [
        (None, "Unknown", "NotConnected", "is not known"),
        (Some(0), "False", "Empty", "send coins for transaction fees to 0x00"),
        (
            Some(4),
            "False",
            "Low",
            "0x00 holds only 0.04 coins, not enough for transaction fees (a few transactions cost 0.05 now): top it up",
        ),
        (Some(5), "True", "Funded", "0x00 can pay transaction fees"),
    ] {
        let seen = NetworkStatus {
            balance: balance.map(Units::from),
            least_balance: Units::from(5),
            coin_decimals: 2,
            ..good()
        };
        let status = look(&resource(), seen, Backlog::default());
        let (word, said_reason) = said(&status, WALLET_FUNDED);
        assert_eq!((word.as_str(), said_reason.as_str()), (status_of, reason), "{balance:?}");
        let message = &find(&status.conditions, WALLET_FUNDED).unwrap().message;
        assert!(message.contains(words), "{message}");
    }
}
