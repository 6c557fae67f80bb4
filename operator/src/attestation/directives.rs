//! What a connected sidecar has to know. Pure: what is known and what it was told, the difference out.

use hawser_attestation::Attestor;
use hawser_proto::attestation::{Begin, Directive, Started, Stop, directive};
use jiff::Timestamp;

use super::expected::ExpectedMeter;

/// What the sidecar was told on its present stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SentDirectives {
    started: bool,
    begin: bool,
    ended: Option<Timestamp>,
}

impl SentDirectives {
    /// What it has to be told now.
    pub(super) fn due(&mut self, expected: &ExpectedMeter, attestor: Attestor) -> Vec<Directive> {
        let mut due = Vec::new();
        let Some(started) = expected.started.filter(|_| expected.attestor.is_some_and(|known| known.is(attestor)))
        else {
            return Vec::new();
        };
        if !self.started {
            self.started = true;
            due.push(directive::Directive::Started(Started {
                started_at: u64::try_from(started.as_second()).unwrap_or_default(),
                base_gpu_seconds: expected.base_gpu_seconds.0,
            }));
        }
        if let (false, Some(begin)) = (self.begin, expected.begin) {
            self.begin = true;
            due.push(directive::Directive::Begin(Begin { began_at_millis: millis(begin) }));
        }
        if let Some(ended) = expected.ended.filter(|ended| self.ended.is_none_or(|told| *ended < told)) {
            self.ended = Some(ended);
            let reason = "the customer's container, or the job, has ended".to_owned();
            due.push(directive::Directive::Stop(Stop { ended_at_millis: millis(ended), reason }));
        }
        due.into_iter().map(|directive| Directive { directive: Some(directive) }).collect()
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}
