use hawser_attestation::{AttestorKey, Body, GpuSample, MarketId, Nvml, Tier, Version};
use hawser_market::{AttestorTail, JobId};

use super::{
    super::expected::{JobRef, MemberRef},
    *,
};

type Change<T> = fn(&mut T);

const NOW: i64 = 1_700_001_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const MARKET: Attestor = Attestor::repeat_byte(9);

fn key() -> AttestorKey {
    AttestorKey::from_bytes(&Digest::repeat_byte(1)).unwrap()
}

fn uuids() -> Vec<String> {
    vec!["GPU-a".to_owned(), "GPU-b".to_owned()]
}

/// A job of two GPUs that began 100 seconds ago.
fn expected() -> ExpectedMeter {
    let job = JobRef { namespace: "tenants".to_owned(), name: "job-1".to_owned() };
    ExpectedMeter {
        member: MemberRef { job, pod: "job-1".to_owned() },
        id: JobId(Digest::repeat_byte(7)),
        market: MarketId { chain_id: 31337, address: MARKET },
        gpus: 2,
        started: Some(at(NOW - 110)),
        leads: true,
        attestor: Some(AttestorTail::of(key().address())),
        base_gpu_seconds: GpuSeconds(50),
        begin: Some(at(NOW - 100)),
        ended: None,
    }
}

fn header() -> Header {
    Header {
        version: Version::V1,
        tier: Tier::Metered,
        job_id: expected().id,
        attestor: key().address(),
        chain_id: 31337,
        market: MARKET,
        gpus: 2,
        gpu_uuids: uuids(),
        base_gpu_seconds: GpuSeconds(50),
        nvml: Nvml::Visible,
        driver_version: None,
        sidecar: "0.1.0".to_owned(),
        time: at(NOW - 105),
    }
}

fn signed(before: EvidenceRoot, sequence: u64, body: &Body, count: u64) -> Report {
    let body = serde_json::to_vec(body).unwrap();
    let root = before.then(&body);
    let voucher = SignedVoucher::sign(&key(), expected().market, expected().id, GpuSeconds(count), root).unwrap();
    let signature = voucher.signature.to_bytes().to_vec();
    Report { sequence, body, gpu_seconds: count, evidence_root: root.0.to_vec(), signature }
}

fn check(expected: &ExpectedMeter, stored: Option<&EvidenceChain>, report: &Report) -> Result<Checked, Refusal> {
    check_report(expected, key().address(), &uuids(), stored, report, at(NOW))
}

fn opened() -> EvidenceChain {
    check(&expected(), None, &signed(EvidenceRoot::EMPTY, 0, &Body::Header(header()), 50)).unwrap().chain
}

fn report(chain: &EvidenceChain, count: u64) -> Report {
    let body = Body::Report(hawser_attestation::Report {
        sequence: chain.next_sequence(),
        previous: chain.root(),
        // Its own clock is a day ahead: the operator's own clock must hold the bound.
        time: at(NOW + 86_400),
        began_at: Some(at(NOW - 100)),
        gpu_seconds: GpuSeconds(count),
        last: false,
        gpus: uuids().into_iter().map(|uuid| GpuSample { uuid, ..GpuSample::default() }).collect(),
    });
    signed(chain.root(), chain.next_sequence(), &body, count)
}

fn reason(result: Result<Checked, Refusal>) -> RejectReason {
    result.unwrap_err().reason
}

#[test]
fn use_is_bounded_by_running_time_times_gpus_by_the_operators_clock() {
    // Began 100 s ago, two GPUs, 50 GPU-seconds before: 250, and two seconds more on each.
    let chain = opened();
    assert!(check(&expected(), Some(&chain), &report(&chain, 254)).is_ok());
    assert_eq!(reason(check(&expected(), Some(&chain), &report(&chain, 255))), RejectReason::OutOfBounds);
}

#[test]
fn use_is_bounded_by_the_end_of_the_container() {
    let chain = opened();
    let ended = ExpectedMeter { ended: Some(at(NOW - 40)), ..expected() };
    // 60 s of two GPUs, and the four that kubelet may take to end meter.
    assert!(check(&ended, Some(&chain), &report(&chain, 178)).is_ok());
    assert_eq!(reason(check(&ended, Some(&chain), &report(&chain, 179))), RejectReason::OutOfBounds);
}

#[test]
fn nothing_counts_before_the_begin() {
    let chain = opened();
    let not_begun = ExpectedMeter { begin: None, ..expected() };
    assert!(check(&not_begun, Some(&chain), &report(&chain, 50)).is_ok());
    assert_eq!(reason(check(&not_begun, Some(&chain), &report(&chain, 51))), RejectReason::OutOfBounds);
}

#[test]
fn only_the_attestor_that_the_market_names_may_report_and_for_another_member_only_who_enrolled() {
    let chain = opened();
    let report = report(&chain, 60);
    let [me, other] = [key().address(), Attestor::repeat_byte(3)].map(|key| Some(AttestorTail::of(key)));
    for (started, leads, attestor, refused) in [
        (Some(at(NOW)), true, me, None),
        (None, true, me, Some("is not started yet")),
        (Some(at(NOW)), true, other, Some("the market names attestor 0x...0303")),
        (Some(at(NOW)), false, me, None),
        (None, false, me, Some("is not started yet")),
        (Some(at(NOW)), false, other, Some("enrolled for pod tenants/job-1, the report is of")),
        (Some(at(NOW)), false, None, Some("no attestor has enrolled for pod tenants/job-1")),
    ] {
        let expected = ExpectedMeter { started, leads, attestor, ..expected() };
        let refusal = check(&expected, Some(&chain), &report).err();
        assert!(refusal.iter().all(|refusal| refusal.reason == RejectReason::UnknownJob), "{refusal:?}");
        let said = refusal.map(|refusal| refusal.message).unwrap_or_default();
        assert_eq!(said.is_empty(), refused.is_none(), "{said}");
        assert!(said.contains(refused.unwrap_or_default()), "{said}");
    }
}

