//! Model and number of the GPUs that the node pretends to have.

use std::{env, fmt, str::FromStr};

use anyhow::{Context as _, Result};
use nvml_double_state::{MAX_CARDS, Model, State};

/// Which cards the node pretends to have. Written `h100:8`, or `l40s` for the usual number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    model: Model,
    count: u32,
}

/// As many as a machine can have: the end-to-end tests wait for free ones.
const USUAL_COUNT: u32 = MAX_CARDS;

impl Default for Gpus {
    fn default() -> Self {
        Self { model: Model::h100(), count: USUAL_COUNT }
    }
}

impl Gpus {
    /// What `HAWSER_GPUS` says, or the default.
    pub(super) fn of_environment() -> Result<Self> {
        match env::var("HAWSER_GPUS") {
            Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("HAWSER_GPUS={text}")),
            _ => Ok(Self::default()),
        }
    }

    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// All of them idle.
    pub(super) fn idle(&self) -> Result<State> {
        Ok(State::new(self.model.clone(), self.count)?)
    }
}

impl FromStr for Gpus {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (model, count) = match text.split_once(':') {
            Some((model, count)) => {
                (model, count.parse().with_context(|| format!("{count:?} is no number of GPUs; write h100:8"))?)
            }
            None => (text, USUAL_COUNT),
        };
        let gpus = Self { model: Model::named(model)?, count };
        gpus.idle()?;
        Ok(gpus)
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.model.key, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_written_as_model_and_count() {
        assert_eq!("h100:14".parse::<Gpus>().unwrap(), Gpus::default());
        assert_eq!("l40s".parse::<Gpus>().unwrap().to_string(), "l40s:14");
        assert_eq!("t4:2".parse::<Gpus>().unwrap().to_string(), "t4:2");
    }

    #[test]
    fn what_is_no_model_or_no_count_is_refused() {
        for wrong in ["", "h200:8", "h100:", "h100:0", "h100:99", "h100:-1"] {
            assert!(wrong.parse::<Gpus>().is_err(), "{wrong:?}");
        }
    }
}
