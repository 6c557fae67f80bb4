//! What a provider that holds the attestor's key can write: signed, in order, with claims that rest on it.

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use hawser_attestation::{
    Body, EvidenceRoot, GpuSample, Header, Line, MarketId, Nvml, Reader, Report, SignedVoucher, Tier, Version, Wanted,
};
use hawser_market::{GpuSeconds, JobId, JobStatus};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::chain::{Claimed, Named};

/// Second of the start on chain.
const START: i64 = 1_700_000_000;
/// Length of the honest job, in seconds.
const LENGTH: i64 = 60;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn chain_second(second: i64) -> u64 {
    u64::try_from(START + second).unwrap()
}

fn key(seed: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap()
}

fn header(seed: u8) -> Header {
    Header {
        version: Version::V1,
        tier: Tier::Metered,
        job_id: JobId(B256::repeat_byte(7)),
        attestor: key(seed).address(),
        chain_id: 1,
        market: Address::repeat_byte(9),
        gpus: 2,
        gpu_uuids: vec!["GPU-a".to_owned(), "GPU-b".to_owned()],
        base_gpu_seconds: GpuSeconds(0),
        nvml: Nvml::Visible,
        driver_version: None,
        sidecar: "0.1.0".to_owned(),
        time: at(1),
    }
}

/// A report each ten seconds of two busy GPUs.
fn reports() -> Vec<Report> {
    let sample = |uuid: &str| GpuSample {
        uuid: uuid.to_owned(),
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        utilization_gpu_percent: Some(97),
        memory_used_bytes: Some(60),
        memory_total_bytes: Some(80),
        temperature_celsius: Some(60),
        ..GpuSample::default()
    };
    let report = |second: i64| Report {
        sequence: 0,
        previous: EvidenceRoot::EMPTY,
        time: at(second),
        began_at: Some(at(2)),
        gpu_seconds: GpuSeconds(u64::try_from(second - 2).unwrap() * 2),
        last: second == LENGTH,
        gpus: vec![sample("GPU-a"), sample("GPU-b")],
    };
    (1..=LENGTH / 10).map(|n| report(n * 10)).collect()
}

fn signed(seed: u8, header: Header, reports: Vec<Report>) -> Vec<u8> {
    let (market, job, mut count) = (header.market(), header.job_id, header.base_gpu_seconds);
    let mut root = EvidenceRoot::EMPTY;
    let mut text = Vec::new();
    let mut bodies = vec![Body::Header(header)];
    bodies.extend(reports.into_iter().map(Body::Report));
    for (sequence, body) in bodies.into_iter().enumerate() {
        let body = match body {
            Body::Report(report) => {
                count = report.gpu_seconds;
                Body::Report(Report { sequence: u64::try_from(sequence).unwrap(), previous: root, ..report })
            }
            header @ Body::Header(_) => header,
        };
        let body = serde_json::to_string(&body).unwrap();
        root = root.then(body.as_bytes());
        let signature = SignedVoucher::sign(&key(seed), market, job, count, root).unwrap().signature;
        text.extend(format!("{}\n", Line { body, signature }).into_bytes());
    }
    text
}

fn summary(text: &[u8]) -> Summary {
    let mut reader = Reader::new(Wanted::default());
    reader.read(text).unwrap();
    reader.finish().unwrap()
}

/// A chain on which all of this evidence was claimed at the end.
fn chain(evidence: &Summary) -> Record {
    let mut class = B256::ZERO;
    class[..21].copy_from_slice(b"NVIDIA-H100-80GB-HBM3");
    let claimed = evidence.gpu_seconds.0.min(2 * u64::try_from(LENGTH).unwrap());
    let root = evidence.vouchers.last().unwrap().evidence_root.0;
    Record {
        market: MarketId { chain_id: 1, address: Address::repeat_byte(9) },
        gpu_class: class,
        gpus: 2,
        status: JobStatus::Closed,
        started: chain_second(0),
        used: claimed,
        attestors: vec![Named { attestor: key(1).address(), at: chain_second(0) }],
        claims: vec![Claimed { used: claimed, root, at: chain_second(LENGTH + 5) }],
        now: chain_second(LENGTH + 10),
        latest: chain_second(LENGTH + 10),
    }
}

type Change = fn(&mut Header, &mut Vec<Report>);

fn told(change: Change) -> Summary {
    let (mut header, mut reports) = (header(1), reports());
    change(&mut header, &mut reports);
    summary(&signed(1, header, reports))
}

#[test]
fn an_honest_story_has_neither_problems_nor_warnings() {
    let evidence = told(|_, _| {});
    let judgement = judge(&evidence, Some(&chain(&evidence)));
    assert_eq!((&judgement.problems, &judgement.warnings), (&vec![], &vec![]));
    assert_eq!(judgement.claims[0].vouched, Some(116));
    assert_eq!(judge(&evidence, None), Judgement::default());
}

