//! How often the market is told of an offer's free GPUs. Each time is a transaction at the provider's cost, and others'
//! jobs change what is free all day. So the statement need not be exact, only never more than can be served: it falls at
//! once, and rises when that is worth it. Pure.

use std::time::{Duration, Instant};

/// Updates that can go out in a row.
const BURST: u32 = 40;
/// Another one can go out after each of these: with the burst, at most 100 a day and offer.
const REFILL: Duration = Duration::from_mins(24);
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
    left: u32,
    refilled: Instant,
    changed: Option<Instant>,
    /// Asked for and not seen on chain yet.
    asked: Option<u16>,
    card: Option<(String, Instant)>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: BURST, refilled: now, changed: None, asked: None, card: None }
    }

    /// What the market should say, where it says `standing` and `could` be served.
    pub(crate) fn say(&mut self, standing: Option<u16>, could: u16, now: Instant) -> u16 {
        self.refill(now);
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
            std::cmp::Ordering::Greater if self.may_rise(now) => self.tell(could, now),
            std::cmp::Ordering::Greater => standing,
        }
    }

    /// Nothing can be served: said at once, whatever was said before. Not more often than it rises again.
    pub(crate) fn stop(&mut self, standing: Option<u16>, now: Instant) {
        self.refill(now);
        if standing.is_some_and(|standing| standing > 0) && self.asked != Some(0) {
            self.tell(0, now);
        }
    }

    /// Whether a card that differs from the one on chain is posted now. One that the owner changed is.
    pub(crate) fn may_post(&mut self, hash: &str, by_owner: bool, now: Instant) -> bool {
        self.refill(now);
        match &self.card {
            Some((asked, _)) if asked == hash => return true,
            Some((_, at)) if !by_owner && (now.duration_since(*at) < CARD || self.left <= KEPT) => return false,
            _ => {}
        }
        self.left = self.left.saturating_sub(1);
        self.card = Some((hash.to_owned(), now));
        true
    }

    /// Whether this card is the last that was asked for.
    pub(crate) fn is_asked(&self, hash: &str) -> bool {
        self.card.as_ref().is_some_and(|(asked, _)| asked == hash)
    }

    /// The last one says that nothing is free, so that what follows can't be less.
    fn fall(&mut self, could: u16, now: Instant) -> u16 {
        let could = if self.left <= 1 { 0 } else { could };
        self.tell(could, now)
    }

    fn tell(&mut self, could: u16, now: Instant) -> u16 {
        self.left = self.left.saturating_sub(1);
        self.changed = Some(now);
        self.asked = Some(could);
        could
    }

    fn may_rise(&self, now: Instant) -> bool {
        let spent = BURST - self.left;
        let wait = WAITS.iter().find(|(most, _)| spent < *most).map_or(REFILL, |(_, wait)| *wait);
        self.left > KEPT && self.changed.is_none_or(|changed| now.duration_since(changed) >= wait)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.duration_since(self.refilled).as_secs() / REFILL.as_secs();
        let Ok(more) = u32::try_from(passed) else { return };
        self.refilled += REFILL * more;
        self.left = self.left.saturating_add(more).min(BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_available_falls_at_once_and_rises_after_a_while() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
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
            let got = pace.say(standing, could, begin + SECOND * second);
            assert_eq!(got, expected, "at {second}: {standing:?} {could}");
        }
    }

    /// The most and the least favourable day: what is free changes each second; gives how often the market was told.
    fn told_in_a_day(free: impl Fn(u32) -> u16) -> u32 {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let (mut standing, mut told) = (8, 0);
        for second in 0..24 * 3600 {
            let could = free(second);
            let say = pace.say(Some(standing), could, begin + SECOND * second);
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
        for told in [
            told_in_a_day(|second| u16::try_from(second % 9).unwrap()),
            told_in_a_day(|second| if second / 60 % 2 == 0 { 8 } else { 3 }),
            told_in_a_day(|second| u16::try_from(8 - (second / 10_000) % 9).unwrap()),
        ] {
            assert!(told > 3 && told <= MOST_A_DAY, "{told}");
        }
    }

    #[test]
    fn when_nothing_is_left_the_market_says_that_nothing_is_free() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let mut standing = u16::MAX;
        for could in (0..60).rev() {
            standing = pace.say(Some(standing), could, begin);
            assert!(standing <= could);
        }
        assert_eq!(standing, 0);
        assert_eq!(pace.say(Some(0), 5, begin + REFILL), 0, "rises leave some for falls");
        assert_eq!(pace.say(Some(0), 5, begin + REFILL * (KEPT + 1)), 5);
    }

    #[test]
    fn what_cannot_be_served_is_taken_back_even_when_nothing_is_left() {
        let begin = Instant::now();
        let mut pace = Pace { left: 0, ..Pace::new(begin) };
        pace.stop(Some(4), begin);
        assert_eq!(pace.asked, Some(0));
        assert_eq!(pace.say(Some(4), 4, begin), 0, "it is on its way");
    }

    #[test]
    fn a_card_of_the_owners_is_posted_at_once_and_one_that_nodes_changed_once_an_hour() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        for (card, by_owner, minute, posted) in [
            ("a", false, 0, true),
            ("a", false, 1, true),
            ("b", false, 2, false),
            ("b", true, 3, true),
            ("c", false, 62, false),
            ("c", false, 64, true),
        ] {
            let at = begin + Duration::from_mins(minute);
            assert_eq!(pace.may_post(card, by_owner, at), posted, "{card} after {minute} min");
        }
    }
}
