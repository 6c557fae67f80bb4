//! What is signed and in order, and still not what an honest attestor on a sound node writes.

use alloy::primitives::Address;
use jiff::Timestamp;
use serde::Serialize;

use crate::{GpuSample, Header, Report, TOLERANCE};

/// Which kind of oddity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FindingKind {
    /// The count began before there was an attestor, or after the report that counts.
    Begin,
    /// The begin of the count is another one than in earlier reports.
    BeginMoved,
    /// A report within half a second of the line before: meters wait for a second at least.
    Hurried,
    /// A value that no GPU has.
    Impossible,
    /// A GPU has another name than before.
    Renamed,
}

/// An oddity of one kind in one attestor's evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whose evidence.
    pub attestor: Address,
    /// Which kind.
    pub kind: FindingKind,
    /// Number of the line where it is first, from 1.
    pub line: usize,
    /// On how many occasions.
    pub times: u64,
    /// The first of them in words.
    pub what: String,
}

/// Hotter, a GPU has switched itself off long ago.
const HOTTEST_CELSIUS: u32 = 150;
/// No card draws this much.
const MOST_MILLIWATTS: u32 = 10_000_000;
/// No clock runs as fast.
const FASTEST_MHZ: u32 = 10_000;
/// Meters report once a second at most.
const SOONEST_MILLIS: i64 = 500;

/// What is odd about a report by itself, and after the line before it.
pub(crate) fn in_report(header: &Header, before: Timestamp, report: &Report) -> Vec<(FindingKind, String)> {
    let mut found = Vec::new();
    if let Some(began) = report.began_at {
        let early = header.time.saturating_sub(TOLERANCE).unwrap_or(Timestamp::MIN);
        if began < early {
            found.push((
                FindingKind::Begin,
                format!("its count began at {began}, before its header of {}", header.time),
            ));
        }
        if began > report.time {
            found
                .push((FindingKind::Begin, format!("its count began at {began}, after the report of {}", report.time)));
        }
    }
    let gap = report.time.as_millisecond().saturating_sub(before.as_millisecond());
    if !report.last && gap < SOONEST_MILLIS {
        found.push((
            FindingKind::Hurried,
            format!("its report of {} is {gap} ms after the line before it", report.time),
        ));
    }
    found.extend(report.gpus.iter().filter_map(impossible).map(|what| (FindingKind::Impossible, what)));
    found
}

/// What of a sample can't be.
fn impossible(sample: &GpuSample) -> Option<String> {
    let gpu = &sample.uuid;
    let above = |value: Option<u32>, most: u32, what: &str, unit: &str| {
        value.filter(|value| *value > most).map(|value| format!("GPU {gpu} has {what} of {value} {unit}"))
    };
    above(sample.utilization_gpu_percent, 100, "a utilisation", "%")
        .or_else(|| above(sample.utilization_memory_percent, 100, "a utilisation of its memory", "%"))
        .or_else(|| above(sample.temperature_celsius, HOTTEST_CELSIUS, "a temperature", "degrees"))
        .or_else(|| above(sample.power_milliwatts, MOST_MILLIWATTS, "a power", "mW"))
        .or_else(|| above(sample.sm_clock_mhz, FASTEST_MHZ, "a clock", "MHz"))
        .or_else(|| match (sample.memory_used_bytes, sample.memory_total_bytes) {
            (Some(used), Some(total)) if used > total => {
                Some(format!("GPU {gpu} uses {used} bytes of its {total} bytes of memory"))
            }
            _ => None,
        })
}

/// Adds an oddity to those that are known: one entry for each attestor and kind, however often it comes.
pub(crate) fn add(findings: &mut Vec<Finding>, attestor: Address, kind: FindingKind, line: usize, what: String) {
    match findings.iter_mut().find(|had| (had.attestor, had.kind) == (attestor, kind)) {
        Some(had) => had.times = had.times.saturating_add(1),
        None => findings.push(Finding { attestor, kind, line, times: 1, what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_gpu_has_are_found() {
        let sound = GpuSample {
            uuid: "GPU-a".to_owned(),
            utilization_gpu_percent: Some(100),
            utilization_memory_percent: Some(100),
            memory_used_bytes: Some(80),
            memory_total_bytes: Some(80),
            temperature_celsius: Some(90),
            power_milliwatts: Some(1_200_000),
            sm_clock_mhz: Some(2_600),
            ..GpuSample::default()
        };
        assert_eq!(impossible(&sound), None);
        assert_eq!(impossible(&GpuSample::default()), None);
        for (sample, part) in [
            (GpuSample { utilization_gpu_percent: Some(u32::MAX), ..sound.clone() }, "a utilisation of 4294967295 %"),
            (GpuSample { utilization_memory_percent: Some(101), ..sound.clone() }, "of its memory of 101 %"),
            (GpuSample { memory_used_bytes: Some(81), ..sound.clone() }, "uses 81 bytes of its 80 bytes"),
            (GpuSample { temperature_celsius: Some(4_000_000_000), ..sound.clone() }, "4000000000 degrees"),
            (GpuSample { power_milliwatts: Some(u32::MAX), ..sound.clone() }, "a power of 4294967295 mW"),
            (GpuSample { sm_clock_mhz: Some(90_000), ..sound.clone() }, "a clock of 90000 MHz"),
        ] {
            let found = impossible(&sample).unwrap_or_default();
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
