//! Who leads: one `Lease` (coordination.k8s.io/v1) in the operator's namespace.
//!
//! A holder leads for [`LEADS`] from the moment at which it began to renew: the answer may come late, the write can't have
//! been earlier. Others count [`DURATION`] from the moment at which they saw the lease change, which was later. What lies
//! between is for what was on its way when the holder stopped. Nobody's wall clock is asked.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::fence::{Fence, Moment};

/// Name of the lease.
pub const NAME: &str = "hawser-operator";
/// A lease that was not renewed for so long can be taken.
const DURATION: Duration = Duration::from_secs(15);
/// For so long the holder leads after it began a renewal that came through.
const LEADS: Duration = Duration::from_secs(10);
/// From one renewal to the next.
const RENEW: Duration = Duration::from_secs(2);
/// After a renewal that failed.
const AGAIN: Duration = Duration::from_millis(500);
/// How often others look.
const LOOK: Duration = Duration::from_secs(1);
/// Handing it back may take so long.
const RELEASE: Duration = Duration::from_secs(2);

/// The lease could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused.
    #[error("lease {NAME}: {0}")]
    Kubernetes(#[from] kube::Error),
}

/// Why a replica does not lead any more.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another one took it, or somebody deleted it.
    #[error("lease {NAME} is not this replica's any more")]
    Taken,
    /// It was not renewed in time.
    #[error("lease {NAME} could not be renewed in time")]
    TooLate,
}

/// This replica's part in the election.
#[derive(Clone)]
pub struct Lease {
    api: Api<Object>,
    me: String,
    fence: Fence,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("me", &self.me).finish_non_exhaustive()
    }
}

/// The lease as this replica holds it.
#[derive(Debug)]
pub struct Held(Object);

impl Held {
    /// How often the lease has changed hands.
    pub fn transitions(&self) -> i32 {
        self.0.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default()
    }
}

/// What a lease means to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Free,
    Mine,
    Held,
}

/// Reads a lease. `unchanged` is for how long this replica has seen it as it is.
fn standing(spec: &LeaseSpec, me: &str, unchanged: Duration) -> Standing {
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(DURATION.as_secs());
    if holder.is_empty() || unchanged > Duration::from_secs(seconds) {
        Standing::Free
    } else if holder == me {
        Standing::Mine
    } else {
        Standing::Held
    }
}

/// The lease as it was seen last, and since when it is so.
#[derive(Clone, Debug)]
struct Seen {
    version: Option<String>,
    spec: LeaseSpec,
    since: Moment,
}

impl Seen {
    /// What is known after a look. One that was deleted stands as it was seen last: its holder may not know yet.
    fn after(before: Option<Self>, found: Option<&Object>, now: Moment) -> Option<Self> {
        let Some(found) = found else { return before };
        let version = found.metadata.resource_version.clone();
        before
            .filter(|before| before.version == version)
            .or_else(|| Some(Self { version, spec: found.spec.clone().unwrap_or_default(), since: now }))
    }

    fn standing(seen: Option<&Self>, me: &str, now: Moment) -> Standing {
        seen.map_or(Standing::Free, |seen| standing(&seen.spec, me, now.since(seen.since)))
    }
}

impl Lease {
    /// Takes part as `me`, a name that no other replica has. `client` must not wait for the lease itself.
    pub fn new(client: Client, namespace: &str, me: &str, fence: Fence) -> Self {
        Self { api: Api::namespaced(client, namespace), me: me.to_owned(), fence }
    }

