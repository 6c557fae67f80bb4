//! How fast evidence is checked: a job of eleven days that reports every second, read from a file in pieces; and a shorter one
//! with the signature of each line checked (`--every-signature`). `cargo bench -p hawser-attestation`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a measurement")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use alloy::primitives::{Address, B256};
use alloy::signers::local::PrivateKeySigner;
use hawser_attestation::{
    Body, EvidenceRoot, GpuSample, Header, Line, MarketId, Nvml, Reader, Report, SignedVoucher, Tier, Version, Wanted,
};
use hawser_market::{GpuSeconds, JobId};
use jiff::{SignedDuration, Timestamp};

const REPORTS: u64 = 1_000_000;
const WITH_EVERY_SIGNATURE: u64 = 10_000;
const PIECE: usize = 64 * 1024;

fn main() {
    let folder = std::env::temp_dir().join(format!("hawser-verify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (long, short) = (folder.join("long"), folder.join("short"));
    write(&long, REPORTS, REPORTS / 100);
    write(&short, WITH_EVERY_SIGNATURE, 1);
    for (path, every_signature) in [(&long, false), (&short, true)] {
        let (before, began) = (peak(), Instant::now());
        let reports = read(path, every_signature);
        let (took, grown) = (began.elapsed(), peak().saturating_sub(before));
        let rate = f64::from(u32::try_from(reports).unwrap()) / took.as_secs_f64();
        let which = if every_signature { "every signature" } else { "the signatures that cover all lines" };
        println!(
            "{reports} reports, {which}: {:.1} s, {rate:.0} a second, {grown} KiB more resident",
            took.as_secs_f64()
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// One line in `each` is signed, and the last one; the others carry the signature before theirs, as nobody looks at it.
fn write(path: &Path, reports: u64, each: u64) {
    let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
    let (market, job) = (MarketId { chain_id: 31337, address: Address::repeat_byte(9) }, JobId(B256::repeat_byte(7)));
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    let at = |second: u64| start + SignedDuration::from_secs(i64::try_from(second).unwrap());
    let uuid = "GPU-5f1c8a3e-0000-4000-8000-000000000001".to_owned();
    let mut out = BufWriter::new(File::create(path).unwrap());
    let mut root = EvidenceRoot::EMPTY;
    let mut signature = None;
    for sequence in 0..=reports {
        let body = if sequence == 0 {
            Body::Header(Header {
                version: Version::V1,
                tier: Tier::Metered,
                job_id: job,
                attestor: key.address(),
                chain_id: market.chain_id,
                market: market.address,
                gpus: 1,
                gpu_uuids: vec![uuid.clone()],
                base_gpu_seconds: GpuSeconds(0),
                nvml: Nvml::Visible,
                driver_version: Some("570.86.15".to_owned()),
                sidecar: "0.1.0".to_owned(),
                time: start,
            })
        } else {
            let sample = GpuSample { uuid: uuid.clone(), utilization_gpu_percent: Some(97), ..GpuSample::default() };
            Body::Report(Report {
                sequence,
                previous: root,
                time: at(sequence),
                began_at: Some(start),
                gpu_seconds: GpuSeconds(sequence),
                last: sequence == reports,
                gpus: vec![sample],
            })
        };
        let body = serde_json::to_string(&body).unwrap();
        root = root.then(body.as_bytes());
        if sequence % each == 0 || sequence == reports {
            signature = Some(SignedVoucher::sign(&key, market, job, GpuSeconds(sequence), root).unwrap().signature);
        }
        writeln!(out, "{}", Line { body, signature: signature.expect("the header is signed") }).unwrap();
    }
    out.flush().unwrap();
}

fn read(path: &Path, every_signature: bool) -> u64 {
    let roots = Some(std::collections::BTreeSet::new());
    let mut reader = Reader::new(Wanted { job: None, roots, every_signature });
    let (mut file, mut piece) = (File::open(path).unwrap(), vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        reader.read(&piece[..length]).unwrap();
    }
    reader.finish().unwrap().reports
}

/// The most that was resident of this process, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
