//! At which version each job's status was written last: a look at a job as it was before would undo that.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use hawser_crds::ComputeJob;
use kube::ResourceExt;

/// Of a job that has left the cache it is kept for so long: a look may have begun with the job as it was.
const KEPT: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(super) struct Written {
    /// By uid, with the time of the write.
    versions: HashMap<String, (u64, Instant)>,
    left: VecDeque<(Instant, String)>,
}

impl Written {
    pub(super) fn write(&mut self, job: &ComputeJob, version: Option<String>, now: Instant) {
        if let (Some(uid), Some(version)) = (job.uid(), version.and_then(|v| v.parse().ok())) {
            self.versions.insert(uid, (version, now));
        }
    }

    /// For how long a cache has shown a job as it was before what was written last; none where it shows that. Versions
    /// are numbers that grow (KEP-5504); where they can't be read, nothing is held back.
    pub(super) fn behind(&self, job: &ComputeJob) -> Option<Duration> {
        let shown: u64 = job.resource_version()?.parse().ok()?;
        let (written, at) = *self.versions.get(&job.uid()?)?;
        (shown < written).then(|| at.elapsed())
    }

    /// The cache shows a job no more.
    pub(super) fn leave(&mut self, job: &ComputeJob, now: Instant) {
        self.left.extend(job.uid().map(|uid| (now, uid)));
        while let Some((at, uid)) = self.left.pop_front_if(|(at, _)| now.duration_since(*at) >= KEPT) {
            // Else it is back, and was written since.
            if self.versions.get(&uid).is_some_and(|(_, written)| *written <= at) {
                self.versions.remove(&uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(uid: &str, version: &str) -> ComputeJob {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": "j", "uid": uid, "resourceVersion": version},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        }))
        .unwrap()
    }

    #[test]
    fn a_job_that_the_cache_shows_as_it_was_before_the_last_write_is_behind() {
        let (mut written, now) = (Written::default(), Instant::now());
        let version = |version: &str| Some(version.to_owned());
        assert_eq!(written.behind(&job("u", "7")), None, "nothing was written");
        written.write(&job("u", "7"), version("9"), now);
        let is_behind = |written: &Written, shown: &str| written.behind(&job("u", shown)).is_some();
        assert!(is_behind(&written, "7") && is_behind(&written, "8"));
        assert!(!is_behind(&written, "9") && !is_behind(&written, "10") && !is_behind(&written, "x"));
        written.write(&job("u", "9"), None, now);
        assert!(is_behind(&written, "8"), "nothing new was written");
    }

    #[test]
    fn a_job_that_left_the_cache_is_behind_for_as_long_as_a_look_at_it_may_go_on() {
        let (mut written, begin) = (Written::default(), Instant::now());
        let is_known = |written: &Written, uid: &str| written.behind(&job(uid, "7")).is_some();
        written.write(&job("over", "7"), Some("9".to_owned()), begin);
        written.write(&job("back", "7"), Some("9".to_owned()), begin);
        written.leave(&job("over", "9"), begin);
        written.leave(&job("back", "9"), begin);
        written.write(&job("back", "9"), Some("11".to_owned()), begin + KEPT / 2);
        written.leave(&job("other", "9"), begin + Duration::from_secs(119));
        assert!(is_known(&written, "over"));
        written.leave(&job("other", "9"), begin + KEPT);
        assert!(!is_known(&written, "over") && is_known(&written, "back"));
    }
}
