//! How many requests an endpoint takes. Nothing is assumed of an endpoint before it refuses one for its rate; then the
//! rate is what it let through, a little less, and rises slowly. Pure.

use std::time::{Duration, Instant};

/// Whose turn it is where not all can be asked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Head, logs, receipts, and what is to be sent: money and orders wait for these.
    First,
    /// What running jobs and actions rest on.
    Jobs,
    /// Balances, offers, tokens: nothing is lost where they come later.
    Rest,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Jobs, Self::Rest];

    /// Its place among all classes.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::First => 0,
            Self::Jobs => 1,
            Self::Rest => 2,
        }
    }
}

/// A rate above which no limit is kept.
const FREE: f64 = 50.0;
/// What was sent in this time makes the rate that was too high.
const WINDOW: f64 = 5.0;
/// The share of the refused rate that is kept.
const KEPT: f64 = 0.75;
/// Each answer raises the rate by this many requests a second.
const RISE: f64 = 0.015;

/// How an endpoint that limits us is dealt with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests a second below which an endpoint is not slowed by our own rate: its own words say when to come back.
    slowest: f64,
    /// Doubled each time.
    shortest_pause: Duration,
    longest_pause: Duration,
    /// Longest `Retry-After` that is believed: it is tried again after that in any case.
    longest_word: Duration,
    /// An endpoint that refuses everything for this long, and so often, is as good as none.
    hopeless_after: Duration,
    hopeless_refusals: u32,
}

impl Limits {
    pub(crate) const SERVICE: Self = Self {
        slowest: 0.8,
        shortest_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(15),
        longest_word: Duration::from_mins(1),
        hopeless_after: Duration::from_secs(20),
        hopeless_refusals: 3,
    };
    /// Somebody waits.
    pub(crate) const COMMAND: Self = Self {
        slowest: 4.0,
        shortest_pause: Duration::from_millis(400),
        longest_pause: Duration::from_secs(10),
        longest_word: Duration::from_secs(10),
        hopeless_after: Duration::ZERO,
        hopeless_refusals: 4,
    };
}

/// The requests that may be made to one endpoint.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    /// Requests a second; none before the endpoint refused one.
    rate: Option<f64>,
    tokens: f64,
    filled: Instant,
    /// Nothing is asked before.
    paused: Option<Instant>,
    /// Refusals on end.
    refusals: u32,
    refused_since: Option<Instant>,
    /// Requests sent, weighted so that those of the last seconds count.
    recent: f64,
    recent_at: Instant,
}

