//! `hawser verify`: evidence alone and against the chain.

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use alloy::{
    primitives::{Address, B256},
    sol_types::SolEvent,
};
use hawser_attestation::evidence_prefix;
use hawser_contracts::ComputeMarket::UsageClaimed;
use hawser_market::JobId;
use serde_json::json;

use crate::stage::{Bucket, Meter, Stage, Trouble, respond};

/// A job that ran for 60 seconds on two GPUs, was claimed half-way and at its end, and is closed.
async fn settled(stage: &Stage) -> (JobId, Vec<String>) {
    let job = stage.order();
    stage.start(job).await;
    stage.pass(100).await;
    let mut meter = Meter::new(stage, job, stage.started(job).await);
    let half = meter.report(30, false);
    stage.claim_on(job, 60, half).await;
    let whole = meter.report(60, true);
    stage.claim_on(job, 120, whole).await;
    stage.end(job, 120, "completed").await;
    (job, meter.lines)
}

/// The files of an evidence store: the header and the first report in one segment, the last report in another.
fn store(folder: &Path, stage: &Stage, job: JobId, lines: &[String]) -> String {
    let attestor = folder.join(evidence_prefix(job, stage.attestor.address()));
    fs::create_dir_all(&attestor).unwrap();
    fs::write(attestor.join("000000.jsonl"), lines[..2].concat()).unwrap();
    fs::write(attestor.join("000001.jsonl"), lines[2..].concat()).unwrap();
    attestor.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn true_evidence_is_ok_from_a_file_a_folder_a_url_and_by_its_job_alone() {
    let mut stage = Stage::set().await;
    let (job, lines) = settled(&stage).await;
    let folder = tempfile::tempdir().unwrap();
    let attestor = store(folder.path(), &stage, job, &lines);
    let bucket = Bucket::serve(folder.path());
    stage.post_card(json!({"evidence": "http://127.0.0.1:1/older"})).await;
    stage.post_card(json!({"evidence": format!("{}/", bucket.url)})).await;
    let file = stage.file("evidence.jsonl", &lines.concat());
    let below = evidence_prefix(job, stage.attestor.address());
    let id = job.to_string();
    for place in [
        file.clone(),
        attestor,
        folder.path().join(&id).to_str().unwrap().to_owned(),
        format!("{}/{below}", bucket.url),
        // Addresses are shown with capitals, and lie in folders without.
        format!("{}/{id}/{}", bucket.url, stage.attestor.address()),
        format!("{}/{id}/", bucket.url),
        id.clone(),
    ] {
        let mut args = vec!["verify", &place, "-o", "json"];
        if place == file {
            args.extend(["--job", &id]);
        }
        let verdict = stage.stranger().run(&args).json();
        assert_eq!((verdict["result"].as_str(), verdict["ok"].as_bool()), (Some("ok"), Some(true)), "{place}");
        assert_eq!((verdict["jobId"].as_str(), verdict["claimedGpuSeconds"].as_u64()), (Some(id.as_str()), Some(120)));
        assert_eq!(verdict["claims"][1]["vouched"].as_u64(), Some(120), "{verdict:#}");
        assert_eq!(verdict["evidence"]["longestGapSeconds"].as_f64(), Some(30.0));
        assert_eq!(verdict["evidence"]["market"]["chainId"].as_u64(), Some(31337));
        assert_eq!((&verdict["evidence"]["version"], &verdict["evidence"]["tier"]), (&json!(1), &json!("metered")));
        let gpu = &verdict["evidence"]["gpuSamples"][0];
        assert_eq!((gpu["uuid"].as_str(), gpu["samples"].as_u64()), (Some("GPU-a"), Some(2)));
        assert_eq!(gpu["utilizationGpuPercent"]["max"].as_u64(), Some(97));
    }
    let table = stage.stranger().run(&["verify", &file, "--job", &id, "--every-signature"]).ok().stdout;
    for part in
        ["ok", "metered", "120 GPU-seconds in 2 claims", "97 to 97 % busy", "the GPUs are real", "NVML can be faked"]
    {
        assert!(table.contains(part), "{part} is missing:\n{table}");
    }
    // Every view of the job says where it is, without the slash at the end of the card's URL.
    let url = format!("{}/{id}", bucket.url);
    let jobs = stage.hawser().run(&["jobs", "--all", "-o", "json"]).json();
    // "completed" is no reason of the operator's for a good end, so this exits with 1.
    let watched = stage.stranger().run(&["watch", &id, "-o", "json"]).json_anyway();
    assert_eq!((jobs[0]["evidence"].as_str(), watched["evidence"].as_str()), (Some(url.as_str()), Some(url.as_str())));
    let offline = stage.stranger().without("HAWSER_RPC_URL").run(&["verify", &file, "--offline", "-o", "json"]).json();
    assert_eq!((offline["ok"].as_bool(), offline["offline"].as_bool()), (Some(true), Some(true)));
    stage.stranger().without("HAWSER_RPC_URL").run(&["verify", &file, "--job", &id]).failed(2, &["--rpc-url"]);
    stage.stranger().run(&["verify", &file]).failed(2, &["of which job", "--job JOB"]);
    let other = JobId(B256::repeat_byte(1)).to_string();
    stage.stranger().run(&["verify", &id, "--job", &other]).failed(2, &["--job says"]);
    stage.stranger().run(&["verify", "ftp://x"]).failed(2, &["http:// or https://"]);
}

#[tokio::test]
async fn claims_are_sought_from_the_start_of_the_job_on() {
    let stage = Stage::set().await;
    settled(&stage).await;
    stage.ask("anvil_mine", json!([100])).await;
    let ordered = stage.head().await;
    let (job, lines) = settled(&stage).await;
    let file = stage.file("evidence.jsonl", &lines.concat());
    let asked: Arc<Mutex<Vec<u64>>> = Arc::default();
    let node = stage.behind({
        let asked = Arc::clone(&asked);
        move |request| {
            let filter = &request["params"][0];
            if filter["topics"].to_string().contains(&UsageClaimed::SIGNATURE_HASH.to_string()) {
                let from = filter["fromBlock"].as_str().unwrap().trim_start_matches("0x");
                asked.lock().unwrap().push(u64::from_str_radix(from, 16).unwrap());
            }
            Trouble::None
        }
    });
    let verdict = node.hawser(&stage).run(&["verify", &file, "--job", &job.to_string(), "-o", "json"]).json();
    assert_eq!((verdict["result"].as_str(), verdict["claims"].as_array().map(Vec::len)), (Some("ok"), Some(2)));
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|from| *from > ordered), "{asked:?}, ordered after {ordered}");
}

