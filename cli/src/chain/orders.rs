//! Whose a job is: the market keeps no customer, so the order that proves it is found in the events.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    consensus::Transaction,
    primitives::{Address, B256, FixedBytes, U256},
    providers::Provider,
    rpc::types::{Filter, Log},
    sol_types::{SolEvent, SolValue},
};
use hawser_contracts::{ComputeMarket, ComputeMarket::JobOpened};
use hawser_market::{JobId, OfferId, OrderRef};
use tokio::task::JoinSet;

use super::{MarketClient, account_history::place, history::TOPICS, send};
use crate::failure::Failure;

/// An order in calldata: eight words, whatever is in it.
const ORDER_BYTES: usize = 9 * 32;

/// How many transactions are asked for side by side.
const TRANSACTIONS: usize = 8;

impl MarketClient {
    /// Jobs that an account ordered, in the order of their blocks.
    pub(crate) async fn jobs_of(&self, customer: Address) -> Result<Vec<JobId>, Failure> {
        let logs = self.logs(self.opened().topic3(customer.into_word())).await?;
        Ok(logs.iter().filter_map(|log| log.topics().get(1).copied().map(JobId::from)).collect())
    }

    /// The order of a job; `None` where it is not in the blocks that are looked at.
    pub(crate) async fn known_order_of(&self, id: JobId) -> Result<Option<OrderRef>, Failure> {
        Ok(self.known_orders_of(&[id]).await?.remove(&id))
    }

    /// A job with its order, as calls take it that credit or ask its customer.
    pub(crate) async fn job_ref(&self, id: JobId) -> Result<ComputeMarket::JobRef, Failure> {
        self.job_refs(&[id]).await?.remove(&id).unwrap_or_else(|| Err(self.unknown_order(id)))
    }

    /// The same for several jobs, or for each why not.
    pub(crate) async fn job_refs(
        &self,
        ids: &[JobId],
    ) -> Result<BTreeMap<JobId, Result<ComputeMarket::JobRef, Failure>>, Failure> {
        let known = self.known_orders_of(ids).await?;
        let of = |id: &JobId| known.get(id).map(|order| order.of_job(*id)).ok_or_else(|| self.unknown_order(*id));
        Ok(ids.iter().map(|id| (*id, of(id))).collect())
    }

    fn unknown_order(&self, id: JobId) -> Failure {
        Failure::refused(format!(
            "the order of job {id}, without which the market doesn't know its customer, is not in the events from block {} \
             on: lower --from-block (HAWSER_FROM_BLOCK) to a block before the order",
            self.from_block
        ))
    }

    async fn known_orders_of(&self, ids: &[JobId]) -> Result<BTreeMap<JobId, OrderRef>, Failure> {
        let mut known = BTreeMap::new();
        for id in ids {
            if let Some(delegation) = id.delegation() {
                // The market reads whose it is from the delegation, and looks at nothing else.
                let delegation = self.contract.delegationOf(delegation.get()).call().await;
                let customer = delegation.map_err(|error| send::call_failure(error, None))?.principal;
                known.insert(*id, OrderRef { customer, hash: B256::ZERO });
            }
        }
        let others: BTreeSet<B256> = ids.iter().filter(|id| !known.contains_key(id)).map(|id| id.0).collect();
        for some in others.into_iter().collect::<Vec<_>>().chunks(TOPICS) {
            for log in self.logs(self.opened().topic1(some.to_vec())).await? {
                let Ok(opened) = JobOpened::decode_log(&log.inner) else { continue };
                let (id, order) = (JobId(opened.id), OrderRef::from(&opened.data));
                // A node can say what it likes: the market would take no other order for this job.
                if id.is_of(order) {
                    known.insert(id, order);
                }
            }
        }
        Ok(known)
    }

