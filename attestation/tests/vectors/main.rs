//! Evidence for whoever writes a second reader: files in `good` that every reader takes, files in `bad` that none does,
//! each for one reason. All are signed, by keys whose 32 bytes are alike; what is wrong with a bad one is wrong in what was
//! signed, unless it is the outer line's form.
//!
//! They are written by this test with `HAWSER_WRITE_VECTORS=1`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

mod bad;
mod good;
mod signer;

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use hawser_attestation::{EvidenceError, Reader, SegmentSummary, Summary, Wanted, verify};
use serde_json::{Map, Value, json};

use bad::bad;
use good::good;

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn file(kind: &str, name: &str) -> PathBuf {
    tests().join("vectors").join(kind).join(format!("{name}.jsonl"))
}

/// Whether these tests write the files instead of comparing with them.
fn writing() -> bool {
    env::var_os("HAWSER_WRITE_VECTORS").is_some()
}

/// The file as it is stored; it is what this test makes.
fn stored(kind: &str, name: &str, text: &[u8]) -> Vec<u8> {
    let path = file(kind, name);
    if writing() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(bytes == text, "{} is old: write it with HAWSER_WRITE_VECTORS=1", path.display());
    bytes
}

/// Checks only the signatures that have to be checked where no root was claimed.
fn verify_needed_signatures(evidence: &[u8]) -> Result<Summary, EvidenceError> {
    let mut reader = Reader::new(Wanted { roots: Some(BTreeSet::new()), ..Wanted::default() });
    reader.read(evidence)?;
    reader.finish()
}

#[test]
fn every_good_vector_is_taken() {
    for (name, text) in good() {
        let bytes = stored("good", name, text.as_bytes());
        for read in [verify(&bytes), verify_needed_signatures(&bytes)] {
            assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
        }
    }
}

#[test]
fn every_bad_vector_is_refused_for_its_reason() {
    let mut wrong = Vec::new();
    for (name, text, part) in bad() {
        let bytes = stored("bad", name, &text);
        for read in [verify(&bytes), verify_needed_signatures(&bytes)] {
            match read.map_err(|error| error.to_string()) {
                Err(error) if error.contains(part) => {}
                Err(error) => wrong.push(format!("{name} is refused for another reason than {part:?}: {error}")),
                Ok(_) => wrong.push(format!("{name} is taken")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_vectors_have_one_name_or_one_text() {
    let good = good().into_iter().map(|(name, text)| (name, text.into_bytes()));
    let all: Vec<_> = good.chain(bad().into_iter().map(|(name, text, _)| (name, text))).collect();
    for (i, (name, text)) in all.iter().enumerate() {
        let other = all[..i].iter().find(|other| other.0 == *name || other.1 == *text);
        assert!(other.is_none(), "{name} is {}", other.unwrap().0);
    }
}

/// What a second reader compares its own with.
#[test]
fn what_is_read_of_each_vector_is_stored_beside_them() {
    let each = |(name, text): (&'static str, String)| {
        let read = verify(text.as_bytes()).unwrap();
        let of =
            |segment: &SegmentSummary| json!({"attestor": segment.attestor, "evidenceRoot": segment.evidence_root});
        let segments: Vec<Value> = read.segments.iter().map(of).collect();
        (name.to_owned(), json!({"gpuSeconds": read.gpu_seconds, "reports": read.reports, "attestors": segments}))
    };
    let good: Map<String, Value> = good().into_iter().map(each).collect();
    let bad: Map<String, Value> = bad().into_iter().map(|(name, _, part)| (name.to_owned(), part.into())).collect();
    let text = serde_json::to_string_pretty(&json!({"good": good, "bad": bad})).unwrap() + "\n";
    let path = tests().join("vectors/expected.json");
    if writing() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "write it with HAWSER_WRITE_VECTORS=1");
}

#[test]
fn every_stored_file_is_one_that_a_test_reads() {
    let mut names: Vec<_> = good().into_iter().map(|(name, _)| file("good", name)).collect();
    names.extend(bad().into_iter().map(|(name, ..)| file("bad", name)));
    for kind in ["good", "bad"] {
        for entry in fs::read_dir(file(kind, "x").parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            assert!(names.contains(&path), "{}", path.display());
        }
    }
}

/// It is written from `docs/reference/evidence.md` alone. If it differs from this crate, one of them or the page is wrong.
#[test]
fn a_reader_written_from_the_page_alone_judges_every_vector_alike() {
    if writing() {
        // The other tests haven't written all of them yet.
        return;
    }
    let mut python = Command::new("python3");
    python.arg(tests().join("reader.py")).arg("--vectors").arg(tests().join("vectors"));
    let output = python.output().unwrap_or_else(|error| panic!("python3 can't be run: {error}: install Python 3"));
    assert!(output.status.success(), "it disagrees:\n{}", String::from_utf8_lossy(&output.stderr));
}
