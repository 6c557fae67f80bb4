//! What is to run, as a person writes it. What every operator refuses is refused here, by the same rules, before a deposit is
//! paid.

use std::collections::BTreeMap;

use hawser_market::workload::{EnvVar, Workload, WorkloadKind};
use serde::Deserialize;

/// `workload` in the order's file. The number of GPUs is not in it: it is what is paid for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WorkloadFile {
    #[serde(default)]
    kind: WorkloadKind,
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Environment,
    cpu: Option<Scalar>,
    memory: Option<Scalar>,
    storage: Option<Scalar>,
}

/// `{NAME: value}`, or a list as in a pod.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected `NAME: value` pairs, or a list of `name` and `value`")]
enum Environment {
    Map(BTreeMap<String, Scalar>),
    List(Vec<EnvVar>),
}

impl Default for Environment {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

/// `4`, `"4"` and `4Gi` alike.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a text or a number")]
enum Scalar {
    Text(String),
    Integer(i64),
    Natural(u64),
    Number(f64),
    Bool(bool),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Natural(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }
}

impl WorkloadFile {
    /// The workload of an order for this many GPUs; otherwise the field, what is wrong with it, and the way out.
    pub(super) fn for_gpus(self, gpus: u16) -> Result<Workload, String> {
        let env = match self.env {
            Environment::Map(map) => {
                map.into_iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?
            }
            Environment::List(list) => list,
        };
        let workload = Workload {
            kind: self.kind,
            image: self.image,
            command: self.command,
            args: self.args,
            env,
            gpus: u32::from(gpus),
            cpu: self.cpu.map(Scalar::into_text),
            memory: self.memory.map(Scalar::into_text),
            storage: self.storage.map(Scalar::into_text),
        };
        workload.check().map_err(|refusal| refusal.to_string())?;
        Ok(workload)
    }
}

/// What a program reads is what was written. YAML forgets how a fraction was written: 1.10 is 1.1 for it, and 12.0 is 12.
fn variable(name: String, value: Scalar) -> Result<EnvVar, String> {
    match value {
        Scalar::Number(number) => Err(format!(
            "env: {name} is the number {number}, which may be written otherwise in the file: put it in quotes"
        )),
        value => Ok(EnvVar { name, value: value.into_text() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Workload, String> {
        serde_yaml_ng::from_str::<WorkloadFile>(yaml).map_err(|error| error.to_string())?.for_gpus(2)
    }

    #[test]
    fn the_spec_is_what_the_operator_reads() {
        let workload = read(
            "image: a/b\ncommand: [povray]\nargs: ['+W640']\nenv: {SCENE: x, THREADS: 4}\n\
             cpu: 4\nmemory: 16Gi\nstorage: 500M\n",
        )
        .unwrap();
        let spec = workload.to_spec().unwrap();
        assert_eq!(Workload::from_spec(&spec, 2), Ok(workload.clone()));
        assert_eq!((workload.cpu.as_deref(), workload.storage.as_deref()), (Some("4"), Some("500M")));
        let [scene, threads] = &workload.env[..] else { panic!("{workload:?}") };
        assert_eq!((scene.value.as_str(), threads.value.as_str()), ("x", "4"));
    }

    #[test]
    fn env_may_be_a_list_as_in_a_pod() {
        assert_eq!(read("image: a\nenv: [{name: A, value: b}]"), read("image: a\nenv: {A: b}"));
    }

    #[test]
    fn a_variable_is_what_was_written_or_refused() {
        let value =
            |written: &str| read(&format!("image: a\nenv: {{A: {written}}}")).map(|read| read.env[0].value.clone());
        for written in ["9007199254740993", "-9223372036854775808", "18446744073709551615", "true", "a b"] {
            assert_eq!(value(written).as_deref(), Ok(written));
            assert_eq!(value(&format!("'{written}'")).as_deref(), Ok(written));
        }
        assert_eq!(value("'1.10'").as_deref(), Ok("1.10"));
        for (written, number) in [("1.10", "1.1"), ("12.0", "12"), ("1e3", "1000"), ("-.inf", "-inf")] {
            let problem = value(written).unwrap_err();
            assert!(problem.contains(&format!("A is the number {number},")) && problem.contains("quotes"), "{problem}");
        }
        assert!(value("18446744073709551616").is_err(), "beyond what is exact");
    }

    #[test]
    fn what_every_operator_refuses_costs_no_deposit() {
        for (yaml, part) in [
            ("image: ''", "image: \"\" is not an image reference"),
            ("image: a\nenv: {NVIDIA_VISIBLE_DEVICES: all}", "env: NVIDIA_VISIBLE_DEVICES is refused"),
            ("image: a\nenv: [{name: '', value: c}]", "env: \"\" is no name"),
            ("image: a\nmemory: 16GB", "memory: \"16GB\" is not a quantity"),
            ("image: a\nmemory: 16", "memory: \"16\" is less than 1Mi"),
            ("image: a\ncpu: 0", "cpu: \"0\" is 0"),
            ("image: a\nkind: Service", "unknown variant `Service`, expected `Batch`"),
        ] {
            let problem = read(yaml).unwrap_err();
            assert!(problem.contains(part), "{yaml:?}: {problem}");
        }
        assert!(read("image: a\nenv: {'A-B': c, .hidden: d}").is_ok(), "operators take these names");
    }
}
