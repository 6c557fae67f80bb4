//! The texts of orders' specs, which the market logs beside the order, or not at all.

use std::collections::HashMap;

use alloy::{
    primitives::{B256, Bytes},
    providers::Provider,
    rpc::types::Filter,
    sol_types::SolEvent,
};
use futures::{StreamExt, TryStreamExt, stream};
use hawser_contracts::ComputeMarket::SpecPosted;
use hawser_evm::methods;
use hawser_market::JobId;

use super::{Inner, logs::spec};
use crate::network::evm::{EvmError, EvmOrder};

/// Jobs that are named in one request.
const AT_ONCE: usize = 500;
/// Receipts that are asked for at the same time. So few orders need no request for logs, for which endpoints charge several
/// times as much.
const RECEIPTS: usize = 8;

impl Inner {
    /// Orders with their specs; none where the endpoint lags. That a spec was not posted is believed only where the whole
    /// receipt of the order's transaction shows it: an order is declined for it.
    pub(super) async fn with_specs(&self, mut orders: Vec<EvmOrder>) -> Result<Option<Vec<EvmOrder>>, EvmError> {
        let few = orders.len() <= RECEIPTS;
        for some in orders.chunks_mut(AT_ONCE).filter(|_| !few) {
            let mut texts = self.posted(some).await?;
            for order in some {
                order.spec = texts.remove(&order.job).filter(|text| order.is_its_spec(text));
            }
        }
        let orders = stream::iter(orders)
            .map(async |order| if order.spec.is_some() { Ok(Some(order)) } else { self.by_receipt(order).await })
            .buffered(RECEIPTS)
            .try_collect::<Vec<_>>()
            .await?;
        Ok(orders.into_iter().collect())
    }

    /// Texts of these orders in one request, as far as the endpoint tells them.
    async fn posted(&self, orders: &[EvmOrder]) -> Result<HashMap<JobId, Bytes>, EvmError> {
        let market = self.spec.market;
        let blocks = || orders.iter().map(|order| order.block.number);
        let (Some(from), Some(to)) = (blocks().min(), blocks().max()) else { return Ok(HashMap::new()) };
        let jobs: Vec<B256> = orders.iter().map(|order| order.job.0).collect();
        let filter = Filter::new().address(market).event_signature(SpecPosted::SIGNATURE_HASH).topic1(jobs);
        let logs = self.pool.provider().get_logs(&filter.from_block(from).to_block(to)).await;
        match logs.map_err(EvmError::from) {
            Ok(logs) => Ok(logs.iter().filter_map(|log| spec(log, market)).collect()),
            // Each is looked for in its receipt.
            Err(error @ EvmError::Answer { .. }) => {
                tracing::debug!(%error, orders = orders.len(), "specs are read from receipts");
                Ok(HashMap::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn by_receipt(&self, order: EvmOrder) -> Result<Option<EvmOrder>, EvmError> {
        let receipt = self.pool.provider().get_transaction_receipt(order.tx).await?;
        let Some(receipt) = receipt.filter(|receipt| receipt.block_hash == Some(order.block.hash)) else {
            return Ok(None);
        };
        let posted = receipt.logs().iter().filter_map(|log| spec(log, self.spec.market));
        let Some((_, text)) = posted.into_iter().find(|(job, _)| *job == order.job) else { return Ok(Some(order)) };
        if !order.is_its_spec(&text) {
            let message = format!("it shows another spec of job {} than was ordered", order.job);
            return Err(self.pool.malformed(methods::RECEIPT, message).into());
        }
        Ok(Some(EvmOrder { spec: Some(text), ..order }))
    }
}