    /// Waits until this replica leads, and opens the fence; none where `cancel` came first.
    ///
    /// # Errors
    /// Where leases are refused to this service account. An API server that can't be reached is waited for.
    pub async fn acquire(&self, cancel: &CancellationToken) -> Result<Option<Held>, LeaseError> {
        let mut seen = None;
        loop {
            let tried = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    // It may be ours already, though the answer has not come.
                    self.release().await;
                    return Ok(None);
                }
                tried = self.try_acquire(&mut seen) => tried,
            };
            match tried {
                Ok(Some(held)) => return Ok(Some(held)),
                Ok(None) => {}
                Err(kube::Error::Api(status)) if status.code == 403 => return Err(kube::Error::Api(status).into()),
                Err(error) => warn!(%error, "the lease can't be read; it is tried again"),
            }
            _ = tokio::time::timeout(LOOK, cancel.cancelled()).await;
        }
    }

    async fn try_acquire(&self, seen: &mut Option<Seen>) -> Result<Option<Held>, kube::Error> {
        let found = self.api.get_opt(NAME).await?;
        let now = Moment::now();
        *seen = Seen::after(seen.take(), found.as_ref(), now);
        if Seen::standing(seen.as_ref(), &self.me, now) == Standing::Held {
            return Ok(None);
        }
        let answer = match found {
            None => {
                let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
                self.api.create(&PostParams::default(), &Object { metadata, spec: Some(self.spec(0)) }).await
            }
            Some(object) => {
                let before = object.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
                let next = Object { spec: Some(self.spec(before.saturating_add(1))), ..object };
                self.api.replace(NAME, &PostParams::default(), &next).await
            }
        };
        match answer {
            // An answer that took too long came to nothing: what was won may be over.
            Ok(object) => Ok(self.fence.extend(now.plus(LEADS)).then(|| {
                info!(me = self.me, "leading");
                Held(object)
            })),
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews until `cancel`; then the lease is still held.
    ///
    /// # Errors
    /// Where it is lost. The fence is closed by then, and this process has to end.
    pub async fn keep(&self, mut held: Held, cancel: &CancellationToken) -> Result<(), Lost> {
        let mut pause = RENEW;
        loop {
            if tokio::time::timeout(pause, cancel.cancelled()).await.is_ok() {
                return Ok(());
            }
            let began = Moment::now();
            // Where its time passes meanwhile, no answer counts.
            let renewed = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                renewed = self.fence.hold(self.renew(&mut held.0)) => renewed.map_err(|_| Lost::TooLate)?,
            };
            match renewed {
                Ok(true) if self.fence.extend(began.plus(LEADS)) => pause = RENEW,
                Ok(true) => return Err(Lost::TooLate),
                Ok(false) => {
                    self.fence.close();
                    return Err(Lost::Taken);
                }
                Err(error) => {
                    warn!(%error, "the lease could not be renewed; it is tried again");
                    pause = AGAIN;
                }
            }
        }
    }

    /// False where the lease is another one's now.
    async fn renew(&self, held: &mut Object) -> Result<bool, kube::Error> {
        let mut next = held.clone();
        let spec = next.spec.get_or_insert_default();
        (spec.renew_time, spec.lease_duration_seconds) = (Some(MicroTime(Timestamp::now())), seconds(DURATION));
        match self.api.replace(NAME, &PostParams::default(), &next).await {
            Ok(object) => {
                *held = object;
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            // Somebody touched it, or an earlier renewal came through whose answer did not.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let Some(object) = self.api.get_opt(NAME).await? else { return Ok(false) };
                let holder = object.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder != Some(self.me.as_str()) {
                    return Ok(false);
                }
                *held = object;
                Err(kube::Error::Api(status))
            }
            Err(error) => Err(error),
        }
    }

    /// Closes the fence and hands the lease back, so that another replica need not wait. Takes two seconds at most.
    pub async fn release(&self) {
        self.fence.close();
        let answer = async {
            loop {
                let Some(object) = self.api.get_opt(NAME).await? else { return Ok(()) };
                let mut spec = object.spec.clone().unwrap_or_default();
                if spec.holder_identity.as_deref() != Some(self.me.as_str()) {
                    return Ok(());
                }
                (spec.holder_identity, spec.lease_duration_seconds) = (None, Some(1));
                match self.api.replace(NAME, &PostParams::default(), &Object { spec: Some(spec), ..object }).await {
                    // A last renewal was still on its way.
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    other => return other.map(|_| info!(me = self.me, "gave the lease back")),
                }
            }
        };
        match tokio::time::timeout(RELEASE, answer).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the lease could not be given back; it expires by itself"),
            Err(_) => warn!("the API server takes too long to take the lease back; it expires by itself"),
        }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = Timestamp::now();
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: seconds(DURATION),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn seconds(duration: Duration) -> Option<i32> {
    i32::try_from(duration.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: Option<&str>, seconds: Option<i32>) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_held_until_it_was_not_renewed_for_its_duration() {
        for (spec, unchanged, expected) in [
            (held(Some("a"), Some(15)), 3, Standing::Held),
            (held(Some("a"), Some(15)), 15, Standing::Held),
            (held(Some("a"), Some(15)), 16, Standing::Free),
            (held(Some("a"), None), 16, Standing::Free),
            (held(Some("me"), Some(15)), 3, Standing::Mine),
            (held(None, Some(15)), 0, Standing::Free),
            (held(Some(""), Some(15)), 0, Standing::Free),
        ] {
            assert_eq!(standing(&spec, "me", Duration::from_secs(unchanged)), expected, "{spec:?}");
        }
    }

    fn object(version: &str, holder: Option<&str>) -> Object {
        let metadata = ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() };
        Object { metadata, spec: Some(held(holder, seconds(DURATION))) }
    }

    #[test]
    fn a_lease_is_watched_from_its_last_change_on_and_a_deleted_one_as_it_was() {
        let start = Moment::now();
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        // (when, what is found, what it means)
        for story in [
            vec![(0, None, Standing::Free)],
            vec![
                (0, Some(object("1", Some("a"))), Standing::Held),
                (15, Some(object("1", Some("a"))), Standing::Held),
                (16, Some(object("1", Some("a"))), Standing::Free),
            ],
            vec![
                (0, Some(object("1", Some("a"))), Standing::Held),
                (14, Some(object("2", Some("a"))), Standing::Held),
                (16, Some(object("2", Some("a"))), Standing::Held),
                (17, Some(object("3", None)), Standing::Free),
            ],
            vec![
                (0, Some(object("1", Some("a"))), Standing::Held),
                (2, None, Standing::Held),
                (16, None, Standing::Free),
            ],
            vec![(0, Some(object("1", None)), Standing::Free), (1, None, Standing::Free)],
        ] {
            let mut seen = None;
            for (seconds, found, expected) in story {
                seen = Seen::after(seen, found.as_ref(), at(seconds));
                assert_eq!(Seen::standing(seen.as_ref(), "me", at(seconds)), expected, "{seen:?} at {seconds} s");
            }
        }
    }

    /// However long a renewal was on its way and however soon or late the other one looked.
    #[test]
    fn no_replica_takes_a_lease_before_its_holder_has_stopped_for_seconds() {
        let start = Moment::now();
        for written in [0, 1, 3000, 9999] {
            for looked in [0, 1, 999] {
                let at = |millis: u64| start.plus(Duration::from_millis(millis));
                let stops = at(0).plus(LEADS);
                let first = Seen::after(None, Some(&object("1", Some("a"))), at(written + looked));
                let taken =
                    (0..40_000).map(at).find(|now| Seen::standing(first.as_ref(), "me", *now) == Standing::Free);
                let margin = taken.map(|taken| taken.since(stops));
                assert!(
                    margin >= Some(Duration::from_secs(5)),
                    "written after {written} ms, seen {looked} ms later: {margin:?}"
                );
            }
        }
    }

    #[test]
    fn a_holder_has_time_for_more_than_one_renewal_and_a_crash_is_taken_over_in_time() {
        // A connection that is dead costs one of them.
        let (contact, calls) = (crate::kubernetes::Contact::default(), crate::metrics::ServerCalls::default());
        let dead = crate::kubernetes::Use::election(contact, calls).answer;
        assert!(RENEW + dead + AGAIN + dead < LEADS);
        assert!(DURATION + LOOK + LOOK < Duration::from_secs(18), "of the 20 s, meters need some to come back");
    }
}
