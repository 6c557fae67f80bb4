//! Evidence for whoever writes a second reader: files in `vectors/good` that every reader takes, files in `vectors/bad` that
//! none does, each for one reason. All are signed, by keys whose 32 bytes are alike; what is wrong with a bad one is wrong in
//! what was signed, unless it is the outer line's form.
//!
//! They are written by this test with `HAWSER_WRITE_VECTORS=1`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::{env, fmt::Write, fs, path::PathBuf};

use alloy::{
    primitives::{Address, B256, Signature, U256},
    signers::local::PrivateKeySigner,
};
use hawser_attestation::{EvidenceRoot, Line, Market, SegmentSummary, SignedVoucher, verify};
use hawser_market::{GpuSeconds, JobId};
use serde_json::{Map, Value, json};

const JOB: &str = "0x0707070707070707070707070707070707070707070707070707070707070707";
const MARKET: &str = "0x0909090909090909090909090909090909090909";

/// Signs texts as they are, whatever they say.
struct Signer {
    key: PrivateKeySigner,
    root: EvidenceRoot,
    text: String,
}

impl Signer {
    fn new(seed: u8) -> Self {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap();
        Self { key, root: EvidenceRoot::EMPTY, text: String::new() }
    }

    fn header(&self) -> String {
        format!(
            r#"{{"kind":"header","version":1,"tier":"metered","jobId":"{JOB}","attestor":"{:#x}","chainId":31337,"market":"{MARKET}","gpus":1,"gpuUuids":["GPU-a"],"baseGpuSeconds":0,"nvml":"visible","sidecar":"0.1.0","time":"2026-11-27T13:15:00Z"}}"#,
            self.key.address()
        )
    }

    /// The report at ten seconds.
    fn report(&self) -> String {
        format!(
            r#"{{"kind":"report","sequence":1,"previous":"{}","time":"2026-11-27T13:15:10.25Z","beganAt":"2026-11-27T13:15:00Z","gpuSeconds":10,"gpus":[{{"uuid":"GPU-a","utilizationGpuPercent":97}}]}}"#,
            self.root
        )
    }

    fn sign(mut self, body: &str, count: u64) -> Self {
        self.root = self.root.then(body.as_bytes());
        let market = Market { chain_id: 31337, address: Address::repeat_byte(9) };
        let (job, count) = (JobId(B256::repeat_byte(7)), GpuSeconds(count));
        let signature = SignedVoucher::sign(&self.key, market, job, count, self.root).unwrap().signature;
        writeln!(self.text, "{}", Line { body: body.to_owned(), signature }).unwrap();
        self
    }
}

fn honest() -> Signer {
    let signer = Signer::new(1);
    let header = signer.header();
    let signer = signer.sign(&header, 0);
    let report = signer.report();
    signer.sign(&report, 10)
}

/// An honest header, and a report in which something is written otherwise.
fn with_report(from: &str, to: &str) -> String {
    with_count(from, to, 10)
}

fn with_count(from: &str, to: &str, count: u64) -> String {
    let signer = Signer::new(1);
    let header = signer.header();
    let signer = signer.sign(&header, 0);
    let report = signer.report();
    assert!(report.contains(from), "{from} is not in {report}");
    let report = report.replacen(from, to, 1);
    signer.sign(&report, count).text
}

fn with_header(from: &str, to: &str) -> String {
    let signer = Signer::new(1);
    let header = signer.header();
    assert!(header.contains(from), "{from} is not in {header}");
    let header = header.replacen(from, to, 1);
    signer.sign(&header, 0).text
}

