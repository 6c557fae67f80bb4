//! Whether the cluster would take an order of the offer: asked now and then, by showing one to the API server. An order that
//! it won't take fails after its whole start window, so none is sold meanwhile.

use std::time::{Duration, Instant};

use hawser_crds::GpuOffer;
use kube::{Resource, ResourceExt};

use super::around::Around;
use super::memory::OfferContext;
use super::serves;
use crate::controllers::compute_job::{NotTaken, rehearse};

/// What was taken is asked again after so long.
const TAKEN: Duration = Duration::from_mins(10);
/// What was refused is asked again so soon, before that counts against an offer that stands.
const CONFIRM: Duration = Duration::from_secs(20);
/// And then after so long, twice as long each time, up to the second of these.
const REFUSED: Duration = Duration::from_mins(1);
const REFUSED_MOST: Duration = Duration::from_mins(10);
/// Where nothing was answered, or something speaks against the answer.
const DOUBTED: Duration = Duration::from_secs(30);

/// Of one offer: what was answered when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    asked: Option<Asked>,
    refused: Option<NotTaken>,
    /// So often in a row.
    times: u32,
    /// The last pod of a job was treated otherwise, or nothing was answered.
    doubted: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Rehearsal {
    Takes,
    Refuses(NotTaken),
    /// What was known stays.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    /// Of the offer, and how many jobs it had.
    generation: Option<i64>,
    jobs: u32,
}

impl Admission {
    fn is_due(&self, generation: Option<i64>, jobs: u32, now: Instant) -> bool {
        let Some(asked) = self.asked else { return true };
        // What it asks for may be another now.
        if asked.generation != generation {
            return true;
        }
        let pause = match self.times {
            0 => TAKEN,
            1 => CONFIRM,
            times => REFUSED.saturating_mul(1_u32.checked_shl(times - 2).unwrap_or(u32::MAX)).min(REFUSED_MOST),
        };
        // A job that is over gives back its part of a quota.
        let doubted = self.doubted || self.refused.is_some() && jobs < asked.jobs;
        now.duration_since(asked.at) >= if doubted { pause.min(DOUBTED) } else { pause }
    }

    fn learn(&mut self, answer: Rehearsal, generation: Option<i64>, jobs: u32, now: Instant) {
        self.asked = Some(Asked { at: now, generation, jobs });
        self.doubted = answer == Rehearsal::Nothing;
        match answer {
            Rehearsal::Takes => (self.refused, self.times) = (None, 0),
            Rehearsal::Refuses(refused) => (self.refused, self.times) = (Some(refused), self.times.saturating_add(1)),
            Rehearsal::Nothing => {}
        }
    }

    /// How a job's pod was treated. That may be for what only this one asks, so the API server is asked again. Whether
    /// that is news.
    pub(crate) fn note_pod(&mut self, refused: bool) -> bool {
        let before = std::mem::replace(&mut self.doubted, self.refused.is_some() != refused);
        self.doubted && !before
    }
}

/// Asks where that is due; gives what is known to be in the way.
pub(crate) async fn look(
    offer: &GpuOffer,
    around: &Around,
    sells: bool,
    jobs: u32,
    context: &OfferContext,
) -> Option<NotTaken> {
    let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
    let generation = offer.metadata.generation;
    let offers = &context.memory;
    let is_due = || offers.peek(&namespace, &name, |offer| offer.admission.is_due(generation, jobs, Instant::now()));
    if can_be_asked(offer, around, sells) && is_due() {
        let answer = match rehearse(&context.shared, offer, around.class.as_deref()).await {
            Ok(None) => Rehearsal::Takes,
            Ok(Some(refused)) => Rehearsal::Refuses(refused),
            Err(error) => {
                tracing::warn!(offer = name, namespace, %error, "whether an order would be taken can't be asked");
                Rehearsal::Nothing
            }
        };
        let (before, now) = offers.with(&namespace, &name, |offer| {
            let before = offer.admission.refused.clone();
            offer.admission.learn(answer, generation, jobs, Instant::now());
            (before, offer.admission.refused.clone())
        });
        if let (None, Some(refused)) = (&before, &now) {
            context.shared.events.emit(&offer.object_ref(&()), true, &refused.reason, "Admit", &refused.message).await;
        }
        return now;
    }
    offers.peek(&namespace, &name, |offer| offer.admission.refused.clone())
}

