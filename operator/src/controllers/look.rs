//! Looks at what is due: one look an object at a time, many objects side by side.

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::controller;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, error};

use super::Error;
use super::cache::Cache;
use super::work::{Backoffs, Lane, Name, Turns};

/// Nothing is looked at later than that: a time beyond all clocks is none.
const LATEST: Duration = Duration::from_hours(24);

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action(Option<Duration>);

impl Action {
    /// It is looked at again after this, even if nothing changes.
    pub(crate) const fn requeue(after: Duration) -> Self {
        Self(Some(after))
    }

    /// It is looked at when something changes.
    pub(crate) const fn await_change() -> Self {
        Self(None)
    }
}

impl From<Action> for controller::Action {
    fn from(Action(after): Action) -> Self {
        after.map_or_else(Self::await_change, Self::requeue)
    }
}

/// How a kind is looked at, and what is done where that fails.
pub(crate) struct Look<K, R, F> {
    pub kind: &'static str,
    /// What every line that is logged of a look says of its object.
    pub span: fn(&K) -> Span,
    pub reconcile: R,
    pub failed: F,
    /// With whom an object waits for its look.
    pub lane: fn(&K) -> Lane,
    /// So many of a lane are looked at side by side.
    pub each: usize,
}

/// Looks at each object that `due` names until that ends, and then ends what was begun.
///
/// In place of kube's own, which has a task for each object that is due, and asks all of them whenever one is done: with ten
/// thousand jobs that took more than the looks themselves.
pub(crate) async fn look_at<K, R, F, C, Done>(
    look: Look<K, R, F>,
    Cache { store, listed }: Cache<K>,
    due: impl Stream<Item = Name> + Send + 'static,
    context: Arc<C>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    R: Fn(Arc<K>, Arc<C>) -> Done,
    F: Fn(Arc<K>, &Error, Arc<C>) -> Action,
    C: AsRef<Backoffs>,
    Done: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let Look { kind, span, reconcile, failed, lane, each } = look;
    let find = |name: &Name| store.get(&ObjectRef::new(&name.1).within(&name.0));
    // One that is not there has no lane, and nothing is done when its turn comes.
    let enter = |turns: &mut Turns, name: Name| {
        let lane = find(&name).map_or_else(Lane::default, |object| lane(&object));
        turns.due(name, lane);
    };
    // Before that nothing is found in the store, and what is due then would be taken for gone.
    if !listed.wait().await {
        return;
    }
    let mut due = pin!(due);
    let (mut turns, mut running) = (Turns::new(each), FuturesUnordered::new());
    loop {
        let now = Instant::now();
        while let Some(name) = turns.awake(now) {
            enter(&mut turns, name);
        }
        while let Some(name) = turns.next() {
            let Some(object) = find(&name) else {
                // Deleted before its turn, or settled.
                debug!(kind, namespace = name.0, name = name.1, "nothing to look at");
                turns.done(name, None);
                continue;
            };
            // On any thread; a fault in one is no fault of the others.
            let span = span(&object);
            let done = tokio::spawn(reconcile(Arc::clone(&object), Arc::clone(&context)).instrument(span.clone()));
            running.push(async move { (name, object, span, done.await) });
        }
        let wakes = turns.next_at();
        tokio::select! {
            name = due.next() => {
                let Some(name) = name else { break };
                enter(&mut turns, name);
            }
            Some((name, object, span, done)) = running.next() => {
                let action = match done.unwrap_or_else(|broken| Err(Error::Broken(broken.to_string()))) {
                    Ok(action) => {
                        (*context).as_ref().forget(kind, name.clone());
                        action
                    }
                    Err(error) => span.in_scope(|| failed(object, &error, Arc::clone(&context))),
                };
                let again = action.0.map(|after| Instant::now() + after.min(LATEST));
                if turns.done(name.clone(), again) {
                    enter(&mut turns, name);
                }
            }
            () = until(wakes) => {}
        }
    }
    while running.next().await.is_some() {}
}

