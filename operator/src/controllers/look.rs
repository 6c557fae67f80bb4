//! Looks at what is due: one look an object at a time, many objects side by side.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt};
use kube::Resource;
use kube::runtime::applier;
use kube::runtime::controller::{Action, Config, Error as LookError};
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{Instrument, debug, error};

use super::watch::name_of;
use super::work::Name;
use super::{Context, Error};

/// How a kind is looked at, and what is done where that fails.
pub(crate) struct Look<R, F> {
    pub kind: &'static str,
    pub reconcile: R,
    pub failed: F,
}

/// Looks at each object that `due` names until that ends, and then ends what was begun.
pub(crate) async fn look_at<K, R, F, Done>(
    look: Look<R, F>,
    store: Store<K>,
    due: impl Stream<Item = Name> + Send + 'static,
    context: Arc<Context>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    R: Fn(Arc<K>, Arc<Context>) -> Done,
    F: Fn(Arc<K>, &Error, Arc<Context>) -> Action,
    Done: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let Look { kind, reconcile, failed } = look;
    let queue = due.map(|(namespace, name)| Ok::<_, Infallible>(ObjectRef::new(&name).within(&namespace)));
    let reconcile = move |object: Arc<K>, context: Arc<Context>| {
        let name = name_of(&*object);
        let done = reconcile(object, Arc::clone(&context));
        // On any thread; a fault in one is no fault of the others.
        tokio::spawn(done.in_current_span()).map(move |done| {
            let done = done.unwrap_or_else(|broken| Err(Error::Broken(broken.to_string())));
            if done.is_ok() {
                context.backoffs.forget(kind, name);
            }
            done
        })
    };
    applier(reconcile, failed, context, store, queue, Config::default())
        .for_each(|looked| async move { tell(kind, looked.err()) })
        .await;
}

/// What a look came to, where that was not told yet.
pub(crate) fn tell<E: std::error::Error>(kind: &'static str, failure: Option<LookError<Error, E>>) {
    match failure {
        // Told by the kind's own `failed`.
        None | Some(LookError::ReconcilerFailed(..)) => {}
        // Deleted before its turn, or at rest.
        Some(LookError::ObjectNotFound(object)) => debug!(kind, %object, "nothing to look at"),
        Some(failure @ (LookError::QueueError(_) | LookError::RunnerError(_))) => {
            error!(kind, error = %failure, "the controller has lost its queue");
        }
    }
}
