//! What a card reads at this moment.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlClockType_enum_NVML_CLOCK_GRAPHICS, nvmlClockType_enum_NVML_CLOCK_MEM,
    nvmlClockType_enum_NVML_CLOCK_SM, nvmlClockType_enum_NVML_CLOCK_VIDEO, nvmlClockType_t, nvmlComputeMode_t,
    nvmlDevice_t, nvmlEccCounterType_t, nvmlEnableState_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlMemoryErrorType_t,
    nvmlProcessInfo_t, nvmlPstates_t, nvmlTemperatureSensors_t, nvmlUtilization_t,
};

use crate::abi::{Status, read, write};
use crate::library::View;

/// `NVML_STRUCT_VERSION(Memory, 2)`: the structure's size and, in the upper byte, its version.
const MEMORY_VERSION_2: c_uint = 0x0200_0028;
const _: () = assert!(size_of::<nvmlMemory_v2_t>() == 0x28);

/// Time over which the encoder's and decoder's utilisation is averaged, in microseconds.
const SAMPLING_PERIOD_MICROSECONDS: c_uint = 167_000;

nvml! {
    /// The memory controller's share follows the kernels': there is nothing to measure.
    fn nvmlDeviceGetUtilizationRates(view, device: nvmlDevice_t, rates: *mut nvmlUtilization_t) {
        let gpu = view.card(device)?.utilization_percent;
        write(rates, nvmlUtilization_t { gpu, memory: gpu / 2 })
    }

    /// The first version counts what the driver reserves as used.
    fn nvmlDeviceGetMemoryInfo(view, device: nvmlDevice_t, memory: *mut nvmlMemory_t) {
        let model = &view.state.model;
        let used = view.card(device)?.memory_used_bytes + model.reserved_bytes;
        let total = model.memory_bytes;
        write(memory, nvmlMemory_t { total, free: total - used, used })
    }

    fn nvmlDeviceGetMemoryInfo_v2(view, device: nvmlDevice_t, memory: *mut nvmlMemory_v2_t) {
        if read(memory)?.version != MEMORY_VERSION_2 {
            return Err(Status::VERSION_MISMATCH);
        }
        let model = &view.state.model;
        let used = view.card(device)?.memory_used_bytes;
        write(memory, nvmlMemory_v2_t {
            version: MEMORY_VERSION_2,
            total: model.memory_bytes,
            reserved: model.reserved_bytes,
            free: model.memory_bytes - model.reserved_bytes - used,
            used,
        })
    }

    /// Data-centre cards map their whole memory.
    fn nvmlDeviceGetBAR1MemoryInfo(view, device: nvmlDevice_t, memory: *mut nvmlBAR1Memory_t) {
        view.card(device)?;
        let total = view.state.model.memory_bytes.next_power_of_two();
        write(memory, nvmlBAR1Memory_t { bar1Total: total, bar1Free: total - 1, bar1Used: 1 })
    }

    fn nvmlDeviceGetTemperature(
        view,
        device: nvmlDevice_t,
        sensor: nvmlTemperatureSensors_t,
        celsius: *mut c_uint,
    ) {
        if sensor != 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        write(celsius, view.card(device)?.temperature())
    }

    fn nvmlDeviceGetPowerUsage(view, device: nvmlDevice_t, milliwatts: *mut c_uint) {
        write(milliwatts, view.card(device)?.power(&view.state.model))
    }

    fn nvmlDeviceGetPowerManagementLimit(view, device: nvmlDevice_t, milliwatts: *mut c_uint) {
        power_limit(view, device).and_then(|limit| write(milliwatts, limit))
    }

    fn nvmlDeviceGetPowerManagementDefaultLimit(view, device: nvmlDevice_t, milliwatts: *mut c_uint) {
        power_limit(view, device).and_then(|limit| write(milliwatts, limit))
    }

    fn nvmlDeviceGetEnforcedPowerLimit(view, device: nvmlDevice_t, milliwatts: *mut c_uint) {
        power_limit(view, device).and_then(|limit| write(milliwatts, limit))
    }

    fn nvmlDeviceGetClockInfo(view, device: nvmlDevice_t, domain: nvmlClockType_t, mhz: *mut c_uint) {
        let card = view.card(device)?;
        let model = &view.state.model;
        write(mhz, clock(domain, card.sm_clock(model), model.memory_clock_mhz)?)
    }

    fn nvmlDeviceGetMaxClockInfo(view, device: nvmlDevice_t, domain: nvmlClockType_t, mhz: *mut c_uint) {
        view.card(device)?;
        let model = &view.state.model;
        write(mhz, clock(domain, model.max_sm_clock_mhz, model.memory_clock_mhz)?)
    }

    /// Data-centre cards run in P0.
    fn nvmlDeviceGetPerformanceState(view, device: nvmlDevice_t, state: *mut nvmlPstates_t) {
        view.card(device)?;
        write(state, 0)
    }

    fn nvmlDeviceGetPersistenceMode(view, device: nvmlDevice_t, mode: *mut nvmlEnableState_t) {
        view.card(device)?;
        write(mode, 1)
    }

    fn nvmlDeviceGetComputeMode(view, device: nvmlDevice_t, mode: *mut nvmlComputeMode_t) {
        view.card(device)?;
        write(mode, 0)
    }

    fn nvmlDeviceGetDisplayMode(view, device: nvmlDevice_t, display: *mut nvmlEnableState_t) {
        view.card(device)?;
        write(display, 0)
    }

    fn nvmlDeviceGetDisplayActive(view, device: nvmlDevice_t, active: *mut nvmlEnableState_t) {
        view.card(device)?;
        write(active, 0)
    }

    fn nvmlDeviceGetEccMode(
        view,
        device: nvmlDevice_t,
        current: *mut nvmlEnableState_t,
        pending: *mut nvmlEnableState_t,
    ) {
        view.card(device)?;
        write(current, 1)?;
        write(pending, 1)
    }

    fn nvmlDeviceGetTotalEccErrors(
        view,
        device: nvmlDevice_t,
        _kind: nvmlMemoryErrorType_t,
        _counter: nvmlEccCounterType_t,
        count: *mut c_ulonglong,
    ) {
        view.card(device)?;
        write(count, 0)
    }

    fn nvmlDeviceGetCurrentClocksThrottleReasons(
        view,
        device: nvmlDevice_t,
        reasons: *mut c_ulonglong,
    ) {
        view.card(device)?;
        write(reasons, 0)
    }

    fn nvmlDeviceGetEncoderUtilization(
        view,
        device: nvmlDevice_t,
        percent: *mut c_uint,
        period: *mut c_uint,
    ) {
        view.card(device)?;
        write(percent, 0)?;
        write(period, SAMPLING_PERIOD_MICROSECONDS)
    }

    fn nvmlDeviceGetDecoderUtilization(
        view,
        device: nvmlDevice_t,
        percent: *mut c_uint,
        period: *mut c_uint,
    ) {
        view.card(device)?;
        write(percent, 0)?;
        write(period, SAMPLING_PERIOD_MICROSECONDS)
    }

    /// Programs use memory of a card here without a context on it, so none is ever listed.
    fn nvmlDeviceGetComputeRunningProcesses_v3(
        view,
        device: nvmlDevice_t,
        count: *mut c_uint,
        _processes: *mut nvmlProcessInfo_t,
    ) {
        write(count, no_processes(view, device)?)
    }

    fn nvmlDeviceGetGraphicsRunningProcesses_v3(
        view,
        device: nvmlDevice_t,
        count: *mut c_uint,
        _processes: *mut nvmlProcessInfo_t,
    ) {
        write(count, no_processes(view, device)?)
    }

    fn nvmlDeviceGetMPSComputeRunningProcesses_v3(
        view,
        device: nvmlDevice_t,
        count: *mut c_uint,
        _processes: *mut nvmlProcessInfo_t,
    ) {
        write(count, no_processes(view, device)?)
    }
}

fn no_processes(view: &View, device: nvmlDevice_t) -> Result<c_uint, Status> {
    view.card(device).map(|_| 0)
}

fn power_limit(view: &View, device: nvmlDevice_t) -> Result<c_uint, Status> {
    view.card(device)?;
    Ok(view.state.model.power_limit_milliwatts)
}

/// Graphics, SM and video clocks run together here; memory runs on its own.
fn clock(domain: nvmlClockType_t, sm: u32, memory: u32) -> Result<c_uint, Status> {
    const SM_LIKE: [nvmlClockType_t; 3] =
        [nvmlClockType_enum_NVML_CLOCK_GRAPHICS, nvmlClockType_enum_NVML_CLOCK_SM, nvmlClockType_enum_NVML_CLOCK_VIDEO];
    if domain == nvmlClockType_enum_NVML_CLOCK_MEM {
        Ok(memory)
    } else if SM_LIKE.contains(&domain) {
        Ok(sm)
    } else {
        Err(Status::INVALID_ARGUMENT)
    }
}
