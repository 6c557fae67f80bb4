//! The one way in which transactions are sent: tried first, so that a refusal costs no gas and comes with its reason;
//! signed here, so that its hash is known whatever becomes of the request that sends it.

use std::time::Duration;

use alloy::{
    consensus::{Transaction, TxEnvelope},
    contract,
    eips::Encodable2718,
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes},
    providers::Provider,
    rpc::types::{TransactionReceipt, TransactionRequest},
    transports::RpcError,
};
use tokio::time::{Instant, sleep};

use hawser_evm::Error;

use super::{
    MarketClient,
    endpoint::{cause, is_rate_limit},
};
use hawser_market::{
    Token,
    refusal::{Audience, in_words, is_of_market},
    text::printable,
};

use crate::failure::Failure;

/// How long a transaction may wait for its block.
const MINED_WITHIN: Duration = Duration::from_mins(3);
/// How long a transaction is looked for that may not have been sent.
const FOUND_WITHIN: Duration = Duration::from_secs(8);
/// How often a transaction is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What a transaction did.
pub(crate) struct Mined {
    pub(crate) receipt: TransactionReceipt,
}

impl MarketClient {
    /// Sends a call and waits until it is mined. Amounts in a refusal are said in `token`. One that somebody else sends is tried,
    /// too, and written down: it ends as [`Failure::Drafted`].
    pub(crate) async fn send(&self, to: Address, data: Bytes, token: Option<&Token>) -> Result<Mined, Failure> {
        let call = TransactionRequest::default().with_from(self.me()?).with_to(to).with_input(data);
        let refused = |error| failure(error, token);
        self.provider.call(call.clone()).await.map_err(refused)?;
        if let Some(draft) = self.draft() {
            draft.push(to, call.input.into_input().unwrap_or_default());
            return Err(Failure::Drafted);
        }
        let gas = self.provider.estimate_gas(call.clone()).await.map_err(refused)?;
        // What others do in between may make the same call a little dearer.
        let transaction = self.signed(call.clone().with_gas_limit(gas + gas / 4)).await?;
        let hash = *transaction.tx_hash();
        if let Err(error) = self.provider.send_raw_transaction(&transaction.encoded_2718()).await {
            self.find(hash, error.into(), token).await?;
        }
        self.next_nonce.set(transaction.nonce() + 1);
        let receipt = self.receipt(hash).await?;
        if receipt.status() {
            return Ok(Mined { receipt });
        }
        let block = receipt.block_number.unwrap_or_default();
        match self.provider.call(call).block(block.into()).await {
            Err(error) => Err(refused(error)),
            Ok(_) => Err(Failure::refused(format!(
                "transaction {hash} was mined in block {block} and reverted: its gas is spent, nothing else happened; try again"
            ))),
        }
    }

    /// Whether a transaction of this account is sent and not mined yet.
    pub(crate) async fn waits(&self) -> Result<bool, Failure> {
        let me = self.me()?;
        let sent = self.provider.get_transaction_count(me).pending().await;
        let mined = self.provider.get_transaction_count(me).await;
        Ok(sent.map_err(|error| failure(error, None))? > mined.map_err(|error| failure(error, None))?)
    }

