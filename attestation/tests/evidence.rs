//! Evidence as a sidecar makes it, and what becomes of it in the hands of somebody who changes it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use hawser_attestation::{
    Body, ChainError, EvidenceError, EvidenceRoot, GpuSample, Header, Line, MarketId, Nvml, Reader, Report,
    SignedVoucher, Summary, Tier, Version, Wanted, verify,
};
use hawser_market::{GpuSeconds, JobId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const START: i64 = 1_700_000_000;

struct Attestor {
    key: PrivateKeySigner,
    gpus: u16,
    nvml: Nvml,
    base: u64,
    root: EvidenceRoot,
    sequence: u64,
    lines: Vec<Line>,
}

fn market() -> MarketId {
    MarketId { chain_id: 31337, address: Address::repeat_byte(9) }
}

fn job() -> JobId {
    JobId(B256::repeat_byte(7))
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_second(START).unwrap() + SignedDuration::from_secs(i64::try_from(second).unwrap())
}

impl Attestor {
    fn new(seed: u8, gpus: u16, base: u64, second: u64) -> Self {
        Self::with_nvml(seed, gpus, base, second, Nvml::Visible)
    }

    fn with_nvml(seed: u8, gpus: u16, base: u64, second: u64, nvml: Nvml) -> Self {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap();
        let mut attestor = Self { key, gpus, nvml, base, root: EvidenceRoot::EMPTY, sequence: 0, lines: vec![] };
        let header = attestor.header(second);
        attestor.push(&Body::Header(header), base);
        attestor
    }

    fn header(&self, second: u64) -> Header {
        Header {
            version: Version::V1,
            tier: Tier::Metered,
            job_id: job(),
            attestor: self.key.address(),
            chain_id: market().chain_id,
            market: market().address,
            gpus: self.gpus,
            gpu_uuids: (0..self.gpus).map(|i| format!("GPU-{i}")).collect(),
            base_gpu_seconds: GpuSeconds(self.base),
            nvml: self.nvml,
            driver_version: None,
            sidecar: "0.1.0".to_owned(),
            time: at(second),
        }
    }

    fn report(&self, second: u64, count: u64) -> Report {
        let sampled = if self.nvml == Nvml::Visible { self.gpus } else { 0 };
        Report {
            sequence: self.sequence,
            previous: self.root,
            time: at(second),
            began_at: Some(at(0)),
            gpu_seconds: GpuSeconds(count),
            last: false,
            gpus: (0..sampled)
                .map(|i| GpuSample {
                    uuid: format!("GPU-{i}"),
                    utilization_gpu_percent: Some(u32::from(i) * 10 + u32::try_from(second % 10).unwrap()),
                    ..GpuSample::default()
                })
                .collect(),
        }
    }

    fn push(&mut self, body: &Body, count: u64) {
        let body = serde_json::to_string(body).unwrap();
        self.root = self.root.then(body.as_bytes());
        let voucher = SignedVoucher::sign(&self.key, market(), job(), GpuSeconds(count), self.root).unwrap();
        self.lines.push(Line { body, signature: voucher.signature });
        self.sequence += 1;
    }

    fn reported(mut self, second: u64, count: u64) -> Self {
        let report = self.report(second, count);
        self.push(&Body::Report(report), count);
        self
    }

    fn altered(mut self, second: u64, count: u64, change: impl FnOnce(&mut Report)) -> Self {
        let mut report = self.report(second, count);
        change(&mut report);
        self.push(&Body::Report(report), count);
        self
    }
}

fn file(attestors: &[&Attestor]) -> Vec<u8> {
    attestors.iter().flat_map(|a| &a.lines).flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

fn two_gpus() -> Attestor {
    Attestor::new(1, 2, 0, 0).reported(1, 2).reported(2, 4).reported(13, 26)
}

fn chain_error(attestor: &Attestor) -> ChainError {
    match verify(&file(&[attestor])) {
        Err(EvidenceError::Chain { error, .. }) => error,
        other => panic!("expected a chain error, got {other:?}"),
    }
}

#[test]
fn whole_evidence_is_summed_up() {
    let attestor = two_gpus();
    let summary = verify(&file(&[&attestor])).unwrap();
    assert_eq!((summary.job_id, summary.market, summary.gpus), (job(), market(), 2));
    assert_eq!((summary.reports, summary.gpu_seconds), (3, GpuSeconds(26)));
    assert_eq!((summary.first, summary.last, summary.longest_gap.as_secs()), (at(0), at(13), 11));
    assert_eq!(summary.vouched(attestor.root), Some(GpuSeconds(26)));
    assert_eq!(summary.vouched(EvidenceRoot::EMPTY), None);
    let second = &summary.gpu_samples[1];
    let spread = second.utilization_gpu_percent.unwrap();
    assert_eq!((second.uuid.as_str(), second.samples, spread.min, spread.max), ("GPU-1", 3, 11, 13));
    assert!((spread.mean - 12.0).abs() < 1e-9, "{spread:?}");
}

#[test]
fn evidence_of_an_attestor_that_took_over_goes_on_from_the_first_ones_count() {
    let (first, second) = (two_gpus(), Attestor::new(2, 2, 26, 20).reported(21, 28));
    let summary = verify(&file(&[&first, &second])).unwrap();
    assert_eq!(summary.gpu_seconds, GpuSeconds(28));
    assert_eq!(
        summary.segments.iter().map(|s| s.attestor).collect::<Vec<_>>(),
        [first.key.address(), second.key.address()]
    );
}

#[test]
fn a_missing_or_repeated_part_is_noticed() {
    let (first, second) = (two_gpus(), Attestor::new(2, 2, 26, 20));
    assert!(matches!(verify(&file(&[&second])), Err(EvidenceError::Missing { line: 1, .. })));
    assert!(matches!(verify(&file(&[&first, &first])), Err(EvidenceError::AttestorTwice { line: 5, .. })));
    let ahead = Attestor::new(2, 2, 27, 20);
    assert!(matches!(verify(&file(&[&first, &ahead])), Err(EvidenceError::Missing { line: 5, .. })));
    let other = Attestor::new(2, 3, 26, 20);
    assert!(matches!(verify(&file(&[&first, &other])), Err(EvidenceError::OtherJob { line: 5 })));
}

#[test]
fn time_is_metered_where_nvml_is_not_visible() {
    let attestor = Attestor::with_nvml(1, 2, 0, 0, Nvml::NotVisible).reported(1, 2);
    let summary = verify(&file(&[&attestor])).unwrap();
    assert_eq!((summary.gpu_seconds, summary.gpu_samples.len()), (GpuSeconds(2), 0));
    assert_eq!(summary.segments[0].nvml, Nvml::NotVisible);
}

#[test]
fn even_the_attestor_cannot_sign_nonsense() {
    assert!(matches!(chain_error(&two_gpus().reported(14, 25)), ChainError::CountBack { .. }));
    assert!(matches!(chain_error(&two_gpus().reported(12, 26)), ChainError::TimeBack { .. }));
    assert!(matches!(chain_error(&two_gpus().reported(13, 31)), ChainError::TooMuch { .. }));
    assert!(matches!(chain_error(&two_gpus().altered(14, 28, |r| r.sequence = 9)), ChainError::Sequence { .. }));
    assert!(matches!(chain_error(&two_gpus().altered(14, 28, |r| r.previous.0 = job().0)), ChainError::Broken { .. }));
    assert!(matches!(chain_error(&two_gpus().altered(14, 28, |r| r.began_at = None)), ChainError::TooMuch { .. }));
    assert!(matches!(chain_error(&two_gpus().altered(14, 28, |r| r.gpus.truncate(1))), ChainError::Gpus { .. }));
    assert!(matches!(chain_error(&two_gpus().altered(14, 28, |r| r.gpus.swap(0, 1))), ChainError::Gpus { .. }));
    assert!(matches!(
        chain_error(&two_gpus().altered(14, 28, |r| r.last = true).reported(15, 30)),
        ChainError::AfterLast
    ));
}

#[test]
fn a_count_two_seconds_ahead_of_the_clock_is_still_taken() {
    assert!(verify(&file(&[&two_gpus().reported(13, 30)])).is_ok());
}

#[test]
fn a_line_signed_by_another_key_is_refused() {
    let mut forged = two_gpus();
    forged.key = PrivateKeySigner::from_bytes(&B256::repeat_byte(3)).unwrap();
    assert!(matches!(chain_error(&forged.reported(14, 28)), ChainError::WrongSigner { .. }));
}

#[test]
fn a_line_written_in_another_way_is_refused_though_hash_and_signature_hold() {
    let text = String::from_utf8(file(&[&two_gpus()])).unwrap();
    for changed in [
        text.replacen("{\"body\":", "{ \"body\":", 1),
        text.replacen("GPU-0", "\\u0047PU-0", 1),
        text.replacen('\n', "\r\n", 1),
    ] {
        assert_ne!(changed, text);
        assert!(matches!(verify(changed.as_bytes()), Err(EvidenceError::Line { line: 1, .. })), "{changed}");
    }
}

#[test]
fn bytes_that_are_no_evidence_are_refused_with_their_line() {
    for (bytes, expected) in [
        (&b""[..], "the evidence is empty"),
        (b"\n", "line 1: the line is not"),
        (b"{}", "line 1: it is not UTF-8 text that ends in a line feed"),
        (b"\xff\n", "line 1: it is not UTF-8"),
        (b"{\"body\":\"\"}\n", "line 1: the line is not"),
    ] {
        let error = verify(bytes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let long = format!("{{\"body\":\"{}\"}}\n", "[".repeat(70_000));
    assert!(verify(long.as_bytes()).unwrap_err().to_string().contains("at most 65536"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn one_changed_bit_anywhere_is_noticed(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = file(&[&two_gpus(), &Attestor::new(2, 2, 26, 20).reported(21, 28)]);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(verify(&bytes).is_err(), "bit {bit} of byte {place}");
    }

    #[test]
    fn any_other_order_of_the_lines_is_noticed(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle()) {
        prop_assume!(!order.is_sorted());
        let lines: Vec<_> = [two_gpus(), Attestor::new(2, 2, 26, 20).reported(21, 28)]
            .into_iter().flat_map(|a| a.lines).collect();
        let bytes: Vec<u8> = order.iter().flat_map(|i| format!("{}\n", lines[*i]).into_bytes()).collect();
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn a_line_left_out_of_the_middle_is_noticed(out in 0_usize..5) {
        let mut lines: Vec<_> = [two_gpus(), Attestor::new(2, 2, 26, 20).reported(21, 28)]
            .into_iter().flat_map(|a| a.lines).collect();
        // The line before a second attestor's header leaves no gap in a chain, but one in the count.
        lines.remove(out);
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(verify(&bytes).is_err());
    }
}

fn read(wanted: Wanted, bytes: &[u8], piece: usize) -> Result<Summary, EvidenceError> {
    let mut reader = Reader::new(wanted);
    bytes.chunks(piece).try_for_each(|piece| reader.read(piece))?;
    reader.finish()
}

#[test]
fn pieces_of_any_size_say_the_same_as_the_whole() {
    let bytes = file(&[&two_gpus(), &Attestor::new(2, 2, 26, 20).reported(21, 28)]);
    let whole = verify(&bytes).unwrap();
    for piece in [1, 7, 1000, bytes.len()] {
        assert_eq!(read(Wanted::default(), &bytes, piece).unwrap(), whole, "{piece}");
    }
    assert!(matches!(read(Wanted::default(), &bytes[..bytes.len() - 1], 7), Err(EvidenceError::Cut { line: 6 })));
}

#[test]
fn only_wanted_vouchers_are_kept() {
    let attestor = two_gpus();
    let roots = Some([attestor.root].into());
    let summary = read(Wanted { roots, ..Wanted::default() }, &file(&[&attestor]), 100).unwrap();
    assert_eq!((summary.vouchers.len(), summary.vouched(attestor.root)), (1, Some(GpuSeconds(26))));
    let none = read(Wanted { roots: Some([].into()), ..Wanted::default() }, &file(&[&attestor]), 100).unwrap();
    assert_eq!((none.vouchers.len(), none.gpu_seconds, none.reports), (0, GpuSeconds(26), 3));
}

/// Each signature covers all lines before its own: that of a line in between adds nothing.
#[test]
fn the_signatures_that_are_looked_at_cover_every_line() {
    let attestor = two_gpus();
    let lone = two_gpus().lines[1].clone();
    let with_foreign = |line: usize| {
        let mut lines = attestor.lines.clone();
        lines[line].signature = if line == 1 { lines[2].signature } else { lone.signature };
        lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect::<Vec<u8>>()
    };
    let roots = |wanted: &[EvidenceRoot]| Wanted { roots: Some(wanted.iter().copied().collect()), ..Wanted::default() };
    let claimed = verify(&file(&[&attestor])).unwrap().vouchers[1].evidence_root;
    assert!(read(roots(&[]), &with_foreign(1), 100).is_ok());
    for (wanted, line) in [(roots(&[]), 0), (roots(&[]), 3), (roots(&[claimed]), 1)] {
        let found = read(wanted, &with_foreign(line), 100);
        assert!(matches!(found, Err(EvidenceError::Chain { line: at, .. }) if at == line + 1), "{line}: {found:?}");
    }
    let every = Wanted { every_signature: true, ..roots(&[]) };
    assert!(matches!(read(every, &with_foreign(1), 100), Err(EvidenceError::Chain { line: 2, .. })));
    // And that of the last line of an attestor after which another one comes.
    let mut bytes = with_foreign(3);
    bytes.extend(file(&[&Attestor::new(2, 2, 26, 20)]));
    assert!(matches!(read(roots(&[]), &bytes, 100), Err(EvidenceError::Chain { line: 4, .. })));
}

#[test]
fn evidence_of_another_job_or_attestor_than_was_asked_for_is_refused() {
    let attestor = two_gpus();
    let other = JobId(B256::repeat_byte(8));
    let found = read(Wanted { job: Some(other), ..Wanted::default() }, &file(&[&attestor]), 100);
    assert!(matches!(found, Err(EvidenceError::NotTheJob { line: 1, .. })), "{found:?}");
    assert!(read(Wanted { job: Some(job()), ..Wanted::default() }, &file(&[&attestor]), 100).is_ok());
    let in_part = |of: Address, bytes: &[u8]| {
        let mut reader = Reader::new(Wanted::default());
        reader.part(Some(of));
        reader.read(bytes)
    };
    let second = Attestor::new(2, 2, 26, 20);
    assert!(in_part(attestor.key.address(), &file(&[&attestor])).is_ok());
    for bytes in [file(&[&second]), file(&[&attestor, &second])] {
        let found = in_part(attestor.key.address(), &bytes);
        assert!(found.is_err(), "{found:?}");
    }
    // A part begins with a header, even where the report would follow what was read before.
    let mut reader = Reader::new(Wanted::default());
    let whole = file(&[&attestor]);
    let half = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    reader.read(&whole[..half]).unwrap();
    reader.part(None);
    assert!(matches!(reader.read(&whole[half..]), Err(EvidenceError::Chain { line: 2, error: ChainError::NotHeader })));
}
