//! Waiting for Xids.

use std::collections::BTreeMap;
use std::ffi::{c_uint, c_ulonglong};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nvml_double_state::Xid;
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError, nvmlReturn_t,
};

use crate::abi::{Status, returned, same_signature, write};
use crate::handle;
use crate::library::{Library, View};

/// How often a waiter looks at the state. A real driver wakes it.
const POLL: Duration = Duration::from_millis(50);

const XID: c_ulonglong = nvmlEventTypeXidCriticalError as c_ulonglong;

/// Of a card that is not partitioned, in an event.
const NO_INSTANCE: c_uint = u32::MAX;

/// What one event set waits for.
#[derive(Debug, Default)]
struct EventSet {
    /// Minors of the cards registered for Xids.
    minors: Vec<u32>,
    /// Newest Xid that this set has seen.
    seen: u64,
}

impl EventSet {
    /// The oldest Xid for this set that it has not seen, which from now on it has.
    fn next(&mut self, view: &View) -> Option<Xid> {
        let xid =
            view.state.xids.recent.iter().find(|xid| xid.sequence > self.seen && self.minors.contains(&xid.minor))?;
        self.seen = xid.sequence;
        Some(xid.clone())
    }
}

#[derive(Debug)]
struct EventSets {
    sets: BTreeMap<usize, EventSet>,
    created: usize,
}

static SETS: Mutex<EventSets> = Mutex::new(EventSets { sets: BTreeMap::new(), created: 0 });

fn event_sets() -> MutexGuard<'static, EventSets> {
    SETS.lock().unwrap_or_else(PoisonError::into_inner)
}

nvml! {
    fn nvmlDeviceGetSupportedEventTypes(view, device: nvmlDevice_t, types: *mut c_ulonglong) {
        view.card(device)?;
        write(types, XID)
    }

    /// A new set sees only what is raised after it was made.
    fn nvmlEventSetCreate(view, set: *mut nvmlEventSet_t) {
        let mut registry = event_sets();
        registry.created += 1;
        let id = registry.created;
        registry.sets.insert(id, EventSet { minors: Vec::new(), seen: view.state.xids.raised });
        write(set, handle::event_set(id))
    }

    fn nvmlEventSetFree(_, set: nvmlEventSet_t) {
        event_sets()
            .sets
            .remove(&handle::event_set_id(set))
            .map(drop)
            .ok_or(Status::INVALID_ARGUMENT)
    }

    fn nvmlDeviceRegisterEvents(
        view,
        device: nvmlDevice_t,
        types: c_ulonglong,
        set: nvmlEventSet_t,
    ) {
        let minor = view.card(device)?.minor;
        if types & !XID != 0 {
            return Err(Status::NOT_SUPPORTED);
        }
        let mut registry = event_sets();
        let set = registry
            .sets
            .get_mut(&handle::event_set_id(set))
            .ok_or(Status::INVALID_ARGUMENT)?;
        if types & XID != 0 && !set.minors.contains(&minor) {
            set.minors.push(minor);
        }
        Ok(())
    }
}

/// Waits until an Xid is raised for the set, at most `timeout`.
fn wait(set: nvmlEventSet_t, timeout: Duration) -> Result<nvmlEventData_t, Status> {
    let deadline = Instant::now() + timeout;
    loop {
        let view = Library::view()?;
        let next = event_sets().sets.get_mut(&handle::event_set_id(set)).ok_or(Status::INVALID_ARGUMENT)?.next(&view);
        if let Some(xid) = next {
            return Ok(nvmlEventData_t {
                device: handle::device(xid.minor),
                eventType: XID,
                eventData: xid.code,
                gpuInstanceId: NO_INSTANCE,
                computeInstanceId: NO_INSTANCE,
            });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Status::TIMEOUT);
        }
        thread::sleep(POLL.min(left));
    }
}

#[allow(unsafe_code, reason = "exported to C; see `abi`")]
mod exports {
    use super::{
        Duration, NvmlLib, c_uint, nvmlEventData_t, nvmlEventSet_t, nvmlReturn_t, returned, same_signature, wait, write,
    };

    /// `timeout` is in milliseconds.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn nvmlEventSetWait_v2(
        set: nvmlEventSet_t,
        data: *mut nvmlEventData_t,
        timeout: c_uint,
    ) -> nvmlReturn_t {
        // SAFETY: the caller passes null or a pointer to what the signature names.
        returned(wait(set, Duration::from_millis(timeout.into())).and_then(|event| unsafe { write(data, event) }))
    }

    const _: fn(&NvmlLib) = |library| same_signature(&library.nvmlEventSetWait_v2, nvmlEventSetWait_v2);
}
