//! Watches nodes, pods, jobs and offers. Each change goes into the inventory or a store, and what it concerns becomes due.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;

use futures::{Stream, StreamExt};
use hawser_crds::GpuOffer;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::cache::Cache;
use super::gpu_offer::claims;
use super::lean::{Lean, ReadLean};
use super::listed::{Listed, Listing};
use super::work::{Due, Name, mark};
use crate::inventory::{NodeFacts, PodFacts, Sells, SharedInventory};
use crate::kubernetes::{again, watching};
use crate::metrics::Metrics;

/// What every watch has at hand.
#[derive(Clone)]
pub(crate) struct Watches {
    pub client: Client,
    pub inventory: SharedInventory,
    /// Offers and jobs that are due for a look.
    pub offers: Due<Name>,
    pub jobs: Due<Name>,
    pub metrics: Metrics,
    pub cancel: CancellationToken,
}

/// What an event of a watch comes to.
#[derive(Debug)]
pub(crate) enum Change<K, T> {
    Is(K),
    Gone(T),
    /// A list is complete: there are these objects and no others.
    All(Roll),
}

/// The names that a list has shown so far; of each its mark alone, as there are tens of thousands.
#[derive(Debug, Default)]
pub(crate) struct Roll(HashSet<u64>);

impl Roll {
    pub(crate) fn has(&self, name: &impl Hash) -> bool {
        self.0.contains(&mark(name))
    }

    /// A list that breaks off begins anew; what was known before stays until a list is complete.
    pub(crate) fn change<K, T: Hash>(&mut self, event: Event<Lean<K>>, name: impl Fn(&K) -> T) -> Option<Change<K, T>> {
        match event {
            Event::Init => {
                *self = Self::default();
                None
            }
            Event::InitApply(Lean(object)) => {
                self.0.insert(mark(name(&object)));
                Some(Change::Is(object))
            }
            Event::InitDone => Some(Change::All(std::mem::take(self))),
            Event::Apply(Lean(object)) => Some(Change::Is(object)),
            Event::Delete(Lean(object)) => Some(Change::Gone(name(&object))),
        }
    }
}

impl<T: Hash> FromIterator<T> for Roll {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(mark).collect())
    }
}

impl Watches {
    /// Events of a kind until the operator stops; what fails is tried again, and counted.
    pub(crate) fn events<K>(&self) -> impl Stream<Item = Event<Lean<K>>> + Send + use<K>
    where
        K: ReadLean + Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
    {
        self.events_of(watching())
    }

    /// The same of some objects of a kind.
    pub(crate) fn events_of<K>(&self, which: watcher::Config) -> impl Stream<Item = Event<Lean<K>>> + Send + use<K>
    where
        K: ReadLean + Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
    {
        let metrics = self.metrics.clone();
        watcher(Api::<Lean<K>>::all(self.client.clone()), which)
            .backoff(again())
            .take_until(self.cancel.clone().cancelled_owned())
            .filter_map(move |event| {
                let event = event.inspect_err(|error| {
                    metrics.watch_errors(kind::<K>()).inc();
                    warn!(kind = kind::<K>(), %error, "watch failed; it goes on after a while");
                });
                std::future::ready(event.ok())
            })
    }

    /// Nodes: what they have.
    pub(crate) fn nodes(&self) -> Listed {
        let (listing, listed) = Listed::later(kind::<Node>());
        tokio::spawn(self.clone().follow_nodes(listing));
        listed
    }

    /// Whether anything but the device plugin hands out a node's GPUs.
    pub(crate) fn slices(&self) -> Listed {
        let (listing, listed) = Listed::later(claims::KIND);
        tokio::spawn(claims::follow(self.clone(), listing));
        listed
    }

    async fn follow_nodes(self, listing: Listing) {
        let (mut events, mut roll) = (pin!(self.events::<Node>()), Roll::default());
        while let Some(event) = events.next().await {
            let concerned = match roll.change(event, ResourceExt::name_any) {
                Some(Change::Is(node)) => self.inventory.write(|inventory| {
                    let facts = NodeFacts::of(&node, &mut inventory.words);
                    inventory.set_node(&node.name_any(), Some(facts))
                }),
                Some(Change::Gone(name)) => self.inventory.write(|inventory| inventory.set_node(&name, None)),
                Some(Change::All(names)) => {
                    let concerned = self.inventory.write(|inventory| {
                        let gone: Vec<_> = inventory.node_names().filter(|name| !names.has(*name)).cloned().collect();
                        inventory.words.trim();
                        gone.iter().flat_map(|name| inventory.set_node(name, None)).collect()
                    });
                    listing.done();
                    concerned
                }
                None => continue,
            };
            self.offers.add(concerned);
        }
    }

