//! What the jobs of a network have earned, by token, and when it is sent to the provider's payout address.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use hawser_crds::{DepinNetwork, Earnings, Withdraw};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::controllers::cache::readable;
use crate::controllers::packed::Packed;
use crate::controllers::{Shared, unreadable};
use crate::inventory::JobFacts;
use crate::network::{NetworkAction, ActionKey, ActionState, Network, NetworkError, Token};
use crate::settlement::Pending;
use hawser_market::{format_units, parse_units};

/// What the network has earned now, and the withdrawals that are due. Each token stands for itself: one that can't be read
/// keeps what was known of it, and holds up no other.
pub(crate) async fn read(
    resource: &DepinNetwork,
    network: &Network,
    shared: &Shared,
    now: Timestamp,
) -> (Vec<Earnings>, Vec<NetworkAction>) {
    let stored = resource.status.as_ref().map(|s| s.earnings.as_slice()).unwrap_or_default();
    let policy = resource.spec.settlement().withdraw;
    let withdrawn = network.observed().borrow().withdrawn.clone();
    let mut tokens = Vec::new();
    for (address, pending) in by_token(&resource.name_any(), stored, shared) {
        let withdrawn = withdrawn.get(&address).copied().unwrap_or_default();
        tokens.push((address, read_token(network, address, pending, withdrawn).await));
    }
    for seen in tokens.iter().filter_map(|(_, read)| read.as_ref().ok()) {
        let token = (seen.address, &seen.token);
        shared.metrics.earnings(&resource.name_any(), token, seen.pending, seen.credit, seen.withdrawn);
    }
    let (earnings, due) = each(&tokens, stored, policy.as_ref(), now);
    let withdraw = |token| NetworkAction::Withdraw { provider: network.spec().provider, token };
    (earnings, due.into_iter().map(withdraw).collect())
}

async fn read_token(
    network: &Network,
    address: Address,
    pending: Pending,
    withdrawn: U256,
) -> Result<Seen, NetworkError> {
    let (token, credit) = (network.token(address).await?, network.credit(address).await?);
    Ok(Seen { address, pending, token, credit, withdrawn, action: network.action(&ActionKey::Withdraw(address)) })
}

/// What was earned in each token, and those that are to be withdrawn.
fn each(
    tokens: &[(Address, Result<Seen, NetworkError>)],
    stored: &[Earnings],
    policy: Option<&Withdraw>,
    now: Timestamp,
) -> (Vec<Earnings>, Vec<Address>) {
    let (mut earnings, mut due) = (Vec::new(), Vec::new());
    for (address, read) in tokens {
        let before = stored.iter().find(|e| e.token == address.to_checksum(None));
        match read {
            Ok(seen) => {
                let earned = earned(seen, before, now);
                if policy.is_some_and(|policy| is_due(policy, seen, &earned, now)) {
                    due.push(*address);
                }
                earnings.push(earned);
            }
            Err(error) => {
                tracing::debug!(%error, token = %address, "earnings can't be read now");
                earnings.extend(unread(before, error));
            }
        }
    }
    (earnings, due)
}

/// What is said of a token that can't be read: nothing where nothing was ever earned in it.
fn unread(before: Option<&Earnings>, error: &NetworkError) -> Option<Earnings> {
    let mut known = before?.clone();
    // An endpoint that is away is told of elsewhere.
    if let NetworkError::NotAToken(_) = error {
        known.obstacle = Some(error.to_string());
    }
    Some(known)
}

/// Tokens of the network's offers, and those that were earned in before.
fn by_token(name: &str, stored: &[Earnings], shared: &Shared) -> BTreeMap<Address, Pending> {
    let mut tokens: BTreeMap<Address, Pending> =
        stored.iter().filter_map(|e| Some((e.token.parse().ok()?, Pending::default()))).collect();
    for offer in readable(&shared.offers.store.state()) {
        if offer.spec.network_ref == name
            && let Ok(token) = offer.spec.price.token.parse()
        {
            tokens.entry(token).or_default();
        }
    }
    for job in shared.jobs.store.state() {
        if let Some(facts) = job.unsettled().filter(|facts| facts.network.as_deref() == Some(name))
            && let Some(token) = token_of(&job, facts, shared)
        {
            tokens.entry(token).or_default().join(facts.pending);
        }
    }
    tokens
}

fn token_of(job: &Packed, facts: &JobFacts, shared: &Shared) -> Option<Address> {
    match &shared.offer(&job.namespace()?, &facts.offer)?.0 {
        Ok(offer) => offer.spec.price.token.parse().ok(),
        Err(offer) => unreadable::token_of(offer, shared),
    }
}

/// One token, as it was read.
struct Seen {
    address: Address,
    pending: Pending,
    token: Token,
    credit: U256,
    withdrawn: U256,
    action: Option<ActionState>,
}

