//! What of the cards' time does not count: a card that is dead is not used.

use hawser_attestation::GpuSample;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cards::{Life, Reading};

/// How long a driver may say nothing before its cards are taken for dead. A driver that is busy is slow at times, also
/// because a tenant makes it so; one that hangs for good has lost a card as a rule.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// Of each card, in the order of the evidence's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outages(Vec<CardOutage>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CardOutage {
    /// When it answered last.
    answered: Option<Timestamp>,
    /// Since when it is dead.
    stopped: Option<Timestamp>,
    /// How long it was dead before, since the count began.
    lost_millis: u64,
}

impl Outages {
    /// Takes what was read, and says in each sample since when the card's time does not count. A card is dead from
    /// its last answer on: nobody can know that it did anything after it.
    pub(crate) fn read(&mut self, readings: Vec<Reading>, begin: Option<Timestamp>, at: Timestamp) -> Vec<GpuSample> {
        self.0.resize(readings.len(), CardOutage::default());
        let cards = self.0.iter_mut().zip(readings);
        cards.map(|(card, reading)| card.read(reading, begin, at)).collect()
    }

    /// Milliseconds of all cards from `begin` to `end` that do not count.
    pub(crate) fn lost_millis(&self, begin: Timestamp, end: Timestamp) -> u64 {
        let lost = |card: &CardOutage| {
            let open = card.stopped.map_or(0, |stopped| millis(stopped.max(begin), end));
            card.lost_millis.saturating_add(open)
        };
        self.0.iter().map(lost).fold(0, u64::saturating_add)
    }
}

impl CardOutage {
    fn read(&mut self, reading: Reading, begin: Option<Timestamp>, at: Timestamp) -> GpuSample {
        let answered = *self.answered.get_or_insert(at);
        let dead = match reading.life {
            Life::Answers => false,
            Life::Dead => true,
            Life::Silent => self.stopped.is_some() || at.duration_since(answered) >= SILENCE,
        };
        if dead {
            self.stopped.get_or_insert(answered);
        } else if reading.life == Life::Answers {
            if let Some(stopped) = self.stopped.take() {
                let lost = begin.map_or(0, |begin| millis(stopped.max(begin), at));
                self.lost_millis = self.lost_millis.saturating_add(lost);
            }
            self.answered = Some(at);
        }
        GpuSample { stopped_at: self.stopped, ..reading.sample }
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn reading(life: Life) -> Reading {
        Reading { sample: GpuSample::default(), life }
    }

    /// One card read at these seconds; what its samples say, and what is lost from second 0 to second 1000.
    fn told(readings: &[(i64, Life)]) -> (Vec<Option<i64>>, u64) {
        let mut outages = Outages::default();
        let mut stopped = Vec::new();
        for (second, life) in readings {
            let samples = outages.read(vec![reading(*life)], Some(at(0)), at(*second));
            stopped.push(samples[0].stopped_at.map(|t| t.as_second() - at(0).as_second()));
        }
        (stopped, outages.lost_millis(at(0), at(1000)) / 1000)
    }

    #[test]
    fn time_from_the_last_answer_to_the_next_does_not_count() {
        use Life::{Answers, Dead, Silent};
        for (readings, stopped, lost) in [
            (vec![(10, Answers), (20, Answers)], vec![None, None], 0),
            (vec![(10, Answers), (20, Dead)], vec![None, Some(10)], 990),
            (vec![(10, Answers), (20, Dead), (30, Answers)], vec![None, Some(10), None], 20),
            (vec![(10, Answers), (20, Dead), (30, Silent), (40, Answers)], vec![None, Some(10), Some(10), None], 30),
            (
                vec![(10, Answers), (20, Dead), (30, Answers), (40, Dead), (50, Answers)],
                vec![None, Some(10), None, Some(30), None],
                40,
            ),
            (vec![(10, Dead)], vec![Some(10)], 990),
            (vec![(10, Answers), (20, Silent), (69, Silent), (75, Answers)], vec![None; 4], 0),
            (vec![(10, Answers), (20, Silent), (70, Silent)], vec![None, None, Some(10)], 990),
        ] {
            assert_eq!(told(&readings), (stopped, lost), "{readings:?}");
        }
    }

    #[test]
    fn a_card_that_was_dead_before_the_count_began_loses_nothing_of_it() {
        let mut outages = Outages::default();
        outages.read(vec![reading(Life::Dead), reading(Life::Answers)], None, at(0));
        assert_eq!(outages.lost_millis(at(5), at(10)), 5000);
        outages.read(vec![reading(Life::Answers), reading(Life::Answers)], Some(at(5)), at(8));
        assert_eq!(outages.lost_millis(at(5), at(10)), 3000);
    }
}
