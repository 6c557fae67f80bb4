//! Whether the cache shows a job as it was before this operator's last write: a look at that would undo the write.

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::ComputeJob;
use kube::{Api, ResourceExt};

use crate::controllers::{Error, Tried, migration};

/// How long the watch has to show what this operator wrote last: a look at what was before would undo it. The job is
/// looked at when it does; afterwards the API server itself is asked.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What to look at.
pub(super) enum Fresh {
    Job(Arc<ComputeJob>),
    /// It is gone.
    Gone,
    /// Nothing before this has passed.
    Later(Duration),
}

/// The job as it is, where a cache has shown it for so long as it was before the last write.
pub(super) async fn fresh(job: ComputeJob, behind: Option<Duration>, api: &Api<ComputeJob>) -> Result<Fresh, Error> {
    Ok(match shown(behind) {
        Shown::AsItIs => Fresh::Job(Arc::new(job)),
        Shown::SoonAsItIs(wait) => Fresh::Later(wait),
        Shown::AsItWas => read(api, &job).await?.map_or(Fresh::Gone, |job| Fresh::Job(Arc::new(job))),
    })
}

/// How the cache shows a job.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    AsItIs,
    /// As it was before the last write; the watch will show that, and makes the job due then.
    SoonAsItIs(Duration),
    /// As it was before, for so long that the watch may have stopped.
    AsItWas,
}

/// How it shows a job that it has shown for so long as it was before the last write.
fn shown(behind: Option<Duration>) -> Shown {
    match behind {
        None => Shown::AsItIs,
        Some(behind) if behind < CATCH_UP => Shown::SoonAsItIs(CATCH_UP.saturating_sub(behind)),
        Some(_) => Shown::AsItWas,
    }
}

/// A job as the API server has it; none where it is gone.
async fn read(api: &Api<ComputeJob>, job: &ComputeJob) -> Result<Option<ComputeJob>, Error> {
    let name = job.name_any();
    let fresh = api.get_opt(&name).await.tried(|| format!("ComputeJob {name}"))?;
    let same = fresh.filter(|fresh| fresh.metadata.uid == job.metadata.uid);
    Ok(same.map(migration::of_any_release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_stands_still_is_waited_for_once_and_then_passed_by() {
        let ms = Duration::from_millis;
        assert_eq!(shown(None), Shown::AsItIs);
        assert_eq!(shown(Some(ms(0))), Shown::SoonAsItIs(ms(2000)));
        assert_eq!(shown(Some(ms(1900))), Shown::SoonAsItIs(ms(100)));
        assert_eq!((shown(Some(ms(2000))), shown(Some(ms(900_000)))), (Shown::AsItWas, Shown::AsItWas));
    }
}