/// Where nothing is sold, or something else is known to be in the way, nothing is asked.
fn can_be_asked(offer: &GpuOffer, around: &Around, sells: bool) -> bool {
    sells && offer.metadata.deletion_timestamp.is_none() && !around.going && serves::pods(offer, around).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasons::Reason;

    fn no() -> NotTaken {
        NotTaken { reason: Reason::PodRefused, message: "exceeded quota".to_owned() }
    }

    /// What happens to an offer that was asked about in generation 1 with 2 jobs.
    #[derive(Clone, Copy, Debug)]
    enum Did {
        Take,
        Refuse,
        SayNothing,
        /// Makes a job's pod, or refuses one.
        Make,
        RefuseAPod,
    }
    use Did::{Make, Refuse, RefuseAPod, SayNothing, Take};

    #[test]
    fn it_is_asked_again_the_later_the_more_often_it_said_no_and_soon_where_something_speaks_against_it() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        for (did, jobs, pause, refused) in [
            (vec![Take], 2, minute * 10, false),
            (vec![Take], 1, minute * 10, false),
            (vec![Refuse], 2, second * 20, true),
            (vec![Refuse, Refuse], 2, minute, true),
            (vec![Refuse, Refuse, Refuse], 2, minute * 2, true),
            (vec![Refuse; 5], 2, minute * 8, true),
            (vec![Refuse; 6], 2, minute * 10, true),
            (vec![Refuse; 90], 2, minute * 10, true),
            (vec![Refuse; 6], 3, minute * 10, true),
            // A part of a quota is free again.
            (vec![Refuse; 6], 1, second * 30, true),
            (vec![Refuse, Refuse, Take], 2, minute * 10, false),
            (vec![Refuse, Take, Refuse], 2, second * 20, true),
            (vec![SayNothing], 2, second * 30, false),
            (vec![Take, SayNothing], 2, second * 30, false),
            (vec![Refuse, Refuse, SayNothing], 2, second * 30, true),
            (vec![Take, RefuseAPod], 2, second * 30, false),
            (vec![Take, RefuseAPod, Make], 2, minute * 10, false),
            (vec![Take, Make], 2, minute * 10, false),
            (vec![Refuse, Refuse, RefuseAPod], 2, minute, true),
            (vec![Refuse, Refuse, Make], 2, second * 30, true),
        ] {
            let (mut admission, now) = (Admission::default(), Instant::now());
            assert!(admission.is_due(Some(1), 2, now), "never asked");
            for did in &did {
                match did {
                    Take => admission.learn(Rehearsal::Takes, Some(1), 2, now),
                    Refuse => admission.learn(Rehearsal::Refuses(no()), Some(1), 2, now),
                    SayNothing => admission.learn(Rehearsal::Nothing, Some(1), 2, now),
                    Make => drop(admission.note_pod(false)),
                    RefuseAPod => drop(admission.note_pod(true)),
                }
            }
            let due = |after: Duration| admission.is_due(Some(1), jobs, now + after);
            assert!(due(pause) && !due(pause.saturating_sub(second)), "{did:?} {jobs}");
            assert!(admission.is_due(Some(2), jobs, now), "its owner has changed it: {did:?}");
            assert_eq!(admission.refused.is_some(), refused, "{did:?}");
        }
    }

    #[test]
    fn a_pod_that_is_treated_otherwise_is_news_once() {
        let mut admission = Admission::default();
        let heard = [false, true, true, false, true].map(|refused| admission.note_pod(refused));
        assert_eq!(heard, [false, true, false, false, true]);
    }
}
