//! By which rules a workload is taken or declined.

use std::fmt;

use super::{
    EnvVar, Images, Workload,
    environment::{is_name, steers_the_node},
    image,
    quantity::{Amount, LEAST_BYTES, parse},
    reference::is_reference,
};

/// Longest image reference, in characters. These bounds are also those of the custom resource's schema.
pub const MAX_IMAGE: usize = 512;
/// Most words of a command.
pub const MAX_COMMAND: usize = 64;
/// Most arguments.
pub const MAX_ARGS: usize = 256;
/// Most environment variables.
pub const MAX_ENV: usize = 64;
/// Longest name of an environment variable, in characters.
pub const MAX_ENV_NAME: usize = 256;

/// What an offer lets a job ask for, as far as it is known: a customer knows what the offer's card says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits<'a> {
    /// GPUs of one job; none: no limit of its own.
    pub gpus_per_job: Option<u32>,
    /// CPU for each GPU, a Kubernetes quantity.
    pub cpu_per_gpu: Option<&'a str>,
    /// Memory for each GPU.
    pub memory_per_gpu: Option<&'a str>,
    /// Ephemeral storage for each GPU.
    pub storage_per_gpu: Option<&'a str>,
    /// Whose images are taken.
    pub images: Option<&'a Images>,
}

/// CPU, memory and storage of the customer's container, as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// CPU.
    pub cpu: String,
    /// Memory.
    pub memory: String,
    /// Ephemeral storage.
    pub storage: String,
}

/// Why a workload is declined. As text it names the field, its value and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Without a device of its own a container could be given every card of the node by its environment alone.
    NoGpu,
    /// More GPUs than the offer allows one job.
    TooManyGpus {
        /// What the order asks for.
        asked: u32,
        /// What the offer allows.
        most: u32,
    },
    /// The text is no image reference that container runtimes can read.
    InvalidImage(String),
    /// The offer takes no such image.
    ImageNotAllowed {
        /// The image.
        image: String,
        /// Which the offer takes.
        why: String,
    },
    /// A list or a text is longer than an operator can hold.
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The longest.
        most: usize,
    },
    /// A variable by which a container would steer programs of the node.
    ForbiddenEnvironment(String),
    /// A text that is not the name of a variable.
    InvalidEnvironment(String),
    /// CPU, memory or storage that is no usable quantity.
    InvalidResources {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// CPU, memory or storage above the offer's share for its GPUs.
    ResourcesOverLimit {
        /// The field.
        field: &'static str,
        /// What the order asks for.
        asked: String,
        /// What the offer allows.
        most: String,
        /// For how many GPUs.
        gpus: u32,
    },
    /// The offer itself has a limit that is no quantity.
    InvalidLimit {
        /// The field.
        field: &'static str,
        /// What the offer has.
        value: String,
    },
}

impl Refusal {
    /// One `CamelCase` word, as it stands in conditions and in the reason on chain.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoGpu => "NoGpu",
            Self::TooManyGpus { .. } => "TooManyGpus",
            Self::InvalidImage(_) => "InvalidImage",
            Self::ImageNotAllowed { .. } => "ImageNotAllowed",
            Self::TooLong { .. } => "Malformed",
            Self::ForbiddenEnvironment(_) => "ForbiddenEnvironment",
            Self::InvalidEnvironment(_) => "InvalidEnvironment",
            Self::InvalidResources { .. } => "InvalidResources",
            Self::ResourcesOverLimit { .. } => "ResourcesOverLimit",
            Self::InvalidLimit { .. } => "InvalidLimit",
        }
    }
}

