//! What declining strangers' orders may cost. An order costs a stranger a fee and, declined, the operator one: beyond
//! a budget it is left to its start deadline, where the customer gets everything back without the operator. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::allowance::{Allowance, Measure, Now};
use crate::network::JobId;
use crate::reasons::Reason;

/// Declines that can go out in a row.
const BURST: u32 = 32;
/// Another one can go out after each of these: with the burst, at most 128 a day and offer, whatever the operator's restarts.
const REFILL: Duration = Duration::from_mins(15);
const DECLINES: Measure = Measure { burst: BURST, refill: REFILL };
/// Orders that were left to their deadline are closed together: in one transaction for many.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
const SWEEP_FOR: Duration = Duration::from_secs(30);
/// A decline that was granted is granted again for so long: it is asked for until it is mined.
const GRANTED: Duration = Duration::from_hours(2);

/// The most declines of one offer's orders a day.
#[cfg(test)]
pub(crate) const MOST_A_DAY: u32 = 128;

/// Of one offer.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    declines: Allowance,
    granted: BTreeMap<JobId, Instant>,
    swept: Option<Instant>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { declines: Allowance::full(DECLINES), granted: BTreeMap::new(), swept: None }
    }

    /// Takes over what an earlier process had spent.
    pub(crate) fn learn(&mut self, full_at: Option<Timestamp>, now: Timestamp) {
        self.declines.learn(full_at, now);
    }

    /// When all declines are back; none where they are.
    pub(crate) fn full_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.declines.full_at(now)
    }

    /// Whether this order may be declined now.
    pub(crate) fn grant_decline(&mut self, job: &JobId, now: Now) -> bool {
        self.granted.retain(|_, at| now.steady.duration_since(*at) < GRANTED);
        if self.granted.contains_key(job) {
            return true;
        }
        if self.declines.left(now.wall) == 0 {
            return false;
        }
        self.declines.spend(now.wall);
        self.granted.insert(job.clone(), now.steady);
        true
    }

    /// Whether an order that was turned down without being declined may be closed now, after its start deadline.
    pub(crate) fn grant_sweep(&mut self, now: Instant) -> bool {
        let since = self.swept.map(|swept| now.duration_since(swept));
        match since {
            Some(since) if since < SWEEP_FOR => true,
            Some(since) if since < SWEEP_EVERY => false,
            _ => {
                self.swept = Some(now);
                true
            }
        }
    }
}

/// What the market is told where a stranger chose the words of the reason, or they serve the provider alone: always the
/// same, so that a hundred declines share a transaction, and nobody has the operator log a text of theirs. None: the
/// reason's own message can be said.
pub(crate) fn fixed_words(reason: &Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Malformed => hawser_market::workload::MALFORMED,
        Reason::InvalidImage => "InvalidImage: the image is not an image reference",
        Reason::ImageNotAllowed => "ImageNotAllowed: the offer's spec.images does not allow the image",
        Reason::ForbiddenEnvironment => "ForbiddenEnvironment: a variable's name is refused",
        Reason::InvalidEnvironment => "InvalidEnvironment: a variable's name is none",
        Reason::InvalidResources => "InvalidResources: cpu, memory or storage is not a quantity above 0",
        Reason::OfferUnreadable => "OfferUnreadable: the provider can't serve this offer now",
        Reason::DepositTooSmall => "DepositTooSmall: the deposit does not pay the order's own transaction fees",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u32) -> JobId {
        number.to_string().into()
    }

    #[test]
    fn a_flood_of_orders_is_declined_no_more_than_a_stated_number_of_times_a_day() {
        let begin = Now::read();
        // The operator begins anew after so many minutes, and has what stands in the status.
        for lives in [u32::MAX, 60, 1] {
            let (mut budget, mut declined) = (Budget::new(), 0);
            for minute in 0..24 * 60_u32 {
                let now = begin.after(Duration::from_mins(minute.into()));
                if minute % lives == 0 {
                    let status = budget.full_at(now.wall);
                    budget = Budget::new();
                    budget.learn(status, now.wall);
                }
                for order in 0..10 {
                    declined += u32::from(budget.grant_decline(&job(minute * 10 + order), now));
                }
            }
            assert!(declined > BURST && declined <= MOST_A_DAY, "{lives}: {declined}");
        }
    }

    #[test]
    fn a_decline_is_asked_for_again_at_no_cost_until_it_is_mined() {
        let begin = Now::read();
        let mut budget = Budget::new();
        budget.learn(Some(begin.after(REFILL * (BURST - 1)).wall), begin.wall);
        assert!(budget.grant_decline(&job(1), begin));
        assert!(!budget.grant_decline(&job(2), begin));
        assert!(budget.grant_decline(&job(1), begin.after(Duration::from_secs(2))));
        assert!(budget.grant_decline(&job(2), begin.after(REFILL)));
    }

    #[test]
    fn what_was_left_to_its_deadline_is_closed_together_once_an_hour() {
        let begin = Instant::now();
        let mut budget = Budget::new();
        for (second, may) in [(0, true), (29, true), (31, false), (3599, false), (3600, true), (3620, true)] {
            assert_eq!(budget.grant_sweep(begin + Duration::from_secs(second)), may, "{second}");
        }
    }

    #[test]
    fn words_that_strangers_choose_are_not_said_on_chain() {
        assert!(fixed_words(&Reason::Malformed).is_some_and(|words| words.starts_with("Malformed: ")));
        assert_eq!(fixed_words(&Reason::NoCapacity), None);
    }
}
