//! A job as the market holds it.

use std::fmt;

use alloy::primitives::{Address, FixedBytes, U256, hex};
use hawser_contracts::ComputeMarket;
use jiff::Timestamp;
use serde::Serialize;

use crate::{GpuSeconds, JobId};

/// Where a job stands on chain (`JobStatus` of the market).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum JobStatus {
    /// Never ordered, or ordered in a block that a reorganisation took away.
    None,
    /// Ordered and paid for, not started.
    Open,
    /// Started; its end lies ahead.
    Running,
    /// Its end has passed; its use can be claimed until [`Job::refundable_from`].
    Ended,
    /// Nothing of its deposit is held any more.
    Closed,
}

/// A status that this version doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownStatus(pub u8);

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the market says that a job has status {}, and this version of Hawser knows 0 to 4", self.0)
    }
}

impl std::error::Error for UnknownStatus {}

impl TryFrom<u8> for JobStatus {
    type Error = UnknownStatus;

    fn try_from(number: u8) -> Result<Self, UnknownStatus> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Open),
            2 => Ok(Self::Running),
            3 => Ok(Self::Ended),
            4 => Ok(Self::Closed),
            unknown => Err(UnknownStatus(unknown)),
        }
    }
}

impl fmt::Display for JobStatus {
    /// The market's own word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Open => "Open",
            Self::Running => "Running",
            Self::Ended => "Ended",
            Self::Closed => "Closed",
        })
    }
}

/// The last 12 bytes of an attestor's address: the market keeps no more of it. `JobStarted` and `AttestorRotated` have it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttestorTail(pub FixedBytes<12>);

impl AttestorTail {
    /// Of an address.
    pub fn of(address: Address) -> Self {
        Self(FixedBytes::from_slice(&address[8..]))
    }

    /// Whether vouchers of this account count.
    pub fn is(self, account: Address) -> bool {
        Self::of(account) == self
    }
}

impl fmt::Display for AttestorTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x...{}", hex::encode(self.0))
    }
}

/// A job as the market holds it. Price, GPUs and delegation stand in its id; whose it is says its [`crate::OrderRef`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Name of the job.
    pub id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// Whose vouchers count; none before the start.
    pub attestor: Option<AttestorTail>,
    /// Seconds paid for, as topped up or shortened; 0 once closed.
    pub duration_seconds: u32,
    /// Last second at which it can be started; none once it was.
    pub start_deadline: Option<Timestamp>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// When it ends: `started + duration`; none before the start and once closed.
    pub end: Option<Timestamp>,
    /// An end earlier than the paid one was announced.
    pub ending: bool,
    /// From here on anybody can close it, and what was not claimed is lost to the provider; none once closed.
    pub refundable_from: Option<Timestamp>,
    /// Claimed so far.
    pub used: GpuSeconds,
    /// Token units for the whole duration; once closed, what was paid.
    pub deposit: U256,
    /// Token units claimed so far, fee included.
    pub paid: U256,
}

impl Job {
    /// Reads the market's answer for a job.
    pub fn read(id: JobId, job: &ComputeMarket::Job) -> Result<Self, UnknownStatus> {
        Ok(Self {
            id,
            status: job.status.try_into()?,
            attestor: Some(AttestorTail(job.attestor)).filter(|attestor| !attestor.0.is_zero()),
            duration_seconds: job.duration,
            start_deadline: some_timestamp(job.startDeadline),
            started: some_timestamp(job.started),
            end: some_timestamp(job.end),
            ending: job.ending,
            refundable_from: some_timestamp(job.refundableFrom),
            used: GpuSeconds(job.used),
            deposit: job.deposit,
            paid: job.paid,
        })
    }

    /// Whether vouchers of this account count.
    pub fn is_attestor(&self, account: Address) -> bool {
        self.attestor.is_some_and(|attestor| attestor.is(account))
    }

