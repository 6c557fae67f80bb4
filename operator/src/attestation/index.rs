//! Finds expected jobs by an order's id and by a pod's address.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use hawser_market::JobId;

use super::expected::{ExpectedJob, JobRef};

/// Finds expected jobs by what a connection says or comes from, without a walk through all of them.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// More than one where somebody has written another job with the id by hand. The first has a pod, if any has, and had it
    /// first: what runs goes on.
    ids: HashMap<JobId, Vec<Listed>>,
    addresses: HashMap<IpAddr, Vec<Arc<JobRef>>>,
}

/// A job under its id.
#[derive(Debug)]
struct Listed {
    job: Arc<JobRef>,
    has_pod: bool,
}

impl AsRef<JobRef> for Listed {
    fn as_ref(&self) -> &JobRef {
        &self.job
    }
}

impl Index {
    pub(super) fn add(&mut self, job: &Arc<JobRef>, expected: &ExpectedJob) {
        self.list(job, expected);
        self.settle(job, expected);
    }

    /// What is expected of a job has changed.
    pub(super) fn change(&mut self, job: &Arc<JobRef>, before: &ExpectedJob, now: &ExpectedJob) {
        if (before.id, before.pods.is_empty()) != (now.id, now.pods.is_empty()) {
            remove(&mut self.ids, before.id, job);
            self.list(job, now);
        }
        if !addresses(before).eq(addresses(now)) {
            self.unsettle(job, before);
            self.settle(job, now);
        }
    }

    pub(super) fn remove(&mut self, job: &JobRef, expected: &ExpectedJob) {
        remove(&mut self.ids, expected.id, job);
        self.unsettle(job, expected);
    }

    pub(super) fn job(&self, id: JobId) -> Option<&JobRef> {
        Some(&self.ids.get(&id)?.first()?.job)
    }

    fn list(&mut self, job: &Arc<JobRef>, expected: &ExpectedJob) {
        let listed = self.ids.entry(expected.id).or_insert_with(|| Vec::with_capacity(1));
        let has_pod = !expected.pods.is_empty();
        let at = if has_pod { listed.partition_point(|listed| listed.has_pod) } else { listed.len() };
        listed.insert(at, Listed { job: Arc::clone(job), has_pod });
    }

    fn settle(&mut self, job: &Arc<JobRef>, expected: &ExpectedJob) {
        for address in addresses(expected) {
            self.addresses.entry(address).or_default().push(Arc::clone(job));
        }
    }

    fn unsettle(&mut self, job: &JobRef, expected: &ExpectedJob) {
        for address in addresses(expected) {
            remove(&mut self.addresses, address, job);
        }
    }

    /// Whether it is the address of an expected job's pod.
    pub(super) fn is_pod(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }
}

fn addresses(job: &ExpectedJob) -> impl Iterator<Item = IpAddr> {
    job.pods.iter().flat_map(|pod| &pod.addresses).map(IpAddr::to_canonical)
}

fn remove<K: Hash + Eq, J: AsRef<JobRef>>(jobs: &mut HashMap<K, Vec<J>>, key: K, job: &JobRef) {
    if let Entry::Occupied(mut entry) = jobs.entry(key) {
        // One at a time: a pod's list may name an address twice.
        if let Some(at) = entry.get().iter().position(|listed| listed.as_ref() == job) {
            entry.get_mut().remove(at);
        }
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::expected::tests::unstarted;
    use crate::attestation::{ExpectedMember, ExpectedPod};

    fn job(name: &str, id: u8, addresses: &[&str]) -> ExpectedJob {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        ExpectedJob {
            members: vec![ExpectedMember::new(name)],
            pods: vec![ExpectedPod {
                name: name.to_owned(),
                uid: "uid".to_owned(),
                service_account: "hawser-job".to_owned(),
                addresses,
            }],
            ..unstarted("tenants", name, id)
        }
    }

    #[test]
    fn jobs_are_found_for_as_long_as_they_are_expected() {
        let (one, two) = (job("one", 1, &["10.0.0.1", "fd00::1"]), job("two", 1, &["10.0.0.1", "10.0.0.1"]));
        let mut index = Index::default();
        for job in [&one, &two] {
            index.add(&Arc::new(job.job.clone()), job);
        }
        let is_pod = |index: &Index, address: &str| index.is_pod(address.parse().unwrap());
        assert_eq!(index.job(one.id), Some(&one.job));
        assert!(is_pod(&index, "10.0.0.1") && is_pod(&index, "fd00::1") && !is_pod(&index, "10.0.0.2"));
        index.remove(&one.job, &one);
        assert_eq!(index.job(one.id), Some(&two.job));
        assert!(is_pod(&index, "10.0.0.1") && !is_pod(&index, "fd00::1"));
        index.remove(&two.job, &two);
        assert!(index.job(one.id).is_none() && !is_pod(&index, "10.0.0.1"));
    }

    #[test]
    fn of_two_jobs_with_one_id_that_which_has_a_pod_is_found_and_goes_on_to_be() {
        let pods = |job: &ExpectedJob, has_pod: bool| ExpectedJob {
            pods: job.pods.iter().filter(|_| has_pod).cloned().collect(),
            ..job.clone()
        };
        let [own, other] = ["own", "other"].map(|name| job(name, 1, &["10.0.0.1"]));
        let [own_ref, other_ref] = [&own, &other].map(|job| Arc::new(job.job.clone()));
        let mut index = Index::default();
        index.add(&other_ref, &pods(&other, false));
        index.add(&own_ref, &pods(&own, false));
        assert_eq!(index.job(own.id), Some(&other.job), "nobody knows better");
        index.change(&own_ref, &pods(&own, false), &own);
        assert_eq!(index.job(own.id), Some(&own.job));
        // The other one gets a pod, too, and both are looked at again and again.
        index.change(&other_ref, &pods(&other, false), &other);
        for _ in 0..2 {
            for (job, expected) in [(&other_ref, &other), (&own_ref, &own)] {
                index.change(job, expected, expected);
                assert_eq!(index.job(own.id), Some(&own.job));
            }
        }
        index.change(&own_ref, &own, &pods(&own, false));
        assert_eq!(index.job(own.id), Some(&other.job), "its pod is gone");
        index.remove(&other.job, &other);
        assert_eq!(index.job(own.id), Some(&own.job));
        index.remove(&own.job, &pods(&own, false));
        assert!(index.ids.is_empty() && index.addresses.is_empty());
    }

    #[test]
    fn a_pods_addresses_are_those_that_it_has_now() {
        let (before, now) = (job("one", 1, &["10.0.0.1"]), job("one", 1, &["10.0.0.2", "10.0.0.3"]));
        let one = Arc::new(now.job.clone());
        let mut index = Index::default();
        index.add(&one, &before);
        index.change(&one, &before, &now);
        let found = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| index.is_pod(address.parse().unwrap()));
        assert_eq!((found, index.job(now.id)), ([false, true, true], Some(&now.job)));
    }
}
