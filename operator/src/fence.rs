//! What the leader may still do: everything that leaves this process for good passes the fence first.
//!
//! The fence stands open until the moment at which the lease may belong to another replica, by a clock that also runs while
//! the machine sleeps. It is asked where bytes go out and not only where work begins: a process that was stopped in between
//! and goes on an hour later must not send what it had in hand.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// A point of time since the machine started, its sleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(since_boot())
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(nanos(more)))
    }

    /// How long ago `earlier` was; nothing where it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `CLOCK_MONOTONIC`, which is what `Instant` reads, stands still while a machine sleeps; `CLOCK_BOOTTIME` does not.
#[cfg(target_os = "linux")]
fn since_boot() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    // A clock that can't be read is one by which every lease is over.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(u64::MAX, |now| nanos(Duration::from(now)))
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> u64 {
    use std::{sync::LazyLock, time::Instant};
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    nanos(START.elapsed()).saturating_add(2)
}

/// The lease is not held, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica does not hold the lease")]
pub struct NotLeading;

/// Never held.
const NEVER: u64 = 0;
/// Given back.
const OVER: u64 = 1;

/// Until when this replica leads. Clones are the same fence; a new one is closed.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<AtomicU64>);

impl Fence {
    /// A fence that never closes: where there is no other replica.
    pub fn always() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Opens the fence until `until`, or for longer; false where it has closed meanwhile. That is for good.
    pub fn extend(&self, until: Moment) -> bool {
        let now = Moment::now();
        let longer = |had: u64| (!is_over(had, now)).then(|| had.max(until.0));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer).is_ok() && until > now
    }

    /// Closes it for good.
    pub fn close(&self) {
        self.0.store(OVER, Ordering::Release);
    }

    /// Whether this replica leads.
    pub fn holds(&self) -> bool {
        holds(self.0.load(Ordering::Acquire), Moment::now())
    }

    /// Whether this replica has led and does not any more.
    pub fn is_over(&self) -> bool {
        is_over(self.0.load(Ordering::Acquire), Moment::now())
    }

    /// Whether it closed because its time was over, and not by [`Fence::close`].
    pub fn has_run_out(&self) -> bool {
        let until = self.0.load(Ordering::Acquire);
        until != OVER && is_over(until, Moment::now())
    }

    /// For how long it leads if nothing more happens.
    fn left(&self) -> Duration {
        Moment(self.0.load(Ordering::Acquire)).since(Moment::now())
    }

    /// Runs `work` only while the lease is held: it is not touched any more from the moment at which that ends.
    pub async fn hold<F: Future>(&self, work: F) -> Result<F::Output, NotLeading> {
        let mut work = pin!(work);
        loop {
            let closes = tokio::time::sleep(self.left());
            tokio::select! {
                biased;
                done = (Held { fence: self, work: work.as_mut() }) => return done,
                () = closes => {}
            }
        }
    }
}

fn holds(until: u64, now: Moment) -> bool {
    now.0 < until
}

fn is_over(until: u64, now: Moment) -> bool {
    until != NEVER && !holds(until, now)
}

/// Asks the fence before each step of its work.
struct Held<'a, F> {
    fence: &'a Fence,
    work: Pin<&'a mut F>,
}

impl<F: Future> Future for Held<'_, F> {
    type Output = Result<F::Output, NotLeading>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.fence.holds() {
            return Poll::Ready(Err(NotLeading));
        }
        self.work.as_mut().poll(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_open_up_to_its_moment_and_closed_for_good_after_it() {
        for (until, now, open, over) in [
            (NEVER, 5, false, false),
            (OVER, 5, false, true),
            (10, 9, true, false),
            (10, 10, false, true),
            (10, 11, false, true),
            (u64::MAX, 11, true, false),
        ] {
            assert_eq!((holds(until, Moment(now)), is_over(until, Moment(now))), (open, over), "{until} at {now}");
        }
    }

    #[test]
    fn a_fence_that_has_closed_is_not_opened_again() {
        let (fence, minute) = (Fence::default(), Duration::from_mins(1));
        assert!(!fence.holds() && !fence.is_over());
        assert!(fence.extend(Moment::now().plus(minute)) && fence.holds());
        fence.close();
        assert!(!fence.extend(Moment::now().plus(minute)) && !fence.holds() && fence.is_over());
        assert!(!fence.has_run_out(), "closed on purpose");

        let late = Fence::default();
        assert!(!late.extend(Moment(2)), "the answer came after the lease was over");
        assert!(late.is_over() && late.has_run_out() && !late.extend(Moment::now().plus(minute)));
    }

    #[test]
    fn a_shorter_lease_takes_nothing_from_a_longer_one() {
        let fence = Fence::default();
        let now = Moment::now();
        fence.extend(now.plus(Duration::from_mins(2)));
        fence.extend(now.plus(Duration::from_mins(1)));
        assert!(fence.left() > Duration::from_secs(90));
    }

    #[tokio::test]
    async fn work_is_not_touched_once_the_fence_is_closed() {
        let fence = Fence::default();
        assert_eq!(fence.hold(async { 1 }).await, Err(NotLeading), "before it leads");
        fence.extend(Moment::now().plus(Duration::from_mins(1)));
        assert_eq!(fence.hold(async { 1 }).await, Ok(1));
        let closing = fence.clone();
        let mut touched = false;
        let work = async {
            closing.close();
            tokio::task::yield_now().await;
            touched = true;
        };
        assert_eq!(fence.hold(work).await, Err(NotLeading));
        assert!(!touched);
    }

    #[tokio::test]
    async fn work_that_takes_longer_than_the_lease_is_dropped_when_it_ends() {
        let fence = Fence::default();
        fence.extend(Moment::now().plus(Duration::from_millis(20)));
        assert_eq!(fence.hold(std::future::pending::<()>()).await, Err(NotLeading));
    }
}