    async fn signed(&self, request: TransactionRequest) -> Result<TxEnvelope, Failure> {
        let nonce = self.provider.get_transaction_count(self.me()?).pending().await;
        // A node that is behind may not count yet what was mined a moment ago.
        let nonce = nonce.map_err(|error| failure(error, None))?.max(self.next_nonce.get());
        let request = request.with_nonce(nonce).with_chain_id(self.chain_id);
        let request = match self.provider.estimate_eip1559_fees().await {
            Ok(fees) => request
                .with_max_fee_per_gas(fees.max_fee_per_gas)
                .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas),
            // A chain without EIP-1559.
            Err(RpcError::UnsupportedFeature(_)) => {
                request.with_gas_price(self.provider.get_gas_price().await.map_err(|error| failure(error, None))?)
            }
            Err(error) => return Err(failure(error, None)),
        };
        let wallet = EthereumWallet::from(self.key()?.clone());
        let signed = request.build(&wallet).await;
        signed.map_err(|error| Failure::input(format!("the transaction can't be signed: {error}")))
    }

    /// Looks for a transaction whose sending ended with an error: the node may have it all the same.
    async fn find(&self, hash: B256, error: Error, token: Option<&Token>) -> Result<(), Failure> {
        let until = Instant::now() + FOUND_WITHIN;
        loop {
            match (self.provider.get_transaction_by_hash(hash).await, &error) {
                (Ok(Some(_)), _) => return Ok(()),
                // It says why it didn't take it.
                (Ok(None), Error::Answer { .. }) => return Err(failure(error, token)),
                _ if Instant::now() < until => sleep(POLL_INTERVAL).await,
                _ => {
                    let cause = cause(&error);
                    return Err(Failure::unsettled(format!(
                        "whether transaction {hash} was sent is not known ({cause})"
                    )));
                }
            }
        }
    }

    /// Waits until a transaction is mined, whatever the node says in between.
    async fn receipt(&self, hash: B256) -> Result<TransactionReceipt, Failure> {
        let until = Instant::now() + MINED_WITHIN;
        loop {
            match self.provider.get_transaction_receipt(hash).await {
                Ok(Some(receipt)) if receipt.block_number.is_some() => return Ok(receipt),
                _ if Instant::now() < until => sleep(POLL_INTERVAL).await,
                Ok(_) => {
                    let waited = MINED_WITHIN.as_secs();
                    return Err(Failure::unsettled(format!(
                        "transaction {hash} is not mined {waited} s after it was sent"
                    )));
                }
                Err(error) => {
                    let cause = cause(&error.into());
                    return Err(Failure::unsettled(format!(
                        "transaction {hash} was sent, and whether it is mined is not known ({cause})"
                    )));
                }
            }
        }
    }

    /// Finds a refusal of the market itself before an allowance is given for the call. What the token says is not
    /// looked at: it can't know yet what it will be allowed.
    pub(crate) async fn check_with_market(&self, data: Bytes, token: &Token) -> Result<(), Failure> {
        let call = TransactionRequest::default().with_from(self.me()?).with_to(self.address()).with_input(data);
        match self.provider.call(call).await.map_err(Error::from) {
            Err(Error::Answer { revert: Some(data), .. }) if is_of_market(&data) => {
                Err(Failure::refused(in_words(&data, Some(token), Audience::Customer)))
            }
            Ok(_) | Err(Error::Answer { .. }) => Ok(()),
            Err(error) => Err(failure(error, Some(token))),
        }
    }
}

/// What went wrong with a call of a contract.
pub(super) fn call_failure(error: contract::Error, token: Option<&Token>) -> Failure {
    match error {
        contract::Error::TransportError(error) => failure(error, token),
        contract::Error::ZeroData(function, _) => Failure::input(format!(
            "the contract doesn't know {function}: is this address a Hawser market (--market), and its token an ERC-20?"
        )),
        other => Failure::refused(format!(
            "the contract answered what this version doesn't understand: {}",
            printable(&other.to_string())
        )),
    }
}

/// What went wrong with a request to the node.
pub(super) fn failure(error: impl Into<Error>, token: Option<&Token>) -> Failure {
    let error = error.into();
    if let Error::Answer { revert: Some(data), .. } = &error {
        return Failure::refused(in_words(data, token, Audience::Customer));
    }
    let cause = cause(&error);
    if is_rate_limit(&error) {
        return Failure::Unreachable(format!(
            "{cause}: it limits how often it may be asked; wait a little, or name another with --rpc-url"
        ));
    }
    match error {
        Error::Answer { .. } => Failure::refused(cause),
        _ => Failure::Unreachable(format!("{cause}: check --rpc-url (HAWSER_RPC_URL) and that the node runs")),
    }
}
