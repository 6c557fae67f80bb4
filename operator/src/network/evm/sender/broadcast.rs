//! One transaction, signed and given to an endpoint.

use alloy::{
    consensus::TxEip1559,
    eips::Encodable2718,
    primitives::{B256, Bytes, TxKind},
    providers::Provider,
};

use super::{
    super::{Inner, wallet::WalletError},
    fees::Fees,
    tx_pool_error,
    tx_pool_error::TxPoolError,
};
use crate::network::evm::EvmError;

/// What became of a raw transaction.
pub(super) enum Broadcast {
    /// In the pool, or nobody knows: looked after until it is mined.
    Accepted(B256),
    /// Not sent.
    Rejected { answer: TxPoolError, message: String },
    /// Not signed, so not sent.
    Unsigned(WalletError),
}

/// Signs and sends. Where no endpoint says what became of it, it counts as sent: it is looked for until its nonce is used.
pub(super) async fn broadcast(
    network: &Inner,
    nonce: u64,
    gas: u64,
    call: &Bytes,
    fees: Fees,
) -> Result<Broadcast, EvmError> {
    let tx = TxEip1559 {
        chain_id: network.spec.chain_id,
        nonce,
        gas_limit: gas,
        max_fee_per_gas: fees.most.0,
        max_priority_fee_per_gas: fees.tip.0,
        to: TxKind::Call(network.spec.market),
        input: call.clone(),
        ..TxEip1559::default()
    };
    let signed = network.wallet.sign(tx).await;
    network.set_signer_trouble(signed.as_ref().err().cloned());
    let signed = match signed {
        Ok(signed) => signed,
        Err(error) => return Ok(Broadcast::Unsigned(error)),
    };
    let hash = *signed.tx_hash();
    let raw = signed.encoded_2718();
    // A signer may take its time, and the lease has gone meanwhile.
    let sent = network.fence.hold(network.pool.provider().send_raw_transaction(&raw)).await;
    let sent = sent.map_err(|lost| EvmError::Unavailable(lost.to_string()))?;
    match sent.map_err(EvmError::from) {
        Ok(_)
        | Err(
            EvmError::Unavailable(_) | EvmError::Malformed { .. } | EvmError::NotAToken(_) | EvmError::OtherMarket(_),
        ) => Ok(Broadcast::Accepted(hash)),
        Err(EvmError::Answer { message, .. }) => match tx_pool_error::read(&message) {
            TxPoolError::Known => Ok(Broadcast::Accepted(hash)),
            answer => Ok(Broadcast::Rejected { answer, message }),
        },
    }
}
