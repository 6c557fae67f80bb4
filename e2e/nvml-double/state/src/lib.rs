//! The state of the NVML **test double**: which cards it shows and what they read at this moment.
//!
//! The double (`libnvidia-ml.so.1` of the crate `nvml-double`) reads this state at every call; the
//! local cluster and the tests write it. No card and no driver stands behind any of it.
//!
//! - [`Model`] is what a data sheet says about a kind of card; four are built in.
//! - [`State`] is the machine: its driver's versions, its [`Card`]s, the [`Xid`]s raised so far.
//! - [`StateFile`] carries it between processes and into containers.

mod card;
mod file;
mod model;
mod selector;
mod state;

pub use card::Card;
pub use file::{FILE_BYTES, FileError, StateFile};
pub use model::{Architecture, Model, UnknownModel};
pub use selector::{Gpu, NotAGpu};
pub use state::{Driver, MAX_CARDS, State, StateError, Xid, Xids};

/// Version of the driver that the double claims to be. NVIDIA's toolkit mounts every library whose
/// name ends in it into containers, the state file too: see [`STATE_FILE_PREFIX`].
pub const DRIVER_VERSION: &str = "550.163.01";

/// The state file's name is this prefix and the driver's version, in the folder of the library.
///
/// It looks like one of the driver's libraries on purpose: NVIDIA's container toolkit bind-mounts
/// `*.so.<driver version>` from the driver root into every GPU container, so the same inode, and
/// with it every later change, is seen there too. The word `double` tells whoever finds it.
pub const STATE_FILE_PREFIX: &str = "libnvidia-ml-double-state.so.";
