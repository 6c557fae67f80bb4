//! Watches jobs that are not settled. Those that are stay at the API server, and nothing of them in memory.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use hawser_crds::ComputeJob;
use kube::api::{ApiResource, DynamicObject};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use kube::{Api, Resource};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use super::cache::{Cache, Listed};
use super::lean::Lean;
use super::packed::Packed;
use super::settled;
use super::stock::JobFacts;
use super::watch::{Change, Roll, Watches, name_of};
use super::work::Name;
use crate::kubernetes::watching;

type Job = DeserializeGuard<ComputeJob>;

/// So many are asked about side by side.
const FETCHES: usize = 16;
/// When one is asked about again.
const AGAIN: Duration = Duration::from_secs(15);

impl Watches {
    /// Jobs that are not settled, as they are. `gone` is told of those that are settled or are no more.
    pub(crate) fn jobs(&self, gone: impl Fn(&ComputeJob) + Send + Sync + 'static) -> Cache<Packed> {
        let (store, writer) = reflector::store();
        let (listed, later) = Listed::later();
        let mut book = Book::new(self.clone(), writer, gone);
        book.writer.apply_watcher_event(&Event::Init);
        tokio::spawn(book.follow(listed));
        Cache { store, listed: later }
    }
}

/// What is known of jobs.
struct Book<F> {
    watches: Watches,
    writer: Writer<Packed>,
    /// Jobs in the store that the watch shows no more: settled, deleted, or of a phase that is not theirs. The API server
    /// is asked which; until it has answered they stay as they were.
    doubts: HashSet<Name>,
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    slots: Arc<Semaphore>,
    gone: F,
    /// The store was filled once: before that it shows nothing.
    filled: bool,
}

type Answer = (Name, Result<Option<Found>, kube::Error>);

/// A job as the API server has it.
struct Found {
    job: Job,
    /// Nothing is to be done for it: that is told of one that can't be read, too.
    at_rest: bool,
}

impl Found {
    fn read(object: &DynamicObject) -> Result<Self, kube::Error> {
        let read = serde_json::to_value(object).and_then(serde_json::from_value);
        let Lean(job) = read.map_err(kube::Error::SerdeError)?;
        Ok(Self { job, at_rest: settled::is_at_rest_unread(object) })
    }
}

