//! What is known of JSON-RPC's methods. Their names are written here only.

use alloy::{
    primitives::{B256, Bytes, U64, U128, U256},
    rpc::{
        json_rpc::SerializedRequest,
        types::{Block, FeeHistory, Filter, Log, TransactionReceipt},
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::budget::Class;

/// A block by its number.
pub const BLOCK_BY_NUMBER: &str = "eth_getBlockByNumber";
/// What came of a transaction.
pub const RECEIPT: &str = "eth_getTransactionReceipt";
/// A signature over a transaction, of a signer that holds the key.
pub const SIGN_TRANSACTION: &str = "eth_signTransaction";

pub(crate) const LOGS: &str = "eth_getLogs";
pub(crate) const TRANSACTION: &str = "eth_getTransactionByHash";
const BLOCK_BY_HASH: &str = "eth_getBlockByHash";
const CALL: &str = "eth_call";
const CHAIN_ID: &str = "eth_chainId";
const CODE: &str = "eth_getCode";
const COUNT: &str = "eth_getTransactionCount";
const BALANCE: &str = "eth_getBalance";
const ESTIMATE: &str = "eth_estimateGas";
const NEWEST: &str = "eth_blockNumber";
const PRICE: &str = "eth_gasPrice";
const SEND: &str = "eth_sendRawTransaction";
const FEES: &str = "eth_feeHistory";
const TIP: &str = "eth_maxPriorityFeePerGas";

/// The class of what is not said to be of another one.
pub(crate) fn class(method: &str) -> Class {
    match method {
        BLOCK_BY_NUMBER | BLOCK_BY_HASH | LOGS | RECEIPT | COUNT | SEND => Class::First,
        ESTIMATE | FEES | TIP => Class::Jobs,
        _ => Class::Rest,
    }
}

/// Asked of one endpoint alone: which of them has a transaction must be known, and one that lags a little answers for
/// logs as if nothing had happened.
pub(crate) fn is_asked_of_one(method: &str) -> bool {
    matches!(method, SEND | LOGS)
}

/// Whether the endpoint has done something once it was asked, also where its answer is lost.
pub(crate) fn changes_the_chain(method: &str) -> bool {
    method == SEND
}

/// Whether it is a request for the logs of more than one block.
pub(crate) fn asks_for_many(request: &SerializedRequest) -> bool {
    let filter = || serde_json::from_str::<(Filter,)>(request.params()?.get()).ok();
    request.method() == LOGS
        && filter()
            .is_some_and(|(filter,)| filter.get_from_block().zip(filter.get_to_block()).is_some_and(|(a, b)| a < b))
}

/// Whether a result is what the method returns. One that isn't says more of the endpoint than of what was asked for.
pub(crate) fn check(method: &str, result: &RawValue) -> Result<(), serde_json::Error> {
    match method {
        CHAIN_ID | COUNT | ESTIMATE | NEWEST => is::<U64>(result),
        PRICE | TIP => is::<U128>(result),
        BALANCE => is::<U256>(result),
        CALL | CODE => is::<Bytes>(result),
        SEND => is::<B256>(result),
        BLOCK_BY_NUMBER | BLOCK_BY_HASH => is::<Option<Block>>(result),
        RECEIPT => is::<Option<TransactionReceipt>>(result),
        FEES => is::<FeeHistory>(result),
        // Chains have types of transactions of their own.
        TRANSACTION => is::<Option<Fields>>(result),
        LOGS => is::<Vec<Log>>(result),
        _ => Ok(()),
    }
}

/// An object with whatever fields.
#[derive(Deserialize)]
struct Fields {}

fn is<T: DeserializeOwned>(result: &RawValue) -> Result<(), serde_json::Error> {
    serde_json::from_str::<T>(result.get()).map(drop)
}