#[tokio::test]
async fn the_evidence_of_another_job_is_never_ok_for_the_one_that_was_asked_for() {
    let stage = Stage::set().await;
    let (honest, lines) = settled(&stage).await;
    let job = stage.order();
    stage.start_with(job, Address::repeat_byte(0xaa)).await;
    stage.start(job).await;
    stage.pass(100).await;
    stage.claim_on(job, 120, B256::repeat_byte(0x77)).await;
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), &stage, honest, &lines);
    let served = folder.path().join(job.to_string());
    fs::rename(folder.path().join(honest.to_string()), &served).unwrap();
    fs::write(served.join("000000.jsonl"), lines.concat()).unwrap();
    let file = stage.file("evidence.jsonl", &lines.concat());
    let bucket = Bucket::serve(folder.path());
    let wrong = ["the evidence is wrong", "it is the evidence of job", &honest.to_string()];
    let attestor = stage.attestor.address();
    for place in
        [format!("{}/{job}", bucket.url), format!("{}/{job}/{attestor}", bucket.url), served.to_str().unwrap().into()]
    {
        stage.stranger().run(&["verify", &place]).failed(1, &wrong);
    }
    stage.stranger().run(&["verify", &file, "--job", &job.to_string()]).failed(1, &wrong);
    // In the folder of an attestor lies the evidence of this one, and of no other.
    let other = folder.path().join(evidence_prefix(honest, Address::repeat_byte(0xaa)));
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("000000.jsonl"), lines.concat()).unwrap();
    let there = other.to_str().unwrap();
    stage.stranger().run(&["verify", there, "--offline"]).failed(1, &["lies where that of attestor"]);
}

