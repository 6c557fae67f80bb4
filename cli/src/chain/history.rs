//! What the market's events tell about jobs: what the views forget once a job is closed.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::{Filter, Log},
    sol_types::SolEventInterface,
};
use hawser_contracts::ComputeMarket::ComputeMarketEvents as Event;
use hawser_market::{JobId, OrderRef, text::printable};

use super::MarketClient;
use crate::failure::Failure;

/// How many topics one request names: endpoints limit that.
pub(super) const TOPICS: usize = 100;

/// How a job came to its end on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The provider turned the order down.
    Declined(String),
    /// The provider ended it.
    Ended(String),
    /// The provider closed it with its last voucher, for which the market takes no reason.
    Settled,
    /// Closed by time.
    Refunded,
}

/// One job's events, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Whose it is; none where the order is not in the blocks that were looked at.
    pub(crate) order: Option<OrderRef>,
    /// Second of the order; 0 where the node doesn't have its block.
    pub(crate) ordered_at: u64,
    pub(crate) block: u64,
    /// Token units deposited in all, top-ups included.
    pub(crate) deposited: U256,
    /// Token units credited back to the customer so far.
    pub(crate) returned: U256,
    /// Whose vouchers count; none before the start, or where that is not in the blocks that were looked at.
    pub(crate) attestor: Option<Address>,
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
                self.deposited = JobId(opened.id).deposit(opened.duration);
                self.order = Some(OrderRef::from(opened));
            }
            Event::JobStarted(started) => self.attestor = Some(started.attestor),
            Event::AttestorRotated(rotated) => self.attestor = Some(rotated.attestor),
            Event::JobToppedUp(topped_up) => self.deposited = topped_up.deposit,
            Event::JobEndAnnounced(announced) => {
                self.returned += announced.released;
                self.end_reason = Some(printable(&announced.reason));
            }
            Event::JobDeclined(declined) => {
                self.close(declined.refunded, Closing::Declined(printable(&declined.reason)));
            }
            Event::JobEnded(ended) => self.close(ended.refunded, Closing::Ended(printable(&ended.reason))),
            Event::JobSettled(settled) => self.close(settled.refunded, Closing::Settled),
            Event::JobRefunded(refunded) => self.close(refunded.refunded, Closing::Refunded),
            _ => {}
        }
    }

    fn close(&mut self, refunded: U256, how: Closing) {
        self.returned += refunded;
        self.closing = Some(how);
    }
}

impl MarketClient {
    /// The histories of jobs.
    pub(crate) async fn histories(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, History>, Failure> {
        let mut histories: BTreeMap<JobId, History> = BTreeMap::new();
        for some in jobs.chunks(TOPICS) {
            let ids: Vec<B256> = some.iter().map(|job| job.0).collect();
            let filter = Filter::new().address(self.address()).topic1(ids);
            for log in self.logs(filter).await? {
                let (Some(id), Ok(event)) = (log.topics().get(1).copied(), Event::decode_log(&log.inner)) else {
                    continue;
                };
                let history = histories.entry(JobId(id)).or_default();
                history.apply(&event.data, &log);
                if matches!(event.data, Event::JobOpened(_)) && history.ordered_at == 0 {
                    history.ordered_at = self.time_of(&log).await.unwrap_or_default();
                }
            }
        }
        Ok(histories)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::FixedBytes;
    use hawser_contracts::ComputeMarket::{JobDeclined, JobEndAnnounced, JobEnded, JobOpened, JobSettled, JobToppedUp};
    use hawser_market::OfferId;

    use super::*;

    /// At this price a second costs one unit.
    fn id() -> B256 {
        JobId::from_parts(OfferId(FixedBytes::ZERO), 3600, 1, FixedBytes::ZERO).unwrap().0
    }

    fn opened() -> Event {
        Event::JobOpened(JobOpened {
            id: id(),
            offerId: FixedBytes::ZERO,
            customer: Address::repeat_byte(1),
            duration: 100,
            digest: B256::repeat_byte(2),
            specHash: B256::ZERO,
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
                id: id(),
                offerId: FixedBytes::ZERO,
                payer: Address::ZERO,
                duration: 200,
                deposit: U256::from(200),
            }),
            Event::JobEndAnnounced(JobEndAnnounced {
                id: id(),
                offerId: FixedBytes::ZERO,
                customer: Address::ZERO,
                by: Address::ZERO,
                end: 1,
                released: U256::from(50),
                reason: "enough".to_owned(),
            }),
            Event::JobEnded(JobEnded {
                id: id(),
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
    fn an_order_tells_its_deposit_and_its_customer_and_a_settlement_gives_back_the_rest() {
        let settled = JobSettled { id: id(), customer: Address::repeat_byte(1), refunded: U256::from(30) };
        let history = fold(&[opened(), Event::JobSettled(settled)]);
        assert_eq!((history.deposited, history.returned), (U256::from(100), U256::from(30)));
        assert_eq!(history.order.map(|order| order.customer), Some(Address::repeat_byte(1)));
        assert_eq!(history.closing, Some(Closing::Settled));
    }

    #[test]
    fn a_reason_can_not_steer_the_terminal() {
        let history = fold(&[
            opened(),
            Event::JobDeclined(JobDeclined {
                id: id(),
                customer: Address::ZERO,
                refunded: U256::from(100),
                reason: "\u{1b}[1A paid".to_owned(),
            }),
        ]);
        assert_eq!(history.closing, Some(Closing::Declined("\u{fffd}[1A paid".to_owned())));
        assert_eq!(history.returned, history.deposited);
    }
}
