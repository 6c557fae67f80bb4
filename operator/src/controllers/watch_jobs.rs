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
use tokio::sync::Semaphore;
use tracing::warn;

use super::cache::Cache;
use super::lean::Lean;
use super::listed::{Listed, Listing};
use super::packed::Packed;
use super::settled;
use super::watch::{Change, Roll, Watches, name_of};
use super::work::Name;
use crate::inventory::JobFacts;
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
        let (listing, listed) = Listed::later("ComputeJob");
        let mut book = Book::new(self.clone(), writer, gone);
        book.writer.apply_watcher_event(&Event::Init);
        tokio::spawn(book.follow(listing));
        Cache { store, listed }
    }
}

/// What is known of jobs.
struct Book<F> {
    watches: Watches,
    writer: Writer<Packed>,
    /// Jobs in the store that the watch shows no more: settled, deleted, or of a phase that is not theirs. The API server
    /// is asked which; until it has answered they stay as they were.
    doubts: HashSet<Name>,
    asked: FuturesUnordered<BoxFuture<'static, FetchResult>>,
    slots: Arc<Semaphore>,
    gone: F,
    /// The store was filled once: before that it shows nothing.
    filled: bool,
}

type FetchResult = (Name, Result<Option<Found>, kube::Error>);

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

    async fn follow(mut self, listing: Listing) {
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
                            listing.done();
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
            let all: Vec<Name> = self.watches.inventory.read(|inventory| inventory.offer_names().cloned().collect());
            self.watches.offers.add(all);
        }
        self.writer.apply_watcher_event(&Event::Delete((*job).clone()));
    }

    fn count(&self, name: &Name, facts: Option<Arc<JobFacts>>) {
        let concerned = self.watches.inventory.write(|inventory| inventory.set_job(name, facts));
        self.watches.offers.add(concerned);
    }
}

fn reference(name: &Name) -> ObjectRef<Packed> {
    ObjectRef::new(&name.1).within(&name.0)
}

#[cfg(test)]
mod tests;