#[tokio::test]
async fn an_attestor_without_evidence_is_a_warning_that_a_script_notices() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.start(job).await;
    stage.pass(100).await;
    let mut meter = Meter::new(&stage, job, stage.started(job).await);
    let root = meter.report(30, true);
    stage.claim_on(job, 60, root).await;
    stage.start_with(job, Address::repeat_byte(0xaa)).await;
    let folder = tempfile::tempdir().unwrap();
    let attestor = folder.path().join(evidence_prefix(job, stage.attestor.address()));
    fs::create_dir_all(&attestor).unwrap();
    fs::write(attestor.join("000000.jsonl"), meter.lines.concat()).unwrap();
    let bucket = Bucket::serve(folder.path());
    let place = format!("{}/{job}", bucket.url);
    let ran = stage.stranger().run(&["verify", &place, "-o", "json"]);
    assert_eq!(ran.code(), 3, "{ran:#?}");
    ran.said(&["nothing in the evidence is wrong, with 1 warning"]);
    let verdict = ran.json_anyway();
    assert_eq!((verdict["result"].as_str(), verdict["ok"].as_bool()), (Some("warnings"), Some(true)));
    assert_eq!(verdict["attestors"].as_array().map(Vec::len), Some(2));
    let missing = verdict["warnings"][0].as_str().unwrap();
    assert!(
        missing.contains(&Address::repeat_byte(0xaa).to_string()) && missing.contains("can't be seen"),
        "{missing}"
    );
    let strict = stage.stranger().run(&["verify", &place, "--strict"]);
    assert_eq!(strict.code(), 1);
    assert!(strict.stdout.contains("WRONG"), "{}", strict.stdout);
}

#[tokio::test]
async fn evidence_that_was_changed_or_cut_is_refused_with_the_line() {
    let stage = Stage::set().await;
    let (job, lines) = settled(&stage).await;
    let id = job.to_string();
    let verify = |text: &str| stage.stranger().run(&["verify", &stage.file("evidence.jsonl", text), "--job", &id]);
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
    let (job, lines) = settled(&stage).await;
    let shortened = stage.file("short.jsonl", &lines[..2].concat());
    let verdict = stage.stranger().run(&["verify", &shortened, "--job", &job.to_string(), "-o", "json"]);
    assert_eq!(verdict.code(), 1);
    verdict.said(&["not confirmed by the chain"]);
    let verdict = verdict.json_anyway();
    assert_eq!((verdict["result"].as_str(), verdict["ok"].as_bool()), (Some("wrong"), Some(false)));
    assert!(verdict["problems"][0].as_str().unwrap().contains("not in this evidence"), "{verdict:#}");

    let other = stage.order();
    stage.start(other).await;
    stage.pass(100).await;
    stage.claim_on(other, 60, B256::repeat_byte(1)).await;
    let mut meter = Meter::new(&stage, other, stage.started(other).await);
    meter.report(30, true);
    let file = stage.file("other.jsonl", &meter.lines.concat());
    let table = stage.stranger().run(&["verify", &file, "--job", &other.to_string()]);
    assert_eq!(table.code(), 1);
    assert!(table.stdout.contains("WRONG") && table.stdout.contains("not in this evidence"), "{}", table.stdout);

    // Made a day before the order.
    let mut meter = Meter::new(&stage, other, stage.started(other).await - 86_400);
    meter.report(30, true);
    let file = stage.file("early.jsonl", &meter.lines.concat());
    let table = stage.stranger().run(&["verify", &file, "--job", &other.to_string()]).stdout;
    assert!(table.contains("before the chain named it"), "{table}");
}

