//! The file that carries a [`State`] between processes, and through bind mounts into containers.
//!
//! It is rewritten in place and never grows, shrinks or moves: a bind mount shows the inode that it
//! was made of, so a file renamed over the old one would not be seen in a running container.
//! A reader may meet a half-written state; the checksum in the first line tells, and it reads again.
//! Behind that line is plain JSON: `head -c 4096` on the file answers most questions.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::card::fnv1a;
use crate::state::{State, StateError};

/// Size of every state file, in bytes.
pub const FILE_BYTES: usize = 16 * 1024;

/// First word of the file. The digit is the version of what follows.
const MAGIC: &str = "nvml-double-state-1";

/// A write takes microseconds. A file that is not whole for this long was left by a killed writer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Why a state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a whole state of the NVML double ({reason}); write a new one", path.display())]
    Torn { path: PathBuf, reason: &'static str },
    #[error("the state takes {bytes} bytes, and {FILE_BYTES} is the most that {} holds", path.display())]
    TooLong { path: PathBuf, bytes: usize },
    #[error("{} holds no state that this version understands: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    State(#[from] StateError),
}

/// Where a state lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The state at `path`, whether it exists yet or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `state`, over an old one if there is one. Everyone may read it: containers run as
    /// whatever user they like.
    ///
    /// # Errors
    /// The file can't be written, or the state is too long for it.
    pub fn create(&self, state: &State) -> Result<(), FileError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|source| self.io("can't create", source))?;
        file.set_permissions(PermissionsExt::from_mode(0o644))
            .map_err(|source| self.io("can't set the mode of", source))?;
        file.lock().map_err(|source| self.io("can't lock", source))?;
        self.write(&file, state)
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// The file can't be read, or holds no whole state for half a second.
    pub fn read(&self) -> Result<State, FileError> {
        let file = File::open(&self.path).map_err(|source| self.io("can't open", source))?;
        self.read_from(&file)
    }

    /// Changes the state. Other writers wait, readers see the state before or after it.
    ///
    /// # Errors
    /// As [`StateFile::read`] and [`StateFile::create`], or what `change` refused.
    pub fn update(&self, change: impl FnOnce(&mut State) -> Result<(), StateError>) -> Result<State, FileError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|source| self.io("can't open", source))?;
        file.lock().map_err(|source| self.io("can't lock", source))?;
        let mut state = self.read_from(&file)?;
        change(&mut state)?;
        self.write(&file, &state)?;
        Ok(state)
    }

    fn write(&self, file: &File, state: &State) -> Result<(), FileError> {
        let json =
            serde_json::to_vec_pretty(state).map_err(|source| FileError::Json { path: self.path.clone(), source })?;
        let mut bytes = format!("{MAGIC} {:016x} {}\n", fnv1a(&json), json.len()).into_bytes();
        bytes.extend_from_slice(&json);
        if bytes.len() > FILE_BYTES {
            return Err(FileError::TooLong { path: self.path.clone(), bytes: bytes.len() });
        }
        bytes.resize(FILE_BYTES, b'\n');
        file.write_all_at(&bytes, 0).map_err(|source| self.io("can't write", source))
    }

    fn read_from(&self, file: &File) -> Result<State, FileError> {
        let deadline = Instant::now() + TIMEOUT;
        let mut bytes = vec![0; FILE_BYTES];
        loop {
            let whole = match file.read_exact_at(&mut bytes, 0) {
                Ok(()) => json_of(&bytes),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err("it is too short"),
                Err(source) => return Err(self.io("can't read", source)),
            };
            match whole {
                Ok(json) => {
                    return serde_json::from_slice(json)
                        .map_err(|source| FileError::Json { path: self.path.clone(), source });
                }
                Err(reason) if Instant::now() > deadline => {
                    return Err(FileError::Torn { path: self.path.clone(), reason });
                }
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> FileError {
        FileError::Io { action, path: self.path.clone(), source }
    }
}

/// The JSON in a whole file, or what is wrong with it.
fn json_of(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let header = str::from_utf8(&bytes[..end]).map_err(|_| "its first line is no text")?;
    let [MAGIC, checksum, length] = header.split(' ').collect::<Vec<_>>()[..] else {
        return Err("its first line is a stranger's");
    };
    let length: usize = length.parse().map_err(|_| "its length is no number")?;
    let json = bytes.get(end + 1..).and_then(|rest| rest.get(..length)).ok_or("its length is beyond its end")?;
    if format!("{:016x}", fnv1a(json)) == checksum { Ok(json) } else { Err("its checksum does not fit") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::model::Model;
    use crate::selector::Gpu;
    use crate::state::MAX_CARDS;

    fn file(folder: &tempfile::TempDir) -> StateFile {
        let file = StateFile::at(folder.path().join("state"));
        file.create(&State::new(Model::h100(), 8).unwrap()).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        file.update(|state| state.set_utilization(&Gpu::Index(3), 73)).unwrap();
        assert_eq!(file.read().unwrap().cards[3].utilization_percent, 73);
    }

    #[test]
    fn an_update_keeps_the_inode_that_containers_have_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let before = std::fs::metadata(file.path()).unwrap();
        file.update(|state| state.lose(&Gpu::Index(0))).unwrap();
        file.create(&State::new(Model::t4(), 1).unwrap()).unwrap();
        let after = std::fs::metadata(file.path()).unwrap();
        assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));
        assert_eq!(after.mode() & 0o777, 0o644);
    }

    #[test]
    fn a_refused_change_leaves_the_state_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let before = file.read().unwrap();
        assert!(file.update(|state| state.set_utilization(&Gpu::Index(0), 101)).is_err());
        assert_eq!(file.read().unwrap(), before);
    }

    #[test]
    fn the_largest_machine_with_all_its_xids_fits() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let mut state = State::new(Model::h100(), MAX_CARDS).unwrap();
        for minor in 0..MAX_CARDS {
            let gpu = Gpu::Index(minor);
            state.set_power(&gpu, Some(u32::MAX)).unwrap();
            state.set_temperature(&gpu, Some(u32::MAX)).unwrap();
        }
        for _ in 0..100 {
            state.raise_xid(&Gpu::Index(13), u64::MAX).unwrap();
        }
        file.create(&state).unwrap();
        assert_eq!(file.read().unwrap(), state);
    }

    #[test]
    fn a_state_damaged_in_any_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let good = std::fs::read(file.path()).unwrap();
        for position in [0, 25, 40, 400] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(json_of(&bad).is_err(), "byte {position}");
        }
        assert!(json_of(&good).is_ok());
    }

    #[test]
    fn readers_never_see_half_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..500 {
                    file.update(|state| {
                        (0..8).try_for_each(|index| state.set_utilization(&Gpu::Index(index), round % 101))
                    })
                    .unwrap();
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let cards = file.read().unwrap().cards;
                let first = cards[0].utilization_percent;
                assert!(cards.iter().all(|card| card.utilization_percent == first));
            }
        });
    }
}