fn good() -> Vec<(&'static str, String)> {
    let first = honest();
    let second = Signer::new(2);
    let taken_over = second.header().replace(r#""baseGpuSeconds":0"#, r#""baseGpuSeconds":10"#);
    let second = second.sign(&taken_over, 10);
    let unseen = Signer::new(1);
    let header = unseen.header().replace(r#""visible""#, r#""not visible""#);
    let unseen = unseen.sign(&header, 0);
    let report = unseen.report().replace(r#"[{"uuid":"GPU-a","utilizationGpuPercent":97}]"#, "[]");
    vec![
        ("one-attestor", honest().text),
        ("header-only", with_header("GPU-a", "GPU-a")),
        ("header-without-version-and-tier", with_header(r#""version":1,"tier":"metered","#, "")),
        ("two-attestors", first.text + &second.text),
        ("nvml-not-visible", unseen.sign(&report, 10).text),
        ("last-report", with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":10,"last":true"#)),
        (
            "unknown-fields",
            with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":10,"later":{"a":[1,{"b":true}],"c":"x"}"#),
        ),
        ("fields-in-another-order", with_report(r#""kind":"report","sequence":1"#, r#""sequence":1,"kind":"report""#)),
        ("spaces-in-the-body", with_report(r#""sequence":1"#, r#" "sequence" : 1"#)),
        ("escapes-in-the-body", with_report("GPU-a", r"\u0047PU-a")),
        ("three-digits-of-a-second", with_report("10.25Z", "10.250Z")),
        ("two-seconds-ahead", with_count(r#""gpuSeconds":10"#, r#""gpuSeconds":12"#, 12)),
    ]
}

fn bad() -> Vec<(&'static str, String, &'static str)> {
    let honest = honest().text;
    let (first, second) = honest.split_once('\n').unwrap();
    let times = |to| with_report("2026-11-27T13:15:10.25Z", to);
    let address = format!("{:#x}", Signer::new(1).key.address());
    vec![
        ("empty", String::new(), "is empty"),
        ("line-with-a-space", honest.replacen("{\"body\"", "{ \"body\"", 1), "not written as"),
        ("line-with-an-unknown-field", honest.replacen("{\"body\"", "{\"a\":1,\"body\"", 1), "unknown field"),
        ("line-with-carriage-return", honest.replacen('\n', "\r\n", 1), "not written as"),
        ("line-with-capital-digits", capital_signature(&honest), "lower-case"),
        ("no-line-feed-at-the-end", honest.trim_end().to_owned(), "line feed"),
        ("report-first", second.to_owned(), "first line is its header"),
        ("header-twice", format!("{first}\n{first}\n"), "was there before"),
        ("version-2", with_header(r#""version":1"#, r#""version":2"#), "has format version 2, and this reader knows 1"),
        (
            "version-2-with-other-fields",
            Signer::new(1).sign(r#"{"kind":"header","gpus":{"count":1},"version":2}"#, 0).text,
            "has format version 2, and this reader knows 1",
        ),
        ("version-0", with_header(r#""version":1"#, r#""version":0"#), "has format version 0"),
        ("version-as-a-text", with_header(r#""version":1"#, r#""version":"1""#), "has format version \"1\""),
        (
            "unknown-tier",
            with_header(r#""metered""#, r#""proven""#),
            "is of tier \"proven\", and this reader knows \"metered\"",
        ),
        ("tier-with-a-capital", with_header(r#""metered""#, r#""Metered""#), "is of tier \"Metered\""),
        ("report-left-out", with_report(r#""sequence":1"#, r#""sequence":2"#), "sequence is 2"),
        ("a-root-too-long", with_report(r#""previous":"0x"#, r#""previous":"0x0"#), "lower-case digits"),
        ("header-as-a-list", Signer::new(1).sign(&format!("[\"header\",\"{JOB}\"]"), 0).text, "a body is an object"),
        (
            "sample-as-a-list",
            with_report(r#"{"uuid":"GPU-a","utilizationGpuPercent":97}"#, r#"["GPU-a"]"#),
            "is an object",
        ),
        ("field-twice", with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":10,"gpuSeconds":10"#), "comes twice"),
        ("unknown-field-twice", with_report(r#""gpuSeconds":10"#, r#""a":1,"a":2,"gpuSeconds":10"#), "comes twice"),
        (
            "field-twice-deep-down",
            with_report(r#""gpuSeconds":10"#, r#""a":[{"b":1,"b":1}],"gpuSeconds":10"#),
            "comes twice",
        ),
        ("kind-as-a-number", with_report(r#""kind":"report""#, r#""kind":1"#), "kind is a text"),
        ("unknown-kind", with_report(r#""kind":"report""#, r#""kind":"note""#), "unknown variant"),
        ("null", with_report(r#""utilizationGpuPercent":97"#, r#""utilizationGpuPercent":null"#), "left out"),
        (
            "fraction",
            with_report(r#""utilizationGpuPercent":97"#, r#""utilizationGpuPercent":97.0"#),
            "decimal integer",
        ),
        ("exponent", with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":1e1"#), "decimal integer"),
        ("minus-zero", with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":-0"#), "decimal integer"),
        (
            "fraction-in-an-unknown-field",
            with_report(r#""gpuSeconds":10"#, r#""a":0.5,"gpuSeconds":10"#),
            "decimal integer",
        ),
        ("two-to-the-64", with_report(r#""gpuSeconds":10"#, r#""gpuSeconds":18446744073709551616"#), "decimal integer"),
        ("time-without-dashes", times("20261127T131510.25Z"), "not a time such as"),
        ("time-with-a-space", times("2026-11-27 13:15:10.25Z"), "not a time such as"),
        ("time-with-a-comma", times("2026-11-27T13:15:10,25Z"), "not a time such as"),
        ("time-with-a-small-z", times("2026-11-27T13:15:10.25z"), "not a time such as"),
        ("time-with-an-offset", times("2026-11-27T13:15:10.25+00:00"), "not a time such as"),
        ("time-with-a-zone", times("2026-11-27T13:15:10.25Z[UTC]"), "not a time such as"),
        ("time-with-four-digits", times("2026-11-27T13:15:10.2500Z"), "not a time such as"),
        ("time-with-second-60", times("2026-11-27T13:15:60Z"), "not a time such as"),
        ("attestor-without-0x", with_header(&address, &address[2..]), "lower-case digits"),
        ("attestor-with-0X", with_header(&address, &address.replacen("0x", "0X", 1)), "lower-case digits"),
        (
            "attestor-with-capitals",
            with_header(&address, &address.to_uppercase().replacen("0X", "0x", 1)),
            "lower-case",
        ),
        ("job-with-capitals", with_header(JOB, &JOB.replacen("07", "0A", 1)), "lower-case digits"),
        ("three-seconds-ahead", with_count(r#""gpuSeconds":10"#, r#""gpuSeconds":13"#, 13), "at most 12"),
        ("another-count-signed", with_count("GPU-a", "GPU-a", 11), "not by attestor"),
        ("no-begin", with_report(r#""beganAt":"2026-11-27T13:15:00Z","#, ""), "at most 0"),
        ("another-gpu", with_report("GPU-a", "GPU-b"), "its samples are of GPU-b"),
        ("exponent-in-an-unknown-field", unknown("1e400"), "out of range"),
        ("many-digits-in-an-unknown-field", unknown(&"1".repeat(1000)), "out of range"),
        ("half-a-surrogate-in-an-unknown-field", unknown(r#""\ud800""#), "hex escape"),
        ("nested-too-deep", unknown(&format!("{}{}", "[".repeat(200), "]".repeat(200))), "recursion limit"),
        ("line-too-long", unknown(&format!("\"{}\"", "x".repeat(64 * 1024))), "at most 65536"),
        ("market-without-0x", with_header(&format!("0x{}", &MARKET[2..]), &MARKET[2..]), "lower-case digits"),
        ("signature-with-a-high-s", high_s(&honest), "upper half"),
        ("count-going-back", followed_by(r#""gpuSeconds":9"#, 9), "less than the 10"),
        ("attestor-that-skips", taken_over_from(11), "a part is missing"),
        (
            "a-gpu-twice",
            with_header(r#""gpus":1,"gpuUuids":["GPU-a"]"#, r#""gpus":2,"gpuUuids":["GPU-a","GPU-a"]"#),
            "twice",
        ),
    ]
}

/// With this value in a field of the report that nobody knows.
fn unknown(value: &str) -> String {
    with_report(r#""gpuSeconds":10"#, &format!(r#""a":{value},"gpuSeconds":10"#))
}

/// An honest attestor's word, and a second report with this count.
fn followed_by(says: &str, count: u64) -> String {
    let signer = honest();
    let report = signer.report().replace(r#""sequence":1"#, r#""sequence":2"#);
    let report = report.replace("10.25Z", "20.25Z").replace(r#""gpuSeconds":10"#, says);
    signer.sign(&report, count).text
}

/// An honest attestor's ten GPU-seconds, and another one that goes on from so many.
fn taken_over_from(base: u64) -> String {
    let second = Signer::new(2);
    let header = second.header().replace(r#""baseGpuSeconds":0"#, &format!(r#""baseGpuSeconds":{base}"#));
    honest().text + &second.sign(&header, base).text
}

/// The other signature of the same key over the same word.
fn high_s(text: &str) -> String {
    let at = text.rfind("\"signature\":\"0x").unwrap() + 15;
    let signature: Signature = text[at - 2..at + 130].parse().unwrap();
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
    format!("{}{}{}", &text[..at], alloy::hex::encode(other.as_bytes()), &text[at + 130..])
}

fn capital_signature(text: &str) -> String {
    let at = text.find("\"signature\":\"0x").unwrap() + 15;
    let (before, rest) = text.split_at(at);
    format!("{before}{}{}", rest[..130].to_uppercase(), &rest[130..])
}

fn file(kind: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(kind).join(format!("{name}.jsonl"))
}

/// The file as it lies there; it is what this test makes.
fn stored(kind: &str, name: &str, text: &str) -> Vec<u8> {
    let path = file(kind, name);
    if env::var_os("HAWSER_WRITE_VECTORS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes, text.as_bytes(), "{} is old: write it with HAWSER_WRITE_VECTORS=1", path.display());
    bytes
}

#[test]
fn every_good_vector_is_taken() {
    for (name, text) in good() {
        let read = verify(&stored("good", name, &text));
        assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
    }
}

#[test]
fn every_bad_vector_is_refused_for_its_reason() {
    for (name, text, part) in bad() {
        let error = verify(&stored("bad", name, &text)).unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
}

/// What a second reader compares its own with.
#[test]
fn what_is_read_of_each_vector_stands_beside_them() {
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
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/expected.json");
    if env::var_os("HAWSER_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "write it with HAWSER_WRITE_VECTORS=1");
}

#[test]
fn no_file_lies_there_that_no_test_reads() {
    let mut names: Vec<_> = good().into_iter().map(|(name, _)| file("good", name)).collect();
    names.extend(bad().into_iter().map(|(name, ..)| file("bad", name)));
    for kind in ["good", "bad"] {
        for entry in fs::read_dir(file(kind, "x").parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            assert!(names.contains(&path), "{}", path.display());
        }
    }
}