fn earned(seen: &Seen, before: Option<&Earnings>, now: Timestamp) -> Earnings {
    let decimals = seen.token.decimals;
    let had = before.and_then(|e| parse_units(&e.credit, decimals).ok()).unwrap_or_default();
    // Nothing but a withdrawal lowers the credit.
    let withdrawn_at = if seen.credit < had { Some(Time(now)) } else { before.and_then(|e| e.withdrawn_at.clone()) };
    Earnings {
        token: seen.address.to_checksum(None),
        symbol: seen.token.symbol.clone(),
        pending: format_units(seen.pending.units, decimals),
        pending_lost_at: seen.pending.lost_at.map(Time),
        credit: format_units(seen.credit, decimals),
        withdrawn: format_units(seen.withdrawn, decimals),
        withdrawn_at,
        obstacle: match &seen.action {
            Some(ActionState::Refused { error }) => Some(error.clone()),
            Some(ActionState::Queued { waiting }) => waiting.clone(),
            _ => None,
        },
    }
}

fn is_due(policy: &Withdraw, seen: &Seen, earned: &Earnings, now: Timestamp) -> bool {
    let least = seen.token.parse_units(&policy.min_amount).unwrap_or_default().max(U256::ONE);
    let waited =
        |at: &Time| now.duration_since(at.0).as_secs() >= i64::try_from(policy.interval_seconds).unwrap_or(i64::MAX);
    seen.credit >= least && earned.withdrawn_at.as_ref().is_none_or(waited)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(credit: u64) -> Seen {
        Seen {
            address: Address::repeat_byte(1),
            pending: Pending { units: U256::from(1_500_000), lost_at: Some(at(90)) },
            token: Token { address: Address::ZERO, symbol: "tUSD".to_owned(), decimals: 6 },
            credit: U256::from(credit),
            withdrawn: U256::from(7_250_000),
            action: None,
        }
    }

    #[test]
    fn a_credit_that_fell_was_withdrawn() {
        let first = earned(&seen(2_000_000), None, at(10));
        assert_eq!((first.credit.as_str(), first.pending.as_str(), &first.withdrawn_at), ("2", "1.5", &None));
        assert_eq!(first.withdrawn, "7.25");
        let grown = earned(&seen(2_500_000), Some(&first), at(20));
        assert_eq!(grown.withdrawn_at, None);
        let sent = earned(&seen(0), Some(&grown), at(30));
        assert_eq!(sent.withdrawn_at, Some(Time(at(30))));
        assert_eq!(earned(&seen(5), Some(&sent), at(40)).withdrawn_at, Some(Time(at(30))));
    }

    #[test]
    fn a_withdrawal_is_due_by_amount_and_interval() {
        let policy = Withdraw { interval_seconds: 100, min_amount: "2".to_owned() };
        let due = |credit: u64, withdrawn: Option<i64>, now: i64| {
            let seen = seen(credit);
            let before = Earnings { withdrawn_at: withdrawn.map(|s| Time(at(s))), ..earned(&seen, None, at(0)) };
            is_due(&policy, &seen, &before, at(now))
        };
        assert!(due(2_000_000, None, 0));
        assert!(!due(1_999_999, None, 0));
        assert!(!due(3_000_000, Some(50), 149));
        assert!(due(3_000_000, Some(50), 150));
        let nothing = Withdraw { min_amount: "0".to_owned(), ..policy };
        assert!(!is_due(&nothing, &seen(0), &earned(&seen(0), None, at(0)), at(0)), "nothing is not sent");
    }

    #[test]
    fn a_token_that_can_not_be_read_keeps_what_was_known_of_it() {
        let known = earned(&seen(2_000_000), None, at(10));
        let away = NetworkError::Unavailable("away".to_owned());
        assert_eq!(unread(Some(&known), &away), Some(known.clone()));
        let gone = unread(Some(&known), &NetworkError::NotAToken(Address::repeat_byte(1))).unwrap();
        assert!(gone.obstacle.is_some_and(|why| why.contains("no ERC-20 token at 0x0101")));
        assert_eq!(unread(None, &NetworkError::NotAToken(Address::ZERO)), None, "nothing was ever earned in it");
    }

    #[test]
    fn a_token_that_can_not_be_read_holds_up_no_other() {
        let [bad, good] = [1, 2].map(Address::repeat_byte);
        let tokens = [
            (bad, Err(NetworkError::NotAToken(bad))),
            (good, Ok(Seen { address: good, ..seen(2_000_000) })),
            (bad, Err(NetworkError::Unavailable("away".to_owned()))),
        ];
        let policy = Withdraw { interval_seconds: 100, min_amount: "2".to_owned() };
        let (earnings, due) = each(&tokens, &[], Some(&policy), at(10));
        assert_eq!(earnings.iter().map(|e| e.token.as_str()).collect::<Vec<_>>(), [good.to_checksum(None)]);
        assert_eq!(due, [good]);
        assert_eq!(each(&tokens, &[], None, at(10)).1, [] as [Address; 0], "nobody has asked for withdrawals");
    }

    #[test]
    fn what_is_in_the_way_of_a_withdrawal_is_told() {
        let with = |action: Option<ActionState>| earned(&Seen { action, ..seen(1) }, None, at(0)).obstacle;
        assert_eq!(with(Some(ActionState::Refused { error: "blocked".to_owned() })).as_deref(), Some("blocked"));
        assert_eq!(with(Some(ActionState::Mined { tx: B256::ZERO, block: 1 })), None);
    }
}
