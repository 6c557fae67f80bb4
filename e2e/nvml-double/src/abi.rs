//! NVML's C calling conventions, and the only place of this crate where code is unsafe.
#![allow(unsafe_code, reason = "a C interface exports symbols and writes through pointers")]

use std::ffi::{CStr, c_char, c_uint};

use nvml_wrapper_sys::bindings::{self as sys, nvmlReturn_t};

use crate::library::{Library, View};

/// Why a call is not answered: an `nvmlReturn_t` other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) nvmlReturn_t);

impl Status {
    pub(crate) const UNINITIALIZED: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
    pub(crate) const INVALID_ARGUMENT: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    pub(crate) const NOT_SUPPORTED: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
    pub(crate) const NOT_FOUND: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
    pub(crate) const INSUFFICIENT_SIZE: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
    pub(crate) const DRIVER_NOT_LOADED: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED);
    pub(crate) const TIMEOUT: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_TIMEOUT);
    pub(crate) const GPU_IS_LOST: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST);
    pub(crate) const VERSION_MISMATCH: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    pub(crate) const UNKNOWN: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_UNKNOWN);
}

pub(crate) type Outcome = Result<(), Status>;

/// What the C caller gets.
pub(crate) fn returned(outcome: Outcome) -> nvmlReturn_t {
    match outcome {
        Ok(()) => sys::nvmlReturn_enum_NVML_SUCCESS,
        Err(Status(code)) => code,
    }
}

/// Answers a call out of the state at this moment.
pub(crate) fn answer(call: impl FnOnce(&View) -> Outcome) -> nvmlReturn_t {
    returned(Library::view().and_then(|view| call(&view)))
}

/// Compiles only if both types are the same: `nvml!` compares each function with NVIDIA's header.
pub(crate) fn same_signature<F, E>(_declared: &Result<F, E>, _defined: F) {}

/// Defines functions of NVML: exported, null-checked, and held to the signature that the header of
/// NVML 12 declares. The first argument names the [`View`] that the body answers from.
macro_rules! nvml {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($view:pat_param $(, $argument:ident: $kind:ty)* $(,)?) $body:block
    )*) => {$(
        #[allow(unsafe_code, unused_unsafe, reason = "exported to C; see `abi`")]
        const _: () = {
            $(#[$meta])*
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $kind),*) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
                // SAFETY: NVML's callers pass null or pointers to what the signature names; the
                // functions of `abi` check the former.
                $crate::abi::answer(|$view| unsafe { $body })
            }

            const _: fn(&nvml_wrapper_sys::bindings::NvmlLib) =
                |library| $crate::abi::same_signature(&library.$name, $name);
        };
    )*};
}

/// # Safety
/// `target` is null or valid for writing a `T`.
pub(crate) unsafe fn write<T>(target: *mut T, value: T) -> Outcome {
    if target.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: not null; the caller vouches for the rest.
    unsafe { target.write(value) };
    Ok(())
}

/// For versioned structures, whose first field says which layout the caller compiled against.
///
/// # Safety
/// `source` is null or valid for reading a `T`.
pub(crate) unsafe fn read<T: Copy>(source: *const T) -> Result<T, Status> {
    if source.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: not null; the caller vouches for the rest.
    Ok(unsafe { source.read() })
}

/// Writes `text` and its terminating zero.
///
/// # Safety
/// `buffer` is null or valid for writing `length` characters.
pub(crate) unsafe fn write_text(buffer: *mut c_char, length: c_uint, text: &str) -> Outcome {
    if buffer.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    if text.len() >= length as usize {
        return Err(Status::INSUFFICIENT_SIZE);
    }
    // SAFETY: `text` and its zero fit into `length` characters, for which the caller vouches.
    unsafe {
        text.as_ptr().copy_to_nonoverlapping(buffer.cast(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}

/// # Safety
/// `text` is null or a C string.
pub(crate) unsafe fn read_text<'a>(text: *const c_char) -> Result<&'a str, Status> {
    if text.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: not null; the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Status::INVALID_ARGUMENT)
}

/// Text as a C array of fixed size, cut if need be, always with a zero behind it.
pub(crate) fn fixed_text<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (target, byte) in array.iter_mut().zip(text.bytes()).take(N - 1) {
        *target = byte.cast_signed();
    }
    array
}

/// Path by which the dynamic loader found this library.
pub(crate) fn own_path() -> Option<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address and fills `info` if it returns other than 0; the name that
    // it then gives belongs to the loader and lives as long as this code does.
    unsafe {
        if libc::dladdr((own_path as fn() -> Option<std::path::PathBuf> as *const ()).cast(), info.as_mut_ptr()) == 0 {
            return None;
        }
        let name = info.assume_init().dli_fname;
        (!name.is_null()).then(|| std::ffi::OsStr::from_bytes(CStr::from_ptr(name).to_bytes()).into())
    }
}
