//! A job that is not settled, as its text, compressed. There may be ten thousand of them, a handful is looked at at a time,
//! and read a job takes ten times the room. What all of them are asked for stands beside the text.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use hawser_crds::{ComputeJob, Phase};
use kube::Resource;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, ObjectMeta};

use crate::inventory::JobFacts;
use crate::network::{JobId, On};
use crate::objects::order_of;

/// A `ComputeJob`, or one that can't be read.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// By which it is found, and told from an older or another one. Of a job that can't be read all of it.
    meta: ObjectMeta,
    phase: Option<Phase>,
    /// The order that it names, if it names one.
    order: Option<On<JobId>>,
    /// None for a job that is settled.
    pub facts: Option<Arc<JobFacts>>,
    /// Its JSON; or why it can't be read.
    text: Result<Text, Box<str>>,
}

/// What most jobs have in common: the text of the first one. The others are kept as what they differ in.
static SAMPLE: OnceLock<Box<[u8]>> = OnceLock::new();

/// A text, compressed.
#[derive(Clone, Debug)]
struct Text {
    size: usize,
    bytes: Box<[u8]>,
}

impl Text {
    fn new(text: &[u8]) -> Self {
        Self::after(SAMPLE.get_or_init(|| text.into()), text)
    }

    fn after(sample: &[u8], text: &[u8]) -> Self {
        Self { size: text.len(), bytes: lz4_flex::block::compress_with_dict(text, sample).into() }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        let sample = SAMPLE.get().map_or(&[][..], |sample| sample);
        lz4_flex::block::decompress_with_dict(&self.bytes, self.size, sample).map_err(|error| error.to_string())
    }
}

impl Packed {
    pub(crate) fn new(job: &DeserializeGuard<ComputeJob>) -> Self {
        match job.0.as_ref().map(|job| (job, serde_json::to_vec(job))) {
            Ok((job, Ok(text))) => Self {
                meta: ObjectMeta {
                    name: job.metadata.name.clone(),
                    namespace: job.metadata.namespace.clone(),
                    uid: job.metadata.uid.clone(),
                    resource_version: job.metadata.resource_version.clone(),
                    ..ObjectMeta::default()
                },
                phase: Some(job.status.as_ref().map_or(Phase::Pending, |status| status.phase)),
                order: job.spec.source.as_ref().map(order_of),
                facts: JobFacts::of(job).map(Arc::new),
                text: Ok(Text::new(&text)),
            },
            Ok((job, Err(error))) => Self::unreadable(job.metadata.clone(), &error.to_string()),
            Err(invalid) => Self::unreadable(invalid.metadata.clone(), &invalid.error),
        }
    }

    fn unreadable(meta: ObjectMeta, why: &str) -> Self {
        let facts = Some(Arc::new(JobFacts::unreadable(&meta)));
        Self { meta, phase: None, order: None, facts, text: Err(why.into()) }
    }

    pub(crate) fn job(&self) -> DeserializeGuard<ComputeJob> {
        let text = self.text.as_ref().map_err(ToString::to_string).and_then(Text::read);
        let read = text.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
        DeserializeGuard(read.map_err(|error| InvalidObject { error, metadata: self.meta.clone() }))
    }

    /// The order that it names, if it names one.
    pub(crate) fn order(&self) -> Option<&On<JobId>> {
        self.order.as_ref()
    }

    /// None for one that can't be read.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.phase
    }

    pub(crate) fn is_of(&self, order: &On<JobId>) -> bool {
        self.order.as_ref() == Some(order)
    }

    /// Metadata of one that can't be read.
    pub(crate) fn invalid(&self) -> Option<&ObjectMeta> {
        self.text.is_err().then_some(&self.meta)
    }

    /// What is known of it where it is not settled, and can be read.
    pub(crate) fn unsettled(&self) -> Option<&JobFacts> {
        self.facts.as_deref().filter(|_| self.text.is_ok())
    }
}

impl Resource for Packed {
    type DynamicType = ();
    type Scope = <ComputeJob as Resource>::Scope;

    fn kind(of: &()) -> Cow<'_, str> {
        ComputeJob::kind(of)
    }

    fn group(of: &()) -> Cow<'_, str> {
        ComputeJob::group(of)
    }

    fn version(of: &()) -> Cow<'_, str> {
        ComputeJob::version(of)
    }

    fn plural(of: &()) -> Cow<'_, str> {
        ComputeJob::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn packed(spec: Value, status: Value) -> (DeserializeGuard<ComputeJob>, Packed) {
        let job = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "spec": spec, "status": status,
            "metadata": {"name": "j", "namespace": "t", "uid": "u", "resourceVersion": "7", "generation": 2,
                "labels": {"a": "b"}, "finalizers": ["f"], "creationTimestamp": "2026-01-01T00:00:00Z"}
        }));
        let job: DeserializeGuard<ComputeJob> = job.unwrap();
        let packed = Packed::new(&job);
        (job, packed)
    }

    fn spec() -> Value {
        json!({"offerRef": "o", "workload": {"image": "i", "gpus": 2, "env": [{"name": "A", "value": "b"}]}})
    }

    #[test]
    fn a_job_comes_out_as_it_was_put_in_and_is_found_by_what_it_is_known_by() {
        let (job, packed) = packed(spec(), json!({"phase": "Running", "node": "n", "conditions": []}));
        let out = packed.job().0.unwrap();
        assert_eq!(serde_json::to_value(&out).unwrap(), serde_json::to_value(job.0.unwrap()).unwrap());
        assert_eq!((packed.phase(), packed.invalid().is_none()), (Some(Phase::Running), true));
        assert_eq!(packed.unsettled().map(|facts| facts.offer.as_str()), Some("o"));
        assert_eq!((packed.meta().uid.as_deref(), packed.meta().resource_version.as_deref()), (Some("u"), Some("7")));
    }

    #[test]
    fn what_jobs_have_in_common_is_kept_once() {
        let text = |n: u64| {
            let words: Vec<_> = (0..20).map(|word| (word * 7919 % 97).to_string()).collect();
            json!({"message": words, "id": n}).to_string()
        };
        let (one, other) = (text(1), text(2));
        let (alone, after) = (Text::after(b"", other.as_bytes()), Text::after(one.as_bytes(), other.as_bytes()));
        assert!(4 * after.bytes.len() < alone.bytes.len(), "{} of {}", after.bytes.len(), alone.bytes.len());
        for text in [one, other, "no word of it".to_owned()] {
            assert_eq!(Text::new(text.as_bytes()).read().unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_settled_job_holds_nothing() {
        let (_, packed) = packed(spec(), json!({"phase": "Succeeded", "settledAt": "2026-01-01T00:00:00Z"}));
        assert_eq!((packed.phase(), packed.facts), (Some(Phase::Succeeded), None));
    }

    #[test]
    fn a_job_that_can_not_be_read_stays_one_with_its_metadata_and_the_reason() {
        let (job, packed) = packed(json!({"offerRef": 7}), json!(null));
        let (job, out) = (job.0.unwrap_err(), packed.job().0.unwrap_err());
        assert_eq!((&out.error, &out.metadata), (&job.error, &job.metadata));
        assert_eq!((packed.phase(), packed.invalid()), (None, Some(&job.metadata)));
        assert!(packed.unsettled().is_none() && packed.facts.as_ref().is_some_and(|facts| facts.unread));
    }
}
