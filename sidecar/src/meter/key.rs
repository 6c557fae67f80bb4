//! The attestor's key: made once for a pod, and never leaves it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use alloy::{
    primitives::{B256, hex},
    signers::local::PrivateKeySigner,
};

const FILE: &str = "attestor";

/// Why there is no attestor's key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("attestor's key {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("attestor's key {path} is not 64 hexadecimal digits of a secp256k1 key")]
    NotAKey { path: PathBuf },
}

/// The attestor's key: kept in memory that only meter mounts, so that it outlives the container but not the pod.
pub(crate) fn load_or_make(directory: &Path) -> Result<PrivateKeySigner, KeyError> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => read(&text).ok_or(KeyError::NotAKey { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = PrivateKeySigner::random();
            write(&path, &key.to_bytes()).map_err(|error| KeyError::File { path, error })?;
            Ok(key)
        }
        Err(error) => Err(KeyError::File { path, error }),
    }
}

fn read(text: &str) -> Option<PrivateKeySigner> {
    let bytes: B256 = text.trim().parse().ok()?;
    PrivateKeySigner::from_bytes(&bytes).ok()
}

fn write(path: &Path, key: &B256) -> io::Result<()> {
    // Written beside and renamed: a restart in between finds the whole key or none.
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(hex::encode_prefixed(key).as_bytes())?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_restarted_container_has_the_same_key_and_nobody_else_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = load_or_make(directory.path()).unwrap();
        assert_eq!(load_or_make(directory.path()).unwrap(), key);
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_spoilt_key_file_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "0x00").unwrap();
        let error = load_or_make(directory.path()).unwrap_err().to_string();
        assert!(error.contains("is not 64 hexadecimal digits"), "{error}");
        assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), "0x00");
    }
}
