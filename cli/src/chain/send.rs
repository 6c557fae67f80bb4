//! The one way in which transactions are sent: tried first, so that a refusal costs no gas and comes with its reason.

use std::time::Duration;

use alloy::{
    contract,
    network::TransactionBuilder,
    primitives::{Address, Bytes},
    providers::Provider,
    rpc::types::{TransactionReceipt, TransactionRequest},
    transports::{RpcError, TransportError, TransportErrorKind},
};

use super::Market;
use crate::{
    explain::{is_of_market, refusal},
    failure::Failure,
    token::Token,
};

/// How long a transaction may wait for its block.
const MINED_WITHIN: Duration = Duration::from_mins(3);

/// What a transaction did.
pub(crate) struct Mined {
    pub(crate) receipt: TransactionReceipt,
}

impl Market {
    /// Sends a call and waits until it is mined. Amounts in a refusal are said in `token`.
    pub(crate) async fn send(&self, to: Address, data: Bytes, token: Option<&Token>) -> Result<Mined, Failure> {
        let call = TransactionRequest::default().with_from(self.me()?).with_to(to).with_input(data);
        let refused = |error: &TransportError| failure(error, token);
        self.provider.call(call.clone()).await.map_err(|error| refused(&error))?;
        let gas = self.provider.estimate_gas(call.clone()).await.map_err(|error| refused(&error))?;
        // What others do in between may make the same call a little dearer.
        let request = call.clone().with_gas_limit(gas + gas / 4);
        let pending = self.provider.send_transaction(request).await.map_err(|error| refused(&error))?;
        let hash = *pending.tx_hash();
        let receipt = pending.with_timeout(Some(MINED_WITHIN)).get_receipt().await.map_err(|error| {
            Failure::Unreachable(format!(
                "transaction {hash} was sent, but is not seen mined ({error}): it may still be; look before you send again"
            ))
        })?;
        if receipt.status() {
            return Ok(Mined { receipt });
        }
        let block = receipt.block_number.unwrap_or_default();
        match self.provider.call(call).block(block.into()).await {
            Err(error) => Err(refused(&error)),
            Ok(_) => Err(Failure::refused(format!(
                "transaction {hash} was mined in block {block} and reverted: its gas is spent, nothing else happened; try again"
            ))),
        }
    }
}

impl Market {
    /// Finds a refusal of the market itself before an allowance is given for the call. What the token says is not
    /// looked at: it can't know yet what it will be allowed.
    pub(super) async fn check_with_market(&self, data: Bytes, token: &Token) -> Result<(), Failure> {
        let call = TransactionRequest::default().with_from(self.me()?).with_to(self.address()).with_input(data);
        match self.provider.call(call).await {
            Err(RpcError::ErrorResp(response)) => match response.as_revert_data() {
                Some(data) if is_of_market(&data) => Err(Failure::refused(refusal(&data, Some(token)))),
                _ => Ok(()),
            },
            Err(error) => Err(failure(&error, Some(token))),
            Ok(_) => Ok(()),
        }
    }
}

/// What went wrong with a call of a contract.
pub(super) fn call_failure(error: &contract::Error, token: Option<&Token>) -> Failure {
    match error {
        contract::Error::TransportError(error) => failure(error, token),
        contract::Error::ZeroData(function, _) => Failure::input(format!(
            "the contract doesn't know {function}: is this address a Hawser market (--market), and its token an ERC-20?"
        )),
        other => Failure::refused(format!("the contract answered what this version doesn't understand: {other}")),
    }
}

/// What went wrong with a request to the node.
pub(super) fn failure(error: &TransportError, token: Option<&Token>) -> Failure {
    match error {
        RpcError::ErrorResp(response) => match response.as_revert_data() {
            Some(data) => Failure::refused(refusal(&data, token)),
            None => Failure::refused(format!("the node refused: {}", crate::text::printable(&response.message))),
        },
        RpcError::Transport(TransportErrorKind::HttpError(http)) => {
            Failure::Unreachable(format!("the node answered with HTTP status {}: check --rpc-url", http.status))
        }
        // The URL is left out: it often holds the key of an account with a node's operator.
        RpcError::Transport(_) => Failure::Unreachable(
            "no answer from the node: check --rpc-url (HAWSER_RPC_URL) and that the node runs".to_owned(),
        ),
        other => Failure::Unreachable(format!("the node answered what is not JSON-RPC ({other}): check --rpc-url")),
    }
}
