//! What is to run, as a person writes it, and the public spec that the operator reads (`hawser_crds::Workload`).

use std::collections::BTreeMap;

use hawser_crds::{
    EnvVar, Workload,
    rules::{
        environment::steers_the_node,
        image::check_reference,
        quantity::{Amount, LEAST_BYTES, parse},
    },
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;

/// `workload` in the order's file. The number of GPUs is not in it: it is what is paid for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WorkloadFile {
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
    Truth(bool),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Natural(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

impl WorkloadFile {
    /// The spec that goes on chain. What every operator refuses is refused here, before a deposit is paid.
    pub(super) fn for_gpus(self, gpus: u16) -> Result<Workload, String> {
        if self.image.is_empty() {
            return Err("image is empty: name an image, best by digest (name@sha256:...)".to_owned());
        }
        check_reference(&self.image).map_err(|problem| format!("image: {problem}"))?;
        let env = match self.env {
            Environment::Map(map) => {
                map.into_iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?
            }
            Environment::List(list) => list,
        };
        env.iter().try_for_each(check_name)?;
        Ok(Workload {
            image: self.image,
            command: self.command,
            args: self.args,
            env,
            gpus: u32::from(gpus),
            cpu: quantity("cpu", self.cpu)?,
            memory: quantity("memory", self.memory)?,
            storage: quantity("storage", self.storage)?,
        })
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

fn check_name(variable: &EnvVar) -> Result<(), String> {
    let name = &variable.name;
    if steers_the_node(name) {
        return Err(format!(
            "env: {name} is refused by operators (it could steer programs of the node): set it in the program's own command, \
             as in [env, {name}=..., program], or leave it out"
        ));
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("env: {name:?} is no name for a variable: use letters, digits and _"));
    }
    Ok(())
}

/// Kubernetes' resource quantities: a decimal number with an optional suffix.
fn quantity(field: &str, value: Option<Scalar>) -> Result<Option<Quantity>, String> {
    let Some(text) = value.map(Scalar::into_text) else { return Ok(None) };
    let quantity = Quantity(text);
    match parse(&quantity) {
        None => Err(format!("{field} {:?} is no quantity: write for instance 4, 500m or 16Gi", quantity.0)),
        Some(Amount(0)) => Err(format!("{field} is 0: leave it out for the offer's share of it")),
        Some(amount) if field != "cpu" && amount < LEAST_BYTES => {
            Err(format!("{field} {:?} is less than 1Mi: write for instance 512Mi or 16Gi", quantity.0))
        }
        Some(_) => Ok(Some(quantity)),
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
        let spec = serde_json::to_string(&workload).unwrap();
        let expected = r#"{"image":"a/b","command":["povray"],"args":["+W640"],"env":[{"name":"SCENE","value":"x"},{"name":"THREADS","value":"4"}],"gpus":2,"cpu":"4","memory":"16Gi","storage":"500M"}"#;
        assert_eq!(spec, expected);
        assert_eq!(serde_json::from_str::<Workload>(&spec).unwrap(), workload);
        assert_eq!(serde_json::to_string(&read("image: a").unwrap()).unwrap(), r#"{"image":"a","gpus":2}"#);
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
            ("image: ''", "image is empty"),
            ("image: 'a b'", "is not an image reference"),
            ("image: 'registry.example.com/render@sha256:...'", "@sha256:DIGEST with 64 digits"),
            ("image: a\nenv: {NVIDIA_VISIBLE_DEVICES: all}", "NVIDIA_VISIBLE_DEVICES is refused"),
            ("image: a\nenv: {nvidia_driver: all}", "is refused"),
            ("image: a\nenv: {'A-B': c}", "\"A-B\" is no name"),
            ("image: a\nenv: [{name: '', value: c}]", "\"\" is no name"),
            ("image: a\ncpu: -1", "cpu \"-1\" is no quantity"),
            ("image: a\nmemory: 16GB", "memory \"16GB\" is no quantity"),
            ("image: a\nstorage: Gi", "storage \"Gi\" is no quantity"),
            ("image: a\nmemory: 512m", "memory \"512m\" is less than 1Mi"),
            ("image: a\nmemory: 16", "memory \"16\" is less than 1Mi"),
            ("image: a\nstorage: 1023Ki", "storage \"1023Ki\" is less than 1Mi"),
            ("image: a\ncpu: 0", "cpu is 0"),
        ] {
            let problem = read(yaml).unwrap_err();
            assert!(problem.contains(part), "{yaml:?}: {problem}");
        }
    }
}
