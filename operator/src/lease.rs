//! Who leads: one `Lease` (coordination.k8s.io/v1) in the operator's namespace.
//!
//! A replica that can't renew in time stops before another one may take over: it gives up after [`GIVE_UP`], others
//! wait for [`DURATION`]. And every act on chain is safe twice, so a clock that jumps costs gas and no more.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Name of the lease.
pub const NAME: &str = "hawser-operator";
/// A lease that was not renewed for so long can be taken.
const DURATION: Duration = Duration::from_secs(15);
/// The holder gives up when it could not renew for so long.
const GIVE_UP: Duration = Duration::from_secs(10);
/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(3);

/// The lease could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused.
    #[error("lease {NAME}: {0}")]
    Kubernetes(#[from] kube::Error),
}

/// This replica's part in the election.
#[derive(Clone)]
pub struct Lease {
    api: Api<Object>,
    me: String,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("me", &self.me).finish_non_exhaustive()
    }
}

/// What a lease means to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Free,
    Mine,
    Held,
}

/// Reads a lease. `unchanged` is for how long this replica has seen it as it is: another one's clock is not trusted.
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

impl Lease {
    /// Takes part as `me`, a name that no other replica has.
    pub fn new(client: Client, namespace: &str, me: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), me: me.to_owned() }
    }

    /// Waits until this replica leads; false where `cancel` came first.
    ///
    /// # Errors
    /// Where leases are refused to this service account. An API server that can't be reached is waited for.
    pub async fn acquire(&self, cancel: &CancellationToken) -> Result<bool, LeaseError> {
        let mut last: Option<(Option<String>, Instant)> = None;
        loop {
            match self.try_acquire(&mut last).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(kube::Error::Api(status)) if status.code == 403 => return Err(kube::Error::Api(status).into()),
                Err(error) => warn!(%error, "the lease can't be read; it is tried again"),
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(false),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn try_acquire(&self, last: &mut Option<(Option<String>, Instant)>) -> Result<bool, kube::Error> {
        let Some(object) = self.api.get_opt(NAME).await? else {
            let object = Object {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec(0, Timestamp::now())),
            };
            return self.won(self.api.create(&PostParams::default(), &object).await);
        };
        let version = object.metadata.resource_version.clone();
        let since = match last {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                let now = Instant::now();
                *last = Some((version, now));
                now
            }
        };
        let spec = object.spec.clone().unwrap_or_default();
        if standing(&spec, &self.me, since.elapsed()) == Standing::Held {
            return Ok(false);
        }
        let transitions = spec.lease_transitions.unwrap_or_default().saturating_add(1);
        let next = Object { spec: Some(self.spec(transitions, Timestamp::now())), ..object };
        self.won(self.api.replace(NAME, &PostParams::default(), &next).await)
    }

    fn won(&self, answer: Result<Object, kube::Error>) -> Result<bool, kube::Error> {
        match answer {
            Ok(_) => {
                info!(me = self.me, "leading");
                Ok(true)
            }
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renews until `cancel`. Returns true then, and false where the lease is lost: everything that leads must stop at
    /// once.
    pub async fn keep(&self, cancel: &CancellationToken) -> bool {
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return true,
                () = tokio::time::sleep(EVERY) => {}
            }
            match tokio::time::timeout(EVERY, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => {
                    warn!(me = self.me, "another replica holds the lease");
                    return false;
                }
                Ok(Err(error)) => warn!(%error, "the lease could not be renewed"),
                Err(_) => warn!("the API server takes too long to renew the lease"),
            }
            if renewed.elapsed() > GIVE_UP {
                warn!(me = self.me, "the lease could not be renewed in time");
                return false;
            }
        }
    }

    async fn renew(&self) -> Result<bool, kube::Error> {
        let object = self.api.get(NAME).await?;
        let spec = object.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(self.me.as_str()) {
            return Ok(false);
        }
        let acquired = spec.acquire_time.clone();
        let mut spec = self.spec(spec.lease_transitions.unwrap_or_default(), Timestamp::now());
        spec.acquire_time = acquired.or(spec.acquire_time);
        self.api.replace(NAME, &PostParams::default(), &Object { spec: Some(spec), ..object }).await?;
        Ok(true)
    }

    /// Hands the lease back, so that another replica need not wait.
    pub async fn release(&self) {
        let answer = async {
            let object = self.api.get(NAME).await?;
            let mut spec = object.spec.clone().unwrap_or_default();
            if spec.holder_identity.as_deref() == Some(self.me.as_str()) {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                self.api.replace(NAME, &PostParams::default(), &Object { spec: Some(spec), ..object }).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if let Err(error) = answer.await {
            warn!(%error, "the lease could not be released; it expires by itself");
        }
    }

    fn spec(&self, transitions: i32, now: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_until_it_was_not_renewed_for_its_duration() {
        let held = |holder: Option<&str>, seconds: Option<i32>| LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        };
        for (spec, unchanged, expected) in [
            (held(Some("a"), Some(15)), 3, Standing::Held),
            (held(Some("a"), Some(15)), 16, Standing::Free),
            (held(Some("a"), None), 16, Standing::Free),
            (held(Some("me"), Some(15)), 3, Standing::Mine),
            (held(None, Some(15)), 0, Standing::Free),
            (held(Some(""), Some(15)), 0, Standing::Free),
        ] {
            assert_eq!(standing(&spec, "me", Duration::from_secs(unchanged)), expected, "{spec:?}");
        }
    }
}
