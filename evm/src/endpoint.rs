//! One endpoint: what it says, what that says of it, and how often it may be asked.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alloy::rpc::json_rpc::{ErrorPayload, SerializedRequest};
use serde_json::value::RawValue;

use crate::{
    budget::{Budget, Class, Limits},
    error::{Error, FailureKind, Reason, Trouble},
    label,
    options::EndpointOptions,
    recorder::{Call, CallOutcome, Recorder},
    wire::{Fault, Wire},
};

/// Between two checks of an endpoint that can't be used; doubled each time.
pub(crate) const SHORTEST_CHECK: Duration = Duration::from_millis(500);
const LONGEST_CHECK: Duration = Duration::from_secs(8);

/// The newest block that an endpoint has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) number: u64,
    /// The block's own time, in Unix seconds.
    pub(crate) time: u64,
    pub(crate) at: Instant,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    wire: Wire,
    recorder: Arc<dyn Recorder>,
    /// Scheme, host and port. The rest of the URL can hold an API key.
    pub(crate) label: String,
    /// None: checked and good so far.
    trouble: Mutex<Option<Trouble>>,
    budget: Mutex<Budget>,
    /// Those who wait for their turn, by class.
    waiting: [AtomicUsize; 3],
    shown: Mutex<Option<Shown>>,
    /// Held while it is checked: whoever finds it held takes the result.
    pub(crate) checking: tokio::sync::Mutex<Checks>,
}

/// When an endpoint that can't be used is checked again.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failed: u32,
    next: Option<Instant>,
}

impl Checks {
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    pub(crate) fn done(&mut self, good: bool, now: Instant) {
        if good {
            *self = Self::default();
            return;
        }
        let pause = SHORTEST_CHECK.saturating_mul(1 << self.failed.min(8)).min(LONGEST_CHECK);
        self.failed = self.failed.saturating_add(1);
        self.next = Some(now + pause);
    }
}

/// One who waits for a turn, until dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a request to one endpoint came to nothing.
pub(crate) enum Disposition {
    /// It answers so; another one would too.
    Answer(Error),
    /// It can't be used.
    Trouble(Trouble),
    /// It has enough of us, and is well otherwise.
    Limited(Trouble),
    /// Our turn did not come in time.
    Late(Trouble),
}

fn outcome<R>(answer: &Result<R, Fault>) -> CallOutcome {
    match answer {
        Ok(_) => CallOutcome::Ok,
        Err(Fault::Refused(_) | Fault::Null) => CallOutcome::Refused,
        Err(Fault::Limited { .. }) => CallOutcome::Limited,
        Err(Fault::Broken(..)) => CallOutcome::Failed,
    }
}

