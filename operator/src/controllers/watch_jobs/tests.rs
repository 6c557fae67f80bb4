use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::controllers::work::Due;
use crate::inventory::{Sells, SharedInventory};
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
        inventory: SharedInventory::default(),
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
        self.watches.inventory.read(|inventory| inventory.unsettled(&name("o")))
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
    assert_eq!((book.stored(), book.due(), book.unsettled()), (vec!["live".to_owned()], vec!["live".to_owned()], 1));
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
    assert_eq!((book.stored(), book.due(), book.unsettled()), (vec!["live".to_owned()], vec!["live".to_owned()], 1));
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
    book.watches.inventory.write(|inventory| inventory.set_offer(&name("other"), Some(&sells)));
    book.set(&job("j", 1, &[("spec", json!({"offerRef": 7}))]));
    book.keep_only(&[name("j")].into_iter().collect());
    let mut due = book.watches.offers.taken().boxed();
    while due.next().now_or_never().flatten().is_some_and(|(_, offer)| offer.is_empty()) {}
    book.remove(&name("j"));
    let all: Vec<_> = std::iter::from_fn(|| due.next().now_or_never().flatten()).collect();
    assert!(all.contains(&name("other")), "{all:?}");
}
