//! What the loaded library knows between calls, and the view that each call answers from.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::{AccessFlags, access};
use nvml_double_state::{Card, STATE_FILE_PREFIX, State, StateFile};
use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::abi::{Outcome, Status, own_path};
use crate::handle;

/// The library between `nvmlInit` and the last `nvmlShutdown`.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    /// How many `nvmlInit` wait for their `nvmlShutdown`.
    users: u32,
    state: StateFile,
    /// Minors of the cards whose device nodes this process may open, ascending.
    visible: Vec<u32>,
}

static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

fn library() -> MutexGuard<'static, Option<Library>> {
    LIBRARY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Library {
    /// `nvmlInit_v2`.
    pub(crate) fn init() -> Outcome {
        let mut library = library();
        if let Some(library) = library.as_mut() {
            library.users += 1;
            return Ok(());
        }
        *library = Some(Self::open().ok_or(Status::DRIVER_NOT_LOADED)?);
        Ok(())
    }

    /// `nvmlShutdown`.
    pub(crate) fn shutdown() -> Outcome {
        let mut library = library();
        let users = &mut library.as_mut().ok_or(Status::UNINITIALIZED)?.users;
        *users -= 1;
        if *users == 0 {
            *library = None;
        }
        Ok(())
    }

    /// State and devices lie beside the library, in the driver root that it is part of: the
    /// cluster's on the node, `/` in a container.
    fn open() -> Option<Self> {
        let folder = own_path()?.parent()?.canonicalize().ok()?;
        let state = StateFile::at(state_file(&folder)?);
        let devices = driver_root(&folder).join("dev");
        let visible = state
            .read()
            .ok()?
            .cards
            .iter()
            .map(|card| card.minor)
            .filter(|minor| may_open(&devices.join(format!("nvidia{minor}"))))
            .collect();
        Some(Self { users: 1, state, visible })
    }

    /// The state now, as this process may see it.
    pub(crate) fn view() -> Result<View, Status> {
        let Self { state, visible, .. } = library().clone().ok_or(Status::UNINITIALIZED)?;
        let state = state.read().map_err(|_| Status::UNKNOWN)?;
        Ok(View { state, visible })
    }
}

fn state_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(STATE_FILE_PREFIX))
        .map(|entry| entry.path())
}

fn driver_root(folder: &Path) -> PathBuf {
    if folder.ends_with("usr/lib64") {
        folder.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
    } else {
        PathBuf::from("/")
    }
}

/// Asks the kernel, which asks the device cgroup, without opening the node: an open would make the
/// kernel look for a module of that major number.
fn may_open(node: &Path) -> bool {
    access(node, AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
}

/// The state at one moment, as one process may see it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) state: State,
    visible: Vec<u32>,
}

impl View {
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.visible.len()).unwrap_or(u32::MAX)
    }

    /// Cards that this process sees, in the order of their indices.
    pub(crate) fn cards(&self) -> impl Iterator<Item = &Card> {
        self.state.cards.iter().filter(|card| self.visible.contains(&card.minor))
    }

    /// A handle for the first card that fits.
    pub(crate) fn handle_of(&self, fits: impl Fn(&Card) -> bool) -> Result<nvmlDevice_t, Status> {
        let card = self.cards().find(|card| fits(card)).ok_or(Status::NOT_FOUND)?;
        if card.lost {
            return Err(Status::GPU_IS_LOST);
        }
        Ok(handle::device(card.minor))
    }

    /// The card of this handle, lost or not: the driver remembers who a card was.
    pub(crate) fn identity(&self, device: nvmlDevice_t) -> Result<&Card, Status> {
        let minor = handle::minor(device).ok_or(Status::INVALID_ARGUMENT)?;
        self.cards().find(|card| card.minor == minor).ok_or(Status::INVALID_ARGUMENT)
    }

    /// The card of this handle, to read from.
    pub(crate) fn card(&self, device: nvmlDevice_t) -> Result<&Card, Status> {
        let card = self.identity(device)?;
        if card.lost {
            return Err(Status::GPU_IS_LOST);
        }
        Ok(card)
    }

    /// Position of the card among those that this process sees.
    pub(crate) fn index(&self, device: nvmlDevice_t) -> Result<u32, Status> {
        let minor = self.identity(device)?.minor;
        (0..)
            .zip(self.cards())
            .find(|(_, card)| card.minor == minor)
            .map(|(index, _)| index)
            .ok_or(Status::INVALID_ARGUMENT)
    }
}
