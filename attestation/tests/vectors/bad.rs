//! What no reader takes, each with a part of what this crate says against it.

use alloy::primitives::U256;

use crate::signer::{
    COUNT, JOB, MARKET, ORDER, SAMPLES, Signer, TWENTY, capital_signature, changed, honest, signed_otherwise,
    taken_over, taken_over_and_counted, taking_over, unknown, with_a_line_of, with_both, with_bytes, with_count,
    with_header, with_report, with_reports,
};

type Bad<Text> = Vec<(&'static str, Text, &'static str)>;

const UUIDS: &str = r#""gpus":1,"gpuUuids":["GPU-a"]"#;
const ONE_GPU: &str = r#""gpus":1,"gpuUuids":["GPU-a"],"baseGpuSeconds":0,"nvml":"visible""#;
const NO_GPU: &str = r#""gpus":0,"gpuUuids":[],"baseGpuSeconds":0,"nvml":"not visible""#;
const TIME: &str = "2026-11-27T13:15:10.25Z";

pub(crate) fn bad() -> Bad<Vec<u8>> {
    let texts = [lines(), signatures(), versions(), bodies(), values(), times(), headers(), reports(), attestors()];
    let bytes = texts.concat().into_iter().map(|(name, text, part)| (name, text.into_bytes(), part));
    bytes.chain(not_utf8()).collect()
}

