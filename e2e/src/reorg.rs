//! Reorganisations of anvil's chain: its newest blocks are replaced by others, or held back.

use std::collections::BTreeMap;

use alloy::eips::BlockId;
use alloy::hex;
use alloy::primitives::{Address, Bytes};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::TransactionRequest;
use anyhow::{Context, Result, ensure};
use hawser_contracts::ComputeMarket;
use hawser_market::JobId;
use serde_json::{Value, json};

use crate::chain::{Account, Chain, connect};
use crate::wait;

impl Chain {
    /// Takes away what made `holds` true of a job, with exactly the `depth` newest blocks; false where it lay deeper
    /// already, and the chain is as it was. What customers had sent is mined again, as from the pool of a real network;
    /// what the operator's wallet had sent is lost.
    ///
    /// # Errors
    /// When it doesn't hold now, or still does afterwards, or the node is no anvil that mines by time.
    pub async fn undo(&self, id: JobId, depth: u64, holds: impl Fn(&ComputeMarket::Job) -> bool) -> Result<bool> {
        let node = self.node()?;
        held(&node, async || {
            let head = node.get_block_number().await?;
            let mut lies = 0;
            while lies <= depth && holds(&self.job_at(id, head - lies).await?) {
                lies += 1;
            }
            ensure!(lies > 0, "what is to be undone is not so at block {head}: {:?}", self.job_at(id, head).await?);
            if lies > depth {
                return Ok(false);
            }
            for _ in lies..depth {
                mine(&node).await?;
            }
            self.replace_blocks(&node, depth).await?;
            let now = self.job(id).await?;
            ensure!(!holds(&now), "after a reorganisation of {depth} blocks it is still so: {now:?}");
            Ok(true)
        })
        .await
    }

    /// Replaces the `depth` newest blocks, with customers' transactions mined again. Nobody sends one meanwhile: it would
    /// take the nonce of one that is to come again.
    ///
    /// # Errors
    /// When the node is no anvil that mines by time.
    pub async fn reorganise(&self, depth: u64) -> Result<()> {
        let node = self.node()?;
        held(&node, async || {
            let (mined, pooled) = (self.customers_mined(&node, depth).await?, self.customers_pooled(&node).await?);
            node.raw_request::<_, Value>("anvil_dropAllTransactions".into(), ()).await?;
            self.replace_blocks(&node, depth).await?;
            for transaction in mined.iter().chain(&pooled) {
                send(&node, transaction).await?;
            }
            mine(&node).await
        })
        .await
    }

    /// The transaction with which a job was ordered.
    ///
    /// # Errors
    /// When the chain doesn't hold the order.
    pub async fn order_transaction(&self, id: JobId) -> Result<Bytes> {
        let market = self.market_as(&self.actors.owner)?;
        let opened = market.JobOpened_filter().topic1(id.0).from_block(self.start_block).query().await?;
        let (_, log) = opened.first().with_context(|| format!("the chain holds no order {id}"))?;
        let hash = log.transaction_hash.context("a log without transaction")?;
        raw(&self.node()?, &json!(hash)).await
    }

