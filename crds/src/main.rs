//! Writes the custom resource definitions into a folder, one YAML file a kind:
//! `cargo run -p hawser-crds` for the chart's own folder, or with another folder as argument.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/hawser-crds/templates")),
        PathBuf::from,
    );
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("can't write the definitions to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    for (file, definition) in hawser_crds::definitions() {
        std::fs::write(folder.join(file), hawser_crds::to_yaml(&definition)?)?;
    }
    Ok(())
}
