//! One card and what it reads.

use serde::{Deserialize, Serialize};

use crate::model::Model;

/// One card. What no one has set follows from utilisation, so that samples look plausible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// N of `/dev/nvidiaN`; also the card's index on the node itself.
    pub minor: u32,
    /// `GPU-` and a UUID, the same for the same model and minor on every run.
    pub uuid: String,
    pub serial: String,
    /// Bus number in the PCI address `00000000:BB:00.0`.
    pub pci_bus: u32,
    /// `nvmlUtilization_t.gpu`: percent of the last sample period in which a kernel ran.
    pub utilization_percent: u32,
    /// Used by programs, in bytes, without what the driver reserves.
    pub memory_used_bytes: u64,
    /// In degrees Celsius; follows from utilisation if not set.
    pub temperature_celsius: Option<u32>,
    /// In milliwatts; follows from utilisation if not set.
    pub power_milliwatts: Option<u32>,
    /// Fallen off the bus: readings and new handles answer `NVML_ERROR_GPU_IS_LOST`.
    pub lost: bool,
}

impl Card {
    /// An idle card with the identity that this model and minor always have.
    pub fn idle(model: &Model, minor: u32) -> Self {
        let high = fnv1a(format!("{}/{minor}/uuid-high", model.key).as_bytes());
        let low = fnv1a(format!("{}/{minor}/uuid-low", model.key).as_bytes());
        // RFC 9562: version 4 in the third group, variant 10 in the fourth.
        let uuid = format!(
            "GPU-{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0x0fff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff,
        );
        Self {
            minor,
            uuid,
            serial: format!("{:013}", 1_650_000_000_000 + high % 10_000_000_000),
            // Two groups of four behind two host bridges, as in an eight-way baseboard.
            pci_bus: 0x18 + 0x10 * minor,
            utilization_percent: 0,
            memory_used_bytes: 0,
            temperature_celsius: None,
            power_milliwatts: None,
            lost: false,
        }
    }

    /// PCI address as `nvmlPciInfo_t.busId` writes it.
    pub fn pci_bus_id(&self) -> String {
        format!("00000000:{:02X}:00.0", self.pci_bus)
    }

    /// Power draw in milliwatts.
    pub fn power(&self, model: &Model) -> u32 {
        self.power_milliwatts.unwrap_or_else(|| {
            let span = model.power_limit_milliwatts - model.idle_power_milliwatts;
            model.idle_power_milliwatts + span / 100 * self.utilization_percent
        })
    }

    /// Core temperature in degrees Celsius.
    pub fn temperature(&self) -> u32 {
        self.temperature_celsius.unwrap_or(30 + self.utilization_percent * 4 / 10)
    }

    /// Clock of the streaming multiprocessors in megahertz.
    pub fn sm_clock(&self, model: &Model) -> u32 {
        if self.utilization_percent == 0 { model.idle_sm_clock_mhz } else { model.max_sm_clock_mhz }
    }
}

/// 64-bit FNV-1a.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn uuids_have_the_form_of_version_4_and_stay_the_same() {
        let uuid = Card::idle(&Model::h100(), 3).uuid;
        assert_eq!(uuid, Card::idle(&Model::h100(), 3).uuid);
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [3, 8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(&uuid[18..19], "4", "{uuid}");
        assert!("89ab".contains(&uuid[23..24]), "{uuid}");
    }

    #[test]
    fn no_two_cards_share_an_identity() {
        let models = [Model::h100(), Model::a100(), Model::l40s(), Model::t4()];
        let cards: Vec<Card> =
            models.iter().flat_map(|model| (0..8).map(move |minor| Card::idle(model, minor))).collect();
        let uuids: BTreeSet<&str> = cards.iter().map(|card| card.uuid.as_str()).collect();
        let serials: BTreeSet<&str> = cards.iter().map(|card| card.serial.as_str()).collect();
        assert_eq!((uuids.len(), serials.len()), (32, 32));
    }

    #[test]
    fn power_and_temperature_follow_utilisation_until_they_are_set() {
        let model = Model::h100();
        let mut card = Card::idle(&model, 0);
        assert_eq!((card.power(&model), card.temperature()), (70_000, 30));
        card.utilization_percent = 100;
        assert_eq!((card.power(&model), card.temperature()), (700_000, 70));
        card.power_milliwatts = Some(123_000);
        card.temperature_celsius = Some(91);
        assert_eq!((card.power(&model), card.temperature()), (123_000, 91));
    }
}