    /// The job that an account ordered from an offer with this salt. It is in no event, but in what was sent. The market
    /// itself refuses the same order only as long as the offer's price is the same.
    pub(crate) async fn ordered_with(
        &self,
        customer: Address,
        offer: OfferId,
        salt: U256,
    ) -> Result<Option<JobId>, Failure> {
        let opened = self.opened().topic2(topic(offer)).topic3(customer.into_word());
        let logs = self.logs(opened).await?;
        let orders = logs.iter().filter_map(|log| Some((log, JobOpened::decode_log(&log.inner).ok()?.data)));
        // What may have been sent already was sent a moment ago.
        let orders: Vec<(&Log, JobOpened)> = orders.rev().collect();
        for some in orders.chunks(TRANSACTIONS) {
            let mut sent = BTreeMap::new();
            for (log, _) in some {
                sent.entry(place(log)?.2).or_insert_with(Vec::new);
            }
            self.read_inputs(&mut sent).await?;
            for (log, opened) in some {
                let input = sent.get(&place(log)?.2).map_or(&[][..], Vec::as_slice);
                if self.salts(input, opened).contains(&salt) {
                    return Ok(Some(JobId(opened.id)));
                }
            }
        }
        Ok(None)
    }

    /// Salts of the orders in what was sent that are the one that was opened. An order is looked for wherever it may begin:
    /// calls come within others, of the market's own `multicall` or of an account that is a contract.
    fn salts(&self, sent: &[u8], opened: &JobOpened) -> Vec<U256> {
        let is_it = |order: &ComputeMarket::Order| {
            let order = OrderRef::new(order, self.chain_id(), self.address());
            order == OrderRef::from(opened)
        };
        orders_in(sent, opened.offerId).filter(is_it).map(|order| order.salt).collect()
    }

    async fn read_inputs(&self, transactions: &mut BTreeMap<B256, Vec<u8>>) -> Result<(), Failure> {
        let mut asked = JoinSet::new();
        for tx in transactions.keys().copied() {
            let node = self.provider.clone();
            asked.spawn(async move { (tx, node.get_transaction_by_hash(tx).await) });
        }
        while let Some(answer) = asked.join_next().await {
            let (tx, sent) =
                answer.map_err(|error| Failure::Unreachable(format!("a request was given up: {error}")))?;
            let sent = sent.map_err(|error| send::failure(error, None))?.ok_or_else(|| {
                Failure::Unreachable(format!(
                    "the node has no transaction {tx}, which placed an order of yours from this offer: whether that had \
                     the same salt is not known; try again, or ask another node (--rpc-url)"
                ))
            })?;
            transactions.insert(tx, sent.input().to_vec());
        }
        Ok(())
    }

    fn opened(&self) -> Filter {
        Filter::new().address(self.address()).event_signature(JobOpened::SIGNATURE_HASH)
    }
}

/// What may be an order from this offer within what was sent.
fn orders_in(sent: &[u8], offer: FixedBytes<8>) -> impl Iterator<Item = ComputeMarket::Order> {
    let begins = topic(OfferId(offer));
    sent.windows(ORDER_BYTES)
        .filter(move |window| window.starts_with(begins.as_slice()))
        .filter_map(|window| ComputeMarket::Order::abi_decode(window).ok())
}

/// An offer's id as a log has it.
pub(super) fn topic(offer: OfferId) -> B256 {
    B256::right_padding_from(offer.0.as_slice())
}

#[cfg(test)]
mod tests {
    use alloy::{primitives::Bytes, sol_types::SolCall};
    use hawser_contracts::ComputeMarket::{multicallCall, openJobCall};

    use super::*;

    #[test]
    fn an_order_is_found_however_deep_it_lies_in_what_was_sent() {
        let offer = FixedBytes([0xab; 8]);
        let order = ComputeMarket::Order {
            offerId: offer,
            customer: Address::ZERO,
            gpus: 1,
            duration: 60,
            maxPrice: 1,
            deadline: u64::MAX,
            salt: U256::from(5),
            specHash: B256::ZERO,
            specOffChain: false,
        };
        let call = openJobCall { order, spec: b"{}".into() }.abi_encode();
        let permit = Bytes::from(vec![0xcd; 133]);
        let both = multicallCall { data: vec![permit, call.clone().into()] }.abi_encode();
        let wrapped = [&[0xcd; 7], &both[..], &[0xcd; 3]].concat();
        for sent in [&call, &both, &wrapped] {
            let salts: Vec<_> = orders_in(sent, offer).map(|order| order.salt).collect();
            assert_eq!(salts, [U256::from(5)]);
            assert_eq!(orders_in(sent, FixedBytes([0xac; 8])).count(), 0);
        }
        assert_eq!(orders_in(&call[..100], offer).count(), 0);
    }
}
