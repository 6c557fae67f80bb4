//! What the jobs of a network have earned, by token, and when it is sent to the provider's payout address.

use std::collections::BTreeMap;

use hawser_crds::{DepinNetwork, Earnings, Withdraw};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::controllers::cache::readable;
use crate::controllers::packed::Packed;
use crate::controllers::{Shared, unreadable};
use crate::inventory::JobFacts;
use crate::network::{ActionKey, ActionState, Network, NetworkAction, NetworkError, Token, TokenId, Units};
use crate::settlement::Unclaimed;
use hawser_market::{format_units, parse_units};

/// What the network has earned now, and the withdrawals that are due. Each token stands for itself: one that can't be read
/// keeps what was known of it, and holds up no other.
pub(crate) async fn read(
    resource: &DepinNetwork,
    network: &dyn Network,
    shared: &Shared,
    now: Timestamp,
) -> (Vec<Earnings>, Vec<NetworkAction>) {
    let stored = resource.status.as_ref().map(|s| s.earnings.as_slice()).unwrap_or_default();
    let policy = resource.spec.settlement().withdraw;
    let withdrawn = network.status().withdrawn;
    let (mut asked, mut tokens) = (Vec::new(), Vec::new());
    for (spelled, pending) in by_token(&resource.name_any(), stored, shared) {
        let token = network.token(&spelled).await;
        asked.push((spelled, pending, token));
    }
    for (id, (pending, token)) in by_name(asked) {
        let withdrawn = withdrawn.get(&id).copied().unwrap_or_default();
        let seen = match token {
            Ok(token) => read_token(network, token, pending, withdrawn).await,
            Err(error) => Err(error),
        };
        tokens.push((id, seen));
    }
    for seen in tokens.iter().filter_map(|(_, read)| read.as_ref().ok()) {
        shared.metrics.earnings(&resource.name_any(), &seen.token, seen.pending, seen.credit, seen.withdrawn);
    }
    let (earnings, due) = each(&tokens, stored, policy.as_ref(), now);
    (earnings, due.into_iter().map(|token| NetworkAction::Withdraw { token }).collect())
}

/// Offers can write one token in several ways: the network says which name is whose. Where it can't, what stands there is
/// the name.
fn by_name(
    asked: Vec<(TokenId, Unclaimed, Result<Token, NetworkError>)>,
) -> BTreeMap<TokenId, (Unclaimed, Result<Token, NetworkError>)> {
    let mut tokens: BTreeMap<_, (Unclaimed, _)> = BTreeMap::new();
    for (spelled, pending, token) in asked {
        let id = token.as_ref().map_or(spelled, |token| token.id.clone());
        let (sum, _) = tokens.entry(id).or_insert_with(|| (Unclaimed::default(), token));
        sum.join(pending);
    }
    tokens
}

async fn read_token(
    network: &dyn Network,
    token: Token,
    pending: Unclaimed,
    withdrawn: Units,
) -> Result<Seen, NetworkError> {
    let credit = network.credit(&token.id).await?;
    let action = network.action(&ActionKey::Withdraw(token.id.clone()));
    Ok(Seen { pending, token, credit, withdrawn, action })
}

