//! The public spec of an order: JSON on chain, which everybody can read and a stranger wrote.
//!
//! It is read strictly. A version, kind or field that is not known is refused with what is, so that nobody pays for something
//! else than what was meant.

use std::fmt;

use serde_json::{Map, Value};

use super::{Workload, WorkloadKind};

/// Version of the public spec that this program knows. Absent means this one, and it is left out while it is the first: what
/// is absent costs no calldata, and operators of before the field take the order.
pub const SPEC_VERSION: u64 = 1;

/// Longest public spec, in bytes: what the market logs.
pub const MAX_SPEC_BYTES: usize = 4096;

/// Why an order is declined whose public spec can't be read, in the market's log: what this release reads. One text for all,
/// since the customer chooses what stands in the spec.
pub const MALFORMED: &str = "Malformed: the public spec must be JSON of version 1 and kind Batch, with no other fields than version, \
    kind, image, command, args, env, gpus, cpu, memory, storage";

const FIELDS: [&str; 10] = ["version", "kind", "image", "command", "args", "env", "gpus", "cpu", "memory", "storage"];
const ENV_FIELDS: [&str; 2] = ["name", "value"];

/// Why a public spec can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

impl Workload {
    /// The public spec of an order for this workload.
    pub fn to_spec(&self) -> Result<Vec<u8>, SpecError> {
        let spec = serde_json::to_vec(self)
            .map_err(|error| SpecError(format!("the workload can't be written as JSON: {error}")))?;
        if spec.len() > MAX_SPEC_BYTES {
            return Err(too_long(spec.len()));
        }
        Ok(spec)
    }

    /// Reads the public spec of an order for a number of GPUs.
    pub fn from_spec(spec: &[u8], paid_gpus: u16) -> Result<Self, SpecError> {
        let fail = |message: String| Err(SpecError(message));
        if spec.len() > MAX_SPEC_BYTES {
            return Err(too_long(spec.len()));
        }
        let value: Value =
            serde_json::from_slice(spec).map_err(|error| SpecError(format!("the spec is not JSON: {error}")))?;
        let Value::Object(mut fields) = value else { return fail("the spec is not a JSON object".to_owned()) };
        // First the version, then the kind: what fields there may be depends on both.
        if let Some(version) = fields.remove("version").filter(|version| version.as_u64() != Some(SPEC_VERSION)) {
            return fail(format!("the spec has version {version}; known is {SPEC_VERSION}"));
        }
        if let Some(kind) = fields.get("kind")
            && WorkloadKind::ALL.iter().all(|known| kind.as_str() != Some(&known.to_string()))
        {
            let known = WorkloadKind::ALL.map(|kind| kind.to_string()).join(", ");
            return fail(format!("the spec is of kind {kind}; known is {known}"));
        }
        if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            return fail(format!("the spec has an unknown field {unknown:?}; known are {}", FIELDS.join(", ")));
        }
        for variable in fields.get("env").and_then(Value::as_array).into_iter().flatten() {
            let names = variable.as_object().into_iter().flat_map(Map::keys);
            if let Some(unknown) = names.into_iter().find(|name| !ENV_FIELDS.contains(&name.as_str())) {
                let known = ENV_FIELDS.join(", ");
                return fail(format!("the spec's env has an unknown field {unknown:?}; known are {known}"));
            }
        }
        let workload: Self = serde_json::from_value(Value::Object(fields))
            .map_err(|error| SpecError(format!("the spec can't be read: {error}")))?;
        if workload.gpus != u32::from(paid_gpus) {
            return fail(format!("the spec asks for {} GPUs, but {paid_gpus} were paid for", workload.gpus));
        }
        Ok(workload)
    }
}

fn too_long(bytes: usize) -> SpecError {
    SpecError(format!(
        "the spec has {bytes} bytes as JSON, at most {MAX_SPEC_BYTES} are read: put details into the image"
    ))
}

