//! Kinds of cards, as NVIDIA's data sheets and `nvidia-smi -q` describe them.

use serde::{Deserialize, Serialize};

/// `nvmlDeviceArchitecture_t` of the architectures that the built-in models have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    Turing,
    Ampere,
    Ada,
    Hopper,
}

impl Architecture {
    /// The value of `nvmlDeviceGetArchitecture`.
    pub const fn nvml(self) -> u32 {
        match self {
            Self::Turing => 6,
            Self::Ampere => 7,
            Self::Ada => 8,
            Self::Hopper => 9,
        }
    }
}

/// What all cards of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Short name to choose it by: `h100`.
    pub key: String,
    /// `nvmlDeviceGetName`. GPU Feature Discovery makes the label `nvidia.com/gpu.product` of it.
    pub name: String,
    pub architecture: Architecture,
    /// CUDA compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Framebuffer, in bytes.
    pub memory_bytes: u64,
    /// Part of it that driver and firmware keep for themselves, in bytes.
    pub reserved_bytes: u64,
    /// PCI device id in the upper, vendor id in the lower 16 bits.
    pub pci_device_id: u32,
    pub pci_subsystem_id: u32,
    pub pcie_generation: u32,
    pub board_part_number: String,
    pub vbios_version: String,
    pub cores: u32,
    pub memory_bus_bits: u32,
    /// In milliwatts.
    pub idle_power_milliwatts: u32,
    /// In milliwatts.
    pub power_limit_milliwatts: u32,
    /// In megahertz.
    pub idle_sm_clock_mhz: u32,
    /// In megahertz.
    pub max_sm_clock_mhz: u32,
    /// In megahertz.
    pub memory_clock_mhz: u32,
    /// Whether the card can be partitioned (Multi-Instance GPU). It never is here: its mode is off.
    pub mig_capable: bool,
}

/// No built-in model has this key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no GPU model {0:?}; choose one of h100, a100, l40s, t4")]
pub struct UnknownModel(pub String);

const MIB: u64 = 1024 * 1024;

impl Model {
    /// The built-in model of this key: `h100`, `a100`, `l40s` or `t4`.
    ///
    /// # Errors
    /// [`UnknownModel`] names the keys that there are.
    pub fn named(key: &str) -> Result<Self, UnknownModel> {
        match key {
            "h100" => Ok(Self::h100()),
            "a100" => Ok(Self::a100()),
            "l40s" => Ok(Self::l40s()),
            "t4" => Ok(Self::t4()),
            other => Err(UnknownModel(other.to_owned())),
        }
    }

    /// H100 SXM5, 80 GB.
    pub fn h100() -> Self {
        Self {
            key: "h100".to_owned(),
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            architecture: Architecture::Hopper,
            compute_capability: (9, 0),
            memory_bytes: 81_559 * MIB,
            reserved_bytes: 551 * MIB,
            pci_device_id: 0x2330_10DE,
            pci_subsystem_id: 0x16C1_10DE,
            pcie_generation: 5,
            board_part_number: "692-2G520-0200-000".to_owned(),
            vbios_version: "96.00.89.00.01".to_owned(),
            cores: 16_896,
            memory_bus_bits: 5120,
            idle_power_milliwatts: 70_000,
            power_limit_milliwatts: 700_000,
            idle_sm_clock_mhz: 345,
            max_sm_clock_mhz: 1980,
            memory_clock_mhz: 2619,
            mig_capable: true,
        }
    }

    /// A100 SXM4, 80 GB.
    pub fn a100() -> Self {
        Self {
            key: "a100".to_owned(),
            name: "NVIDIA A100-SXM4-80GB".to_owned(),
            architecture: Architecture::Ampere,
            compute_capability: (8, 0),
            memory_bytes: 81_920 * MIB,
            reserved_bytes: 612 * MIB,
            pci_device_id: 0x20B2_10DE,
            pci_subsystem_id: 0x147F_10DE,
            pcie_generation: 4,
            board_part_number: "692-2G506-0212-002".to_owned(),
            vbios_version: "92.00.45.00.03".to_owned(),
            cores: 6912,
            memory_bus_bits: 5120,
            idle_power_milliwatts: 60_000,
            power_limit_milliwatts: 400_000,
            idle_sm_clock_mhz: 210,
            max_sm_clock_mhz: 1410,
            memory_clock_mhz: 1593,
            mig_capable: true,
        }
    }

    /// L40S, 48 GB.
    pub fn l40s() -> Self {
        Self {
            key: "l40s".to_owned(),
            name: "NVIDIA L40S".to_owned(),
            architecture: Architecture::Ada,
            compute_capability: (8, 9),
            memory_bytes: 46_068 * MIB,
            reserved_bytes: 599 * MIB,
            pci_device_id: 0x26B9_10DE,
            pci_subsystem_id: 0x1851_10DE,
            pcie_generation: 4,
            board_part_number: "900-2G133-0080-000".to_owned(),
            vbios_version: "95.02.66.00.02".to_owned(),
            cores: 18_176,
            memory_bus_bits: 384,
            idle_power_milliwatts: 35_000,
            power_limit_milliwatts: 350_000,
            idle_sm_clock_mhz: 210,
            max_sm_clock_mhz: 2520,
            memory_clock_mhz: 9001,
            mig_capable: false,
        }
    }

    /// T4, 16 GB.
    pub fn t4() -> Self {
        Self {
            key: "t4".to_owned(),
            name: "Tesla T4".to_owned(),
            architecture: Architecture::Turing,
            compute_capability: (7, 5),
            memory_bytes: 15_360 * MIB,
            reserved_bytes: 447 * MIB,
            pci_device_id: 0x1EB8_10DE,
            pci_subsystem_id: 0x12A2_10DE,
            pcie_generation: 3,
            board_part_number: "900-2G183-0000-001".to_owned(),
            vbios_version: "90.04.38.00.03".to_owned(),
            cores: 2560,
            memory_bus_bits: 256,
            idle_power_milliwatts: 9_000,
            power_limit_milliwatts: 70_000,
            idle_sm_clock_mhz: 300,
            max_sm_clock_mhz: 1590,
            memory_clock_mhz: 5001,
            mig_capable: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_model_is_found_by_its_own_key() {
        for model in [Model::h100(), Model::a100(), Model::l40s(), Model::t4()] {
            assert_eq!(Model::named(&model.key), Ok(model));
        }
    }

    #[test]
    fn an_unknown_model_is_refused_with_the_choices() {
        let refusal = Model::named("v100").unwrap_err().to_string();
        assert!(refusal.contains("\"v100\"") && refusal.contains("l40s"), "{refusal}");
    }
}
