//! A machine within this one, for a local cluster beside the machine's own.
//!
//! It has processes, a network, cgroups and the folders that a cluster writes to of its own, all by namespaces: the two
//! clusters have the same names and addresses, and can't touch each other. What is built and cached is shared. There is no way out of its
//! network, and all that it is ends with the program that it was made for.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{Layout, cgroup::Cgroup, sysctls};

const SCRIPT: &str = include_str!("world.sh");
/// Against the processes outside, which are in no cgroup that shares out the processor.
const WEIGHT: u64 = 6;

/// Where programs can be run as on another machine.
#[derive(Debug)]
pub struct World {
    cgroup: String,
    folder: PathBuf,
    // The kernel lets go of it when the process ends, however it ends.
    _lock: File,
}

impl World {
    /// Makes one, and takes away first what an earlier one of this name has left.
    ///
    /// # Errors
    /// When there is one of this name already that is in use.
    pub fn create(layout: &Layout, name: &str) -> Result<Self> {
        let worlds = worlds(layout);
        fs::create_dir_all(&worlds).with_context(|| format!("{} can't be created", worlds.display()))?;
        let Some(lock) = lock(layout, name)? else { bail!("the world {name} is in use: choose another name") };
        let world = Self::of(layout, name, lock);
        world.clear()?;
        fs::create_dir(&world.folder).with_context(|| format!("{} can't be created", world.folder.display()))?;
        fs::write(world.script(), SCRIPT).with_context(|| format!("{} can't be written", world.script().display()))?;
        world.cgroup().create()?;
        world.cgroup().weigh(WEIGHT)?;
        Ok(world)
    }

    /// Takes away those that nobody uses any more: their makers were killed.
    ///
    /// # Errors
    /// When something can't be removed.
    pub fn delete_abandoned(layout: &Layout) -> Result<()> {
        // There has never been one.
        let Ok(entries) = fs::read_dir(worlds(layout)) else { return Ok(()) };
        for entry in entries {
            let file = entry?.file_name();
            let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".lock")) else { continue };
            if let Some(lock) = lock(layout, name)? {
                Self::of(layout, name, lock).clear()?;
            }
        }
        Ok(())
    }

    /// A folder that this machine and the programs in the world both see, for as long as the world is there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `program` on it. When it ends, all others end that it has started; and all end when what this starts is killed.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--", "/bin/sh"]);
        command.arg(self.script()).args(["enter", &self.cgroup]).arg(&self.folder);
        command.arg(sysctls::CHANGED_BY_KUBELET.join(" ")).arg(program);
        command
    }

    /// Takes it away with everything that is left in it.
    ///
    /// # Errors
    /// When something can't be removed.
    pub fn delete(self) -> Result<()> {
        self.clear()
    }

    fn of(layout: &Layout, name: &str, lock: File) -> Self {
        Self { cgroup: format!("hawser-world-{name}"), folder: worlds(layout).join(name), _lock: lock }
    }

    fn clear(&self) -> Result<()> {
        self.cgroup().kill_all()?;
        self.cgroup().delete()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if self.folder.exists() => {
                Err(error).with_context(|| format!("{} can't be removed", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    fn cgroup(&self) -> Cgroup<'_> {
        Cgroup(&self.cgroup)
    }

    fn script(&self) -> PathBuf {
        self.folder.join("world.sh")
    }
}

fn worlds(layout: &Layout) -> PathBuf {
    layout.cache().join("worlds")
}

/// `None` while another process has it.
fn lock(layout: &Layout, name: &str) -> Result<Option<File>> {
    let path = worlds(layout).join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("{} can't be created", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} can't be locked", path.display())),
    }
}