    /// Pods: what they hold of nodes, and how those of jobs are.
    pub(crate) fn pods(&self) -> Listed {
        let (listing, listed) = Listed::later(kind::<Pod>());
        tokio::spawn(self.clone().follow_pods(listing));
        listed
    }

    async fn follow_pods(self, listing: Listing) {
        let (mut events, mut roll) = (pin!(self.events::<Pod>()), Roll::default());
        while let Some(event) = events.next().await {
            match roll.change(event, name_of) {
                Some(Change::Is(pod)) => {
                    let name = name_of(&pod);
                    let (offers, jobs) = self.inventory.write(|inventory| {
                        let facts = PodFacts::of(&pod, &mut inventory.words);
                        inventory.set_pod(&name, facts)
                    });
                    self.offers.add(offers);
                    self.jobs.add(jobs);
                }
                Some(Change::Gone(name)) => self.pods_gone([name]),
                Some(Change::All(names)) => {
                    let known = |name: &&Name| !names.has(*name);
                    let gone: Vec<_> = self.inventory.read(|s| s.pod_names().filter(known).cloned().collect());
                    self.pods_gone(gone);
                    self.inventory.write(|inventory| inventory.words.trim());
                    listing.done();
                }
                None => {}
            }
        }
    }

    fn pods_gone(&self, names: impl IntoIterator<Item = Name>) {
        for name in names {
            let (offers, jobs) = self.inventory.write(|inventory| inventory.set_pod(&name, None));
            self.offers.add(offers);
            self.jobs.add(jobs);
        }
    }

    /// Offers: all of them as they are.
    pub(crate) fn offers(&self, gone: impl Fn(&Name) + Send + Sync + 'static) -> Cache<DeserializeGuard<GpuOffer>> {
        let (store, writer) = reflector::store();
        let (listing, listed) = Listed::later(kind::<GpuOffer>());
        tokio::spawn(self.clone().follow_offers(writer, listing, gone));
        Cache { store, listed }
    }

    async fn follow_offers(
        self,
        mut writer: reflector::store::Writer<DeserializeGuard<GpuOffer>>,
        listing: Listing,
        gone: impl Fn(&Name) + Send + Sync + 'static,
    ) {
        let mut events = pin!(self.events::<DeserializeGuard<GpuOffer>>());
        while let Some(event) = events.next().await {
            let known: HashSet<Name> = match &event {
                Event::InitDone => writer.as_reader().state().iter().map(|offer| name_of(&**offer)).collect(),
                _ => HashSet::new(),
            };
            let event = bare(event);
            writer.apply_watcher_event(&event);
            let set = |offer: &DeserializeGuard<GpuOffer>| {
                let sells = offer.0.as_ref().ok().map(|offer| Sells::from(&offer.spec));
                self.inventory.write(|inventory| inventory.set_offer(&name_of(offer), sells.as_ref()))
            };
            let remove = |name: &Name| {
                gone(name);
                self.inventory.write(|inventory| inventory.set_offer(name, None))
            };
            match &event {
                Event::Apply(offer) => {
                    self.offers.add(set(offer));
                    self.offers.add([name_of(offer)]);
                }
                Event::Delete(offer) => self.offers.add(remove(&name_of(offer))),
                Event::InitDone => {
                    let offers = writer.as_reader().state();
                    for offer in &offers {
                        set(offer);
                    }
                    let names: HashSet<Name> = offers.iter().map(|offer| name_of(&**offer)).collect();
                    for name in known.difference(&names) {
                        remove(name);
                    }
                    self.offers.add(names);
                    listing.done();
                }
                Event::Init | Event::InitApply(_) => {}
            }
        }
    }
}

/// The event of the object itself.
fn bare<K>(event: Event<Lean<K>>) -> Event<K> {
    match event {
        Event::Apply(Lean(object)) => Event::Apply(object),
        Event::Delete(Lean(object)) => Event::Delete(object),
        Event::Init => Event::Init,
        Event::InitApply(Lean(object)) => Event::InitApply(object),
        Event::InitDone => Event::InitDone,
    }
}

pub(crate) fn name_of<K: Resource>(object: &K) -> Name {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A kind's name, for people.
fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "other",
    }
}
