//! What the market's events tell about jobs: what the views forget once a job is closed.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::{Filter, Log},
    sol_types::{SolEvent, SolEventInterface},
};
use hawser_contracts::ComputeMarket::{ComputeMarketEvents as Event, JobOpened};
use hawser_market::{JobId, OfferId, text::printable};

use super::Market;
use crate::failure::Failure;

/// How a job came to its end on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The provider turned the order down.
    Declined(String),
    /// The provider ended it.
    Ended(String),
    /// Closed by time.
    Refunded,
}

/// One job's events, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Second of the order; 0 where the node gives no time with its logs.
    pub(crate) ordered_at: u64,
    pub(crate) block: u64,
    /// Token units deposited in all, top-ups included.
    pub(crate) deposited: U256,
    /// Token units credited back to the customer so far.
    pub(crate) returned: U256,
    /// What was said when an early end was announced.
    pub(crate) end_reason: Option<String>,
    pub(crate) closing: Option<Closing>,
}

impl History {
    fn apply(&mut self, event: &Event, log: &Log) {
        match event {
            Event::JobOpened(opened) => {
                self.ordered_at = log.block_timestamp.unwrap_or_default();
                self.block = log.block_number.unwrap_or_default();
                self.deposited = opened.deposit;
            }
            Event::JobToppedUp(topped_up) => self.deposited = topped_up.deposit,
            Event::JobEndAnnounced(announced) => {
                self.returned += announced.released;
                self.end_reason = Some(printable(&announced.reason));
            }
            Event::JobDeclined(declined) => {
                self.close(declined.refunded, Closing::Declined(printable(&declined.reason)));
            }
            Event::JobEnded(ended) => self.close(ended.refunded, Closing::Ended(printable(&ended.reason))),
            Event::JobRefunded(refunded) => self.close(refunded.refunded, Closing::Refunded),
            _ => {}
        }
    }

    fn close(&mut self, refunded: U256, how: Closing) {
        self.returned += refunded;
        self.closing = Some(how);
    }
}

impl Market {
    /// Jobs that an account ordered, in the order of their blocks.
    pub(crate) async fn jobs_of(&self, customer: Address) -> Result<Vec<JobId>, Failure> {
        let opened = Filter::new()
            .address(self.address())
            .event_signature(JobOpened::SIGNATURE_HASH)
            .topic3(customer.into_word());
        let logs = self.logs(opened).await?;
        Ok(logs.iter().filter_map(|log| log.topics().get(1).copied().map(JobId::from)).collect())
    }

    /// The job that an account ordered from an offer with this salt. The market itself refuses the same order only as
    /// long as the offer's price is the same.
    pub(crate) async fn ordered_with(
        &self,
        customer: Address,
        offer: OfferId,
        salt: B256,
    ) -> Result<Option<JobId>, Failure> {
        let opened = Filter::new()
            .address(self.address())
            .event_signature(JobOpened::SIGNATURE_HASH)
            .topic2(topic(offer))
            .topic3(customer.into_word());
        let logs = self.logs(opened).await?;
        let mut opened = logs.iter().filter_map(|log| JobOpened::decode_log(&log.inner).ok());
        Ok(opened.find(|opened| opened.salt == salt).map(|opened| JobId(opened.id)))
    }

    /// The histories of jobs.
    pub(crate) async fn histories(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, History>, Failure> {
        let mut histories: BTreeMap<JobId, History> = BTreeMap::new();
        // Endpoints limit how many topics one request may name.
        for some in jobs.chunks(100) {
            let ids: Vec<B256> = some.iter().map(|job| job.0).collect();
            let filter = Filter::new().address(self.address()).topic1(ids);
            for log in self.logs(filter).await? {
                let (Some(id), Ok(event)) = (log.topics().get(1).copied(), Event::decode_log(&log.inner)) else {
                    continue;
                };
                histories.entry(JobId(id)).or_default().apply(&event.data, &log);
            }
        }
        Ok(histories)
    }
}

pub(super) fn topic(offer: OfferId) -> B256 {
    B256::right_padding_from(offer.0.as_slice())
}

#[cfg(test)]
mod tests {
    use hawser_contracts::ComputeMarket::{JobDeclined, JobEndAnnounced, JobEnded, JobToppedUp};

    use super::*;

    fn opened() -> Event {
        Event::JobOpened(JobOpened {
            id: B256::ZERO,
            offerId: [0; 12].into(),
            customer: Address::ZERO,
            duration: 60,
            startDeadline: 0,
            deposit: U256::from(100),
            salt: B256::ZERO,
            spec: Vec::new().into(),
        })
    }

    fn fold(events: &[Event]) -> History {
        let mut history = History::default();
        for event in events {
            history.apply(event, &Log::default());
        }
        history
    }

    #[test]
    fn a_top_up_replaces_the_deposit_and_an_end_gives_back() {
        let history = fold(&[
            opened(),
            Event::JobToppedUp(JobToppedUp {
                id: B256::ZERO,
                offerId: [0; 12].into(),
                duration: 120,
                deposit: U256::from(200),
            }),
            Event::JobEndAnnounced(JobEndAnnounced {
                id: B256::ZERO,
                offerId: [0; 12].into(),
                by: Address::ZERO,
                end: 1,
                released: U256::from(50),
                reason: "enough".to_owned(),
            }),
            Event::JobEnded(JobEnded {
                id: B256::ZERO,
                customer: Address::ZERO,
                used: U256::from(10),
                refunded: U256::from(30),
                reason: "completed".to_owned(),
            }),
        ]);
        assert_eq!(history.deposited, U256::from(200));
        assert_eq!(history.returned, U256::from(80));
        assert_eq!(history.end_reason.as_deref(), Some("enough"));
        assert_eq!(history.closing, Some(Closing::Ended("completed".to_owned())));
    }

    #[test]
    fn a_reason_can_not_steer_the_terminal() {
        let history = fold(&[
            opened(),
            Event::JobDeclined(JobDeclined {
                id: B256::ZERO,
                customer: Address::ZERO,
                refunded: U256::from(100),
                reason: "\u{1b}[1A paid".to_owned(),
            }),
        ]);
        assert_eq!(history.closing, Some(Closing::Declined("\u{fffd}[1A paid".to_owned())));
        assert_eq!(history.returned, history.deposited);
    }
}