/// Written otherwise after it was signed.
fn lines() -> Bad<String> {
    let honest = honest().text;
    let saying = |text: &str| unknown(&format!("\"{text}\""));
    let odd = "not written as";
    vec![
        ("empty", String::new(), "is empty"),
        ("empty-line", format!("{honest}\n"), "EOF"),
        ("no-line-feed-at-the-end", honest.trim_end().to_owned(), "line feed"),
        ("line-too-long", with_a_line_of(64 * 1024 + 1), "at most 65536"),
        ("line-with-a-space", changed(&honest, &[("{\"body\"", "{ \"body\"")]), odd),
        ("line-with-an-unknown-field", changed(&honest, &[("{\"body\"", "{\"a\":1,\"body\"")]), "unknown field"),
        ("line-with-carriage-return", changed(&honest, &[("\n", "\r\n")]), odd),
        ("line-with-a-byte-order-mark", format!("\u{feff}{honest}"), "expected value"),
        ("line-with-an-escaped-letter", changed(&honest, &[("GPU-a", r"\u0047PU-a")]), odd),
        ("line-with-an-escaped-slash", changed(&saying("x/y"), &[("x/y", r"x\/y")]), odd),
        ("line-with-an-escaped-emoji", changed(&saying("😀"), &[("😀", r"\ud83d\ude00")]), odd),
        ("line-with-an-escaped-delete", changed(&saying("x\u{7f}"), &[("x\u{7f}", r"x\u007f")]), odd),
        (
            "line-with-a-line-feed-by-its-number",
            changed(&with_report(r#""sequence""#, "\n\"sequence\""), &[(r#"\n\"sequence"#, r#"\u000a\"sequence"#)]),
            odd,
        ),
    ]
}

fn not_utf8() -> Bad<Vec<u8>> {
    let cut = "not UTF-8";
    vec![
        ("line-not-in-utf-8", with_bytes(&unknown("\"\u{fffd}\""), "\u{fffd}".as_bytes(), &[0xff]), cut),
        // Each half of a surrogate pair in three bytes.
        ("line-in-cesu-8", with_bytes(&unknown("\"😀\""), "😀".as_bytes(), &[0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]), cut),
    ]
}

/// The signature, most often of a line after which another one comes.
fn signatures() -> Bad<String> {
    let put = |at: usize, number: U256| {
        signed_otherwise(move |bytes| bytes[at..at + 32].copy_from_slice(&number.to_be_bytes::<32>()))
    };
    let high_s = |bytes: &mut Vec<u8>| {
        let other = ORDER - U256::from_be_slice(&bytes[32..64]);
        bytes[32..64].copy_from_slice(&other.to_be_bytes::<32>());
        bytes[64] = 27 + 28 - bytes[64];
    };
    let compact = |bytes: &mut Vec<u8>| {
        bytes[32] |= (bytes[64] - 27) << 7;
        bytes.pop();
    };
    let out_of_range = "below the curve's order";
    vec![
        ("line-with-capital-digits", capital_signature(&honest().text), "lower-case"),
        ("another-count-signed", with_count("GPU-a", "GPU-a", 11), "not by attestor"),
        ("signature-with-a-high-s", signed_otherwise(high_s), "upper half"),
        ("signature-with-a-parity-for-v", signed_otherwise(|bytes| bytes[64] -= 27), "is 27 or 28"),
        ("signature-with-v-29-or-30", signed_otherwise(|bytes| bytes[64] += 2), "is 27 or 28"),
        ("signature-in-64-bytes", signed_otherwise(compact), "not written as"),
        ("signature-with-r-0", put(0, U256::ZERO), out_of_range),
        ("signature-with-r-of-the-order", put(0, ORDER), out_of_range),
        ("signature-with-s-0", put(32, U256::ZERO), out_of_range),
    ]
}

fn versions() -> Bad<String> {
    let version = |to| with_header(r#""version":1"#, to);
    vec![
        ("version-2", version(r#""version":2"#), "has format version 2, and this reader knows 1"),
        (
            "version-2-with-other-fields",
            Signer::new(1).sign(r#"{"kind":"header","gpus":{"count":1},"version":2}"#, 0).text,
            "has format version 2, and this reader knows 1",
        ),
        ("version-0", version(r#""version":0"#), "has format version 0"),
        ("version-as-a-text", version(r#""version":"1""#), "has format version \"1\""),
        ("version-as-true", version(r#""version":true"#), "has format version true"),
        (
            "unknown-tier",
            with_header(r#""metered""#, r#""proven""#),
            "is of tier \"proven\", and this reader knows \"metered\"",
        ),
        ("tier-with-a-capital", with_header(r#""metered""#, r#""Metered""#), "is of tier \"Metered\""),
    ]
}

/// How a body is written, unknown fields included.
fn bodies() -> Bad<String> {
    let nested = |deep: usize| unknown(&format!("{}{}", "[".repeat(deep), "]".repeat(deep)));
    let percent = |to| with_report(r#""utilizationGpuPercent":97"#, &format!(r#""utilizationGpuPercent":{to}"#));
    vec![
        ("body-with-a-byte-order-mark", with_report("{", "\u{feff}{"), "expected value"),
        ("body-with-two-objects", with_report("}]}", "}]}{}"), "trailing characters"),
        ("header-as-a-list", Signer::new(1).sign(&format!("[\"header\",\"{JOB}\"]"), 0).text, "a body is an object"),
        (
            "sample-as-a-list",
            with_report(r#"{"uuid":"GPU-a","utilizationGpuPercent":97}"#, r#"["GPU-a"]"#),
            "is an object",
        ),
        ("field-twice", with_report(COUNT, &format!("{COUNT},{COUNT}")), "comes twice"),
        ("field-twice-once-with-an-escape", unknown(r#"1,"\u0061":2"#), "comes twice"),
        ("unknown-field-twice", unknown(r#"1,"a":2"#), "comes twice"),
        ("field-twice-deep-down", unknown(r#"[{"b":1,"b":1}]"#), "comes twice"),
        ("kind-as-a-number", with_report(r#""kind":"report""#, r#""kind":1"#), "kind is a text"),
        ("unknown-kind", with_report(r#""kind":"report""#, r#""kind":"note""#), "unknown variant"),
        ("no-kind", with_report(r#""kind":"report","#, ""), "missing field"),
        ("null", percent("null"), "left out"),
        ("null-in-an-unknown-field", unknown("null"), "left out"),
        ("fraction", percent("97.0"), "decimal integer"),
        ("exponent", with_report(COUNT, r#""gpuSeconds":1e1"#), "decimal integer"),
        ("minus-zero", with_count(COUNT, r#""gpuSeconds":-0"#, 0), "decimal integer"),
        ("negative-in-an-unknown-field", unknown("-1"), "negative"),
        ("leading-zero", with_report(COUNT, r#""gpuSeconds":010"#), "invalid number"),
        ("fraction-in-an-unknown-field", unknown("0.5"), "decimal integer"),
        ("two-to-the-64", with_report(COUNT, r#""gpuSeconds":18446744073709551616"#), "decimal integer"),
        ("two-to-the-64-in-an-unknown-field", unknown("18446744073709551616"), "decimal integer"),
        ("exponent-in-an-unknown-field", unknown("1e400"), "out of range"),
        ("many-digits-in-an-unknown-field", unknown(&"1".repeat(1000)), "out of range"),
        ("half-a-surrogate-in-an-unknown-field", unknown(r#""\ud800""#), "hex escape"),
        ("half-a-surrogate-in-a-name", unknown(r#"1,"\udc00":1"#), "surrogate"),
        ("text-with-a-line-feed", unknown("\"\n\""), "control character"),
        ("nested-128-deep", nested(127), "recursion limit"),
        ("nested-too-deep", nested(200), "recursion limit"),
    ]
}

/// Types of known fields.
fn values() -> Bad<String> {
    let address = Signer::new(1).address();
    let attestor = |to: &str| with_header(&address, to);
    let sampled = |field: &str| with_report("97}", &format!("97,{field}}}"));
    vec![
        ("a-root-too-long", with_report(r#""previous":"0x"#, r#""previous":"0x0"#), "lower-case digits"),
        ("attestor-without-0x", attestor(&address[2..]), "lower-case digits"),
        ("attestor-with-0X", attestor(&address.replacen("0x", "0X", 1)), "lower-case digits"),
        ("attestor-with-capitals", attestor(&address.to_uppercase().replacen("0X", "0x", 1)), "lower-case"),
        ("job-as-a-number", with_header(&format!("\"{JOB}\""), "7"), "invalid type"),
        ("job-with-capitals", with_header(JOB, &JOB.replacen("07", "0A", 1)), "lower-case digits"),
        ("market-without-0x", with_header(MARKET, &MARKET[2..]), "lower-case digits"),
        ("chain-as-a-text", with_header("31337", "\"31337\""), "invalid type"),
        ("nvml-as-an-object", with_header(r#""visible""#, r#"{"visible":{}}"#), "invalid type: map"),
        ("unknown-nvml", with_header(r#""visible""#, r#""hidden""#), "unknown variant"),
        ("no-sidecar", with_header(r#""sidecar":"0.1.0","#, ""), "missing field"),
        ("two-to-the-16-gpus", with_header(ONE_GPU, &NO_GPU.replacen('0', "65536", 1)), "65536"),
        ("two-to-the-32-percent", with_report("97", "4294967296"), "4294967296"),
        ("two-to-the-32-percent-of-memory", sampled(r#""utilizationMemoryPercent":4294967296"#), "4294967296"),
        ("two-to-the-32-degrees", sampled(r#""temperatureCelsius":4294967296"#), "4294967296"),
        ("two-to-the-32-milliwatts", sampled(r#""powerMilliwatts":4294967296"#), "4294967296"),
        ("two-to-the-32-megahertz", sampled(r#""smClockMhz":4294967296"#), "4294967296"),
        ("last-as-a-text", with_report(COUNT, &format!(r#"{COUNT},"last":"true""#)), "invalid type"),
        ("no-samples", with_report(&format!(r#","gpus":{SAMPLES}"#), ""), "missing field"),
    ]
}

fn times() -> Bad<String> {
    let time = |to| with_report(TIME, to);
    let stopped = |at| with_report("97}", &format!(r#"97,"error":"","stoppedAt":"{at}"}}"#));
    let no_time = "not a time such as";
    vec![
        ("time-without-dashes", time("20261127T131510.25Z"), no_time),
        ("time-with-a-space", time("2026-11-27 13:15:10.25Z"), no_time),
        ("time-with-a-comma", time("2026-11-27T13:15:10,25Z"), no_time),
        ("time-with-a-small-z", time("2026-11-27T13:15:10.25z"), no_time),
        ("time-with-an-offset", time("2026-11-27T13:15:10.25+00:00"), no_time),
        ("time-with-a-zone", time("2026-11-27T13:15:10.25Z[UTC]"), no_time),
        ("time-with-four-digits", time("2026-11-27T13:15:10.2500Z"), no_time),
        ("time-with-second-60", time("2026-11-27T13:15:60Z"), no_time),
        ("time-with-full-width-digits", time("2026-11-27T13:15:１０.25Z"), no_time),
        ("time-as-a-number", with_report(&format!("\"{TIME}\""), "1795785310"), "invalid type"),
        ("time-with-hour-24", time("2026-11-27T24:00:00Z"), no_time),
        ("time-of-a-day-that-is-not-there", time("2027-02-29T13:15:10.25Z"), no_time),
        ("time-in-the-year-9999", time("9999-01-01T00:00:00Z"), no_time),
        ("time-in-the-year-0", with_report("2026-11-27T13:15:00Z", "0000-12-31T23:59:59Z"), no_time),
        ("stop-with-an-offset", stopped("2026-11-27T13:15:09+00:00"), no_time),
        ("stop-with-second-60", stopped("2026-11-27T13:14:60Z"), no_time),
        ("stop-with-ten-digits", stopped("2026-11-27T13:15:09.1234567890Z"), no_time),
    ]
}

fn headers() -> Bad<String> {
    let gpus = |to| with_header(UUIDS, to);
    vec![
        ("no-gpus", with_header(ONE_GPU, NO_GPU), "at least one GPU"),
        ("visible-without-uuids", with_header(r#"["GPU-a"]"#, "[]"), "gpuUuids is empty"),
        ("too-few-uuids", gpus(r#""gpus":2,"gpuUuids":["GPU-a"]"#), "not one UUID for each GPU"),
        ("too-many-uuids", gpus(r#""gpus":1,"gpuUuids":["GPU-a","GPU-b"]"#), "not one UUID for each GPU"),
        ("a-gpu-twice", gpus(r#""gpus":2,"gpuUuids":["GPU-a","GPU-a"]"#), "twice"),
        ("first-base-not-0", taking_over(1, 10, &[]).text, "a part is missing"),
    ]
}

/// What does not follow the lines before it.
fn reports() -> Bad<String> {
    let honest = honest().text;
    let (_, second) = honest.split_once('\n').unwrap();
    let after = |changes: &[(&str, &str)]| with_reports(&[], changes, 20);
    let previous = format!(r#""previous":"0x{}","was""#, "0".repeat(64));
    let two_gpus = (UUIDS, r#""gpus":2,"gpuUuids":["GPU-a","GPU-b"]"#);
    let of_two =
        |count: &'static str, gpus: &'static str| with_both(&[two_gpus], &[(COUNT, count), (SAMPLES, gpus)], 25);
    vec![
        ("report-first", second.to_owned(), "first line is its header"),
        ("report-left-out", with_report(r#""sequence":1"#, r#""sequence":2"#), "sequence is 2"),
        ("report-0", with_report(r#""sequence":1"#, r#""sequence":0"#), "sequence is 0"),
        ("another-previous", after(&[(r#""previous""#, &previous)]), "it follows root 0x00"),
        ("time-going-back", after(&[("20.25Z", "10.249Z")]), "is before the"),
        (
            "report-before-its-header",
            with_both(&[], &[(TIME, "2026-11-27T13:14:59.999Z"), (COUNT, r#""gpuSeconds":0"#)], 0),
            "is before the",
        ),
        ("report-after-the-last", with_reports(&[(COUNT, &format!(r#"{COUNT},"last":true"#))], &[], 20), "last report"),
        ("count-going-back", with_reports(&[], &[(TWENTY, r#""gpuSeconds":9"#)], 9), "less than the 10"),
        ("three-seconds-ahead", with_count(COUNT, r#""gpuSeconds":13"#, 13), "at most 12"),
        (
            "a-millisecond-ahead",
            with_both(&[], &[("10.25Z", "10.999Z"), (COUNT, r#""gpuSeconds":13"#)], 13),
            "at most 12",
        ),
        ("no-begin", with_report(r#""beganAt":"2026-11-27T13:15:00Z","#, ""), "at most 0"),
        ("two-gpus-rounded-up", of_two(r#""gpuSeconds":25"#, r#"[{"uuid":"GPU-a"},{"uuid":"GPU-b"}]"#), "at most 24"),
        ("another-gpu", with_report("GPU-a", "GPU-b"), "its samples are of GPU-b"),
        ("no-sample-of-a-visible-gpu", with_report(SAMPLES, "[]"), "its samples are of no GPU"),
        ("sample-without-a-uuid", with_report(r#""uuid":"GPU-a","#, ""), "its samples are of ,"),
        (
            "samples-in-another-order",
            with_both(&[two_gpus], &[(SAMPLES, r#"[{"uuid":"GPU-b"},{"uuid":"GPU-a"}]"#)], 10),
            "its samples are of GPU-b, GPU-a",
        ),
        ("sample-where-nvml-is-not-visible", with_both(&[(r#""visible""#, r#""not visible""#)], &[], 10), "are no GPU"),
    ]
}

fn attestors() -> Bad<String> {
    let honest = honest().text;
    let first = honest.lines().next().unwrap();
    let (a, b) = (taking_over(1, 10, &[]).text, taking_over(2, 10, &[]).text);
    let reports = with_reports(&[], &[], 20);
    let (before, last) = reports.split_at(honest.len());
    let other = "of another job, market, number of GPUs, tier or version";
    vec![
        ("header-twice", format!("{first}\n{first}\n"), "was there before"),
        ("attestor-that-comes-again", format!("{honest}{b}{a}"), "was there before"),
        ("report-after-another-attestors-header", format!("{before}{b}{last}"), "sequence is 2"),
        ("attestor-that-skips", format!("{honest}{}", taking_over(2, 11, &[]).text), "a part is missing"),
        ("attestor-that-counts-less-than-its-base", taken_over_and_counted(9), "less than the 10"),
        ("attestor-three-seconds-ahead", taken_over_and_counted(23), "at most 22"),
        ("attestor-of-another-job", taken_over(JOB, &JOB.replacen("07", "08", 1)), other),
        ("attestor-of-another-market", taken_over(MARKET, &MARKET.replacen("09", "08", 1)), other),
        ("attestor-on-another-chain", taken_over("31337", "31338"), other),
        ("attestor-of-more-gpus", taken_over(UUIDS, r#""gpus":2,"gpuUuids":["GPU-a","GPU-b"]"#), other),
        ("attestor-of-another-tier", taken_over(r#""metered""#, r#""proven""#), "is of tier \"proven\""),
        ("attestor-of-another-version", taken_over(r#""version":1"#, r#""version":2"#), "has format version 2"),
    ]
}