#[test]
fn a_report_that_is_not_whole_is_refused_for_what_is_wrong_with_it() {
    let chain = opened();
    let cases: [(&str, RejectReason, Change<Report>); 8] = [
        ("a flipped bit of the signature", RejectReason::BadSignature, |r| r.signature[3] ^= 1),
        ("a short signature", RejectReason::BadSignature, |r| r.signature.truncate(10)),
        ("another count than was signed", RejectReason::BadSignature, |r| r.gpu_seconds += 1),
        ("another root than was signed", RejectReason::BadSignature, |r| r.evidence_root[0] ^= 1),
        ("a short root", RejectReason::BadSignature, |r| r.evidence_root.truncate(31)),
        ("another body than was hashed", RejectReason::BrokenChain, |r| r.body.push(b' ')),
        ("a line that was there", RejectReason::Stale, |r| r.sequence = 0),
        ("a line too far", RejectReason::BrokenChain, |r| r.sequence = 2),
    ];
    for (what, expected_reason, change) in cases {
        let mut report = report(&chain, 60);
        change(&mut report);
        assert_eq!(reason(check(&expected(), Some(&chain), &report)), expected_reason, "{what}");
    }
}

#[test]
fn a_header_that_does_not_fit_the_job_is_refused() {
    let cases: [(&str, Change<Header>); 6] = [
        ("gpus", |h| {
            h.gpus = 1;
            h.gpu_uuids.truncate(1);
        }),
        ("gpuUuids", |h| h.gpu_uuids.swap(0, 1)),
        ("baseGpuSeconds", |h| h.base_gpu_seconds = GpuSeconds(51)),
        ("jobId", |h| h.job_id = JobId(Digest::repeat_byte(8))),
        ("chain", |h| h.chain_id = 1),
        ("attestor", |h| h.attestor = Attestor::repeat_byte(3)),
    ];
    for (what, change) in cases {
        let mut header = header();
        change(&mut header);
        let base = header.base_gpu_seconds.0;
        let report = signed(EvidenceRoot::EMPTY, 0, &Body::Header(header), base);
        assert!(check(&expected(), None, &report).is_err(), "{what}");
    }
}

#[test]
fn what_is_signed_and_what_is_written_must_be_the_same_count() {
    let chain = opened();
    let Body::Report(body) = serde_json::from_slice(&report(&chain, 60).body).unwrap() else {
        panic!("a report was made")
    };
    let report = signed(chain.root(), 1, &Body::Report(body), 61);
    assert_eq!(reason(check(&expected(), Some(&chain), &report)), RejectReason::BadSignature);
}

#[test]
fn a_voucher_without_evidence_is_held_to_the_same_bounds() {
    let voucher = |count| {
        SignedVoucher::sign(&key(), expected().market, expected().id, GpuSeconds(count), EvidenceRoot::EMPTY).unwrap()
    };
    let check = |voucher: &SignedVoucher| check_voucher(&expected(), key().address(), GpuSeconds(50), voucher, at(NOW));
    assert_eq!(check(&voucher(254)), Ok(()));
    assert_eq!(check(&voucher(255)).unwrap_err().reason, RejectReason::OutOfBounds);
    let forged = SignedVoucher { gpu_seconds: GpuSeconds(200), ..voucher(100) };
    assert_eq!(check(&forged).unwrap_err().reason, RejectReason::BadSignature);
    let other_job = SignedVoucher { job: JobId(Digest::repeat_byte(8)), ..voucher(100) };
    assert_eq!(check(&other_job).unwrap_err().reason, RejectReason::BadSignature);
}

#[test]
fn a_node_clock_that_is_ahead_is_named_in_seconds() {
    let chain = opened();
    let said =
        |expected: &ExpectedMeter, count| check(expected, Some(&chain), &report(&chain, count)).unwrap_err().message;
    // Ten seconds more of two GPUs than there can be, beyond a tolerance of two.
    assert!(said(&expected(), 274).contains("clock is 12 s ahead"), "{}", said(&expected(), 274));
    // An hour more is no clock's doing, and after the end no clock explains anything.
    let much = 254 + 2 * 3700;
    assert!(!said(&expected(), much).contains("ahead"), "{}", said(&expected(), much));
    let ended = ExpectedMeter { ended: Some(at(NOW - 40)), ..expected() };
    assert!(!said(&ended, 190).contains("ahead"), "{}", said(&ended, 190));
    // The end lies in the future, but not that far.
    let ended = ExpectedMeter { ended: Some(at(NOW + 10)), ..expected() };
    assert!(said(&ended, 274).contains("clock is 12 s ahead"), "{}", said(&ended, 274));
    assert!(!said(&ended, 290).contains("ahead"), "{}", said(&ended, 290));
}
