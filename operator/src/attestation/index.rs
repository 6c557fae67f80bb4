use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use hawser_attestation::JobId;

use super::expected::{ExpectedJob, JobRef};

/// Finds expected jobs by what a connection says or comes from, without a walk through all of them.
#[derive(Debug, Default)]
pub(super) struct Index {
    ids: HashMap<JobId, Vec<Arc<JobRef>>>,
    addresses: HashMap<IpAddr, Vec<Arc<JobRef>>>,
}

impl Index {
    pub(super) fn add(&mut self, job: &Arc<JobRef>, expected: &ExpectedJob) {
        self.ids.entry(expected.id).or_default().push(Arc::clone(job));
        for address in addresses(expected) {
            self.addresses.entry(address).or_default().push(Arc::clone(job));
        }
    }

    pub(super) fn remove(&mut self, job: &JobRef, expected: &ExpectedJob) {
        remove(&mut self.ids, expected.id, job);
        for address in addresses(expected) {
            remove(&mut self.addresses, address, job);
        }
    }

    pub(super) fn job(&self, id: JobId) -> Option<&JobRef> {
        Some(self.ids.get(&id)?.first()?)
    }

    /// Whether it is the address of an expected job's pod.
    pub(super) fn is_pod(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }
}

fn addresses(job: &ExpectedJob) -> impl Iterator<Item = IpAddr> {
    job.pod.iter().flat_map(|pod| &pod.addresses).map(IpAddr::to_canonical)
}

fn remove<K: Hash + Eq>(jobs: &mut HashMap<K, Vec<Arc<JobRef>>>, key: K, job: &JobRef) {
    if let Entry::Occupied(mut entry) = jobs.entry(key) {
        // One at a time: a pod's list may name an address twice.
        if let Some(at) = entry.get().iter().position(|listed| **listed == *job) {
            entry.get_mut().remove(at);
        }
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use hawser_attestation::{GpuSeconds, Market};

    use super::*;
    use crate::attestation::ExpectedPod;

    fn job(name: &str, id: u8, addresses: &[&str]) -> ExpectedJob {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        ExpectedJob {
            job: JobRef { namespace: "tenants".to_owned(), name: name.to_owned() },
            id: JobId(B256::repeat_byte(id)),
            market: Market::default(),
            pod: Some(ExpectedPod {
                name: name.to_owned(),
                uid: "uid".to_owned(),
                service_account: "hawser-job".to_owned(),
                addresses,
            }),
            gpus: 1,
            started: None,
            base_gpu_seconds: GpuSeconds::ZERO,
            begin: None,
            ended: None,
            voucher: None,
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
}