impl Budget {
    pub(crate) const fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            rate: None,
            tokens: 0.0,
            filled: now,
            paused: None,
            refusals: 0,
            refused_since: None,
            recent: 0.0,
            recent_at: now,
        }
    }

    /// Takes a request's worth; otherwise how long to wait before asking again. `yields`: somebody of a class before waits.
    pub(crate) fn take(&mut self, class: Class, yields: bool, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.paused.filter(|until| *until > now) {
            // Those who come first go first when the pause is over.
            return Err(until - now + Duration::from_millis(100) * u32::try_from(class.place()).unwrap_or(0));
        }
        if let Some(rate) = self.rate {
            // Nothing is saved up: what is refused once is refused in bursts, too.
            self.tokens = (self.tokens + rate * now.duration_since(self.filled).as_secs_f64()).min(1.0);
            self.filled = now;
            let missing = 1.0 - self.tokens + if yields { 1.0 } else { 0.0 };
            if missing > 0.0 {
                return Err(Duration::from_secs_f64(missing / rate).max(Duration::from_millis(10)));
            }
            self.tokens -= 1.0;
        }
        self.recent = self.recently(now) + 1.0;
        self.recent_at = now;
        Ok(())
    }

    /// Whether a request could be made now.
    pub(crate) fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| until > now)
    }

    /// The endpoint answered.
    pub(crate) fn answered(&mut self) {
        self.refusals = 0;
        self.refused_since = None;
        self.rate = self.rate.map(|rate| rate + RISE).filter(|rate| *rate < FREE);
    }

    /// The endpoint said that it has enough; true where it has said nothing else for so long that it is of no use.
    pub(crate) fn refused(&mut self, after: Option<Duration>, now: Instant) -> bool {
        // Of requests that were under way together only the first tells something.
        if !self.is_paused(now) {
            let sent = self.recently(now) / WINDOW;
            let rate = self.rate.map_or(sent, |rate| rate.min(sent.max(rate * KEPT)));
            self.rate = Some((rate * KEPT).max(self.limits.slowest));
            (self.tokens, self.filled) = (0.0, now);
            self.refusals = self.refusals.saturating_add(1);
        }
        let limits = self.limits;
        let doubled = limits.shortest_pause.saturating_mul(1 << self.refusals.saturating_sub(1).min(4));
        let pause = after.map_or(doubled.min(limits.longest_pause), |after| after.min(limits.longest_word));
        self.paused = self.paused.max(Some(now + pause));
        let since = *self.refused_since.get_or_insert(now);
        self.refusals >= limits.hopeless_refusals && now.duration_since(since) >= limits.hopeless_after
    }

    fn recently(&self, now: Instant) -> f64 {
        self.recent * (-now.duration_since(self.recent_at).as_secs_f64() / WINDOW).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits::SERVICE;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_held_back_before_a_refusal() {
        let t = Instant::now();
        let mut budget = Budget::new(LIMITS, t);
        assert!((0..1000).all(|_| budget.take(Class::Rest, false, t).is_ok()));
    }

    #[test]
    fn what_the_endpoint_says_of_coming_back_is_kept_and_an_absurd_word_is_not() {
        let t = Instant::now();
        for (after, refusals, pause) in [
            (Some(ms(7000)), 1, ms(7000)),
            (Some(ms(86_400_000)), 1, LIMITS.longest_word),
            (None, 1, ms(1000)),
            (None, 3, ms(4000)),
            (None, 30, LIMITS.longest_pause),
        ] {
            let mut budget = Budget::new(LIMITS, t);
            let mut now = t;
            for _ in 0..refusals {
                now = budget.paused.unwrap_or(now);
                budget.refused(after, now);
            }
            assert_eq!(budget.paused, Some(now + pause), "{after:?} {refusals}");
            assert!(budget.take(Class::First, false, now + pause.saturating_sub(ms(1))).is_err());
        }
    }

    #[test]
    fn refusals_that_were_under_way_together_count_once() {
        let t = Instant::now();
        let mut budget = Budget::new(LIMITS, t);
        (0..20).for_each(|_| assert!(!budget.refused(None, t)));
        assert_eq!((budget.refusals, budget.paused), (1, Some(t + LIMITS.shortest_pause)));
    }

    /// An endpoint that lets `limit` requests a second through, asked by all classes as fast as the budget lets them.
    fn against(limit: f64, seconds: u64) -> ([u32; 3], u32) {
        let start = Instant::now();
        let mut budget = Budget::new(LIMITS, start);
        let (mut bucket, mut passed, mut refused, mut first) = (limit, [0; 3], 0, false);
        for tick in 0..seconds * 100 {
            let now = start + ms(tick * 10);
            bucket = (bucket + limit / 100.0).min(limit.max(1.0));
            for (index, class) in [Class::Rest, Class::Jobs, Class::First].into_iter().enumerate() {
                // The first class needs one request in two seconds; the others want ten a second.
                first |= tick % 200 == 0;
                let wants = if class == Class::First { first } else { tick % 10 == 0 };
                if !wants || budget.take(class, first && class != Class::First, now).is_err() {
                    continue;
                }
                first &= class != Class::First;
                if bucket >= 1.0 {
                    bucket -= 1.0;
                    budget.answered();
                    passed[index] += 1;
                } else {
                    refused += 1;
                    budget.refused(Some(ms(1000)), now);
                }
            }
        }
        (passed, refused)
    }

    #[test]
    fn under_a_limit_most_requests_pass_and_the_first_class_is_not_starved() {
        for limit in [1.0, 2.0, 5.0, 20.0] {
            let (passed, refused) = against(limit, 600);
            let all: u32 = passed.iter().sum();
            assert!(refused * 10 < all, "{limit}: {refused} of {all} are refused");
            assert!(f64::from(all) > 0.5 * limit.min(20.0) * 600.0 * 0.9, "{limit}: {all} pass");
            assert!(passed[2] >= 200, "{limit}: {passed:?}");
        }
    }

    #[test]
    fn an_endpoint_that_refuses_everything_is_given_up_after_a_while_and_not_at_once() {
        let mut now = Instant::now();
        let mut budget = Budget::new(LIMITS, now);
        let start = now;
        while !budget.refused(None, now) {
            now = budget.paused.unwrap();
        }
        let after = now - start;
        assert!((LIMITS.hopeless_after..LIMITS.hopeless_after * 2).contains(&after), "{after:?}");
    }

    #[test]
    fn an_answer_ends_the_doubling_and_raises_the_rate_until_no_limit_is_kept() {
        let t = Instant::now();
        let mut budget = Budget::new(LIMITS, t);
        budget.refused(None, t);
        assert_eq!(budget.rate, Some(LIMITS.slowest));
        (0..10_000).for_each(|_| budget.answered());
        assert_eq!((budget.rate, budget.refusals), (None, 0));
    }

    #[test]
    fn where_little_is_left_it_is_left_to_those_who_come_first() {
        let t = Instant::now();
        let mut budget = Budget::new(LIMITS, t);
        budget.refused(Some(ms(0)), t);
        let later = t + Duration::from_secs_f64(1.1 / LIMITS.slowest);
        assert!(budget.take(Class::Rest, true, later).is_err());
        assert!(budget.take(Class::First, false, later).is_ok());
        assert!(budget.take(Class::Rest, false, later).is_err(), "nothing is left");
    }

    #[test]
    fn a_command_asks_a_few_times_ever_later_and_waits_for_no_node_as_long_as_it_likes() {
        let t = Instant::now();
        let mut budget = Budget::new(Limits::COMMAND, t);
        let mut pauses = Vec::new();
        let mut now = t;
        while !budget.refused(None, now) {
            let next = budget.paused.unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [400, 800, 1600]);
        let mut budget = Budget::new(Limits::COMMAND, t);
        budget.refused(Some(Duration::from_hours(1)), t);
        assert_eq!(budget.paused, Some(t + Duration::from_secs(10)));
    }
}
