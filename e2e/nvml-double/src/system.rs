//! The library itself, the driver, and how handles are found.

use std::ffi::{CStr, c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::{NvmlLib, nvmlDevice_t, nvmlReturn_t};

use crate::abi::{Status, read_text, returned, same_signature, write, write_text};
use crate::library::Library;

#[allow(unsafe_code, reason = "exported to C; see `abi`")]
mod exports {
    use super::{CStr, Library, NvmlLib, c_char, c_uint, error_text, nvmlReturn_t, returned, same_signature};

    #[unsafe(no_mangle)]
    unsafe extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
        returned(Library::init())
    }

    /// The flags ask for nothing that the double would do differently.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
        returned(Library::init())
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn nvmlShutdown() -> nvmlReturn_t {
        returned(Library::shutdown())
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
        let text: &'static CStr = error_text(result);
        text.as_ptr()
    }

    const _: fn(&NvmlLib) = |library| {
        same_signature(&library.nvmlInit_v2, nvmlInit_v2);
        same_signature(&library.nvmlInitWithFlags, nvmlInitWithFlags);
        same_signature(&library.nvmlShutdown, nvmlShutdown);
        same_signature(&library.nvmlErrorString, nvmlErrorString);
    };
}

fn error_text(result: nvmlReturn_t) -> &'static CStr {
    match Status(result) {
        Status(0) => c"Success",
        Status::UNINITIALIZED => c"Uninitialized",
        Status::INVALID_ARGUMENT => c"Invalid Argument",
        Status::NOT_SUPPORTED => c"Not Supported",
        Status::NOT_FOUND => c"Not Found",
        Status::INSUFFICIENT_SIZE => c"Insufficient Size",
        Status::DRIVER_NOT_LOADED => c"Driver Not Loaded (NVML test double: no state beside the library)",
        Status::TIMEOUT => c"Timeout",
        Status::GPU_IS_LOST => c"GPU is lost",
        Status::VERSION_MISMATCH => c"Argument version mismatch",
        _ => c"Unknown Error",
    }
}

nvml! {
    fn nvmlSystemGetDriverVersion(view, version: *mut c_char, length: c_uint) {
        write_text(version, length, &view.state.driver.version)
    }

    fn nvmlSystemGetNVMLVersion(view, version: *mut c_char, length: c_uint) {
        write_text(version, length, &view.state.driver.nvml_version)
    }

    fn nvmlSystemGetCudaDriverVersion(view, version: *mut c_int) {
        write(version, view.state.driver.cuda_version)
    }

    fn nvmlSystemGetCudaDriverVersion_v2(view, version: *mut c_int) {
        write(version, view.state.driver.cuda_version)
    }

    fn nvmlDeviceGetCount_v2(view, count: *mut c_uint) {
        write(count, view.count())
    }

    fn nvmlDeviceGetHandleByIndex_v2(view, index: c_uint, device: *mut nvmlDevice_t) {
        let minor = view.cards().nth(index as usize).ok_or(Status::INVALID_ARGUMENT)?.minor;
        write(device, view.handle_of(|card| card.minor == minor)?)
    }

    fn nvmlDeviceGetHandleByUUID(view, uuid: *const c_char, device: *mut nvmlDevice_t) {
        let uuid = read_text(uuid)?;
        write(device, view.handle_of(|card| card.uuid == uuid)?)
    }

    /// Takes the address with a domain of eight digits, as the library writes it, or of four, as
    /// the kernel does.
    fn nvmlDeviceGetHandleByPciBusId_v2(view, address: *const c_char, device: *mut nvmlDevice_t) {
        let address = read_text(address)?;
        write(device, view.handle_of(|card| {
            let known = card.pci_bus_id();
            known.eq_ignore_ascii_case(address) || known[4..].eq_ignore_ascii_case(address)
        })?)
    }

    fn nvmlDeviceGetIndex(view, device: nvmlDevice_t, index: *mut c_uint) {
        write(index, view.index(device)?)
    }

    fn nvmlDeviceGetMinorNumber(view, device: nvmlDevice_t, minor: *mut c_uint) {
        write(minor, view.identity(device)?.minor)
    }

    fn nvmlDeviceValidateInforom(view, device: nvmlDevice_t) {
        view.card(device).map(|_| ())
    }

    /// No card here is a partition of another.
    fn nvmlDeviceIsMigDeviceHandle(view, device: nvmlDevice_t, is_mig: *mut c_uint) {
        view.identity(device)?;
        write(is_mig, 0)
    }

    fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
        view,
        mig: nvmlDevice_t,
        _device: *mut nvmlDevice_t,
    ) {
        view.identity(mig)?;
        Err(Status::INVALID_ARGUMENT)
    }
}
