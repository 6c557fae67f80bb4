//! `cargo xtask world`: a machine within this one.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};
use hawser_local::{Layout, World};

/// Options of `cargo xtask world`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One of each name at a time
    #[arg(long, default_value = "hand")]
    name: String,
    /// What to run on it, such as `cargo xtask demo`. What it starts ends with it
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs a command where another local cluster can be up.
pub(crate) fn run(options: &Options) -> Result<()> {
    let [program, arguments @ ..] = options.command.as_slice() else { bail!("there is no command") };
    let world = World::create(&Layout::of_this_machine()?, &options.name)?;
    let status = world.command(&PathBuf::from(program)).args(arguments).status()?;
    world.delete()?;
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    Ok(())
}
