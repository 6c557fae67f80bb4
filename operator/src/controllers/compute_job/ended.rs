//! How a job ended: as it is decided once, as it stands in the status from then on, and as it is told on chain.

use hawser_crds::{ComputeJobStatus, Outcome as OutcomeKind};

use crate::controllers::gpu_offer::budget::fixed_words;
use crate::reasons::Reason;

/// A job is over, or will be as soon as its pod has stopped and its money is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub kind: OutcomeKind,
    pub reason: Reason,
    /// For a person.
    pub message: String,
    /// What the market's log is told where the order is declined.
    pub on_chain: String,
}

/// Longest reason that is said on chain, in bytes.
const LONGEST: usize = 200;

impl Outcome {
    pub(crate) fn new(kind: OutcomeKind, reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        debug_assert_eq!(
            kind == OutcomeKind::Completed,
            hawser_market::end_reason::COMPLETED.contains(&reason.as_str()),
            "{reason}: customers go by it"
        );
        let on_chain = on_chain(kind, &reason, &message);
        Self { kind, reason, message, on_chain }
    }

    /// What the stored status says: a job that is over stays over, for the same reason.
    pub(crate) fn stored(status: &ComputeJobStatus) -> Option<Self> {
        let ComputeJobStatus { outcome, reason, message, decline_reason, .. } = status;
        Some(Self {
            kind: (*outcome)?,
            reason: Reason::read(reason.as_deref().unwrap_or_default()),
            message: message.clone().unwrap_or_default(),
            on_chain: decline_reason.clone().unwrap_or_default(),
        })
    }

    /// Whether the program never began, by the provider's word.
    pub(crate) fn is_declined(&self) -> bool {
        matches!(self.kind, OutcomeKind::Declined | OutcomeKind::Duplicate)
    }
}

/// The reason as the customer reads it in the market's log. Words of kubelet, the scheduler and the API server stay in the
/// cluster: they can tell a stranger what else is in it.
pub(crate) fn on_chain(kind: OutcomeKind, reason: &Reason, message: &str) -> String {
    let mut text = match (kind, reason) {
        (OutcomeKind::Declined, reason) | (_, reason @ (Reason::Deleted | Reason::Terminated)) => {
            fixed_words(reason).map_or_else(|| format!("{reason}: {message}"), ToOwned::to_owned)
        }
        (_, reason) => reason.to_string(),
    };
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}