/// Moves all of a story by this many seconds.
fn moved(header: &mut Header, reports: &mut [Report], seconds: i64) {
    let by = SignedDuration::from_secs(seconds);
    header.time += by;
    for report in reports {
        report.time += by;
        report.began_at = report.began_at.map(|began| began + by);
    }
}

#[test]
fn times_that_the_chain_contradicts_are_wrong() {
    let stories: [(&str, Change, &str); 7] = [
        ("1970", |h, r| moved(h, r, -START), "before the chain named it"),
        ("a day before the order", |h, r| moved(h, r, -86_400), "before the chain named it"),
        ("2500", |h, r| moved(h, r, 15_000_000_000), "says it was made at"),
        (
            "a begin 20 years before the header",
            |_, r| {
                for report in r.iter_mut() {
                    report.began_at = Some(at(-630_000_000));
                    report.gpu_seconds = GpuSeconds(1_000_000_000);
                }
            },
            "before its header",
        ),
        ("a begin that moves", |_, r| r[3].began_at = Some(at(3)), "the begin of its count moved from"),
        (
            "a begin after the report",
            |_, r| {
                for report in r.iter_mut() {
                    report.began_at = Some(at(1000));
                    report.gpu_seconds = GpuSeconds(0);
                }
            },
            "after the report of",
        ),
        (
            "a begin that is taken back",
            |_, r| (r[5].began_at, r[5].gpu_seconds) = (Some(at(1)), r[4].gpu_seconds),
            "moved",
        ),
    ];
    for (name, change, part) in stories {
        let evidence = told(change);
        let problems = judge(&evidence, Some(&chain(&evidence))).problems;
        assert!(problems.iter().any(|problem| problem.contains(part)), "{name}: {problems:?}");
    }
}

#[test]
fn what_is_odd_is_a_warning_and_not_wrong() {
    let stories: [(&str, Change, &str); 13] = [
        ("one report in an hour", |h, r| spread(h, r, 3600), "there is no report for 3600 s"),
        ("a gap of ten hours", |_, r| gap(r, 36_000), "there is no report for 36010 s"),
        ("every report in the same millisecond", |h, r| at_once(h, r), "0 ms after the line before"),
        ("no UUID", |h, r| renumbered(h, r, ""), "names a GPU \"\""),
        ("an emoji for a UUID", |h, r| renumbered(h, r, "\u{1f600}"), "no UUID that NVML gives"),
        (
            "a utilisation beyond all",
            |_, r| r[0].gpus[0].utilization_gpu_percent = Some(u32::MAX),
            "utilisation of 42949",
        ),
        ("more memory than there is", |_, r| r[0].gpus[1].memory_used_bytes = Some(81), "uses 81 bytes of its 80"),
        ("four billion degrees", |_, r| r[2].gpus[0].temperature_celsius = Some(4_000_000_000), "4000000000 degrees"),
        (
            "another card",
            |_, r| each(r, |s| s.name = Some("NVIDIA GeForce GT 710".into())),
            "the offer sells NVIDIA-H100",
        ),
        ("a name that changes", |_, r| r[4].gpus[0].name = Some("NVIDIA A10".into()), "and NVIDIA A10 later"),
        ("only errors", |_, r| each(r, |s| s.error = Some("lost".into())), "an error for GPU GPU-a in 6 of 6 samples"),
        ("nothing visible", |h, r| unseen(h, r), "NVML was not visible"),
        (
            "idle all the time",
            |_, r| each(r, |s| s.utilization_gpu_percent = Some(0)),
            "GPU GPU-b was idle in all of its 6",
        ),
    ];
    for (name, change, part) in stories {
        let evidence = told(change);
        let end = u64::try_from(evidence.last.as_second()).unwrap() + 5;
        let honest = chain(&evidence);
        let claims = honest.claims.iter().map(|claim| Claimed { at: end, ..*claim }).collect();
        let Judgement { problems, warnings, .. } =
            judge(&evidence, Some(&Record { claims, now: end, latest: end, ..honest }));
        assert_eq!(problems, Vec::<String>::new(), "{name}");
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{name}: {warnings:?}");
    }
}

fn each(reports: &mut [Report], change: impl Fn(&mut GpuSample)) {
    reports.iter_mut().flat_map(|report| &mut report.gpus).for_each(change);
}

fn spread(header: &Header, reports: &mut [Report], seconds: i64) {
    let mut time = header.time;
    for report in reports {
        time += SignedDuration::from_secs(seconds);
        report.time = time;
    }
}

fn at_once(header: &Header, reports: &mut [Report]) {
    for report in reports {
        (report.time, report.began_at, report.gpu_seconds) = (header.time, Some(header.time), GpuSeconds(0));
    }
}

fn gap(reports: &mut [Report], seconds: i64) {
    for report in &mut reports[3..] {
        report.time += SignedDuration::from_secs(seconds);
    }
}

