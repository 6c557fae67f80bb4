//! Actions put together into calls of the market. Pure.

use std::collections::BTreeMap;
use std::fmt;

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use hawser_contracts::ComputeMarket;
use hawser_market::{OfferId, UsageVoucher, last_voucher, signed_voucher};
use jiff::Timestamp;

use crate::network::evm::{Action, Claim};

/// What can share a call. The order is that of sending: a customer waits for a start, a provider for a claim. Declines
/// come last: their reasons are many, and strangers can cause as many as they pay gas for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum BatchKind {
    Start,
    Claim(OfferId),
    Settle(OfferId),
    Offer(OfferId),
    Refund,
    Withdraw(Address, Address),
    End(String),
    Decline(String),
}

fn kind(action: &Action) -> BatchKind {
    match action {
        Action::Start { .. } => BatchKind::Start,
        Action::Claim(claim) => BatchKind::Claim(claim.job.offer_id()),
        Action::Settle { claim, .. } => BatchKind::Settle(claim.job.offer_id()),
        Action::End { reason, .. } => BatchKind::End(reason.clone()),
        Action::Decline { reason, .. } => BatchKind::Decline(reason.clone()),
        Action::SetOffer(post) => BatchKind::Offer(post.offer),
        Action::UpdateOffer { offer, .. } => BatchKind::Offer(*offer),
        Action::Refund { .. } => BatchKind::Refund,
        Action::Withdraw { provider, token } => BatchKind::Withdraw(*provider, *token),
    }
}

/// Actions that go into one call of the market: at least one, all of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    kind: BatchKind,
    actions: Vec<Action>,
}

/// Groups actions into batches of at most `most`. Jobs of one offer lie side by side, and last vouchers of one customer: that
/// costs least.
pub(super) fn batches(actions: Vec<Action>, most: usize) -> Vec<Batch> {
    let mut kinds: BTreeMap<BatchKind, Vec<Action>> = BTreeMap::new();
    for action in actions {
        kinds.entry(kind(&action)).or_default().push(action);
    }
    kinds
        .into_iter()
        .flat_map(|(kind, mut actions)| {
            actions.sort_by_key(|action| (payee(action), action.key()));
            let batches: Vec<_> = actions
                .chunks(most.max(1))
                .map(|actions| Batch { kind: kind.clone(), actions: actions.to_vec() })
                .collect();
            batches
        })
        .collect()
}

/// Who is credited what a last voucher leaves.
fn payee(action: &Action) -> Option<Address> {
    if let Action::Settle { order, .. } = action { Some(order.customer) } else { None }
}

