//! Why a batch function leaves an item out while the rest of the batch goes on.

use std::fmt;

/// `SkipReason` of the market, as a `JobSkipped` log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SkipReason {
    /// The caller is neither the provider nor its operator.
    NotOperator,
    /// There is no such job, or it is closed.
    NotLive,
    /// `declineJobs`: the job was started already.
    AlreadyStarted,
    /// `claim`, `settle`, `endJobs`: the job was not started.
    NotStarted,
    /// `startJobs`: the start deadline has passed.
    DeadlinePassed,
    /// `startJobs`: the zero address can't attest.
    ZeroAttestor,
    /// `startJobs`: the job's end has passed.
    AlreadyEnded,
    /// `claim`, `settle`: the claim window has ended.
    ClaimWindowPassed,
    /// `claim`: the voucher adds nothing to what was claimed.
    Stale,
    /// `claim`, `settle`: the signature is not the attestor's.
    BadSignature,
    /// `endJobs`: less was claimed than the caller expects. `settle`: more is signed for than can be paid yet.
    UnclaimedUse,
    /// `endJobs` with notice: the job already ends earlier.
    EndNotEarlier,
    /// `refund`: the start deadline or the claim window still runs.
    TooEarly,
    /// `endJobs` with notice: the second of the notice has passed already.
    EndPassed,
    /// Customer and hash of the order are not those of the job.
    WrongOrder,
    /// `claim`, `settle`: the offer's verifier does not accept the voucher.
    Unverified,
}

impl SkipReason {
    /// In the market's order.
    const ALL: [Self; 16] = [
        Self::NotOperator,
        Self::NotLive,
        Self::AlreadyStarted,
        Self::NotStarted,
        Self::DeadlinePassed,
        Self::ZeroAttestor,
        Self::AlreadyEnded,
        Self::ClaimWindowPassed,
        Self::Stale,
        Self::BadSignature,
        Self::UnclaimedUse,
        Self::EndNotEarlier,
        Self::TooEarly,
        Self::EndPassed,
        Self::WrongOrder,
        Self::Unverified,
    ];

    /// From the number in a `JobSkipped` log; none if a newer market knows more.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for SkipReason {
    /// What is so, and the way out if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOperator => {
                "the wallet is not the operator of the offer's provider: call setProvider with the provider's key"
            }
            Self::NotLive => "the market holds nothing of this job: it was closed, or never ordered",
            Self::AlreadyStarted => "the job was started already",
            Self::NotStarted => "the job was not started",
            Self::DeadlinePassed => "the job's start deadline has passed",
            Self::ZeroAttestor => "the zero address can't attest",
            Self::AlreadyEnded => "the job's time is over",
            Self::ClaimWindowPassed => "the job's claim window has closed: its unclaimed use is lost",
            Self::Stale => "the voucher adds nothing to what was claimed, or lies ahead of the running time",
            Self::BadSignature => "the voucher is not signed by the job's attestor",
            Self::UnclaimedUse => {
                "less was claimed than expected, or more is signed for than can be paid yet: claim first"
            }
            Self::EndNotEarlier => "the job already ends earlier",
            Self::TooEarly => "the job can't be refunded yet",
            Self::EndPassed => "the second of the notice had passed when the transaction was mined",
            Self::WrongOrder => "customer and order hash are not those of the job: take both from its JobOpened log",
            Self::Unverified => "the offer's verifier does not accept the voucher",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in the market's source, in its order.
    fn in_the_contract() -> Vec<String> {
        let source = include_str!("../../contracts/src/types/Job.sol");
        let body = source.split_once("enum SkipReason {").unwrap().1.split_once('}').unwrap().0;
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("///"));
        lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
    }

    #[test]
    fn the_reasons_are_those_of_the_contract_in_its_order() {
        let here: Vec<String> = SkipReason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
        assert_eq!(here, in_the_contract());
        for (number, reason) in SkipReason::ALL.into_iter().enumerate() {
            assert_eq!(SkipReason::from_number(u8::try_from(number).unwrap()), Some(reason));
        }
        assert_eq!(SkipReason::from_number(16), None);
    }
}
