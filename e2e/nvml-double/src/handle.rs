//! Opaque handles: numbers in the shape of pointers. They are never followed.

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlEventSet_t};

/// Handles start at 1: null is no handle.
pub(crate) fn device(minor: u32) -> nvmlDevice_t {
    std::ptr::without_provenance_mut(minor as usize + 1)
}

/// The minor that [`device`] was made of.
pub(crate) fn minor(device: nvmlDevice_t) -> Option<u32> {
    device.addr().checked_sub(1)?.try_into().ok()
}

pub(crate) fn event_set(id: usize) -> nvmlEventSet_t {
    std::ptr::without_provenance_mut(id)
}

pub(crate) fn event_set_id(set: nvmlEventSet_t) -> usize {
    set.addr()
}
