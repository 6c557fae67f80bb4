//! Evidence on this machine's disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hawser_attestation::{Body, Line};

use crate::failure::Failure;

pub(super) fn read(place: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: io::Error| Failure::input(format!("the evidence {} can't be read: {error}", place.display()));
    if !place.is_dir() {
        return fs::read(place).map_err(unreadable);
    }
    let mut evidence = segments(place).map_err(unreadable)?;
    if evidence.is_empty() {
        let mut attestors = Vec::new();
        for folder in sorted(place).map_err(unreadable)?.into_iter().filter(|entry| entry.is_dir()) {
            attestors.push(segments(&folder).map_err(unreadable)?);
        }
        attestors.retain(|segments| !segments.is_empty());
        attestors.sort_by_key(|segments| enrolled(segments));
        evidence = attestors.concat();
    }
    if evidence.is_empty() {
        return Err(Failure::input(format!(
            "there is no evidence in {}: expected 000000.jsonl, or folders of attestors that hold it",
            place.display()
        )));
    }
    Ok(evidence)
}

/// The files of one attestor, put one after the other.
fn segments(folder: &Path) -> io::Result<Vec<u8>> {
    let mut evidence = Vec::new();
    for file in sorted(folder)? {
        if file.is_file() && file.extension().is_some_and(|extension| extension == "jsonl") {
            evidence.extend(fs::read(file)?);
        }
    }
    Ok(evidence)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Where an attestor's count begins, and when: the order of a job's attestors. What can't be read here is reported by
/// the verification, with its line.
fn enrolled(evidence: &[u8]) -> (u64, i128) {
    let line = evidence.split(|byte| *byte == b'\n').next().and_then(|line| str::from_utf8(line).ok());
    match line.and_then(|line| Line::parse(line).ok()).and_then(|line| line.read_body().ok()) {
        Some(Body::Header(header)) => (header.base_gpu_seconds.0, header.time.as_nanosecond()),
        _ => (u64::MAX, i128::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_in_order_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("000001.jsonl", "b\n"), ("000000.jsonl", "a\n"), ("notes.txt", "x")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(read(folder.path()).unwrap(), b"a\nb\n");
        assert_eq!(read(&folder.path().join("000001.jsonl")).unwrap(), b"b\n");
    }

    #[test]
    fn a_place_without_evidence_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("expected 000000.jsonl"));
        assert!(read(&folder.path().join("none")).unwrap_err().to_string().contains("can't be read"));
    }
}