/// Actions that a log line names; of more it gives the number.
const NAMED: usize = 8;

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, action) in self.actions.iter().take(NAMED).enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, action.key())?;
        }
        match self.actions.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Batch {
    pub(super) fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The batch of some of its actions; none where there are none.
    pub(super) fn only(&self, actions: Vec<Action>) -> Option<Self> {
        (!actions.is_empty()).then(|| Self { kind: self.kind.clone(), actions })
    }

    /// The first half; none where it can't be halved.
    pub(super) fn half(&self) -> Option<Self> {
        let half = self.actions.len() / 2;
        self.only(self.actions.iter().take(half).cloned().collect())
    }

    /// Strangers can cause any number of these.
    pub(super) const fn is_decline(&self) -> bool {
        matches!(self.kind, BatchKind::Decline(_))
    }

    /// What the call is named in logs.
    pub(super) const fn name(&self) -> &'static str {
        match self.kind {
            BatchKind::Start => "startJobs",
            BatchKind::Claim(_) => "claim",
            BatchKind::Settle(_) => "settle",
            BatchKind::End(_) => "endJobs",
            BatchKind::Decline(_) => "declineJobs",
            BatchKind::Offer(_) => "setOffer",
            BatchKind::Refund => "refund",
            BatchKind::Withdraw(..) => "withdrawFor",
        }
    }

    /// The call's data.
    pub(super) fn call(&self) -> Bytes {
        let refs = || self.each(job_ref);
        match &self.kind {
            BatchKind::Start => ComputeMarket::startJobsCall {
                ids: self.actions.iter().filter_map(|action| action.key().job()).map(|job| job.0).collect(),
                attestors: self.each(|action| match action {
                    Action::Start { attestor, .. } => Some(*attestor),
                    _ => None,
                }),
            }
            .abi_encode(),
            BatchKind::Claim(offer) => ComputeMarket::claimCall {
                offerId: offer.0,
                vouchers: self.each(|action| match action {
                    Action::Claim(claim) => signed_voucher(&voucher(claim), &claim.signature),
                    _ => None,
                }),
                proofs: Vec::new(),
            }
            .abi_encode(),
            BatchKind::Settle(offer) => ComputeMarket::settleCall {
                offerId: offer.0,
                vouchers: self.each(|action| match action {
                    Action::Settle { claim, order } => last_voucher(&voucher(claim), &claim.signature, *order),
                    _ => None,
                }),
                proofs: Vec::new(),
            }
            .abi_encode(),
            BatchKind::End(reason) => ComputeMarket::endJobsCall {
                refs: refs(),
                endAt: 0,
                expectUsed: self.each(|action| match action {
                    Action::End { expect_used, .. } => Some(expect_used.0),
                    _ => None,
                }),
                reason: reason.clone(),
            }
            .abi_encode(),
            BatchKind::Decline(reason) => {
                ComputeMarket::declineJobsCall { refs: refs(), reason: reason.clone() }.abi_encode()
            }
            BatchKind::Offer(_) => self.each(offer_call).pop().unwrap_or_default(),
            BatchKind::Refund => ComputeMarket::refundCall { refs: refs() }.abi_encode(),
            BatchKind::Withdraw(account, token) => {
                ComputeMarket::withdrawForCall { account: *account, token: *token }.abi_encode()
            }
        }
        .into()
    }

    /// How many of its actions the call did, from what it returned.
    pub(super) fn done(&self, output: &[u8]) -> usize {
        match self.kind {
            // It reverts where it can't be done.
            BatchKind::Offer(_) | BatchKind::Withdraw(..) => self.actions.len(),
            _ => U256::try_from_be_slice(output).and_then(|done| done.try_into().ok()).unwrap_or(0),
        }
    }

    fn each<T>(&self, part: impl Fn(&Action) -> Option<T>) -> Vec<T> {
        self.actions.iter().filter_map(part).collect()
    }
}

fn offer_call(action: &Action) -> Option<Vec<u8>> {
    match action {
        Action::SetOffer(post) => Some(
            ComputeMarket::setOfferCall {
                terms: (&post.terms).into(),
                price: post.price,
                available: post.available,
                validUntil: unix(post.valid_until),
                card: post.card.clone(),
            }
            .abi_encode(),
        ),
        Action::UpdateOffer { offer, price, available, valid_until } => Some(
            ComputeMarket::updateOfferCall {
                offerId: offer.0,
                price: *price,
                available: *available,
                validUntil: unix(*valid_until),
            }
            .abi_encode(),
        ),
        _ => None,
    }
}

fn voucher(claim: &Claim) -> UsageVoucher {
    UsageVoucher::new(claim.job, claim.gpu_seconds.0, claim.evidence_root)
}

fn job_ref(action: &Action) -> Option<ComputeMarket::JobRef> {
    match action {
        Action::Decline { job, order, .. } | Action::End { job, order, .. } | Action::Refund { job, order } => {
            Some(order.of_job(*job))
        }
        _ => None,
    }
}