fn renumbered(header: &mut Header, reports: &mut [Report], uuid: &str) {
    uuid.clone_into(&mut header.gpu_uuids[0]);
    for report in reports {
        uuid.clone_into(&mut report.gpus[0].uuid);
    }
}

fn unseen(header: &mut Header, reports: &mut [Report]) {
    header.nvml = Nvml::NotVisible;
    for report in reports {
        report.gpus.clear();
    }
}

#[test]
fn a_job_that_runs_without_a_word_and_one_that_ends_without_its_last_are_told() {
    let evidence = told(|_, r| drop(r.pop()));
    let running = Record { status: JobStatus::Running, ..chain(&evidence) };
    assert_eq!(judge(&evidence, Some(&running)).warnings, Vec::<String>::new());
    let month = Record { now: chain_second(2_592_000), latest: chain_second(2_592_000), ..running };
    let warnings = judge(&evidence, Some(&month)).warnings;
    assert!(matches!(&warnings[..], [one] if one.contains("its last report is 2591950 s old")), "{warnings:?}");
    let warnings = judge(&evidence, Some(&chain(&evidence))).warnings;
    assert!(matches!(&warnings[..], [one] if one.contains("the job is over, and the last report")), "{warnings:?}");
    let nothing = told(|_, r| r.clear());
    let warnings = judge(&nothing, Some(&Record { status: JobStatus::Running, ..month })).warnings;
    assert!(warnings.iter().any(|one| one.contains("the job runs, and its last report")), "{warnings:?}");
}

#[test]
fn every_attestor_of_the_chain_is_there_or_told_as_missing() {
    let evidence = told(|_, _| {});
    let named = |seed: u8| Named { attestor: key(seed).address(), at: chain_second(0) };
    for (attestors, parts) in [
        (vec![named(1)], vec![]),
        (vec![named(2), named(1)], vec![(2, "before the provider replaced it, that can't be seen")]),
        (vec![named(1), named(2)], vec![(2, "if it attested anything, that can't be seen")]),
        (vec![named(2), named(1), named(3)], vec![(2, "replaced it"), (3, "attested anything, that")]),
    ] {
        let Judgement { problems, warnings, .. } = judge(&evidence, Some(&Record { attestors, ..chain(&evidence) }));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
        for ((seed, part), warning) in parts.into_iter().zip(warnings) {
            let whose = key(seed).address().to_string();
            assert!(warning.contains(&whose) && warning.contains(part), "{warning}");
        }
    }
}

#[test]
fn every_difference_from_the_chain_is_wrong() {
    let evidence = told(|_, _| {});
    let honest = chain(&evidence);
    let named = |seed: u8| Named { attestor: key(seed).address(), at: chain_second(0) };
    let claim = |used, root: B256, second| Claimed { used, root, at: chain_second(second) };
    let (root, early) = (honest.claims[0].root, evidence.vouchers[1].evidence_root.0);
    let other = MarketId { chain_id: 2, ..honest.market };
    for (chain, part) in [
        (Record { market: other, ..honest.clone() }, "is for the market"),
        (Record { gpus: 4, ..honest.clone() }, "of 2 GPUs, 4 were ordered"),
        (Record { attestors: vec![named(2)], ..honest.clone() }, "none that the chain names"),
        (Record { claims: vec![claim(116, B256::repeat_byte(9), 65)], ..honest.clone() }, "not in this evidence"),
        (Record { claims: vec![claim(116, early, 65)], ..honest.clone() }, "vouches for 16"),
        (Record { claims: vec![claim(116, root, -10)], ..honest.clone() }, "on a report that says it was made at"),
        (Record { used: 117, ..honest.clone() }, "117 GPU-seconds claimed, its last claim says 116"),
        (Record { latest: chain_second(-10), ..honest.clone() }, "its last report is of"),
        (Record { gpus: 1, started: chain_second(57), ..honest.clone() }, "there are at most"),
    ] {
        let problems = judge(&evidence, Some(&chain)).problems;
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
    }
}

#[test]
fn what_was_rewritten_before_a_claim_is_found_by_who_remembers() {
    let idle = told(|_, r| each(r, |sample| sample.utilization_gpu_percent = Some(0)));
    let busy = told(|_, _| {});
    let longer = told(|_, r| {
        r[5].last = false;
        let more = Report { time: at(70), last: true, ..r[5].clone() };
        r.push(more);
    });
    let mut known = crate::evidence::KnownRoots::default();
    assert_eq!(known.rewritten("job", &idle), Vec::<String>::new());
    known.remember("job", &idle);
    assert_eq!(known.rewritten("job", &idle), Vec::<String>::new());
    assert!(known.rewritten("job", &busy)[0].starts_with("REWRITTEN"));
    assert_eq!(known.rewritten("other", &busy), Vec::<String>::new());
    let cut = told(|_, r| drop(r.split_off(4)));
    let mut known = crate::evidence::KnownRoots::default();
    known.remember("job", &cut);
    assert_eq!(known.rewritten("job", &longer), Vec::<String>::new());
}