impl<F: Fn(&ComputeJob) + Send + Sync + 'static> Book<F> {
    fn new(watches: Watches, writer: Writer<Packed>, gone: F) -> Self {
        let slots = Arc::new(Semaphore::new(FETCHES));
        Self { watches, writer, doubts: HashSet::new(), asked: FuturesUnordered::new(), slots, gone, filled: false }
    }

    async fn follow(mut self, listed: watch::Sender<bool>) {
        let watches = self.watches.clone();
        let live = watching().fields(&settled::live());
        let (mut events, mut roll) = (pin!(watches.events_of::<Job>(live)), Roll::default());
        loop {
            tokio::select! {
                event = events.next() => {
                    let Some(event) = event else { return };
                    match roll.change(event, name_of) {
                        Some(Change::Is(job)) => self.set(&job),
                        Some(Change::Gone(name)) => self.doubt(name),
                        Some(Change::All(names)) => {
                            self.keep_only(&names);
                            listed.send_replace(true);
                        }
                        None => {}
                    }
                }
                Some((name, found)) = self.asked.next() => self.told(name, found),
            }
        }
    }

    /// A job as the watch shows it.
    fn set(&mut self, job: &Job) {
        let name = name_of(job);
        self.doubts.remove(&name);
        if job.0.as_ref().is_ok_and(settled::is_at_rest) {
            self.remove(&name);
        } else {
            self.keep(name, job);
        }
    }

    fn keep(&mut self, name: Name, job: &Job) {
        if let Some(known) = self.writer.as_reader().get(&reference(&name)) {
            let (known, now) = (known.meta(), job.meta());
            if known.resource_version.is_some() && known.resource_version == now.resource_version {
                return;
            }
            if known.uid != now.uid {
                // Another one in its place.
                self.remove(&name);
            }
        }
        let job = Packed::new(job);
        let facts = job.facts.clone();
        let event = if self.filled { Event::Apply(job) } else { Event::InitApply(job) };
        self.writer.apply_watcher_event(&event);
        self.count(&name, facts);
        self.watches.jobs.add([name]);
    }

    /// The watch does not show it any more.
    fn doubt(&mut self, name: Name) {
        if self.writer.as_reader().get(&reference(&name)).is_none() {
            self.remove(&name);
        } else if self.doubts.insert(name.clone()) {
            self.ask(name, Duration::ZERO);
        }
    }

    fn ask(&self, name: Name, after: Duration) {
        let kind = ApiResource::erase::<ComputeJob>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.watches.client.clone(), &name.0, &kind);
        let slots = Arc::clone(&self.slots);
        let fetch = async move {
            tokio::time::sleep(after).await;
            // It is never closed.
            let _slot = slots.acquire().await;
            let found = api.get_opt(&name.1).await.and_then(|object| object.as_ref().map(Found::read).transpose());
            (name, found)
        };
        self.asked.push(fetch.boxed());
    }

    /// What the API server says of a job that the watch shows no more.
    fn told(&mut self, name: Name, found: Result<Option<Found>, kube::Error>) {
        if !self.doubts.contains(&name) {
            // The watch has shown it meanwhile.
            return;
        }
        match found {
            Ok(Some(Found { job, at_rest: false })) => {
                // To be deleted, or of a phase that somebody's hand has written: it is looked at, and asked about until
                // it is gone, or the watch shows it.
                self.keep(name.clone(), &job);
                self.ask(name, AGAIN);
            }
            Ok(_) => {
                self.doubts.remove(&name);
                self.remove(&name);
            }
            Err(error) => {
                self.watches.metrics.watch_errors("ComputeJob").inc();
                warn!(job = name.1, namespace = name.0, %error, "what became of a job can't be read; it is tried again");
                self.ask(name, AGAIN);
            }
        }
    }

    fn remove(&mut self, name: &Name) {
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
            if !names.has(&name) {
                self.doubt(name);
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

fn reference(name: &Name) -> ObjectRef<Packed> {
    ObjectRef::new(&name.1).within(&name.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jiff::Timestamp;
    use kube::{Client, Config};
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::controllers::stock::{Sells, SharedStock};
    use crate::controllers::work::Due;
    use crate::metrics::Metrics;

    fn value(name: &str, version: u64, more: &[(&str, Value)]) -> Value {
        let mut value = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": name, "namespace": "t", "uid": name, "resourceVersion": version.to_string()},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        });
        for (pointer, change) in more {
            value[*pointer] = change.clone();
        }
        value
    }

    fn job(name: &str, version: u64, more: &[(&str, Value)]) -> Job {
        let Lean(job) = serde_json::from_value(value(name, version, more)).unwrap();
        job
    }

    /// The API server's answer.
    fn found(name: &str, version: u64, more: &[(&str, Value)]) -> Result<Option<Found>, kube::Error> {
        Found::read(&serde_json::from_value(value(name, version, more)).unwrap()).map(Some)
    }

    fn status(phase: &str, settled: &str) -> (&'static str, Value) {
        let condition = json!({"type": "Settled", "status": settled, "reason": "R", "message": "",
            "lastTransitionTime": Timestamp::now().to_string()});
        ("status", json!({"phase": phase, "conditions": [condition]}))
    }

    fn settled() -> (&'static str, Value) {
        status("Succeeded", "True")
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
        Book::new(watches, writer, gone)
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

        fn asks(&self) -> usize {
            self.asked.len()
        }
    }

    #[tokio::test]
    async fn a_job_that_left_the_watch_stays_until_the_api_server_says_that_it_is_settled() {
        let gone = Arc::<AtomicUsize>::default();
        let mut book = book(Arc::clone(&gone));
        book.set(&job("live", 1, &[]));
        book.keep_only(&[name("live")].into_iter().collect());
        assert_eq!(
            (book.stored(), book.due(), book.unsettled()),
            (vec!["live".to_owned()], vec!["live".to_owned()], 1)
        );
        book.set(&job("live", 1, &[]));
        assert_eq!(book.due(), [""; 0], "nothing has changed");

        book.doubt(name("live"));
        book.doubt(name("live"));
        assert_eq!((book.stored().len(), book.unsettled(), book.asks()), (1, 1, 1), "it is asked about once");
        book.told(name("live"), Err(kube::Error::LinesCodecMaxLineLengthExceeded));
        assert_eq!((book.stored().len(), book.unsettled(), book.asks()), (1, 1, 2), "nobody knows: it is asked again");
        book.told(name("live"), found("live", 2, &[settled()]));
        assert_eq!((book.stored().len(), book.due().len(), book.unsettled()), (0, 0, 0));
        assert_eq!(gone.load(Ordering::Relaxed), 1, "what was kept of it is forgotten");
        book.told(name("live"), found("live", 1, &[]));
        assert_eq!(book.stored(), [""; 0], "an answer that is not waited for");
    }

    #[tokio::test]
    async fn a_phase_that_somebody_wrote_makes_no_live_job_forgotten() {
        let gone = Arc::<AtomicUsize>::default();
        let mut book = book(Arc::clone(&gone));
        book.set(&job("live", 1, &[status("Running", "False")]));
        book.keep_only(&[name("live")].into_iter().collect());
        book.due();
        book.doubt(name("live"));
        book.told(name("live"), found("live", 2, &[status("Succeeded", "False")]));
        assert_eq!(
            (book.stored(), book.due(), book.unsettled()),
            (vec!["live".to_owned()], vec!["live".to_owned()], 1)
        );
        assert_eq!(gone.load(Ordering::Relaxed), 0);
        // Its look writes the phase as it is, and the watch shows it again.
        book.set(&job("live", 3, &[status("Running", "False")]));
        assert!(book.doubts.is_empty());
        book.told(name("live"), Ok(None));
        assert_eq!((book.stored().len(), book.unsettled()), (1, 1), "what was asked before that says nothing");
    }

    #[tokio::test]
    async fn a_job_that_can_not_be_read_leaves_only_where_its_condition_says_that_it_is_settled() {
        let (mut book, unread) = (book(Arc::default()), ("spec", json!({"offerRef": 7})));
        book.keep_only(&Roll::default());
        for (name, phase, settled, stays) in [
            ("live", "Succeeded", "False", true),
            ("over", "Succeeded", "True", false),
            // Of a phase that this operator does not know.
            ("newer", "Paused", "True", true),
        ] {
            let of = self::name(name);
            book.set(&job(name, 1, std::slice::from_ref(&unread)));
            book.doubt(of.clone());
            book.told(of.clone(), found(name, 2, &[unread.clone(), status(phase, settled)]));
            assert_eq!(book.doubts.contains(&of), stays, "{name}: it is asked about until the watch shows it");
        }
        assert_eq!(book.stored(), ["live", "newer"]);
    }

    #[tokio::test]
    async fn a_settled_job_that_is_to_be_deleted_is_looked_at_until_it_is_gone() {
        let mut book = book(Arc::default());
        book.set(&job("j", 1, &[]));
        book.keep_only(&Roll::default());
        book.due();
        assert_eq!(book.asks(), 1, "the list has it no more");
        let metadata = json!({"name": "j", "namespace": "t", "uid": "j", "resourceVersion": "3",
            "finalizers": ["hawser.dev/settlement"], "deletionTimestamp": "2026-01-01T00:00:00Z"});
        book.told(name("j"), found("j", 3, &[settled(), ("metadata", metadata)]));
        assert_eq!((book.stored(), book.due(), book.unsettled()), (vec!["j".to_owned()], vec!["j".to_owned()], 0));
        assert_eq!(book.asks(), 2);
        book.told(name("j"), Ok(None));
        assert_eq!((book.stored().len(), book.doubts.len()), (0, 0));
    }

    #[tokio::test]
    async fn of_another_job_in_its_place_nothing_is_taken_for_the_first_ones() {
        let gone = Arc::<AtomicUsize>::default();
        let mut book = book(Arc::clone(&gone));
        book.set(&job("j", 1, &[]));
        book.keep_only(&[name("j")].into_iter().collect());
        book.doubt(name("j"));
        let metadata = json!({"name": "j", "namespace": "t", "uid": "another", "resourceVersion": "4"});
        book.set(&job("j", 4, &[("metadata", metadata)]));
        assert_eq!((gone.load(Ordering::Relaxed), book.stored().len(), book.unsettled()), (1, 1, 1));
    }

    #[tokio::test]
    async fn a_job_that_can_not_be_read_stays_visible_and_counts_for_its_offer() {
        let mut book = book(Arc::default());
        let metadata = json!({"name": "j", "namespace": "t", "uid": "j", "labels": {"hawser.dev/offer": "o"}});
        book.set(&job("j", 1, &[("spec", json!({"offerRef": 7})), ("metadata", metadata)]));
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
        book.set(&job("j", 1, &[("spec", json!({"offerRef": 7}))]));
        book.keep_only(&[name("j")].into_iter().collect());
        let mut due = book.watches.offers.taken().boxed();
        while due.next().now_or_never().flatten().is_some_and(|(_, offer)| offer.is_empty()) {}
        book.remove(&name("j"));
        let all: Vec<_> = std::iter::from_fn(|| due.next().now_or_never().flatten()).collect();
        assert!(all.contains(&name("other")), "{all:?}");
    }
}
