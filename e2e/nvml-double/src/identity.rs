//! What a card is: it never changes while the driver runs.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::{
    nvmlBrandType_enum_NVML_BRAND_NVIDIA, nvmlBrandType_t, nvmlDevice_t, nvmlDeviceArchitecture_t, nvmlPciInfo_t,
};

use crate::abi::{Status, fixed_text, write, write_text};

nvml! {
    fn nvmlDeviceGetName(view, device: nvmlDevice_t, name: *mut c_char, length: c_uint) {
        view.identity(device)?;
        write_text(name, length, &view.state.model.name)
    }

    fn nvmlDeviceGetUUID(view, device: nvmlDevice_t, uuid: *mut c_char, length: c_uint) {
        write_text(uuid, length, &view.identity(device)?.uuid)
    }

    fn nvmlDeviceGetSerial(view, device: nvmlDevice_t, serial: *mut c_char, length: c_uint) {
        write_text(serial, length, &view.identity(device)?.serial)
    }

    fn nvmlDeviceGetBoardPartNumber(view, device: nvmlDevice_t, number: *mut c_char, length: c_uint) {
        view.identity(device)?;
        write_text(number, length, &view.state.model.board_part_number)
    }

    fn nvmlDeviceGetVbiosVersion(view, device: nvmlDevice_t, version: *mut c_char, length: c_uint) {
        view.identity(device)?;
        write_text(version, length, &view.state.model.vbios_version)
    }

    /// The board's id is the bus number shifted up, as on real boards with one GPU.
    fn nvmlDeviceGetBoardId(view, device: nvmlDevice_t, id: *mut c_uint) {
        write(id, view.identity(device)?.pci_bus << 8)
    }

    fn nvmlDeviceGetMultiGpuBoard(view, device: nvmlDevice_t, is_multi: *mut c_uint) {
        view.identity(device)?;
        write(is_multi, 0)
    }

    fn nvmlDeviceGetBrand(view, device: nvmlDevice_t, brand: *mut nvmlBrandType_t) {
        view.identity(device)?;
        write(brand, nvmlBrandType_enum_NVML_BRAND_NVIDIA)
    }

    fn nvmlDeviceGetArchitecture(
        view,
        device: nvmlDevice_t,
        architecture: *mut nvmlDeviceArchitecture_t,
    ) {
        view.identity(device)?;
        write(architecture, view.state.model.architecture.nvml())
    }

    fn nvmlDeviceGetCudaComputeCapability(
        view,
        device: nvmlDevice_t,
        major: *mut c_int,
        minor: *mut c_int,
    ) {
        view.identity(device)?;
        let capability = view.state.model.compute_capability;
        write(major, capability.0.cast_signed())?;
        write(minor, capability.1.cast_signed())
    }

    fn nvmlDeviceGetPciInfo_v3(view, device: nvmlDevice_t, info: *mut nvmlPciInfo_t) {
        let card = view.identity(device)?;
        let address = card.pci_bus_id();
        write(info, nvmlPciInfo_t {
            busIdLegacy: fixed_text(&address[4..]),
            domain: 0,
            bus: card.pci_bus,
            device: 0,
            pciDeviceId: view.state.model.pci_device_id,
            pciSubSystemId: view.state.model.pci_subsystem_id,
            busId: fixed_text(&address),
        })
    }

    fn nvmlDeviceGetNumGpuCores(view, device: nvmlDevice_t, cores: *mut c_uint) {
        view.identity(device)?;
        write(cores, view.state.model.cores)
    }

    fn nvmlDeviceGetMemoryBusWidth(view, device: nvmlDevice_t, bits: *mut c_uint) {
        view.identity(device)?;
        write(bits, view.state.model.memory_bus_bits)
    }

    /// The mode of a card that could be partitioned is off, and no one can turn it on.
    fn nvmlDeviceGetMigMode(
        view,
        device: nvmlDevice_t,
        current: *mut c_uint,
        pending: *mut c_uint,
    ) {
        view.card(device)?;
        if !view.state.model.mig_capable {
            return Err(Status::NOT_SUPPORTED);
        }
        write(current, 0)?;
        write(pending, 0)
    }

    fn nvmlDeviceGetMaxMigDeviceCount(view, device: nvmlDevice_t, count: *mut c_uint) {
        view.identity(device)?;
        write(count, if view.state.model.mig_capable { 7 } else { 0 })
    }

    fn nvmlDeviceGetMigDeviceHandleByIndex(
        view,
        device: nvmlDevice_t,
        _index: c_uint,
        _partition: *mut nvmlDevice_t,
    ) {
        view.identity(device)?;
        Err(Status::NOT_FOUND)
    }
}
