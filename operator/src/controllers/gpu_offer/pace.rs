//! How often the market is told of an offer's free GPUs. Each time is a transaction at the provider's cost, and others'
//! jobs change what is free all day. So the statement need not be exact, only never more than can be served: it falls at
//! once, and rises when that is worth it. Pure.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::allowance::{Allowance, Measure, Now};

/// Updates that can go out in a row.
const BURST: u32 = 40;
/// Another one can go out after each of these: with the burst, at most 100 a day and offer, whatever the operator's restarts.
const REFILL: Duration = Duration::from_mins(24);
const UPDATES: Measure = Measure { burst: BURST, refill: REFILL };
/// What rises leave for falls.
const KEPT: u32 = 6;
/// Rises wait the longer, the more was told lately: so much of the burst is spent, so long since the last change.
const WAITS: [(u32, Duration); 4] = [
    (8, Duration::from_secs(20)),
    (16, Duration::from_mins(1)),
    (24, Duration::from_mins(5)),
    (BURST, Duration::from_mins(15)),
];
/// A card that nodes have changed (their drivers stand in it) is posted anew not before so long.
const CARD: Duration = Duration::from_hours(1);

/// The most updates of an offer a day that others than its owner can cause.
#[cfg(test)]
pub(crate) const MOST_A_DAY: u32 = 100;

