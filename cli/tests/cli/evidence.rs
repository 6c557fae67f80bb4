//! `hawser verify`: evidence by itself and against the chain.

use std::{fs, path::Path};

use alloy::primitives::{Address, B256};
use hawser_contracts::JobId;

use crate::stage::{Bucket, Meter, Stage};

/// A job that ran for 60 seconds on two GPUs, was claimed half-way and at its end, and is closed.
async fn settled(stage: &Stage) -> (JobId, Vec<String>) {
    let job = stage.order();
    stage.start(job).await;
    stage.pass(100).await;
    let mut meter = Meter::new(stage, job);
    let half = meter.report(30, false);
    stage.claim_on(job, 60, half).await;
    let whole = meter.report(60, true);
    stage.claim_on(job, 120, whole).await;
    stage.end(job, 120, "completed").await;
    (job, meter.lines)
}

/// The files of an evidence store: the header and the first report in one segment, the last report in another.
fn store(folder: &Path, stage: &Stage, job: JobId, lines: &[String]) -> String {
    let attestor = folder.join(hawser_attestation::evidence_prefix(job, stage.attestor.address()));
    fs::create_dir_all(&attestor).unwrap();
    fs::write(attestor.join("000000.jsonl"), lines[..2].concat()).unwrap();
    fs::write(attestor.join("000001.jsonl"), lines[2..].concat()).unwrap();
    attestor.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn true_evidence_is_ok_from_a_file_a_folder_and_a_url() {
    let stage = Stage::set().await;
    let (job, lines) = settled(&stage).await;
    let folder = tempfile::tempdir().unwrap();
    let attestor = store(folder.path(), &stage, job, &lines);
    let bucket = Bucket::serve(folder.path());
    let file = stage.file("evidence.jsonl", &lines.concat());
    let below = hawser_attestation::evidence_prefix(job, stage.attestor.address());
    for place in [
        file.clone(),
        attestor,
        folder.path().join(job.to_string()).to_str().unwrap().to_owned(),
        format!("{}/{below}", bucket.url),
        format!("{}/{job}/", bucket.url),
    ] {
        let verdict = stage.stranger().run(&["verify", &place, "-o", "json"]).json();
        assert_eq!(
            (verdict["ok"].as_bool(), verdict["claimedGpuSeconds"].as_u64()),
            (Some(true), Some(120)),
            "{place}"
        );
        assert_eq!(verdict["claims"][1]["vouched"].as_u64(), Some(120), "{verdict:#}");
        let gpu = &verdict["evidence"]["gpuSamples"][0];
        assert_eq!((gpu["uuid"].as_str(), gpu["samples"].as_u64()), (Some("GPU-a"), Some(2)));
        assert_eq!(gpu["utilizationGpuPercent"]["max"].as_u64(), Some(97));
    }
    let table = stage.stranger().run(&["verify", &file]).ok().stdout;
    for part in ["ok", "120 GPU-seconds in 2 claims", "97 to 97 % busy", "the GPUs are real", "NVML can be faked"] {
        assert!(table.contains(part), "{part} is missing:\n{table}");
    }
    let offline = stage.stranger().without("HAWSER_RPC_URL").run(&["verify", &file, "--offline", "-o", "json"]).json();
    assert_eq!((offline["ok"].as_bool(), offline["offline"].as_bool()), (Some(true), Some(true)));
    stage.stranger().without("HAWSER_RPC_URL").run(&["verify", &file]).failed(2, &["--rpc-url"]);
}

#[tokio::test]
async fn an_attestor_that_never_reported_does_not_hide_the_evidence_of_the_others() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.start(job).await;
    stage.pass(100).await;
    let mut meter = Meter::new(&stage, job);
    let root = meter.report(30, true);
    stage.claim_on(job, 60, root).await;
    stage.start_with(job, Address::repeat_byte(0xaa)).await;
    let folder = tempfile::tempdir().unwrap();
    let attestor = folder.path().join(hawser_attestation::evidence_prefix(job, stage.attestor.address()));
    fs::create_dir_all(&attestor).unwrap();
    fs::write(attestor.join("000000.jsonl"), meter.lines.concat()).unwrap();
    let bucket = Bucket::serve(folder.path());
    let verdict = stage.stranger().run(&["verify", &format!("{}/{job}", bucket.url), "-o", "json"]).json();
    assert_eq!((verdict["ok"].as_bool(), verdict["attestors"].as_array().map(Vec::len)), (Some(true), Some(2)));
}

#[tokio::test]
async fn evidence_that_was_changed_or_cut_is_refused_with_the_line() {
    let stage = Stage::set().await;
    let (_, lines) = settled(&stage).await;
    let verify = |text: &str| stage.stranger().run(&["verify", &stage.file("evidence.jsonl", text)]);
    let (true_use, false_use) = (r#"utilizationGpuPercent\":97"#, r#"utilizationGpuPercent\":98"#);
    assert!(lines[1].contains(true_use), "{}", lines[1]);
    verify(&lines.concat().replace(true_use, false_use)).failed(1, &["the evidence is wrong", "line 2"]);
    verify(&[lines[0].as_str(), &lines[2]].concat()).failed(1, &["line 2"]);
    verify(&[lines[1].as_str(), &lines[2]].concat()).failed(1, &["line 1", "header"]);
    verify(&lines.concat()[..900]).failed(1, &["cut off"]);
    verify("").failed(1, &["empty"]);
}

#[tokio::test]
async fn evidence_that_the_chain_does_not_confirm_is_not_ok_and_says_why() {
    let stage = Stage::set().await;
    let (_, lines) = settled(&stage).await;
    let shortened = stage.file("short.jsonl", &lines[..2].concat());
    let verdict = stage.stranger().run(&["verify", &shortened, "-o", "json"]);
    assert_eq!(verdict.code(), 1);
    verdict.said(&["not confirmed by the chain"]);
    let verdict = verdict.json_anyway();
    assert_eq!(verdict["ok"].as_bool(), Some(false));
    assert!(verdict["problems"][0].as_str().unwrap().contains("not in this evidence"), "{verdict:#}");

    let other = stage.order();
    stage.start(other).await;
    stage.pass(100).await;
    stage.claim_on(other, 60, B256::repeat_byte(1)).await;
    let mut meter = Meter::new(&stage, other);
    meter.report(30, true);
    let file = stage.file("other.jsonl", &meter.lines.concat());
    let table = stage.stranger().run(&["verify", &file]);
    assert_eq!(table.code(), 1);
    assert!(table.stdout.contains("WRONG") && table.stdout.contains("not in this evidence"), "{}", table.stdout);
}

#[tokio::test]
async fn a_place_without_evidence_says_what_was_expected() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.start(job).await;
    let empty = tempfile::tempdir().unwrap();
    let bucket = Bucket::serve(empty.path());
    let verify = |place: &str| stage.stranger().run(&["verify", place]);
    verify(&bucket.url).failed(1, &["000000.jsonl", "ends in the job's id"]);
    verify(&format!("{}/{job}", bucket.url))
        .failed(1, &["of any of the 1 attestors that the chain names", "000000.jsonl"]);
    verify(empty.path().to_str().unwrap()).failed(2, &["there is no evidence in"]);
    verify("http://127.0.0.1:1/x").failed(1, &["can't be read"]);
}
