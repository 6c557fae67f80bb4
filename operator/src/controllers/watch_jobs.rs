//! Watches jobs. Those that are settled rest until they may be deleted: they stay at the API server and not in memory.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use hawser_crds::ComputeJob;
use jiff::{SignedDuration, Timestamp};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use kube::{Api, Resource};
use tokio::sync::watch;
use tracing::warn;

use super::cache::{Cache, Listed};
use super::compute_job::{Rest, rest};
use super::lean::Lean;
use super::packed::Packed;
use super::stock::JobFacts;
use super::watch::{Change, Roll, Watches, name_of};
use super::work::{Name, Resting};

type Job = DeserializeGuard<ComputeJob>;

/// So many of those that wake are fetched side by side.
const FETCHES: usize = 16;
/// When one that could not be fetched is fetched again.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// A clock that is set is noticed after so long.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

impl Watches {
    /// Jobs that are not settled, as they are; settled ones once `keep` is over. `gone` is told of those that rest or
    /// are no more.
    pub(crate) fn jobs(&self, keep: Duration, gone: impl Fn(&ComputeJob) + Send + Sync + 'static) -> Cache<Packed> {
        let (store, writer) = reflector::store();
        let (listed, later) = Listed::later();
        let (resting, awake) = (Resting::default(), Resting::default());
        let mut book = Book { watches: self.clone(), writer, resting, awake, keep, gone, filled: false };
        book.writer.apply_watcher_event(&Event::Init);
        tokio::spawn(book.follow(listed));
        Cache { store, listed: later }
    }
}

/// What is known of jobs.
struct Book<F> {
    watches: Watches,
    writer: Writer<Packed>,
    resting: Resting,
    /// Settled ones in the store, which go on resting then.
    awake: Resting,
    keep: Duration,
    gone: F,
    /// The store was filled once: before that it shows nothing.
    filled: bool,
}

impl<F: Fn(&ComputeJob) + Send + Sync + 'static> Book<F> {
    async fn follow(mut self, listed: watch::Sender<bool>) {
        let watches = self.watches.clone();
        let (mut events, mut roll) = (pin!(watches.events::<Job>()), Roll::default());
        let mut fetches = FuturesUnordered::new();
        loop {
            while fetches.len() < FETCHES {
                let Some(name) = self.resting.due(Timestamp::now()) else { break };
                let api: Api<Lean<Job>> = Api::namespaced(watches.client.clone(), &name.0);
                fetches.push(async move { (api.get_opt(&name.1).await, name) }.boxed());
            }
            while let Some(name) = self.awake.due(Timestamp::now()) {
                self.awake.wake(&name);
                if let Some(job) = self.writer.as_reader().get(&reference(&name)) {
                    self.set(job.job());
                }
            }
            let now = Timestamp::now();
            let wake = sleep(self.resting.next(), now, fetches.len()).min(sleep(self.awake.next(), now, 0));
            let sleep = tokio::time::sleep(wake);
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return };
                    match roll.change(event, name_of) {
                        Some(Change::Is(job)) => self.set(job),
                        Some(Change::Gone(name)) => self.remove(&name),
                        Some(Change::All(names)) => {
                            self.keep_only(&names);
                            listed.send_replace(true);
                        }
                        None => {}
                    }
                }
                Some((found, name)) = fetches.next() => self.woken(name, found),
                () = sleep => {}
            }
        }
    }

    /// A job as it is now.
    fn set(&mut self, job: Job) {
        self.set_at(job, Timestamp::now());
    }

    fn set_at(&mut self, job: Job, now: Timestamp) {
        let name = name_of(&job);
        let rest = job.0.as_ref().map_or(Rest::Not, |job| rest(job, self.keep, now));
        self.awake.wake(&name);
        match rest {
            Rest::Until(until) => {
                self.drop_from_store(&name);
                self.resting.rest(name.clone(), until);
                self.count(&name, None);
            }
            Rest::From(_) | Rest::Not => {
                if let Rest::From(then) = rest {
                    self.awake.rest(name.clone(), then);
                }
                self.resting.wake(&name);
                let known = self.writer.as_reader().get(&reference(&name));
                let unchanged = known.is_some_and(|known| {
                    known.meta().resource_version.is_some()
                        && known.meta().resource_version == job.meta().resource_version
                });
                if !unchanged {
                    let job = Packed::new(&job);
                    let facts = job.facts.clone();
                    let event = if self.filled { Event::Apply(job) } else { Event::InitApply(job) };
                    self.writer.apply_watcher_event(&event);
                    self.count(&name, facts);
                    self.watches.jobs.add([name]);
                }
            }
        }
    }

    fn remove(&mut self, name: &Name) {
        self.resting.wake(name);
        self.awake.wake(name);
        self.drop_from_store(name);
        self.count(name, None);
    }

    /// A list is complete.
    fn keep_only(&mut self, names: &Roll) {
        if !self.filled {
            self.filled = true;
            self.writer.apply_watcher_event(&Event::InitDone);
        }
        for job in self.writer.as_reader().state() {
            let name = name_of(&*job);
            if self.resting.rests(&name) {
                // A list that broke off had it before it was settled.
                self.drop_from_store(&name);
            } else if !names.has(&name) {
                self.remove(&name);
            }
        }
        let gone: Vec<Name> = self.resting.names().filter(|name| !names.has(*name)).cloned().collect();
        for name in &gone {
            self.remove(name);
        }
        let gone: Vec<Name> =
            self.watches.stock.read(|s| s.job_names().filter(|name| !names.has(*name)).cloned().collect());
        for name in &gone {
            self.remove(name);
        }
    }

    /// A job whose rest is over, as the API server has it.
    fn woken(&mut self, name: Name, fetched: Result<Option<Lean<Job>>, kube::Error>) {
        if !self.resting.rests(&name) {
            // It has come back, or gone, meanwhile.
            return;
        }
        match fetched {
            Ok(Some(Lean(job))) => self.set(job),
            Ok(None) => self.remove(&name),
            Err(error) => {
                self.watches.metrics.watch_errors("ComputeJob").inc();
                warn!(job = name.1, namespace = name.0, %error, "a settled job can't be read; it is tried again");
                let again = Timestamp::now().checked_add(AGAIN).unwrap_or(Timestamp::MAX);
                self.resting.rest(name, again);
            }
        }
    }

    fn drop_from_store(&mut self, name: &Name) {
        let Some(job) = self.writer.as_reader().get(&reference(name)) else { return };
        if let Ok(job) = job.job().0 {
            (self.gone)(&job);
        } else {
            // Nobody knows whose GPUs it was counted to hold.
            let all: Vec<Name> = self.watches.stock.read(|stock| stock.offer_names().cloned().collect());
            self.watches.offers.add(all);
        }
        self.writer.apply_watcher_event(&Event::Delete((*job).clone()));
    }

    fn count(&self, name: &Name, facts: Option<Arc<JobFacts>>) {
        let concerned = self.watches.stock.write(|stock| stock.set_job(name, facts));
        self.watches.offers.add(concerned);
    }
}

