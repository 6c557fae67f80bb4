//! The machine that the double shows.

use serde::{Deserialize, Serialize};

use crate::DRIVER_VERSION;
use crate::card::Card;
use crate::model::Model;
use crate::selector::{Gpu, NotAGpu};

/// Most cards on one machine: their PCI buses must fit into one segment.
pub const MAX_CARDS: u32 = 14;

/// How many Xids the state remembers. Older ones are lost to a waiter that sleeps for this long.
const XIDS_KEPT: usize = 32;

/// Xid that the driver reports when a card fell off the bus.
const XID_FALLEN_OFF_THE_BUS: u64 = 79;

/// Versions that the double reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// `nvmlSystemGetDriverVersion`.
    pub version: String,
    /// `nvmlSystemGetNVMLVersion`.
    pub nvml_version: String,
    /// `nvmlSystemGetCudaDriverVersion_v2`: major times 1000 plus minor times 10.
    pub cuda_version: i32,
}

/// An error event that the driver would report for a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xid {
    /// Counts up from 1 over all cards.
    pub sequence: u64,
    /// The card's minor.
    pub minor: u32,
    /// NVIDIA's number for the error: 48 double-bit ECC, 79 fallen off the bus, ...
    pub code: u64,
}

/// The Xids raised so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xids {
    /// How many were ever raised: the sequence of the newest.
    pub raised: u64,
    /// The newest of them, oldest first.
    pub recent: Vec<Xid>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub driver: Driver,
    pub model: Model,
    pub cards: Vec<Card>,
    pub xids: Xids,
}

/// A change that no real card could show.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StateError {
    #[error("a machine has 1 to {MAX_CARDS} GPUs, not {0}")]
    CardCount(u32),
    #[error("utilisation of GPU {gpu} must be 0 to 100 percent, not {percent}")]
    Utilization { gpu: Gpu, percent: u32 },
    #[error("GPU {gpu} has {available} bytes for programs; {bytes} can't be in use")]
    Memory { gpu: Gpu, bytes: u64, available: u64 },
    #[error(transparent)]
    NotAGpu(#[from] NotAGpu),
}

impl State {
    /// `count` idle cards of one model.
    ///
    /// # Errors
    /// [`StateError::CardCount`] if there would be none or more than [`MAX_CARDS`].
    pub fn new(model: Model, count: u32) -> Result<Self, StateError> {
        if count == 0 || count > MAX_CARDS {
            return Err(StateError::CardCount(count));
        }
        Ok(Self {
            driver: Driver {
                version: DRIVER_VERSION.to_owned(),
                nvml_version: format!("12.{DRIVER_VERSION}"),
                cuda_version: 12_040,
            },
            cards: (0..count).map(|minor| Card::idle(&model, minor)).collect(),
            model,
            xids: Xids::default(),
        })
    }

    /// The card that `gpu` names.
    ///
    /// # Errors
    /// [`NotAGpu`] names the cards that there are.
    pub fn card(&self, gpu: &Gpu) -> Result<&Card, NotAGpu> {
        self.position(gpu).map(|position| &self.cards[position])
    }

    fn card_mut(&mut self, gpu: &Gpu) -> Result<&mut Card, NotAGpu> {
        self.position(gpu).map(|position| &mut self.cards[position])
    }

