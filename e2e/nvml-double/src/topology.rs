//! How cards are connected: in groups of four behind a host bridge, without direct links.

use std::ffi::{c_int, c_uint};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL, nvmlGpuLevel_enum_NVML_TOPOLOGY_NODE,
    nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM, nvmlGpuTopologyLevel_t,
};

use crate::abi::write;

/// Cards that share a host bridge.
const GROUP: u32 = 4;

nvml! {
    /// The device plugin chooses cards that lie close together by this.
    fn nvmlDeviceGetTopologyCommonAncestor(
        view,
        one: nvmlDevice_t,
        other: nvmlDevice_t,
        level: *mut nvmlGpuTopologyLevel_t,
    ) {
        let (one, other) = (view.card(one)?.minor, view.card(other)?.minor);
        write(level, if one == other {
            nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL
        } else if one / GROUP == other / GROUP {
            nvmlGpuLevel_enum_NVML_TOPOLOGY_NODE
        } else {
            nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM
        })
    }

    fn nvmlDeviceOnSameBoard(view, one: nvmlDevice_t, other: nvmlDevice_t, same: *mut c_int) {
        write(same, c_int::from(view.card(one)?.minor == view.card(other)?.minor))
    }

    fn nvmlDeviceGetCurrPcieLinkGeneration(view, device: nvmlDevice_t, generation: *mut c_uint) {
        view.card(device)?;
        write(generation, view.state.model.pcie_generation)
    }

    fn nvmlDeviceGetMaxPcieLinkGeneration(view, device: nvmlDevice_t, generation: *mut c_uint) {
        view.card(device)?;
        write(generation, view.state.model.pcie_generation)
    }

    fn nvmlDeviceGetCurrPcieLinkWidth(view, device: nvmlDevice_t, lanes: *mut c_uint) {
        view.card(device)?;
        write(lanes, 16)
    }

    fn nvmlDeviceGetMaxPcieLinkWidth(view, device: nvmlDevice_t, lanes: *mut c_uint) {
        view.card(device)?;
        write(lanes, 16)
    }
}
