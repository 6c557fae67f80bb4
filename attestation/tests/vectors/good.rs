//! What every reader takes.

use crate::signer::{
    COUNT, SAMPLES, TWENTY, honest, taken_over, taken_over_and_counted, taking_over, unknown, with_a_line_of,
    with_both, with_count, with_header, with_report, with_reports,
};

pub(crate) fn good() -> Vec<(&'static str, String)> {
    [one_attestor(), several_attestors(), bodies()].concat()
}

fn one_attestor() -> Vec<(&'static str, String)> {
    let not_visible = (r#""visible""#, r#""not visible""#);
    let two_gpus = (r#""gpus":1,"gpuUuids":["GPU-a"]"#, r#""gpus":2,"gpuUuids":["GPU-a","GPU-b"]"#);
    let of_two = [(COUNT, r#""gpuSeconds":24"#), (SAMPLES, r#"[{"uuid":"GPU-a"},{"uuid":"GPU-b"}]"#)];
    let began = r#""beganAt":"2026-11-27T13:15:00Z""#;
    let began_late = [(began, r#""beganAt":"2026-11-27T13:15:20Z""#), (COUNT, r#""gpuSeconds":2"#)];
    let last = |value: bool| format!(r#"{COUNT},"last":{value}"#);
    vec![
        ("one-attestor", honest().text),
        ("header-only", with_header("GPU-a", "GPU-a")),
        ("header-without-version-and-tier", with_header(r#""version":1,"tier":"metered","#, "")),
        ("nvml-not-visible", with_both(&[not_visible], &[(SAMPLES, "[]")], 10)),
        ("nvml-not-visible-and-no-uuids", with_both(&[not_visible, (r#""GPU-a""#, "")], &[(SAMPLES, "[]")], 10)),
        ("last-report", with_report(COUNT, &last(true))),
        ("report-after-one-that-is-not-the-last", with_reports(&[(COUNT, &last(false))], &[], 20)),
        ("time-stands-still", with_reports(&[], &[("20.25Z", "10.25Z"), (TWENTY, COUNT)], 10)),
        ("another-begin", with_reports(&[], &[(began, r#""beganAt":"2026-11-27T13:15:01Z""#)], 20)),
        ("two-seconds-ahead", with_count(COUNT, r#""gpuSeconds":12"#, 12)),
        ("two-gpus-rounded-down", with_both(&[two_gpus], &of_two, 24)),
        ("begin-after-the-report", with_both(&[], &began_late, 2)),
    ]
}

fn several_attestors() -> Vec<(&'static str, String)> {
    let last = with_report(COUNT, &format!(r#"{COUNT},"last":true"#));
    vec![
        ("two-attestors", taken_over("GPU-a", "GPU-a")),
        ("attestor-after-a-last-report", last + &taking_over(2, 10, &[]).text),
        ("attestor-that-counts-on", taken_over_and_counted(22)),
        ("attestor-that-begins-lower", honest().text + &taking_over(2, 5, &[]).text),
        ("attestor-with-an-earlier-time", taken_over("13:15:00Z", "13:14:00Z")),
        ("attestor-that-sees-no-gpu", taken_over(r#""visible""#, r#""not visible""#)),
        ("attestor-with-another-gpu", taken_over("GPU-a", "GPU-b")),
        ("attestor-without-version-and-tier", taken_over(r#""version":1,"tier":"metered","#, "")),
    ]
}

fn bodies() -> Vec<(&'static str, String)> {
    let every_field = r#"[{"uuid":"GPU-a","name":"NVIDIA H200","utilizationGpuPercent":4294967295,"utilizationMemoryPercent":0,"memoryUsedBytes":18446744073709551615,"memoryTotalBytes":1,"temperatureCelsius":30,"powerMilliwatts":700000,"smClockMhz":1980,"error":"","stoppedAt":"2026-11-27T13:15:09.123456789Z"}]"#;
    let driver = (r#""sidecar""#, r#""driverVersion":"580.95.05","sidecar""#);
    let first_year = ("2026-11-27T13:15:00Z", "0001-01-01T00:00:00Z");
    let last_year = ("2026-11-27T13:15:10.25Z", "9998-12-31T23:59:59.999Z");
    let nested = |deep: usize| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    vec![
        ("every-field", with_both(&[driver], &[(SAMPLES, every_field)], 10)),
        ("unknown-fields", unknown(r#"{"a":[1,{"b":true}],"c":"x"}"#)),
        ("unknown-field-in-a-sample", with_report(r#""uuid""#, r#""a":[{}],"uuid""#)),
        ("field-of-a-report-in-a-header", with_header(r#""gpus":1"#, r#""gpus":1,"sequence":"x","previous":[]"#)),
        ("fields-in-another-order", with_report(r#""kind":"report","sequence":1"#, r#""sequence":1,"kind":"report""#)),
        ("spaces-in-the-body", with_report(r#""sequence":1"#, r#" "sequence" : 1"#)),
        ("line-feeds-and-tabs-in-the-body", with_report(r#""sequence":1"#, "\r\n\t\"sequence\":1\n")),
        ("escapes-in-the-body", with_report("GPU-a", r"\u0047PU-a")),
        ("escapes-in-a-name", with_report(r#""sequence""#, r#""s\u0065quence""#)),
        (
            "characters-in-the-body",
            unknown(&format!(r#""é漢😀{}{}\/\u00E9\ud83d\ude00\u0000\ufeff{}""#, '\u{7f}', '\u{2028}', '\u{feff}')),
        ),
        ("three-digits-of-a-second", with_report("10.25Z", "10.250Z")),
        ("leap-day", with_report("2026-11-27T13:15:10.25Z", "2028-02-29T13:15:10.25Z")),
        ("years-0001-and-9998", with_both(&[first_year], &[first_year, last_year], 10)),
        ("two-to-the-64-less-1", unknown("18446744073709551615")),
        ("nested-127-deep", unknown(&nested(126))),
        ("longest-line", with_a_line_of(64 * 1024)),
    ]
}