fn unix(time: Timestamp) -> u64 {
    time.as_second().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, FixedBytes, Signature};
    use hawser_market::{JobId, OrderRef};

    use super::*;
    use crate::network::evm::GpuSeconds;

    fn job(offer: u8, number: u8) -> JobId {
        JobId::from_parts(OfferId(FixedBytes([offer; 8])), 1, 1, FixedBytes([number; 12])).unwrap()
    }

    fn start(offer: u8, number: u8) -> Action {
        Action::Start { job: job(offer, number), attestor: Address::repeat_byte(number) }
    }

    fn claim(offer: u8, number: u8) -> Action {
        Action::Claim(Claim {
            job: job(offer, number),
            gpu_seconds: GpuSeconds(u64::from(number)),
            evidence_root: B256::ZERO,
            signature: Signature::test_signature(),
        })
    }

    fn order(customer: u8) -> OrderRef {
        OrderRef { customer: Address::repeat_byte(customer), hash: B256::repeat_byte(customer) }
    }

    fn settle(number: u8, customer: u8) -> Action {
        let Action::Claim(claim) = claim(1, number) else { unreachable!() };
        Action::Settle { claim, order: order(customer) }
    }

    fn end(number: u8, reason: &str) -> Action {
        Action::End {
            job: job(1, number),
            order: order(number),
            expect_used: GpuSeconds(u64::from(number)),
            reason: reason.into(),
        }
    }

    fn decline(number: u8, reason: &str) -> Action {
        Action::Decline { job: job(1, number), order: order(number), reason: reason.into() }
    }

    #[test]
    fn actions_are_grouped_by_what_can_share_a_call() {
        let actions = vec![
            decline(1, "full"),
            claim(2, 1),
            end(1, "done"),
            settle(1, 9),
            settle(2, 8),
            settle(3, 9),
            start(2, 1),
            claim(1, 2),
            start(1, 1),
            decline(2, "no such image"),
            end(2, "done"),
            claim(1, 1),
        ];
        let grouped: Vec<_> = batches(actions, 10).into_iter().map(|batch| batch.actions).collect();
        assert_eq!(
            grouped,
            [
                vec![start(1, 1), start(2, 1)],
                vec![claim(1, 1), claim(1, 2)],
                vec![claim(2, 1)],
                vec![settle(2, 8), settle(1, 9), settle(3, 9)],
                vec![end(1, "done"), end(2, "done")],
                vec![decline(1, "full")],
                vec![decline(2, "no such image")],
            ]
        );
    }

    #[test]
    fn a_batch_holds_no_more_than_its_limit() {
        for (actions, most, sizes) in [(5, 2, vec![2, 2, 1]), (4, 4, vec![4]), (1, 0, vec![1]), (0, 3, vec![])] {
            let actions: Vec<_> = (0..actions).map(|number| start(1, number)).collect();
            let got: Vec<_> = batches(actions, most).iter().map(|batch| batch.actions.len()).collect();
            assert_eq!(got, sizes);
        }
    }

    #[test]
    fn a_call_holds_every_action_in_its_order() {
        let batch = batches(vec![start(1, 2), start(1, 1)], 10).pop().unwrap();
        let call = ComputeMarket::startJobsCall::abi_decode(&batch.call()).unwrap();
        assert_eq!(call.ids, [job(1, 1).0, job(1, 2).0]);
        assert_eq!(call.attestors, [Address::repeat_byte(1), Address::repeat_byte(2)]);

        let batch = batches(vec![claim(7, 1)], 10).pop().unwrap();
        let call = ComputeMarket::claimCall::abi_decode(&batch.call()).unwrap();
        assert_eq!((call.offerId, call.vouchers.len()), (FixedBytes([7; 8]), 1));
        assert_eq!(call.vouchers[0].r#use, job(7, 1).with_use(GpuSeconds(1)));

        let batch = batches(vec![settle(3, 9)], 10).pop().unwrap();
        let call = ComputeMarket::settleCall::abi_decode(&batch.call()).unwrap();
        assert_eq!(call.vouchers[0].r#use, job(1, 3).with_use(GpuSeconds(3)));
        assert_eq!((call.vouchers[0].customer, call.vouchers[0].orderHash), (order(9).customer, order(9).hash));

        let batch = batches(vec![end(3, "done"), end(4, "done")], 10).pop().unwrap();
        let call = ComputeMarket::endJobsCall::abi_decode(&batch.call()).unwrap();
        assert_eq!((call.expectUsed.as_slice(), call.endAt, call.reason.as_str()), ([3, 4].as_slice(), 0, "done"));
        assert_eq!(call.refs, [order(3).of_job(job(1, 3)), order(4).of_job(job(1, 4))]);
    }

    #[test]
    fn a_batch_is_halved_until_one_is_left() {
        let batch = batches((0..5).map(|number| start(1, number)).collect(), 10).pop().unwrap();
        let half = batch.half().unwrap();
        assert_eq!(half.actions, batch.actions[..2]);
        assert_eq!(half.half().unwrap().half(), None);
    }
}
