//! Evidence on this machine's disk.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use hawser_attestation::{Body, Line, MAX_LINE_BYTES, Reader, evidence_file};

use super::{place::attestor, wrong};
use crate::failure::Failure;

/// How much is held at once.
const PIECE: usize = 256 * 1024;

/// Reads a file, the folder of an attestor, or a folder of such folders.
pub(crate) fn read(place: &Path, reader: &mut Reader) -> Result<(), Failure> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::refused(format!("there is no evidence in {}: no such file", place.display()))
        }
        _ => Failure::input(format!("the evidence {} can't be read: {error}", place.display())),
    };
    if !fs::metadata(place).map_err(unreadable)?.is_dir() {
        reader.part(None);
        return file(place, reader);
    }
    if read_folder(place, reader)? {
        return Ok(());
    }
    let mut folders = entries(place).map_err(unreadable)?;
    folders.retain(|entry| entry.is_dir());
    folders.sort_by_cached_key(|folder| enrolled(&folder.join(evidence_file(0))));
    for folder in folders {
        read_folder(&folder, reader)?;
    }
    if reader.is_empty() {
        return Err(Failure::refused(format!(
            "there is no evidence in {}: expected 000000.jsonl, or folders of attestors that hold it",
            place.display()
        )));
    }
    Ok(())
}

/// The files of one attestor, put one after the other; whether there are any.
fn read_folder(folder: &Path, reader: &mut Reader) -> Result<bool, Failure> {
    let unreadable =
        |error: io::Error| Failure::input(format!("the evidence {} can't be read: {error}", folder.display()));
    let mut files = entries(folder).map_err(unreadable)?;
    files.retain(|entry| entry.is_file() && entry.extension().is_some_and(|extension| extension == "jsonl"));
    reader.part(folder.file_name().and_then(|name| name.to_str()).and_then(attestor));
    for (index, path) in (0..).zip(&files) {
        let expected = evidence_file(index);
        if path.file_name().and_then(|name| name.to_str()) != Some(&expected) {
            return Err(Failure::refused(format!(
                "the evidence is wrong: {} is where {expected} should be: a file is missing, or one does not belong there",
                path.display()
            )));
        }
        file(path, reader)?;
    }
    Ok(!files.is_empty())
}

fn file(path: &Path, reader: &mut Reader) -> Result<(), Failure> {
    let unreadable =
        |error: io::Error| Failure::input(format!("the evidence {} can't be read: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let mut piece = vec![0; PIECE];
    let mut empty = true;
    loop {
        let length = file.read(&mut piece).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        empty = false;
        reader.read(&piece[..length]).map_err(|error| wrong(&error))?;
    }
    if empty {
        return Err(Failure::refused(format!(
            "the evidence is wrong: {} is empty, no file of evidence is",
            path.display()
        )));
    }
    reader.end_of_file().map_err(|error| wrong(&error))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Where an attestor's count begins, and when: the order of a job's attestors. What can't be read here is reported by
/// the verification, with its line.
fn enrolled(first: &Path) -> (u64, i128) {
    let last = (u64::MAX, i128::MAX);
    let Ok(file) = File::open(first) else { return last };
    let mut line = String::new();
    let longest = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    if BufReader::new(file).take(longest + 1).read_line(&mut line).is_err() {
        return last;
    }
    match Line::parse(line.trim_end_matches('\n')).and_then(|line| line.read_body()) {
        Ok(Body::Header(header)) => (header.base_gpu_seconds.0, header.time.as_nanosecond()),
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use hawser_attestation::Wanted;

    use super::*;

    fn problem(place: &Path) -> String {
        read(place, &mut Reader::new(Wanted::default())).unwrap_err().to_string()
    }

    #[test]
    fn files_that_are_missing_empty_or_strange_are_said() {
        for (files, part) in [
            (&[("000001.jsonl", "x\n")][..], "where 000000.jsonl should be"),
            (&[("000000.jsonl", ""), ("000001.jsonl", "x\n")], "000000.jsonl is empty"),
            (&[("0.jsonl", "x\n")], "where 000000.jsonl should be"),
            (&[("000000.jsonl", "x")], "ends in a line feed"),
            (&[("notes.txt", "x")], "expected 000000.jsonl"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            let problem = problem(folder.path());
            assert!(problem.contains(part), "{part}: {problem}");
        }
    }

    #[test]
    fn a_place_without_evidence_says_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        assert!(problem(folder.path()).contains("expected 000000.jsonl"));
        assert!(problem(&folder.path().join("none")).contains("there is no evidence in"));
    }
}