    /// Most that the market pays for at a time: GPUs times the running time, up to the end.
    pub fn bound(&self, now: Timestamp) -> GpuSeconds {
        most_used(self.id.gpus(), self.started, self.end, now)
    }
}

/// Most that this many GPUs can have been used since a job was started, up to its end.
pub fn most_used(gpus: u16, started: Option<Timestamp>, end: Option<Timestamp>, now: Timestamp) -> GpuSeconds {
    let Some(started) = started else { return GpuSeconds::ZERO };
    let until = end.map_or(now, |end| now.min(end));
    let seconds = u64::try_from(until.as_second() - started.as_second()).unwrap_or(0);
    GpuSeconds(seconds.saturating_mul(u64::from(gpus)))
}

/// A second of the chain's clock; the last one that can be said if it lies beyond.
pub fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
}

fn some_timestamp(seconds: u64) -> Option<Timestamp> {
    (seconds != 0).then(|| timestamp(seconds))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, FixedBytes};

    use super::*;

    /// As the market answers for a job of two GPUs.
    fn answer(status: u8) -> ComputeMarket::Job {
        ComputeMarket::Job {
            status,
            offerId: FixedBytes::default(),
            delegation: 0,
            attestor: FixedBytes::ZERO,
            orderTag: FixedBytes::ZERO,
            price: 5,
            gpus: 2,
            duration: 60,
            minDuration: 1,
            maxDuration: 60,
            startDeadline: 100,
            started: 0,
            end: 0,
            ending: false,
            refundableFrom: u64::MAX,
            used: 7,
            deposit: U256::from(9),
            paid: U256::from(3),
        }
    }

    #[test]
    fn zero_is_none_and_a_second_beyond_every_calendar_is_the_last() {
        let job = Job::read(JobId(B256::ZERO), &answer(1)).unwrap();
        assert_eq!((job.status, job.attestor, job.started, job.end), (JobStatus::Open, None, None, None));
        assert_eq!(job.start_deadline, Some(timestamp(100)));
        assert_eq!(job.refundable_from, Some(Timestamp::MAX));
        assert_eq!(job.used, GpuSeconds(7));
    }

    #[test]
    fn a_status_that_is_not_known_is_refused_and_is_not_taken_for_another() {
        let refused = Job::read(JobId(B256::ZERO), &answer(5)).unwrap_err();
        assert!(refused.to_string().contains("status 5"), "{refused}");
        for number in 0..5 {
            let status = JobStatus::try_from(number).unwrap();
            assert_eq!(status as u8, number, "{status}");
        }
    }

    #[test]
    fn an_attestor_is_told_by_the_end_of_its_address() {
        let account = Address::repeat_byte(0xAB);
        let mut other = account;
        other[19] ^= 1;
        let job =
            Job { attestor: Some(AttestorTail::of(account)), ..Job::read(JobId(B256::ZERO), &answer(1)).unwrap() };
        assert!(job.is_attestor(account) && !job.is_attestor(other));
        assert!(!Job { attestor: None, ..job.clone() }.is_attestor(account));
        assert_eq!(AttestorTail::of(account).to_string(), format!("0x...{}", "ab".repeat(12)));
    }

    #[test]
    fn what_can_be_paid_grows_with_time_up_to_the_end() {
        let offer = crate::OfferId(FixedBytes::default());
        let id = JobId::from_parts(offer, 5, 2, FixedBytes::default()).unwrap();
        let job = Job::read(id, &ComputeMarket::Job { startDeadline: 0, started: 100, end: 160, ..answer(2) }).unwrap();
        assert_eq!(job.start_deadline, None);
        for (now, most) in [(90, 0), (100, 0), (130, 60), (160, 120), (500, 120)] {
            assert_eq!(job.bound(timestamp(now)), GpuSeconds(most), "{now}");
        }
        assert_eq!(Job { started: None, ..job }.bound(timestamp(500)), GpuSeconds::ZERO);
    }
}
