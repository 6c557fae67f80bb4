//! A node's driver: the NVML double, seen from containers that may open some of its cards.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use nvml_double_state::{DRIVER_VERSION, Model, STATE_FILE_PREFIX, State, StateError, StateFile};

pub(crate) struct Driver {
    root: tempfile::TempDir,
}

/// The folder of libraries that a container gets, and with it the cards that it may open.
#[derive(Clone, Debug)]
pub(crate) struct View(pub(crate) PathBuf);

impl Driver {
    pub(crate) fn new() -> Self {
        let driver = Self { root: tempfile::tempdir().unwrap() };
        driver.state().create(&State::new(Model::h100(), 8).unwrap()).unwrap();
        driver
    }

    pub(crate) fn view(&self, minors: &[usize]) -> View {
        let name = minors.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
        let root = self.root.path().join(name);
        let (libraries, devices) = (root.join("usr/lib64"), root.join("dev"));
        fs::create_dir_all(&libraries).unwrap();
        fs::create_dir_all(&devices).unwrap();
        // Cargo builds the double into the folder of this test.
        let built = std::env::current_exe().unwrap().with_file_name("libnvidia_ml_double.so");
        fs::copy(built, libraries.join("libnvidia-ml.so.1")).unwrap();
        fs::hard_link(self.state().path(), libraries.join(state_file())).unwrap();
        for minor in minors {
            File::create(devices.join(format!("nvidia{minor}"))).unwrap();
        }
        View(libraries)
    }

    pub(crate) fn uuids(&self, minors: &[usize]) -> Vec<String> {
        let state = self.state().read().unwrap();
        minors.iter().map(|minor| state.cards[*minor].uuid.clone()).collect()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State) -> Result<(), StateError>) {
        self.state().update(change).unwrap();
    }

    /// Also to a container of another user.
    pub(crate) fn show_to_everybody(&self) {
        fs::set_permissions(self.root.path(), Permissions::from_mode(0o755)).unwrap();
    }

    fn state(&self) -> StateFile {
        StateFile::at(self.root.path().join(state_file()))
    }
}

fn state_file() -> String {
    format!("{STATE_FILE_PREFIX}{DRIVER_VERSION}")
}
