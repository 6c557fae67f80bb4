//! Writes meter's termination message so that it is whole at each moment.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The container's termination message.
#[derive(Debug)]
pub(crate) struct TerminationLog {
    path: PathBuf,
    written: String,
}

impl TerminationLog {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), written: String::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes over what stands there, and only then cuts what is left of it: at each moment a whole message is there for
    /// kubelet, also where meter is killed in between.
    pub(crate) fn write(&mut self, text: String) -> io::Result<()> {
        if self.written == text {
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
        self.written = text;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_message_takes_the_place_of_the_one_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("termination-log");
        let mut log = TerminationLog::new(&path);
        for text in ["a long message", "short", "short", "longer"] {
            log.write(text.to_owned()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    /// As a restart of the container finds it.
    #[test]
    fn what_an_earlier_meter_left_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("termination-log");
        fs::write(&path, "what the meter before this one wrote").unwrap();
        TerminationLog::new(&path).write("now".to_owned()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "now");
    }
}
