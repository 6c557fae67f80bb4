//! Keys are in this process' memory: they must not end in a file.

/// From now on the kernel writes no core file of this process, and no other process of its user can read its memory or
/// attach to it (`PR_SET_DUMPABLE`, prctl(2)). That holds whatever the limits of the container are, so the limit of core
/// files (`RLIMIT_CORE`) is left as it is. Where there is no such thing, nothing happens.
///
/// # Errors
/// The kernel's.
pub fn keep_memory_private() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_not_dumpable_afterwards() {
        keep_memory_private().unwrap();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }
}
