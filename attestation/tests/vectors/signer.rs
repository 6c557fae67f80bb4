//! An attestor that signs texts as they are, and ways to change what it signs or wrote.

use std::fmt::Write;

use alloy::{
    hex,
    primitives::{Address, B256, U256, uint},
    signers::local::PrivateKeySigner,
};
use hawser_attestation::{EvidenceRoot, Line, MarketId, SignedVoucher};
use hawser_market::{GpuSeconds, JobId};
use serde_json::Value;

pub(crate) const JOB: &str = "0x0707070707070707070707070707070707070707070707070707070707070707";
pub(crate) const MARKET: &str = "0x0909090909090909090909090909090909090909";
/// The honest report's samples, and its count.
pub(crate) const SAMPLES: &str = r#"[{"uuid":"GPU-a","utilizationGpuPercent":97}]"#;
pub(crate) const COUNT: &str = r#""gpuSeconds":10"#;
/// The count of the second report, and its number.
pub(crate) const TWENTY: &str = r#""gpuSeconds":20"#;
const SECOND: Change<'_> = (r#""sequence":1"#, r#""sequence":2"#);
const NO_BASE: &str = r#""baseGpuSeconds":0"#;
pub(crate) const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

/// Signs texts as they are, whatever they say.
pub(crate) struct Signer {
    key: PrivateKeySigner,
    job: JobId,
    market: MarketId,
    root: EvidenceRoot,
    pub(crate) text: String,
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).unwrap();
        let market = MarketId { chain_id: 31337, address: Address::repeat_byte(9) };
        Self { key, job: JobId(B256::repeat_byte(7)), market, root: EvidenceRoot::EMPTY, text: String::new() }
    }

    pub(crate) fn address(&self) -> String {
        format!("{:#x}", self.key.address())
    }

    pub(crate) fn header(&self) -> String {
        format!(
            r#"{{"kind":"header","version":1,"tier":"metered","jobId":"{JOB}","attestor":"{}","chainId":31337,"market":"{MARKET}","gpus":1,"gpuUuids":["GPU-a"],"baseGpuSeconds":0,"nvml":"visible","sidecar":"0.1.0","time":"2026-11-27T13:15:00Z"}}"#,
            self.address()
        )
    }

    /// The report at ten seconds.
    pub(crate) fn report(&self) -> String {
        format!(
            r#"{{"kind":"report","sequence":1,"previous":"{}","time":"2026-11-27T13:15:10.25Z","beganAt":"2026-11-27T13:15:00Z","gpuSeconds":10,"gpus":{SAMPLES}}}"#,
            self.root
        )
    }

    pub(crate) fn sign(mut self, body: &str, count: u64) -> Self {
        self.adopt(&serde_json::from_str(body).unwrap_or_default());
        self.root = self.root.then(body.as_bytes());
        let voucher = SignedVoucher::sign(&self.key, self.market, self.job, GpuSeconds(count), self.root);
        let signature = voucher.unwrap().signature;
        writeln!(self.text, "{}", Line { body: body.to_owned(), signature }).unwrap();
        self
    }

    /// What is signed is of the job and the market of the header, in whatever form they are written there.
    fn adopt(&mut self, header: &Value) {
        let text = |name: &str| header[name].as_str().map(str::to_lowercase);
        self.job.0 = text("jobId").and_then(|job| job.parse().ok()).unwrap_or(self.job.0);
        self.market.address = text("market").and_then(|it| it.parse().ok()).unwrap_or(self.market.address);
        self.market.chain_id = header["chainId"].as_u64().unwrap_or(self.market.chain_id);
    }
}

/// What is written otherwise: from, to.
pub(crate) type Change<'a> = (&'a str, &'a str);

/// A text in which something is written otherwise, each once.
pub(crate) fn changed(text: &str, changes: &[Change<'_>]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replacen(from, to, 1)
    })
}