async fn until(wakes: Option<Instant>) {
    match wakes {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What a look came to, where that was not told yet.
pub(crate) fn log_failure<E: std::error::Error>(kind: &'static str, failure: Option<controller::Error<Error, E>>) {
    use controller::Error as LookError;
    match failure {
        // Told by `Shared::failed`.
        None | Some(LookError::ReconcilerFailed(..)) => {}
        // Deleted before its turn.
        Some(LookError::ObjectNotFound(object)) => debug!(kind, %object, "nothing to look at"),
        Some(failure @ (LookError::QueueError(_) | LookError::RunnerError(_))) => {
            error!(kind, error = %failure, "the controller has lost its queue");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use kube::runtime::{reflector, watcher};
    use serde_json::json;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::controllers::compute_job;
    use crate::controllers::listed::Listed;
    use crate::controllers::packed::Packed;

    impl AsRef<Backoffs> for Backoffs {
        fn as_ref(&self) -> &Self {
            self
        }
    }

    /// These objects, once it is said that they are listed.
    fn cache(names: &[&str]) -> (Cache<ConfigMap>, impl FnOnce()) {
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::Init);
        for name in names {
            let object = serde_json::from_value(json!({"metadata": {"name": name, "namespace": "t"}})).unwrap();
            writer.apply_watcher_event(&watcher::Event::InitApply(object));
        }
        let (listing, listed) = Listed::later("ConfigMap");
        let list = move || {
            writer.apply_watcher_event(&watcher::Event::InitDone);
            listing.done();
        };
        (Cache { store, listed }, list)
    }

    fn name(text: &str) -> Name {
        ("t".to_owned(), text.to_owned())
    }

    #[tokio::test]
    async fn what_is_due_before_the_list_is_looked_at_and_what_fails_or_breaks_is_again_and_holds_up_no_other() {
        let (due, names) = mpsc::unbounded_channel();
        let (looked, mut looks) = mpsc::unbounded_channel();
        let tried = Arc::new(Mutex::new(Vec::<String>::new()));
        let look = Look {
            kind: "ConfigMap",
            span: |_| Span::none(),
            reconcile: move |object: Arc<ConfigMap>, _: Arc<Backoffs>| {
                let (looked, tried, name) = (looked.clone(), Arc::clone(&tried), object.name_any());
                async move {
                    let before = tried.lock().unwrap().iter().filter(|known| **known == name).count();
                    tried.lock().unwrap().push(name.clone());
                    match (name.as_str(), before) {
                        ("breaks", 0) => panic!("on purpose"),
                        ("fails", 0) => return Err(Error::Stopping),
                        _ => {}
                    }
                    looked.send((name, before)).unwrap();
                    Ok(Action::await_change())
                }
            },
            failed: |_: Arc<ConfigMap>, _: &Error, _: Arc<Backoffs>| Action::requeue(Duration::ZERO),
            lane: |_: &ConfigMap| Lane::default(),
            each: 1,
        };
        for object in ["breaks", "fails", "gone", "works"] {
            due.send(name(object)).unwrap();
        }
        let names = UnboundedReceiverStream::new(names);
        let (cache, list) = cache(&["breaks", "fails", "works"]);
        let working = tokio::spawn(look_at(look, cache, names, Arc::<Backoffs>::default()));
        tokio::task::yield_now().await;
        list();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(looks.recv().await.unwrap());
        }
        seen.sort();
        assert_eq!(seen, [("breaks".to_owned(), 1), ("fails".to_owned(), 1), ("works".to_owned(), 0)]);
        drop(due);
        working.await.unwrap();
        assert!(looks.recv().await.is_none(), "nothing is looked at after the end");
    }

    #[tokio::test]
    async fn what_was_begun_is_ended_and_what_waits_is_not_begun() {
        let (due, names) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let held = Arc::clone(&gate);
        let look = Look {
            kind: "ConfigMap",
            span: |_| Span::none(),
            reconcile: move |object: Arc<ConfigMap>, _: Arc<Backoffs>| {
                let (tell, gate) = (tell.clone(), Arc::clone(&held));
                async move {
                    tell.send(object.name_any()).unwrap();
                    gate.acquire().await.unwrap().forget();
                    tell.send("ended".to_owned()).unwrap();
                    Ok(Action::requeue(Duration::ZERO))
                }
            },
            failed: |_: Arc<ConfigMap>, _: &Error, _: Arc<Backoffs>| Action::await_change(),
            lane: |_: &ConfigMap| Lane::default(),
            each: 1,
        };
        due.send(name("a")).unwrap();
        due.send(name("b")).unwrap();
        let names = UnboundedReceiverStream::new(names);
        let (cache, list) = cache(&["a", "b"]);
        list();
        let working = tokio::spawn(look_at(look, cache, names, Arc::<Backoffs>::default()));
        assert_eq!(told.recv().await.as_deref(), Some("a"));
        drop(due);
        tokio::task::yield_now().await;
        gate.add_permits(9);
        assert_eq!(told.recv().await.as_deref(), Some("ended"));
        working.await.unwrap();
        assert_eq!(told.recv().await, None);
    }

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_line_of_a_look_names_the_job_its_offer_and_its_network() {
        let order = format!("0x{}", "07".repeat(32));
        let job = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j", "namespace": "t"},
            "spec": {"offerRef": "h100", "workload": {"image": "i", "gpus": 1}, "source": {
                "network": "base", "jobId": order, "customer": "0x", "seconds": 1, "deposit": "1", "price": "1", "block": 1
            }}
        }))
        .unwrap();
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::Apply(Packed::new(&kube::core::DeserializeGuard(Ok(job)))));
        let (listing, listed) = Listed::later("ComputeJob");
        listing.done();
        let (due, names) = mpsc::unbounded_channel();
        due.send(name("j")).unwrap();
        // Its end ends the looks.
        let due = Mutex::new(Some(due));
        let look = Look {
            kind: compute_job::KIND,
            span: compute_job::span,
            reconcile: |_, _: Arc<Backoffs>| async {
                tracing::info!("something of it");
                Err(Error::Gone("it".to_owned()))
            },
            failed: |_: Arc<Packed>, _: &Error, _: Arc<Backoffs>| {
                tracing::warn!("it failed");
                drop(due.lock().unwrap().take());
                Action::await_change()
            },
            lane: |_| Lane::default(),
            each: 1,
        };
        let log = Log::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || lines.clone()).finish();
        let logged = tracing::subscriber::set_default(subscriber);
        look_at(look, Cache { store, listed }, UnboundedReceiverStream::new(names), Arc::default()).await;
        drop(logged);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        for line in lines {
            let span = &line["span"];
            assert_eq!((&span["namespace"], &span["object"]), (&json!("t"), &json!("j")), "{line}");
            assert_eq!(
                (&span["offer"], &span["network"], &span["job"]),
                (&json!("h100"), &json!("base"), &json!(order))
            );
        }
    }
}