/// How long to wait for the next that wakes, while so many are being fetched.
fn sleep(next: Option<Timestamp>, now: Timestamp, fetching: usize) -> Duration {
    match next {
        Some(next) if fetching < FETCHES => {
            Duration::try_from(next.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
        }
        _ => LONGEST_SLEEP,
    }
}

fn reference(name: &Name) -> ObjectRef<Packed> {
    ObjectRef::new(&name.1).within(&name.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kube::{Client, Config};
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::controllers::stock::{Sells, SharedStock};
    use crate::controllers::work::Due;
    use crate::metrics::Metrics;

    #[test]
    fn the_next_that_wakes_is_waited_for_unless_the_fetches_are_all_taken() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (next, fetching, seconds) in
            [(None, 0, 60), (Some(110), 0, 10), (Some(90), 0, 0), (Some(90), FETCHES, 60), (Some(1000), 0, 60)]
        {
            assert_eq!(sleep(next.map(at), at(100), fetching), Duration::from_secs(seconds), "{next:?} {fetching}");
        }
    }

    fn job(name: &str, version: u64, more: &[(&str, Value)]) -> Job {
        let mut value = json!({
            "metadata": {"name": name, "namespace": "t", "uid": name, "resourceVersion": version.to_string()},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        });
        for (pointer, change) in more {
            value[*pointer] = change.clone();
        }
        let Lean(job) = serde_json::from_value(value).unwrap();
        job
    }

    fn settled() -> (&'static str, Value) {
        let condition = json!({"type": "Settled", "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": Timestamp::now().to_string()});
        ("status", json!({"conditions": [condition]}))
    }

    fn name(text: &str) -> Name {
        ("t".to_owned(), text.to_owned())
    }

    fn book(gone: Arc<AtomicUsize>) -> Book<impl Fn(&ComputeJob) + Send + Sync + 'static> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let watches = Watches {
            client,
            stock: SharedStock::default(),
            offers: Due::default(),
            jobs: Due::default(),
            metrics: Metrics::default(),
            cancel: CancellationToken::new(),
        };
        let (_, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Init);
        let gone = move |_: &ComputeJob| {
            gone.fetch_add(1, Ordering::Relaxed);
        };
        let (resting, awake) = (Resting::default(), Resting::default());
        Book { watches, writer, resting, awake, keep: Duration::from_hours(1), gone, filled: false }
    }

    impl<F: Fn(&ComputeJob) + Send + Sync + 'static> Book<F> {
        fn stored(&self) -> Vec<String> {
            let mut names: Vec<_> = self.writer.as_reader().state().iter().map(|job| name_of(&**job).1).collect();
            names.sort();
            names
        }

        fn due(&self) -> Vec<String> {
            let mut taken = self.watches.jobs.taken().boxed();
            std::iter::from_fn(|| taken.next().now_or_never().flatten()).map(|(_, name)| name).collect()
        }

        fn unsettled(&self) -> u32 {
            self.watches.stock.read(|stock| stock.unsettled(&name("o")))
        }
    }

    #[tokio::test]
    async fn a_settled_job_leaves_memory_and_is_looked_at_when_its_rest_is_over() {
        let gone = Arc::<AtomicUsize>::default();
        let mut book = book(Arc::clone(&gone));
        book.set(job("live", 1, &[]));
        book.set(job("old", 1, &[settled()]));
        book.keep_only(&[name("live"), name("old")].into_iter().collect());
        assert_eq!(
            (book.stored(), book.due(), book.unsettled()),
            (vec!["live".to_owned()], vec!["live".to_owned()], 1)
        );

        book.set(job("live", 1, &[]));
        assert_eq!(book.due(), [""; 0], "nothing has changed");
        book.set(job("live", 2, &[settled()]));
        assert_eq!((book.stored().len(), book.due().len(), book.unsettled()), (0, 0, 0));
        assert_eq!(gone.load(Ordering::Relaxed), 1, "what was kept of it is forgotten");

        let deleted = json!({"name": "old", "namespace": "t", "uid": "old", "resourceVersion": "3",
            "deletionTimestamp": "2026-01-01T00:00:00Z"});
        book.woken(name("old"), Ok(Some(Lean(job("old", 3, &[settled(), ("metadata", deleted)])))));
        assert_eq!((book.stored(), book.due()), (vec!["old".to_owned()], vec!["old".to_owned()]));
        book.woken(name("stranger"), Ok(Some(Lean(job("stranger", 1, &[])))));
        assert_eq!(book.stored(), ["old"], "it has gone while it was fetched");

        book.keep_only(&Roll::default());
        assert_eq!((book.stored().len(), book.resting.names().count()), (0, 0));
    }

    #[tokio::test]
    async fn a_settled_job_is_looked_at_when_its_pod_is_to_go_and_rests_again() {
        let mut book = book(Arc::default());
        book.keep_only(&Roll::default());
        let (settled, minute) = (Timestamp::now(), SignedDuration::from_mins(1));
        let at = |minutes: i32| settled.checked_add(minute * minutes).unwrap();
        let the_job = || job("j", 1, &[self::settled()]);
        book.set_at(the_job(), at(9));
        assert_eq!((book.stored().len(), book.due().len()), (0, 0));
        book.set_at(the_job(), at(11));
        assert_eq!((book.stored(), book.due()), (vec!["j".to_owned()], vec!["j".to_owned()]));
        assert!(book.awake.rests(&name("j")) && !book.resting.rests(&name("j")));
        assert_eq!(book.unsettled(), 0);
        book.set_at(the_job(), at(16));
        assert_eq!((book.stored().len(), book.due().len()), (0, 0));
        assert!(!book.awake.rests(&name("j")) && book.resting.rests(&name("j")));
    }

    #[tokio::test]
    async fn a_job_that_can_not_be_read_stays_visible_and_counts_for_its_offer() {
        let mut book = book(Arc::default());
        let metadata = json!({"name": "j", "namespace": "t", "uid": "j", "labels": {"hawser.dev/offer": "o"}});
        book.set(job("j", 1, &[("spec", json!({"offerRef": 7})), ("metadata", metadata)]));
        book.keep_only(&[name("j")].into_iter().collect());
        assert_eq!((book.stored(), book.due(), book.unsettled()), (vec!["j".to_owned()], vec!["j".to_owned()], 1));
    }

    #[tokio::test]
    async fn when_a_job_that_can_not_be_read_is_gone_all_offers_are_looked_at() {
        let mut book = book(Arc::default());
        let spec = serde_json::from_value(json!({"networkRef": "n", "gpu": {"product": "p"},
            "price": {"perGpuHour": "1", "token": "0x"}}));
        let sells = Sells::from(&spec.unwrap());
        book.watches.stock.write(|stock| stock.set_offer(&name("other"), Some(&sells)));
        book.set(job("j", 1, &[("spec", json!({"offerRef": 7}))]));
        book.keep_only(&[name("j")].into_iter().collect());
        let mut due = book.watches.offers.taken().boxed();
        while due.next().now_or_never().flatten().is_some_and(|(_, offer)| offer.is_empty()) {}
        book.remove(&name("j"));
        let all: Vec<_> = std::iter::from_fn(|| due.next().now_or_never().flatten()).collect();
        assert!(all.contains(&name("other")), "{all:?}");
    }
}
