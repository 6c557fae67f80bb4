//! Directories outside the tree, named by the hash of what they were made from.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::Layout;

/// The hash of everything that decides what a build gives.
#[derive(Clone, Debug, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds one input. Its length goes in first, so that inputs can't run into
    /// each other.
    #[must_use]
    pub fn with(mut self, input: impl AsRef<[u8]>) -> Self {
        let input = input.as_ref();
        self.0.update(input.len().to_le_bytes());
        self.0.update(input);
        self
    }

    /// Adds a file's content.
    pub fn with_file(self, path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
        Ok(self.with(content))
    }

    /// Adds every file beneath a directory, by name and content.
    pub fn with_tree(mut self, dir: &Path) -> Result<Self> {
        let entries = fs::read_dir(dir).with_context(|| format!("{} can't be read", dir.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            self = self.with(path.file_name().unwrap_or_default().as_encoded_bytes());
            self = if path.is_dir() { self.with_tree(&path)? } else { self.with_file(&path)? };
        }
        Ok(self)
    }

    /// 16 hexadecimal digits.
    pub fn digest(&self) -> String {
        let hash = self.0.clone().finalize();
        format!("{:016x}", u64::from_be_bytes(std::array::from_fn(|index| hash[index])))
    }
}

/// The directory `CACHE/KIND/KEY`. When it isn't there, `make` fills a
/// directory beside it, which then takes the name: an interrupted build is
/// never taken for a whole one.
pub fn directory(layout: &Layout, kind: &str, key: &Key, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let parent = layout.cache().join(kind);
    let whole = parent.join(key.digest());
    if whole.is_dir() {
        return Ok(whole);
    }
    let partial = parent.join(format!(".{}.{}", key.digest(), process::id()));
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("{} can't be removed", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("{} can't be created", partial.display()))?;
    let outcome = make(&partial).and_then(|()| publish(&partial, &whole));
    if outcome.is_err() {
        // The error at hand matters more than a directory that can't be removed.
        let _ = fs::remove_dir_all(&partial);
    }
    outcome.map(|()| whole)
}

/// Another process may have published the same build meanwhile; either is good.
fn publish(partial: &Path, whole: &Path) -> Result<()> {
    match fs::rename(partial, whole) {
        Ok(()) => Ok(()),
        Err(_) if whole.is_dir() => {
            fs::remove_dir_all(partial).with_context(|| format!("{} can't be removed", partial.display()))
        }
        Err(error) => {
            Err(error).with_context(|| format!("{} can't be renamed to {}", partial.display(), whole.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    #[test]
    fn a_key_tells_where_one_input_ends_and_the_next_begins() {
        assert_ne!(Key::default().with("ab").with("c").digest(), Key::default().with("a").with("bc").digest());
        assert_eq!(Key::default().with("ab").digest(), Key::default().with("ab").digest());
    }

    #[test]
    fn a_key_over_a_tree_changes_with_any_name_or_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        let digest = || Key::default().with_tree(dir.path()).unwrap().digest();
        let file = dir.path().join("src/lib.rs");
        fs::write(&file, "a").unwrap();
        let before = digest();
        assert_eq!(digest(), before);
        fs::write(&file, "b").unwrap();
        assert_ne!(digest(), before);
        fs::write(&file, "a").unwrap();
        fs::rename(&file, dir.path().join("src/main.rs")).unwrap();
        assert_ne!(digest(), before);
    }

    #[test]
    fn a_whole_build_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), dir.path());
        let (key, made) = (Key::default().with("x"), Cell::new(0));
        for _ in 0..2 {
            let path = directory(&layout, "go", &key, |out| {
                made.set(made.get() + 1);
                Ok(fs::write(out.join("tool"), "")?)
            })
            .unwrap();
            assert!(path.join("tool").is_file());
        }
        assert_eq!(made.get(), 1);
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), dir.path());
        let key = Key::default().with("x");
        directory(&layout, "go", &key, |out| {
            fs::write(out.join("half"), "")?;
            bail!("interrupted")
        })
        .unwrap_err();
        assert_eq!(fs::read_dir(dir.path().join("go")).unwrap().count(), 0);
        let path = directory(&layout, "go", &key, |_| Ok(())).unwrap();
        assert!(!path.join("half").exists());
    }
}
