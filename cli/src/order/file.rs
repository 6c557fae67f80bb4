//! The YAML file of an order.

use std::{fs, path::Path};

use hawser_market::OfferId;
use serde::{Deserialize, Deserializer, de};

use super::{DecimalText, workload::WorkloadFile};
use crate::{failure::Failure, parse};

/// `job.yaml`. Everything but the workload can be given as an option instead.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrderFile {
    pub(super) offer: Option<OfferId>,
    pub(super) gpus: Option<u16>,
    pub(super) seconds: Option<Seconds>,
    pub(super) max_price: Option<DecimalText>,
    pub(super) workload: WorkloadFile,
}

/// `3600`, `"3600"` and `1h` mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u32);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DecimalText(text) = DecimalText::deserialize(deserializer)?;
        parse::seconds(&text)
            .map(Self)
            .map_err(|problem| de::Error::custom(format_args!("seconds is {text:?}: {problem}")))
    }
}

impl OrderFile {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("the order {name} can't be read: {error}")))?;
        read(&text).map_err(|problem| Failure::input(format!("the order {name} is not right: {problem}")))
    }
}

fn read(text: &str) -> Result<OrderFile, serde_yaml_ng::Error> {
    serde_yaml_ng::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_is_read() {
        let file =
            read("offer: '0x0102030405060708'\ngpus: 2\nseconds: 600\nmaxPrice: 2.25\nworkload:\n  image: a/b\n")
                .unwrap();
        assert_eq!(file.offer.unwrap().to_string(), "0x0102030405060708");
        assert_eq!((file.gpus, file.seconds), (Some(2), Some(Seconds(600))));
        let hour = read("seconds: 1h\nworkload: {image: a}\n").unwrap();
        assert_eq!(hour.seconds, Some(Seconds(3600)));
        assert_eq!(file.max_price, Some(DecimalText("2.25".to_owned())));
    }

    #[test]
    fn a_wrong_file_says_what_and_where() {
        for (yaml, part) in [
            ("gpus: 1\n", "missing field `workload`"),
            ("gpu: 1\nworkload: {image: a}\n", "unknown field `gpu`"),
            ("gpus: -1\nworkload: {image: a}\n", "gpus"),
            ("gpus: 70000\nworkload: {image: a}\n", "gpus"),
            ("seconds: soon\nworkload: {image: a}\n", "3600 and 1h are the same"),
            ("seconds: 0\nworkload: {image: a}\n", "seconds is \"0\""),
            ("offer: '0x12'\nworkload: {image: a}\n", "an offer's id"),
            ("workload: {image: a, privileged: true}\n", "privileged"),
            ("workload: {image: a, gpus: 1}\n", "gpus"),
        ] {
            let problem = read(yaml).unwrap_err().to_string();
            assert!(problem.contains(part), "{yaml:?}: {problem}");
        }
    }
}