#[tokio::test]
async fn a_place_without_evidence_says_what_was_expected_whatever_the_place() {
    let stage = Stage::set().await;
    let job = stage.order();
    let id = job.to_string();
    stage.stranger().run(&["verify", &id]).failed(1, &["was never started"]);
    stage.start(job).await;
    let empty = tempfile::tempdir().unwrap();
    let bucket = Bucket::serve(empty.path());
    let verify = |place: &str| stage.stranger().run(&["verify", place, "--job", &id]);
    verify(&bucket.url).failed(1, &["there is no evidence", "000000.jsonl", "ends in the job's id"]);
    verify(&format!("{}/{job}", bucket.url))
        .failed(1, &["of any of the 1 attestors that the chain names", "000000.jsonl"]);
    verify(&format!("{}/x.jsonl", bucket.url)).failed(1, &["there is no evidence"]);
    verify(empty.path().to_str().unwrap()).failed(1, &["there is no evidence in"]);
    verify(empty.path().join("none").to_str().unwrap()).failed(1, &["there is no evidence in"]);
    verify("http://127.0.0.1:1/x").failed(1, &["can't be read"]);
    verify(&id).failed(1, &["names no http(s) URL for evidence"]);
    let head = (stage.head().await + 1).to_string();
    let late = stage.stranger().run(&["verify", &format!("{}/{job}", bucket.url), "--from-block", &head]);
    late.failed(1, &["the start of job", "lower --from-block"]);
    // A block after the start, from which on only the second attestor was named.
    stage.start_with(job, Address::repeat_byte(7)).await;
    let late = stage.stranger().run(&["verify", &format!("{}/{job}", bucket.url), "--from-block", &head]);
    late.failed(1, &["the start of job", "lower --from-block"]);
}

#[tokio::test]
async fn a_server_that_means_ill_ends_the_reading_and_not_the_readers_patience() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.start(job).await;
    let verify =
        |bucket: &Bucket| stage.stranger().run(&["verify", &format!("{}/{job}", bucket.url), "--timeout", "2"]);
    let nothing = Bucket::answering(|_, stream| respond(stream, "200 OK", "", b""));
    verify(&nothing).failed(1, &["the evidence is wrong", "is empty"]);
    let endless = Bucket::answering(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    });
    verify(&endless).failed(1, &["the evidence is wrong", "at most 65536"]);
    let silent = Bucket::answering(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
        // Until the reader hangs up.
        let _ = std::io::Read::read(stream, &mut [0; 1]);
    });
    verify(&silent).failed(1, &["was not read within 2 s", "--timeout"]);
    let elsewhere = nothing.url.clone();
    let sending_away = Bucket::answering(move |_, stream| {
        respond(stream, "302 Found", &format!("location: {elsewhere}/x\r\n"), b"");
    });
    verify(&sending_away).failed(1, &["redirects to another server"]);
    let round = Bucket::answering(|path, stream| respond(stream, "302 Found", &format!("location: {path}x\r\n"), b""));
    verify(&round).failed(1, &["redirects"]);
}

#[tokio::test]
async fn evidence_that_was_rewritten_before_a_claim_is_found_with_a_state_file() {
    let stage = Stage::set().await;
    let job = stage.order();
    stage.start(job).await;
    stage.pass(100).await;
    let memory = stage.file("state.json", "{\"jobs\":{}}");
    let verify = |lines: &[String]| {
        let file = stage.file("evidence.jsonl", &lines.concat());
        stage.stranger().run(&["verify", &file, "--job", &job.to_string(), "--state", &memory])
    };
    let started = stage.started(job).await;
    let mut meter = Meter::new(&stage, job, started);
    meter.report(30, false);
    verify(&meter.lines).ok();
    meter.report(60, false);
    verify(&meter.lines).ok();
    let mut anew = Meter::new(&stage, job, started);
    anew.report(40, false);
    anew.report(80, false);
    let ran = verify(&anew.lines);
    assert_eq!(ran.code(), 1, "{ran:#?}");
    assert!(ran.stdout.contains("REWRITTEN"), "{}", ran.stdout);
    verify(&meter.lines).ok();
}
