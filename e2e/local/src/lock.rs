//! One `up` or `down` at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
};

use anyhow::{Context as _, Result};

/// Outside the state directory, which `down` removes.
const PATH: &str = "/run/hawser-local.lock";

/// Held while the cluster is brought up or down. The kernel lets go of it when
/// the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for another `up` or `down`, and says so.
    pub(crate) fn acquire() -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(PATH)
            .with_context(|| format!("{PATH} can't be opened"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                eprintln!("waiting for process {}, which brings the local cluster up or down", holder.trim());
                file.lock().with_context(|| format!("{PATH} can't be locked"))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("{PATH} can't be locked")),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}