    /// Sends a signed transaction, and does not wait until it is mined.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn send_again(&self, transaction: &Bytes) -> Result<()> {
        send(&self.node()?, transaction).await
    }

    /// Number of the newest block.
    ///
    /// # Errors
    /// When the node doesn't answer.
    pub async fn head(&self) -> Result<u64> {
        Ok(self.node()?.get_block_number().await?)
    }

    /// A transaction of `account` that does nothing, with fees that beat any other of its nonce.
    ///
    /// # Errors
    /// When the node refuses it.
    pub async fn send_nothing(&self, account: &Account) -> Result<()> {
        let node = connect(&self.rpc_url, account)?;
        let nonce = node.get_transaction_count(account.address).pending().await?;
        let nothing = TransactionRequest::default()
            .to(account.address)
            .nonce(nonce)
            .gas_limit(21_000)
            .max_fee_per_gas(900_000_000_000)
            .max_priority_fee_per_gas(90_000_000_000);
        node.send_transaction(nothing).await.map(drop)?;
        Ok(())
    }

    /// Holds blocks back while `act` sends transactions, and then mines all of them in one.
    ///
    /// # Errors
    /// `act`'s own, or when the node is no anvil that mines by time.
    pub async fn in_one_block<T>(&self, act: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        held(&self.node()?, async || {
            let done = act().await;
            mine(&self.node()?).await?;
            done
        })
        .await
    }

    /// Base fee of the next block, in wei per gas; anvil lets it fall again from there.
    ///
    /// # Errors
    /// When the node is no anvil.
    pub async fn set_next_base_fee(&self, wei: u128) -> Result<()> {
        let node = self.node()?;
        node.raw_request::<_, Value>("anvil_setNextBlockBaseFeePerGas".into(), [wei]).await?;
        Ok(())
    }

    /// What an account has in coins, in wei.
    ///
    /// # Errors
    /// When the node is no anvil.
    pub async fn set_balance(&self, account: &Account, wei: u128) -> Result<()> {
        let balance = json!([account.address, format!("{wei:#x}")]);
        self.node()?.raw_request::<_, Value>("anvil_setBalance".into(), balance).await?;
        Ok(())
    }

    /// Lets `send` bring a transaction with this call into the pool, and has fees rise above it before it is mined.
    ///
    /// # Errors
    /// When it does not come, or the node is no anvil that mines by time.
    pub async fn leave_behind(&self, call: [u8; 4], wei: u128, send: impl FnOnce()) -> Result<()> {
        let (node, call) = (self.node()?, hex::encode_prefixed(call));
        held(&node, async || {
            send();
            wait::until("the transaction is in the pool", wait::SOON, async || {
                let of_call = |input: &Value| input.as_str().is_some_and(|input| input.starts_with(&call));
                let waits = pool(&node).await?.iter().any(|(_, transaction)| of_call(&transaction["input"]));
                Ok(if waits { Ok(()) } else { Err(format!("no call of {call} is there")) })
            })
            .await?;
            self.set_next_base_fee(wei).await
        })
        .await
    }

    async fn job_at(&self, id: JobId, block: u64) -> Result<ComputeMarket::Job> {
        Ok(self.market_as(&self.actors.owner)?.job(id.0).block(BlockId::number(block)).call().await?)
    }

    async fn replace_blocks(&self, node: &DynProvider, depth: u64) -> Result<()> {
        node.raw_request::<_, Value>("anvil_reorg".into(), json!([depth, []])).await?;
        // anvil goes back in time with its blocks; real chains keep to the clock.
        let now = jiff::Timestamp::now().as_second();
        node.raw_request::<_, Value>("anvil_setTime".into(), [now]).await?;
        Ok(())
    }

    /// Those of the `depth` newest blocks that are not the operator's, oldest first.
    async fn customers_mined(&self, node: &DynProvider, depth: u64) -> Result<Vec<Bytes>> {
        let head = node.get_block_number().await?;
        let mut all = Vec::new();
        for number in head + 1 - depth..=head {
            let block: Value =
                node.raw_request("eth_getBlockByNumber".into(), json!([format!("{number:#x}"), true])).await?;
            for transaction in block["transactions"].as_array().into_iter().flatten() {
                let from: Address = serde_json::from_value(transaction["from"].clone())?;
                if from != self.actors.operator.address {
                    all.push(raw(node, &transaction["hash"]).await?);
                }
            }
        }
        Ok(all)
    }

    /// Those in the pool, each sender's by their nonces. anvil forgets what it finds there before its turn.
    async fn customers_pooled(&self, node: &DynProvider) -> Result<Vec<Bytes>> {
        let mut all = Vec::new();
        for (_, transaction) in pool(node).await?.iter().filter(|(from, _)| *from != self.actors.operator.address) {
            all.push(raw(node, &transaction["hash"]).await?);
        }
        Ok(all)
    }
}

/// What waits in the pool, each sender's by their nonces.
async fn pool(node: &DynProvider) -> Result<Vec<(Address, Value)>> {
    let pool: BTreeMap<String, BTreeMap<Address, BTreeMap<u64, Value>>> =
        node.raw_request("txpool_content".into(), ()).await?;
    let senders = pool.into_values().flatten();
    Ok(senders.flat_map(|(from, by_nonce)| by_nonce.into_values().map(move |waits| (from, waits))).collect())
}

/// Holds blocks back while `act` makes its own.
async fn held<T>(node: &DynProvider, act: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let seconds: Option<u64> = node.raw_request("anvil_getIntervalMining".into(), ()).await?;
    let seconds = seconds.context("the EVM node mines no blocks by time (anvil --block-time)")?;
    node.raw_request::<_, Value>("evm_setIntervalMining".into(), [0]).await?;
    let done = act().await;
    // Whatever went wrong, the others' blocks come again.
    node.raw_request::<_, Value>("evm_setIntervalMining".into(), [seconds]).await?;
    done
}

async fn mine(node: &DynProvider) -> Result<()> {
    node.raw_request::<_, Value>("evm_mine".into(), ()).await?;
    Ok(())
}

async fn raw(node: &DynProvider, hash: &Value) -> Result<Bytes> {
    Ok(node.raw_request("eth_getRawTransactionByHash".into(), [hash]).await?)
}

async fn send(node: &DynProvider, transaction: &Bytes) -> Result<()> {
    node.raw_request::<_, Value>("eth_sendRawTransaction".into(), [transaction]).await?;
    Ok(())
}