    fn position(&self, gpu: &Gpu) -> Result<usize, NotAGpu> {
        self.cards
            .iter()
            .position(|card| match gpu {
                Gpu::Index(index) => card.minor == *index,
                Gpu::Uuid(uuid) => card.uuid == *uuid,
            })
            .ok_or_else(|| NotAGpu {
                gpu: gpu.clone(),
                known: self
                    .cards
                    .iter()
                    .map(|card| format!("{} ({})", card.minor, card.uuid))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Sets how busy a card is, in percent.
    ///
    /// # Errors
    /// Above 100, or no such card.
    pub fn set_utilization(&mut self, gpu: &Gpu, percent: u32) -> Result<(), StateError> {
        if percent > 100 {
            return Err(StateError::Utilization { gpu: gpu.clone(), percent });
        }
        self.card_mut(gpu)?.utilization_percent = percent;
        Ok(())
    }

    /// Sets how much memory programs use on a card, in bytes.
    ///
    /// # Errors
    /// More than the card has, or no such card.
    pub fn set_memory_used(&mut self, gpu: &Gpu, bytes: u64) -> Result<(), StateError> {
        let available = self.model.memory_bytes - self.model.reserved_bytes;
        if bytes > available {
            return Err(StateError::Memory { gpu: gpu.clone(), bytes, available });
        }
        self.card_mut(gpu)?.memory_used_bytes = bytes;
        Ok(())
    }

    /// Sets a card's temperature in degrees Celsius; `None` lets it follow utilisation again.
    ///
    /// # Errors
    /// No such card.
    pub fn set_temperature(&mut self, gpu: &Gpu, celsius: Option<u32>) -> Result<(), StateError> {
        self.card_mut(gpu)?.temperature_celsius = celsius;
        Ok(())
    }

    /// Sets a card's power draw in milliwatts; `None` lets it follow utilisation again.
    ///
    /// # Errors
    /// No such card.
    pub fn set_power(&mut self, gpu: &Gpu, milliwatts: Option<u32>) -> Result<(), StateError> {
        self.card_mut(gpu)?.power_milliwatts = milliwatts;
        Ok(())
    }

    /// Raises an Xid on a card, for whoever waits for events now.
    ///
    /// # Errors
    /// No such card.
    pub fn raise_xid(&mut self, gpu: &Gpu, code: u64) -> Result<(), StateError> {
        let minor = self.card(gpu)?.minor;
        self.xids.raised += 1;
        self.xids.recent.push(Xid { sequence: self.xids.raised, minor, code });
        let surplus = self.xids.recent.len().saturating_sub(XIDS_KEPT);
        self.xids.recent.drain(..surplus);
        Ok(())
    }

    /// Lets a card fall off the bus, with the Xid that the driver reports for it.
    ///
    /// # Errors
    /// No such card.
    pub fn lose(&mut self, gpu: &Gpu) -> Result<(), StateError> {
        self.card_mut(gpu)?.lost = true;
        self.raise_xid(gpu, XID_FALLEN_OFF_THE_BUS)
    }

    /// Brings a card back, idle, as after a reset. Xids that were raised stay history.
    ///
    /// # Errors
    /// No such card.
    pub fn restore(&mut self, gpu: &Gpu) -> Result<(), StateError> {
        let position = self.position(gpu)?;
        self.cards[position] = Card::idle(&self.model, self.cards[position].minor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eight() -> State {
        State::new(Model::h100(), 8).unwrap()
    }

    #[test]
    fn a_machine_has_between_one_card_and_the_most_that_fit() {
        assert_eq!(State::new(Model::t4(), 0), Err(StateError::CardCount(0)));
        assert_eq!(State::new(Model::t4(), 15), Err(StateError::CardCount(15)));
        let full = State::new(Model::t4(), MAX_CARDS).unwrap();
        assert!(full.cards.iter().all(|card| card.pci_bus <= 0xff));
    }

    #[test]
    fn a_card_is_found_by_index_and_by_uuid() {
        let state = eight();
        let by_index = state.card(&"5".parse().unwrap()).unwrap();
        let by_uuid = state.card(&by_index.uuid.parse().unwrap()).unwrap();
        assert_eq!(by_uuid.minor, 5);
    }

    #[test]
    fn a_card_that_is_not_there_is_refused_with_those_that_are() {
        let refusal = eight().set_utilization(&Gpu::Index(8), 1).unwrap_err().to_string();
        assert!(refusal.contains("no GPU 8") && refusal.contains("7 (GPU-"), "{refusal}");
    }

    #[test]
    fn readings_that_no_card_can_show_are_refused() {
        let mut state = eight();
        let gpu = Gpu::Index(0);
        assert!(state.set_utilization(&gpu, 101).is_err());
        assert!(state.set_memory_used(&gpu, state.model.memory_bytes).is_err());
        assert_eq!(state, eight());
    }

    #[test]
    fn only_the_newest_xids_are_kept_and_their_count_goes_on() {
        let mut state = eight();
        for code in 0..40 {
            state.raise_xid(&Gpu::Index(1), code).unwrap();
        }
        assert_eq!(state.xids.raised, 40);
        assert_eq!(state.xids.recent.len(), 32);
        assert_eq!(state.xids.recent[0].code, 8);
    }

    #[test]
    fn a_lost_card_raises_xid_79_and_comes_back_idle() {
        let mut state = eight();
        let gpu = Gpu::Index(2);
        state.set_utilization(&gpu, 90).unwrap();
        state.lose(&gpu).unwrap();
        assert!(state.card(&gpu).unwrap().lost);
        assert_eq!(state.xids.recent[0], Xid { sequence: 1, minor: 2, code: 79 });
        state.restore(&gpu).unwrap();
        assert_eq!(state.cards, eight().cards);
        assert_eq!(state.xids.raised, 1);
    }
}