/// What was earned in each token, and those that are to be withdrawn.
fn each(
    tokens: &[(TokenId, Result<Seen, NetworkError>)],
    stored: &[Earnings],
    policy: Option<&Withdraw>,
    now: Timestamp,
) -> (Vec<Earnings>, Vec<TokenId>) {
    let (mut earnings, mut due) = (Vec::new(), Vec::new());
    for (id, read) in tokens {
        let before = stored.iter().find(|e| e.token == id.as_str());
        match read {
            Ok(seen) => {
                let earned = earned(seen, before, now);
                if policy.is_some_and(|policy| is_due(policy, seen, &earned, now)) {
                    due.push(id.clone());
                }
                earnings.push(earned);
            }
            Err(error) => {
                tracing::debug!(%error, token = %id, "earnings can't be read now");
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
fn by_token(name: &str, stored: &[Earnings], shared: &Shared) -> BTreeMap<TokenId, Unclaimed> {
    let mut tokens: BTreeMap<TokenId, Unclaimed> =
        stored.iter().map(|earnings| (TokenId::from(&earnings.token), Unclaimed::default())).collect();
    for offer in readable(&shared.offers.store.state()) {
        if offer.spec.network_ref == name {
            tokens.entry(TokenId::from(&offer.spec.price.token)).or_default();
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

fn token_of(job: &Packed, facts: &JobFacts, shared: &Shared) -> Option<TokenId> {
    match &shared.offer(&job.namespace()?, &facts.offer)?.0 {
        Ok(offer) => Some(TokenId::from(&offer.spec.price.token)),
        Err(offer) => unreadable::token_of(offer, shared),
    }
}

/// One token, as it was read.
struct Seen {
    pending: Unclaimed,
    token: Token,
    credit: Units,
    withdrawn: Units,
    action: Option<ActionState>,
}

fn earned(seen: &Seen, before: Option<&Earnings>, now: Timestamp) -> Earnings {
    let decimals = seen.token.decimals;
    let had = before.and_then(|e| parse_units(&e.credit, decimals).ok()).unwrap_or_default();
    // Nothing but a withdrawal lowers the credit.
    let withdrawn_at = if seen.credit < had { Some(Time(now)) } else { before.and_then(|e| e.withdrawn_at.clone()) };
    Earnings {
        token: seen.token.id.to_string(),
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
    let least = seen.token.parse_units(&policy.min_amount).unwrap_or_default().max(Units::from(1));
    let waited =
        |at: &Time| now.duration_since(at.0).as_secs() >= i64::try_from(policy.interval_seconds).unwrap_or(i64::MAX);
    seen.credit >= least && earned.withdrawn_at.as_ref().is_none_or(waited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(id: &str) -> Token {
        Token { id: id.into(), symbol: "tUSD".to_owned(), decimals: 6 }
    }

    fn no_token() -> NetworkError {
        NetworkError::NotAToken("there is no ERC-20 token at 0x0101".to_owned())
    }

    fn seen(credit: u64) -> Seen {
        Seen {
            pending: Unclaimed { units: Units::from(1_500_000), lost_at: Some(at(90)) },
            token: token("tUSD"),
            credit: Units::from(credit),
            withdrawn: Units::from(7_250_000),
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
        let gone = unread(Some(&known), &no_token()).unwrap();
        assert!(gone.obstacle.is_some_and(|why| why.contains("no ERC-20 token at 0x0101")));
        assert_eq!(unread(None, &no_token()), None, "nothing was ever earned in it");
    }

    #[test]
    fn a_token_that_can_not_be_read_holds_up_no_other() {
        let [bad, good] = ["bad", "good"].map(TokenId::from);
        let tokens = [
            (bad.clone(), Err(no_token())),
            (good.clone(), Ok(Seen { token: token("good"), ..seen(2_000_000) })),
            (bad, Err(NetworkError::Unavailable("away".to_owned()))),
        ];
        let policy = Withdraw { interval_seconds: 100, min_amount: "2".to_owned() };
        let (earnings, due) = each(&tokens, &[], Some(&policy), at(10));
        assert_eq!(earnings.iter().map(|e| e.token.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!(due, [good]);
        assert_eq!(each(&tokens, &[], None, at(10)).1, [] as [TokenId; 0], "nobody has asked for withdrawals");
    }

    #[test]
    fn a_token_that_is_written_in_two_ways_is_one_and_one_that_the_network_can_not_name_keeps_what_stands_there() {
        let pending = |units: u64, second| Unclaimed { units: Units::from(units), lost_at: Some(at(second)) };
        let away = NetworkError::Unavailable("away".to_owned());
        let asked = vec![
            ("0xAb".into(), pending(1, 9), Ok(token("0xAb"))),
            ("0xab".into(), pending(2, 5), Ok(token("0xAb"))),
            ("0xCd".into(), pending(4, 1), Err(away.clone())),
        ];
        let named: Vec<_> = by_name(asked).into_iter().collect();
        let expected = [("0xAb", pending(3, 5), Ok(token("0xAb"))), ("0xCd", pending(4, 1), Err(away))];
        assert_eq!(named, expected.map(|(id, pending, token)| (TokenId::from(id), (pending, token))));
    }

    #[test]
    fn what_is_in_the_way_of_a_withdrawal_is_told() {
        let with = |action: Option<ActionState>| earned(&Seen { action, ..seen(1) }, None, at(0)).obstacle;
        assert_eq!(with(Some(ActionState::Refused { error: "blocked".to_owned() })).as_deref(), Some("blocked"));
        assert_eq!(with(Some(ActionState::Mined { tx: "tx".into(), block: 1 })), None);
    }
}