/// Of one offer: what was told when.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    updates: Allowance,
    changed: Option<Instant>,
    /// Asked for and not seen on chain yet.
    asked: Option<u16>,
    card: Option<(String, Instant)>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { updates: Allowance::full(UPDATES), changed: None, asked: None, card: None }
    }

    /// Takes over what an earlier process had spent.
    pub(crate) fn learn(&mut self, full_at: Option<Timestamp>, now: Timestamp) {
        self.updates.learn(full_at, now);
    }

    /// When all updates are back; none where they are.
    pub(crate) fn full_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.updates.full_at(now)
    }

    /// What the market should say, where it says `standing` and `could` be served.
    pub(crate) fn commit(&mut self, standing: Option<u16>, could: u16, now: Now) -> u16 {
        let Some(standing) = standing else {
            // The first post, which says all there is.
            self.asked = Some(could);
            return could;
        };
        if self.asked == Some(standing) {
            self.asked = None;
        }
        let on_its_way = self.asked.filter(|asked| *asked <= could);
        if let Some(asked) = on_its_way {
            return asked;
        }
        match could.cmp(&self.asked.unwrap_or(standing).min(standing)) {
            std::cmp::Ordering::Equal => could,
            std::cmp::Ordering::Less => self.fall(could, now),
            std::cmp::Ordering::Greater if self.may_rise(now) => self.spend(could, now),
            std::cmp::Ordering::Greater => standing,
        }
    }

    /// Nothing can be served: said at once, whatever was said before. Not more often than it rises again.
    pub(crate) fn stop(&mut self, standing: Option<u16>, now: Now) {
        if standing.is_some_and(|standing| standing > 0) && self.asked != Some(0) {
            self.spend(0, now);
        }
    }

    /// Whether a card that differs from the one on chain is posted now. One that the owner changed is.
    pub(crate) fn grant_post(&mut self, hash: &str, by_owner: bool, now: Now) -> bool {
        if self.is_asked(hash) {
            return true;
        }
        let lately = self.card.as_ref().is_some_and(|(_, at)| now.steady.duration_since(*at) < CARD);
        if !by_owner && (lately || self.updates.left(now.wall) <= KEPT) {
            return false;
        }
        self.updates.spend(now.wall);
        self.card = Some((hash.to_owned(), now.steady));
        true
    }

    /// Whether this card is the last that was asked for.
    pub(crate) fn is_asked(&self, hash: &str) -> bool {
        self.card.as_ref().is_some_and(|(asked, _)| asked == hash)
    }

    /// The last one says that nothing is free, so that what follows can't be less.
    fn fall(&mut self, could: u16, now: Now) -> u16 {
        let could = if self.updates.left(now.wall) <= 1 { 0 } else { could };
        self.spend(could, now)
    }

    fn spend(&mut self, could: u16, now: Now) -> u16 {
        self.updates.spend(now.wall);
        self.changed = Some(now.steady);
        self.asked = Some(could);
        could
    }

    fn may_rise(&mut self, now: Now) -> bool {
        let left = self.updates.left(now.wall);
        let spent = BURST - left;
        let wait = WAITS.iter().find(|(most, _)| spent < *most).map_or(REFILL, |(_, wait)| *wait);
        left > KEPT && self.changed.is_none_or(|changed| now.steady.duration_since(changed) >= wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_available_falls_at_once_and_rises_after_a_while() {
        let begin = Now::read();
        let mut pace = Pace::new();
        // After so many seconds: what the chain says, what could be served, what it should say.
        for (second, standing, could, expected) in [
            (0, None, 8, 8),
            (2, Some(8), 7, 7),
            (3, Some(8), 7, 7),
            (4, Some(8), 5, 5),
            (6, Some(5), 8, 5),
            (23, Some(5), 8, 5),
            (24, Some(5), 8, 8),
            (25, Some(5), 8, 8),
            (26, Some(5), 0, 0),
            (28, Some(0), 1, 0),
            (46, Some(0), 1, 1),
            (48, Some(1), 1, 1),
        ] {
            let got = pace.commit(standing, could, begin.after(SECOND * second));
            assert_eq!(got, expected, "at {second}: {standing:?} {could}");
        }
    }

    /// The most and the least favourable day: what is free changes each second; gives how often the market was told. The
    /// operator begins anew after each `lives` seconds, and has what stands in the status.
    fn told_in_a_day(lives: u32, free: impl Fn(u32) -> u16) -> u32 {
        let begin = Now::read();
        let mut pace = Pace::new();
        let (mut standing, mut told) = (8, 0);
        for second in 0..24 * 3600 {
            let (could, now) = (free(second), begin.after(SECOND * second));
            if second % lives == 0 {
                let status = pace.full_at(now.wall);
                pace = Pace::new();
                pace.learn(status, now.wall);
            }
            let say = pace.commit(Some(standing), could, now);
            assert!(say <= could || say == standing, "more is said than can be served");
            if say != standing {
                told += 1;
                standing = say;
            }
        }
        told
    }

    #[test]
    fn however_much_changes_the_market_is_told_no_more_than_a_stated_number_of_times_a_day() {
        for lives in [u32::MAX, 3600, 60, 1] {
            for told in [
                told_in_a_day(lives, |second| u16::try_from(second % 9).unwrap()),
                told_in_a_day(lives, |second| if second / 60 % 2 == 0 { 8 } else { 3 }),
                told_in_a_day(lives, |second| u16::try_from(8 - (second / 10_000) % 9).unwrap()),
            ] {
                assert!(told > 3 && told <= MOST_A_DAY, "{lives}: {told}");
            }
        }
    }

    #[test]
    fn when_nothing_is_left_the_market_says_that_nothing_is_free() {
        let begin = Now::read();
        let mut pace = Pace::new();
        let mut standing = u16::MAX;
        for could in (0..60).rev() {
            standing = pace.commit(Some(standing), could, begin);
            assert!(standing <= could);
        }
        assert_eq!(standing, 0);
        assert_eq!(pace.commit(Some(0), 5, begin.after(REFILL)), 0, "rises leave some for falls");
        assert_eq!(pace.commit(Some(0), 5, begin.after(REFILL * (KEPT + 1))), 5);
    }

    #[test]
    fn what_cannot_be_served_is_taken_back_even_when_nothing_is_left() {
        let begin = Now::read();
        let mut pace = Pace::new();
        for _ in 0..BURST {
            pace.updates.spend(begin.wall);
        }
        pace.stop(Some(4), begin);
        assert_eq!(pace.asked, Some(0));
        assert_eq!(pace.commit(Some(4), 4, begin), 0, "it is on its way");
    }

    #[test]
    fn whoever_begins_anew_with_few_updates_left_keeps_them_for_falls_and_posts_no_card_of_the_nodes() {
        let begin = Now::read();
        for (left, posted) in [(KEPT, false), (KEPT + 1, true)] {
            let mut pace = Pace::new();
            pace.learn(Some(begin.after(REFILL * (BURST - left)).wall), begin.wall);
            assert_eq!(pace.grant_post("a", false, begin), posted, "{left}");
            assert!(pace.grant_post("b", true, begin), "the owner's");
        }
    }

    #[test]
    fn a_card_of_the_owners_is_posted_at_once_and_one_that_nodes_changed_once_an_hour() {
        let begin = Now::read();
        let mut pace = Pace::new();
        for (card, by_owner, minute, posted) in [
            ("a", false, 0, true),
            ("a", false, 1, true),
            ("b", false, 2, false),
            ("b", true, 3, true),
            ("c", false, 62, false),
            ("c", false, 64, true),
        ] {
            let at = begin.after(Duration::from_mins(minute));
            assert_eq!(pace.grant_post(card, by_owner, at), posted, "{card} after {minute} min");
        }
    }
}
