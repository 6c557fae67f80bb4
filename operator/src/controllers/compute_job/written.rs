//! At which version each job's status was written last: a look at a job as it was before would undo that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hawser_crds::ComputeJob;
use kube::ResourceExt;

/// So long after a write no look begins any more with the job as it was before: a watch that says nothing is begun anew within
/// minutes. It outlasts the job in the cache, too, since a look may have begun with it.
const KEPT: Duration = Duration::from_mins(30);
/// How often older writes are dropped.
const TRIM: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Written {
    /// By uid, with the time of the write.
    versions: HashMap<String, (u64, Instant)>,
    trimmed: Option<Instant>,
}

impl Written {
    pub(super) fn write(&mut self, job: &ComputeJob, version: Option<String>, now: Instant) {
        if let (Some(uid), Some(version)) = (job.uid(), version.and_then(|v| v.parse().ok())) {
            self.versions.insert(uid, (version, now));
        }
        if now.duration_since(*self.trimmed.get_or_insert(now)) >= TRIM {
            self.trimmed = Some(now);
            self.versions.retain(|_, (_, at)| now.duration_since(*at) < KEPT);
            self.versions.shrink_to_fit();
        }
    }

    /// For how long a cache has shown a job as it was before what was written last; none where it shows that. Versions
    /// are numbers that grow (KEP-5504); where they can't be read, nothing is held back.
    pub(super) fn behind(&self, job: &ComputeJob) -> Option<Duration> {
        let shown: u64 = job.resource_version()?.parse().ok()?;
        let (written, at) = *self.versions.get(&job.uid()?)?;
        (shown < written).then(|| at.elapsed())
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

    /// Nobody says that they are gone: their last write may have come after they were.
    #[test]
    fn however_many_jobs_come_and_go_no_more_are_kept_than_were_written_lately() {
        let (mut written, begin) = (Written::default(), Instant::now());
        let version = || Some("9".to_owned());
        written.write(&job("lasts", "7"), version(), begin);
        for minute in 0..600_u64 {
            let now = begin + Duration::from_mins(minute);
            written.write(&job(&minute.to_string(), "7"), version(), now);
            written.write(&job("lasts", "7"), version(), now);
            assert!(written.behind(&job(&minute.saturating_sub(29).to_string(), "7")).is_some(), "{minute}");
            assert!(written.versions.len() <= 37, "{} after {minute} min", written.versions.len());
        }
        assert!(written.behind(&job("lasts", "7")).is_some());
    }
}