#[cfg(test)]
mod tests {
    use super::{super::EnvVar, *};

    fn workload() -> Workload {
        Workload {
            image: "r/i@sha256:0".to_owned(),
            args: vec!["-x".to_owned()],
            env: vec![EnvVar { name: "A".to_owned(), value: "b".to_owned() }],
            gpus: 2,
            cpu: Some("2".to_owned()),
            ..Workload::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let spec = workload().to_spec().unwrap();
        let text = String::from_utf8(spec.clone()).unwrap();
        let expected = r#"{"image":"r/i@sha256:0","args":["-x"],"env":[{"name":"A","value":"b"}],"gpus":2,"cpu":"2"}"#;
        assert_eq!(text, expected);
        assert_eq!(Workload::from_spec(&spec, 2), Ok(workload()));
    }

    #[test]
    fn what_the_market_is_told_of_a_spec_that_is_not_known_says_what_is() {
        let known = [format!("version {SPEC_VERSION}"), format!("kind {:?}", WorkloadKind::ALL[0])];
        for word in known.iter().map(String::as_str).chain(FIELDS) {
            assert!(MALFORMED.contains(word), "{word}");
        }
        assert!(MALFORMED.starts_with("Malformed: ") && MALFORMED.len() <= 200, "{}", MALFORMED.len());
        assert_eq!(WorkloadKind::ALL.len(), 1, "name the new kind");
    }

    #[test]
    fn absent_version_and_kind_are_the_first_of_each() {
        for spec in [r#"{"image":"i","gpus":1}"#, r#"{"version":1,"kind":"Batch","image":"i","gpus":1}"#] {
            let read = Workload::from_spec(spec.as_bytes(), 1).unwrap();
            assert_eq!((read.kind, read.image.as_str()), (WorkloadKind::Batch, "i"), "{spec}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is_known() {
        let long = format!(r#"{{"image":"{}","gpus":2}}"#, "x".repeat(5000));
        for (spec, why) in [
            ("hello", "the spec is not JSON"),
            ("[1]", "the spec is not a JSON object"),
            (r#"{"version":2,"image":"i","gpus":2,"ports":[]}"#, "the spec has version 2; known is 1"),
            (r#"{"version":"1","image":"i","gpus":2}"#, "the spec has version \"1\"; known is 1"),
            (
                r#"{"kind":"Service","image":"i","gpus":2,"ports":[]}"#,
                "the spec is of kind \"Service\"; known is Batch",
            ),
            (r#"{"kind":null,"image":"i","gpus":2}"#, "the spec is of kind null; known is Batch"),
            (r#"{"image":"i"}"#, "missing field `gpus`"),
            (r#"{"image":"i","gpus":-1}"#, "-1"),
            (r#"{"image":"i","gpus":0}"#, "asks for 0 GPUs, but 2 were paid for"),
            (r#"{"image":"i","gpus":4}"#, "asks for 4 GPUs, but 2 were paid for"),
            (
                r#"{"image":"i","gpus":2,"privileged":true}"#,
                "unknown field \"privileged\"; known are version, kind, image",
            ),
            (r#"{"image":"i","gpus":2,"env":[{"name":"A","valueFrom":{}}]}"#, "env has an unknown field \"valueFrom\""),
            (r#"{"image":"i","gpus":2,"env":[1]}"#, "the spec can't be read"),
            (long.as_str(), "bytes as JSON, at most 4096 are read"),
        ] {
            let error = Workload::from_spec(spec.as_bytes(), 2).unwrap_err().to_string();
            assert!(error.contains(why), "{spec}: {error}");
        }
    }

    #[test]
    fn a_spec_that_the_market_would_not_log_is_not_written() {
        let long = Workload { args: vec!["x".repeat(4096)], ..workload() };
        assert!(long.to_spec().unwrap_err().to_string().contains("at most 4096"));
    }
}
