//! Root filesystems of images that have no base image.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::command;

const CA_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A root filesystem for an image `FROM scratch`: dynamically linked programs
/// with the libraries of the machine that built them.
#[derive(Debug)]
pub struct Rootfs {
    root: PathBuf,
}

impl Rootfs {
    /// Begins an image in `root` (made if need be): `/etc/passwd` and
    /// `/etc/group` with user `nonroot` (65532), `/etc/ld.so.conf`, and a `/tmp` for everybody.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self> {
        let rootfs = Self { root: root.into() };
        rootfs.file(
            "/etc/passwd",
            "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        )?;
        rootfs.file("/etc/group", "root:x:0:\nnonroot:x:65532:\n")?;
        rootfs.file("/etc/nsswitch.conf", "hosts: files dns\n")?;
        // NVIDIA's hook adds the driver's folder there and runs ldconfig, which reads nothing else: without
        // this file the driver's libraries are mounted and not found.
        rootfs.file("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")?;
        let tmp = rootfs.inside(Path::new("/tmp"));
        fs::create_dir_all(&tmp)?;
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))?;
        Ok(rootfs)
    }

    /// Adds the program `from` as `at` with every library it is linked to.
    pub fn program(&self, from: &Path, at: impl AsRef<Path>) -> Result<()> {
        self.copy(from, at.as_ref())?;
        self.libraries_of(from)
    }

    /// Adds a library that programs open by name (`libgcc_s.so.1`), with
    /// everything it is linked to itself.
    pub fn library(&self, name: &str) -> Result<()> {
        let table = command::output(Command::new("/sbin/ldconfig").arg("-p"))?;
        let path =
            library_path(&table, name).with_context(|| format!("this machine has no {name} (asked `ldconfig -p`)"))?;
        self.copy(&path, &path)?;
        self.libraries_of(&path)
    }

    /// Adds the machine's certificate authorities (Debian's `ca-certificates`).
    pub fn ca_certificates(&self) -> Result<()> {
        self.copy(Path::new(CA_CERTIFICATES), Path::new(CA_CERTIFICATES))
    }

    /// Adds a text file.
    pub fn file(&self, at: impl AsRef<Path>, content: &str) -> Result<()> {
        let target = self.make_room(at.as_ref())?;
        fs::write(&target, content).with_context(|| format!("{} can't be written", target.display()))
    }

    /// Adds a copy of the machine's file `from`, following links, with its permissions.
    pub fn copy(&self, from: &Path, at: &Path) -> Result<()> {
        let target = self.make_room(at)?;
        fs::copy(from, &target)
            .with_context(|| format!("{} can't be copied to {}", from.display(), target.display()))?;
        Ok(())
    }

    /// Adds the machine's folder `from` with everything below it, following links.
    pub fn folder(&self, from: &Path) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("{} can't be read", from.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                self.folder(&path)?;
            } else {
                self.copy(&path, &path)?;
            }
        }
        Ok(())
    }

    /// Adds a symbolic link at `at` to `target`.
    pub fn link(&self, target: impl AsRef<Path>, at: impl AsRef<Path>) -> Result<()> {
        let link = self.make_room(at.as_ref())?;
        symlink(target, &link).with_context(|| format!("{} can't be linked", link.display()))
    }

    fn libraries_of(&self, file: &Path) -> Result<()> {
        let listing = command::output(Command::new("ldd").arg(file))?;
        for library in linked_libraries(&listing) {
            let library = Path::new(library);
            if !self.inside(library).exists() {
                self.copy(library, library)?;
            }
        }
        Ok(())
    }

    fn make_room(&self, at: &Path) -> Result<PathBuf> {
        let target = self.inside(at);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} can't be created", parent.display()))?;
        }
        Ok(target)
    }

    fn inside(&self, at: &Path) -> PathBuf {
        self.root.join(at.strip_prefix("/").unwrap_or(at))
    }
}

/// The absolute paths in what `ldd` prints: libraries and the dynamic loader,
/// but not the kernel's vDSO.
fn linked_libraries(listing: &str) -> impl Iterator<Item = &str> {
    listing.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

/// `ldconfig -p` lists the preferred of several architectures first.
fn library_path(table: &str, name: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (entry, path) = line.trim().split_once(" => ")?;
        (entry.split_whitespace().next()? == name).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_loader_are_found_and_the_vdso_is_not() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            linked_libraries(listing).collect::<Vec<_>>(),
            ["/lib/x86_64-linux-gnu/libgcc_s.so.1", "/lib64/ld-linux-x86-64.so.2"]
        );
    }

    #[test]
    fn a_library_is_looked_up_by_its_whole_name() {
        let table =
            "2 libs found\n\tlibm.so.6 (libc6,x86-64) => /lib/libm.so.6\n\tlibm.so (libc6,x86-64) => /lib/libm.so\n";
        assert_eq!(library_path(table, "libm.so"), Some("/lib/libm.so".into()));
        assert_eq!(library_path(table, "lib"), None);
    }

    #[test]
    fn a_program_in_its_rootfs_has_all_it_needs_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let rootfs = Rootfs::create(dir.path()).unwrap();
        rootfs.program(Path::new("/bin/ls"), "/bin/ls").unwrap();
        let listing = command::output(Command::new("ldd").arg("/bin/ls")).unwrap();
        assert!(linked_libraries(&listing).count() > 1);
        for library in linked_libraries(&listing) {
            assert!(rootfs.inside(Path::new(library)).is_file(), "{library}");
        }
    }
}