pub(crate) fn honest() -> Signer {
    both(&[], &[], 10)
}

/// A header and a report in which something is written otherwise.
fn both(header: &[Change<'_>], report: &[Change<'_>], count: u64) -> Signer {
    let signer = Signer::new(1);
    let header = changed(&signer.header(), header);
    let signer = signer.sign(&header, 0);
    let report = changed(&signer.report(), report);
    signer.sign(&report, count)
}

pub(crate) fn with_both(header: &[Change<'_>], report: &[Change<'_>], count: u64) -> String {
    both(header, report, count).text
}

pub(crate) fn with_header(from: &str, to: &str) -> String {
    let signer = Signer::new(1);
    let header = changed(&signer.header(), &[(from, to)]);
    signer.sign(&header, 0).text
}

/// An honest header, and a report in which something is written otherwise.
pub(crate) fn with_report(from: &str, to: &str) -> String {
    with_count(from, to, 10)
}

pub(crate) fn with_count(from: &str, to: &str, count: u64) -> String {
    with_both(&[], &[(from, to)], count)
}

/// An honest header, a report, and a second one at twenty seconds.
pub(crate) fn with_reports(first: &[Change<'_>], second: &[Change<'_>], count: u64) -> String {
    let signer = both(&[], first, 10);
    let report = changed(&signer.report(), &[SECOND, ("10.25Z", "20.25Z"), (COUNT, TWENTY)]);
    let report = changed(&report, second);
    signer.sign(&report, count).text
}

/// With this value in a field of the report that nobody knows.
pub(crate) fn unknown(value: &str) -> String {
    with_report(COUNT, &format!(r#""a":{value},{COUNT}"#))
}

/// The header of an attestor that goes on from this many GPU-seconds, with something written otherwise.
pub(crate) fn taking_over(seed: u8, base: u64, changes: &[Change<'_>]) -> Signer {
    let signer = Signer::new(seed);
    let header = changed(&signer.header(), &[(NO_BASE, &format!(r#""baseGpuSeconds":{base}"#))]);
    let header = changed(&header, changes);
    signer.sign(&header, base)
}

/// An honest attestor's ten GPU-seconds, and another one's header with something written otherwise.
pub(crate) fn taken_over(from: &str, to: &str) -> String {
    honest().text + &taking_over(2, 10, &[(from, to)]).text
}

/// Two attestors, and this many GPU-seconds in the report of the second.
pub(crate) fn taken_over_and_counted(count: u64) -> String {
    let second = taking_over(2, 10, &[]);
    let report = changed(&second.report(), &[(COUNT, &format!(r#""gpuSeconds":{count}"#))]);
    honest().text + &second.sign(&report, count).text
}

/// Evidence whose last line has this many bytes without its line feed.
pub(crate) fn with_a_line_of(bytes: usize) -> String {
    let shortest = unknown("\"\"").lines().last().unwrap().len();
    unknown(&format!("\"{}\"", "x".repeat(bytes - shortest)))
}

/// Two honest reports, and another signature on the first: one that a reader of the last signature alone does not check.
pub(crate) fn signed_otherwise(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let text = with_reports(&[], &[], 20);
    let digits: Vec<_> = text.match_indices("\"signature\":\"0x").map(|(at, key)| at + key.len()).collect();
    let at = digits[1];
    let mut signature = hex::decode(&text[at..at + 130]).unwrap();
    change(&mut signature);
    format!("{}{}{}", &text[..at], hex::encode(signature), &text[at + 130..])
}

/// With other bytes in place of these, which are there once.
pub(crate) fn with_bytes(text: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}

/// With capital digits in the first signature.
pub(crate) fn capital_signature(text: &str) -> String {
    let at = text.find("\"signature\":\"0x").unwrap() + 15;
    let (before, rest) = text.split_at(at);
    format!("{before}{}{}", rest[..130].to_uppercase(), &rest[130..])
}
