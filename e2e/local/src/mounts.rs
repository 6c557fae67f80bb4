//! Mounts beneath the state directory: pods' volumes, root filesystems and
//! network namespaces.

use std::{
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, umount2};

/// Unmounts everything beneath `dir`. Fails rather than leave one, so that the
/// directory can be removed without reaching into somebody's files.
pub(crate) fn unmount_beneath(dir: &Path) -> Result<()> {
    // Unmounting one may uncover another at the same place.
    for _ in 0..10 {
        let mounts = beneath(dir)?;
        if mounts.is_empty() {
            return Ok(());
        }
        for mount in mounts.iter().rev() {
            umount2(mount, MntFlags::MNT_DETACH).with_context(|| format!("{} can't be unmounted", mount.display()))?;
        }
    }
    bail!("still mounted: {:?}", beneath(dir)?)
}

/// Mount points beneath `dir`, parents before children.
pub(crate) fn beneath(dir: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo can't be read")?;
    Ok(mount_points(&table).filter(|mount| mount.starts_with(dir)).collect())
}

/// The fifth field of each line, in which `\ooo` stands for a blank and the like.
fn mount_points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape)
}

fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_path_elements_are_beneath() {
        let table = "36 35 98:0 / /var/lib/a rw - ext4 x rw\n37 35 98:0 / /var/lib/ab rw - ext4 x rw\n38 35 98:0 / /var/lib/a/b rw - ext4 x rw\n";
        let beneath: Vec<_> = mount_points(table).filter(|mount| mount.starts_with("/var/lib/a")).collect();
        assert_eq!(beneath, [Path::new("/var/lib/a"), Path::new("/var/lib/a/b")]);
    }

    #[test]
    fn a_blank_in_a_mount_point_is_unescaped() {
        assert_eq!(unescape(r"/a\040b\134"), Path::new(r"/a b\"));
        assert_eq!(unescape(r"/a\9"), Path::new(r"/a\9"));
    }
}