impl Refusal {
    /// Whether it is of a field of the workload; the number of GPUs is one of the order.
    pub const fn is_of_workload(&self) -> bool {
        !matches!(self, Self::NoGpu | Self::TooManyGpus { .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGpu => write!(f, "gpus: a job needs at least one GPU (--gpus)"),
            Self::TooManyGpus { asked, most } => {
                write!(
                    f,
                    "gpus: {asked} asked for, the offer allows {most} a job: ask for fewer (--gpus), or take another offer"
                )
            }
            Self::InvalidImage(image) => write!(
                f,
                "image: {image:?} is not an image reference: expected NAME, NAME:TAG or NAME@sha256:DIGEST with 64 digits, \
                 in lower case"
            ),
            Self::ImageNotAllowed { image, why } => write!(f, "image: {image:?}: {why}"),
            Self::TooLong { field, length, most } => {
                write!(
                    f,
                    "{field}: it has {length} entries or characters, at most {most} are taken: put details into the image"
                )
            }
            Self::ForbiddenEnvironment(name) => write!(
                f,
                "env: {name} is refused, as all names that steer NVIDIA's runtime or the loader of programs on the node (LD_*, \
                 NVIDIA_*, CUDA_INJECTION*, GCONV_PATH, GLIBC_TUNABLES): set it in the container, as in command: \
                 [env, {name}=..., program]"
            ),
            Self::InvalidEnvironment(name) => {
                write!(
                    f,
                    "env: {name:?} is no name for a variable: use letters, digits, '_', '-' and '.', no digit first"
                )
            }
            Self::InvalidResources { field, value, why } => write!(f, "{field}: {value:?} {why}"),
            Self::ResourcesOverLimit { field, asked, most, gpus } => write!(
                f,
                "{field}: {asked} asked for, the offer allows {most} for {gpus} GPUs: ask for less, or take another offer"
            ),
            Self::InvalidLimit { field, value } => {
                write!(f, "the offer's limit of {field} {value:?} is not a quantity")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl Workload {
    /// Checks all that doesn't depend on the offer.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.gpus == 0 {
            return Err(Refusal::NoGpu);
        }
        if !is_reference(&self.image) {
            return Err(Refusal::InvalidImage(self.image.clone()));
        }
        for (field, length, most) in [
            ("image", self.image.chars().count(), MAX_IMAGE),
            ("command", self.command.len(), MAX_COMMAND),
            ("args", self.args.len(), MAX_ARGS),
            ("env", self.env.len(), MAX_ENV),
        ] {
            if length > most {
                return Err(Refusal::TooLong { field, length, most });
            }
        }
        self.env.iter().try_for_each(variable)?;
        for (field, asked) in self.asked() {
            if let Some(asked) = asked {
                quantity(field, asked)?;
            }
        }
        Ok(())
    }

    /// Checks the workload against an offer's limits, as far as they are known.
    pub fn check_against(&self, limits: &Limits<'_>) -> Result<(), Refusal> {
        self.check()?;
        if let Some(most) = limits.gpus_per_job.filter(|most| self.gpus > *most) {
            return Err(Refusal::TooManyGpus { asked: self.gpus, most });
        }
        if let Some(images) = limits.images {
            image::check(&self.image, images)
                .map_err(|why| Refusal::ImageNotAllowed { image: self.image.clone(), why })?;
        }
        let per_gpu = [limits.cpu_per_gpu, limits.memory_per_gpu, limits.storage_per_gpu];
        for ((field, asked), per_gpu) in self.asked().into_iter().zip(per_gpu) {
            if let Some(per_gpu) = per_gpu {
                within(field, asked, per_gpu, self.gpus)?;
            }
        }
        Ok(())
    }

    /// What the customer's container gets: what was asked for, or the offer's share for its GPUs.
    pub fn resources(
        &self,
        cpu_per_gpu: &str,
        memory_per_gpu: &str,
        storage_per_gpu: &str,
    ) -> Result<Resources, Refusal> {
        let [cpu, memory, storage] = self.asked();
        Ok(Resources {
            cpu: within(cpu.0, cpu.1, cpu_per_gpu, self.gpus)?,
            memory: within(memory.0, memory.1, memory_per_gpu, self.gpus)?,
            storage: within(storage.0, storage.1, storage_per_gpu, self.gpus)?,
        })
    }

    fn asked(&self) -> [(&'static str, Option<&str>); 3] {
        [("cpu", self.cpu.as_deref()), ("memory", self.memory.as_deref()), ("storage", self.storage.as_deref())]
    }
}

fn variable(variable: &EnvVar) -> Result<(), Refusal> {
    let name = &variable.name;
    let length = name.chars().count();
    if steers_the_node(name) {
        Err(Refusal::ForbiddenEnvironment(name.clone()))
    } else if !is_name(name) {
        Err(Refusal::InvalidEnvironment(name.clone()))
    } else if length > MAX_ENV_NAME {
        Err(Refusal::TooLong { field: "env.name", length, most: MAX_ENV_NAME })
    } else {
        Ok(())
    }
}

fn quantity(field: &'static str, value: &str) -> Result<Amount, Refusal> {
    let invalid = |why| Err(Refusal::InvalidResources { field, value: value.to_owned(), why });
    match parse(value) {
        None => invalid("is not a quantity: write for instance 4, 500m or 16Gi"),
        Some(Amount(0)) => invalid("is 0: leave it out for the offer's share of it"),
        Some(amount) if field != "cpu" && amount < LEAST_BYTES => {
            invalid("is less than 1Mi: bytes are meant, write for instance 512Mi or 16Gi (m is a thousandth of a byte)")
        }
        Some(amount) => Ok(amount),
    }
}

fn within(field: &'static str, asked: Option<&str>, per_gpu: &str, gpus: u32) -> Result<String, Refusal> {
    let Some(limit) = parse(per_gpu).map(|one| one.times(gpus)) else {
        return Err(Refusal::InvalidLimit { field, value: per_gpu.to_owned() });
    };
    let Some(asked) = asked else { return Ok(limit.to_quantity()) };
    if quantity(field, asked)? > limit {
        let (asked, most) = (asked.to_owned(), limit.to_quantity());
        return Err(Refusal::ResourcesOverLimit { field, asked, most, gpus });
    }
    Ok(asked.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workload(fields: Value) -> Workload {
        let mut workload = json!({"image": "ghcr.io/a/b", "gpus": 2});
        let Value::Object(fields) = fields else { panic!("{fields}") };
        workload.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(workload).unwrap()
    }

    #[test]
    fn what_only_looks_like_a_forbidden_name_and_the_least_of_memory_are_taken() {
        for fields in [
            json!({}),
            json!({"cpu": "1m", "memory": "1Mi", "storage": "1Mi"}),
            json!({"env": [{"name": "LDAP_URL"}, {"name": "CUDA_VISIBLE_DEVICES"}, {"name": "MY_NVIDIA_X"}]}),
            json!({"env": [{"name": "a.b-c_D1"}, {"name": "-"}, {"name": ".hidden"}]}),
            json!({"image": "debian:12"}),
        ] {
            assert_eq!(workload(fields.clone()).check(), Ok(()), "{fields}");
        }
    }

    #[test]
    fn what_no_operator_takes_is_refused_with_the_field_and_the_way_out() {
        let many = |count: usize| vec!["x"; count];
        for (fields, reason, message) in [
            (json!({"gpus": 0}), "NoGpu", "gpus: a job needs at least one GPU"),
            (json!({"image": ""}), "InvalidImage", "image: \"\" is not an image reference"),
            (json!({"image": "a b"}), "InvalidImage", "expected NAME"),
            (json!({"image": "r.example.com/x@sha256:..."}), "InvalidImage", "DIGEST with 64 digits"),
            (json!({"command": many(65)}), "Malformed", "command: it has 65"),
            (json!({"args": many(257)}), "Malformed", "at most 256"),
            (json!({"env": [{"name": "x".repeat(257)}]}), "Malformed", "env.name"),
            (json!({"env": [{"name": "NVIDIA_VISIBLE_DEVICES"}]}), "ForbiddenEnvironment", "NVIDIA_*"),
            (json!({"env": [{"name": "nvidia_x"}]}), "ForbiddenEnvironment", "env: nvidia_x is refused"),
            (json!({"env": [{"name": "LD_PRELOAD"}]}), "ForbiddenEnvironment", "[env, LD_PRELOAD=..., program]"),
            (json!({"env": [{"name": "CUDA_INJECTION64_PATH"}]}), "ForbiddenEnvironment", "CUDA_INJECTION*"),
            (json!({"env": [{"name": "GLIBC_TUNABLES"}]}), "ForbiddenEnvironment", "GLIBC_TUNABLES"),
            (json!({"env": [{"name": "A=B"}]}), "InvalidEnvironment", "\"A=B\" is no name"),
            (json!({"env": [{"name": "é"}]}), "InvalidEnvironment", "é"),
            (json!({"env": [{"name": "1A"}]}), "InvalidEnvironment", "no digit first"),
            (json!({"env": [{"name": ""}]}), "InvalidEnvironment", "\"\" is no name"),
            (json!({"cpu": "-1"}), "InvalidResources", "cpu: \"-1\" is not a quantity"),
            (json!({"memory": "16GB"}), "InvalidResources", "memory: \"16GB\" is not a quantity"),
            (json!({"memory": "512m"}), "InvalidResources", "memory: \"512m\" is less than 1Mi"),
            (json!({"storage": "1023Ki"}), "InvalidResources", "less than 1Mi"),
            (json!({"storage": "0"}), "InvalidResources", "storage: \"0\" is 0: leave it out"),
        ] {
            let refusal = workload(fields.clone()).check().unwrap_err();
            assert_eq!(refusal.reason(), reason, "{fields}");
            assert!(refusal.to_string().contains(message), "{refusal}");
        }
    }

    #[test]
    fn an_offer_refuses_what_is_above_its_limits_and_takes_what_they_allow() {
        let images = Images { allow: vec!["ghcr.io/".to_owned()], deny: vec!["ghcr.io/evil/".to_owned()] };
        let limits = Limits {
            gpus_per_job: Some(4),
            cpu_per_gpu: Some("8"),
            memory_per_gpu: Some("64Gi"),
            storage_per_gpu: Some("100Gi"),
            images: Some(&images),
        };
        for fields in [json!({}), json!({"cpu": "16", "memory": "128Gi", "storage": "200Gi"}), json!({"gpus": 4})] {
            assert_eq!(workload(fields.clone()).check_against(&limits), Ok(()), "{fields}");
        }
        for (fields, reason, message) in [
            (json!({"gpus": 5}), "TooManyGpus", "gpus: 5 asked for, the offer allows 4 a job"),
            (json!({"image": "docker.io/a"}), "ImageNotAllowed", "takes images in ghcr.io/ only"),
            (json!({"image": "ghcr.io/evil/a"}), "ImageNotAllowed", "refuses images in \"ghcr.io/evil/\""),
            (json!({"cpu": "16.5"}), "ResourcesOverLimit", "cpu: 16.5 asked for, the offer allows 16 for 2 GPUs"),
            (json!({"memory": "1000Gi"}), "ResourcesOverLimit", "allows 128Gi"),
            (json!({"storage": "201Gi"}), "ResourcesOverLimit", "allows 200Gi"),
            (json!({"memory": "512m"}), "InvalidResources", "less than 1Mi"),
        ] {
            let refusal = workload(fields.clone()).check_against(&limits).unwrap_err();
            assert_eq!(refusal.reason(), reason, "{fields}");
            assert!(refusal.to_string().contains(message), "{refusal}");
        }
        assert_eq!(workload(json!({"gpus": 500})).check_against(&Limits::default()), Ok(()), "nothing is known");
        let broken = Limits { cpu_per_gpu: Some("lots"), ..Limits::default() };
        assert_eq!(workload(json!({})).check_against(&broken).unwrap_err().reason(), "InvalidLimit");
    }

    #[test]
    fn a_workload_gets_what_it_asks_for_or_the_offers_share_for_its_gpus() {
        let got = workload(json!({"cpu": "500m"})).resources("4", "16Gi", "20Gi").unwrap();
        assert_eq!((got.cpu.as_str(), got.memory.as_str(), got.storage.as_str()), ("500m", "32Gi", "40Gi"));
    }
}