impl Endpoint {
    /// Not tried yet.
    pub(crate) fn new(of: EndpointOptions, limits: Limits, http: reqwest::Client, recorder: Arc<dyn Recorder>) -> Self {
        let EndpointOptions { url, headers } = of;
        let untried = Trouble::new(Reason::Connecting, "not tried yet");
        Self {
            label: label(&url),
            wire: Wire::new(url, headers, http),
            recorder,
            trouble: Mutex::new(Some(untried)),
            budget: Mutex::new(Budget::new(limits, Instant::now())),
            waiting: Default::default(),
            shown: Mutex::new(None),
            checking: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn trouble(&self) -> Option<Trouble> {
        locked(&self.trouble).clone()
    }

    pub(crate) fn set_trouble(&self, trouble: Option<Trouble>) {
        *locked(&self.trouble) = trouble;
    }

    pub(crate) fn shown(&self) -> Option<Shown> {
        *locked(&self.shown)
    }

    pub(crate) fn has_shown(&self, number: u64, time: u64) {
        *locked(&self.shown) = Some(Shown { number, time, at: Instant::now() });
    }

    /// It said lately that it has enough of us.
    pub(crate) fn is_paused(&self) -> bool {
        locked(&self.budget).is_paused(Instant::now())
    }

    /// Takes a request's worth out of the budget if there is one.
    pub(crate) fn try_take(&self, class: Class) -> bool {
        locked(&self.budget).take(class, self.yields(class), Instant::now()).is_ok()
    }

    /// Whether somebody of a class before this one waits.
    fn yields(&self, class: Class) -> bool {
        self.waiting.iter().take(class.place()).any(|waiting| waiting.load(Ordering::Relaxed) > 0)
    }

    /// Waits for a request's worth of the budget; false where that would take too long.
    async fn turn(&self, class: Class, end: Instant) -> bool {
        let _place = Place::new(&self.waiting[class.place()]);
        loop {
            let now = Instant::now();
            let wait = match locked(&self.budget).take(class, self.yields(class), now) {
                Ok(()) => return true,
                Err(wait) => wait,
            };
            if now + wait > end {
                return false;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks once it is our turn. The wait ends at `end`, or earlier where the endpoint is found to be of no use.
    pub(crate) async fn ask(
        &self,
        class: Class,
        end: Instant,
        request: &SerializedRequest,
    ) -> Result<Box<RawValue>, Disposition> {
        if !self.turn(class, end).await {
            let words = format!("{}: the endpoint lets no more requests through", request.method());
            return Err(Disposition::Late(Trouble::failure(FailureKind::Limited(None), words)));
        }
        self.ask_now(request).await
    }

    /// Asks; the request's worth was taken.
    pub(crate) async fn ask_now(&self, request: &SerializedRequest) -> Result<Box<RawValue>, Disposition> {
        let call = Call::begin(&self.recorder, &self.label);
        let answer = self.wire.request(request).await;
        call.ended(outcome(&answer));
        if matches!(answer, Ok(_) | Err(Fault::Refused(_) | Fault::Null)) {
            locked(&self.budget).answered();
        }
        answer.map_err(|fault| self.classify(request, fault))
    }

    fn classify(&self, request: &SerializedRequest, fault: Fault) -> Disposition {
        let method = request.method();
        match fault {
            Fault::Refused(answer) => Disposition::Answer(self.answer(request, &answer)),
            Fault::Null => Disposition::Answer(Error::Malformed {
                endpoint: self.label.clone(),
                method: request.method_clone(),
                message: "null".to_owned(),
            }),
            Fault::Limited { after, status, words } => {
                let hopeless = locked(&self.budget).refused(after, Instant::now());
                tracing::debug!(endpoint = self.label, method, words, "the endpoint limits our requests");
                let trouble = Trouble::failure(FailureKind::Limited(status), format!("{method}: {words}"));
                if hopeless { Disposition::Trouble(trouble) } else { Disposition::Limited(trouble) }
            }
            Fault::Broken(failure, words) => {
                Disposition::Trouble(Trouble::failure(failure, format!("{method}: {words}")))
            }
        }
    }

    fn answer(&self, request: &SerializedRequest, answer: &ErrorPayload) -> Error {
        Error::Answer {
            endpoint: self.label.clone(),
            method: request.method_clone(),
            code: answer.code,
            message: answer.message.to_string(),
            revert: answer.as_revert_data(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_stays_away_is_checked_less_and_less_often() {
        let (mut checks, t) = (Checks::default(), Instant::now());
        assert!(checks.is_due(t), "never checked");
        let mut pauses = Vec::new();
        for _ in 0..6 {
            checks.done(false, t);
            assert!(!checks.is_due(t));
            pauses.push(checks.next.unwrap().duration_since(t).as_millis());
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000]);
        checks.done(true, t);
        assert!(checks.is_due(t));
    }

    #[test]
    fn what_an_endpoint_says_of_our_rate_is_counted_apart_from_its_errors_and_its_silence() {
        let limited = Fault::Limited { after: None, status: None, words: String::new() };
        let refused = Fault::Refused(ErrorPayload { code: 3, message: "reverted".into(), data: None });
        for (answer, expected) in [
            (Ok(()), CallOutcome::Ok),
            (Err(refused), CallOutcome::Refused),
            (Err(Fault::Null), CallOutcome::Refused),
            (Err(limited), CallOutcome::Limited),
            (Err(Fault::Broken(FailureKind::NoAnswer, String::new())), CallOutcome::Failed),
        ] {
            assert_eq!(outcome(&answer), expected, "{answer:?}");
        }
    }
}
