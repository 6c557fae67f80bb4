//! What signs the operator's transactions.

mod aws;
mod error;
mod key;
mod keystore;
mod kms;
mod remote;
mod web;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    primitives::Address,
};

pub use aws::AwsKeys;
pub use error::WalletError;
pub use key::WalletKey;
pub use kms::{KmsKey, KmsSpec};
pub use remote::RemoteSigner;

/// What holds the operator's hot key. Clones sign with the same key; none of them shows it.
#[derive(Clone, Debug)]
pub enum Wallet {
    /// A key in this process' memory.
    Key(WalletKey),
    /// A key in AWS KMS.
    AwsKms(KmsKey),
    /// A key behind `eth_signTransaction`.
    Remote(RemoteSigner),
}

impl Wallet {
    /// The key's address.
    pub const fn address(&self) -> Address {
        match self {
            Self::Key(key) => key.address(),
            Self::AwsKms(key) => key.address(),
            Self::Remote(signer) => signer.address(),
        }
    }

    /// Signs exactly this transaction. Takes up to ten seconds where the key is not in this process.
    ///
    /// # Errors
    /// The signer can't be asked, refuses, or answers with something else; none of these is for ever.
    pub async fn sign(&self, tx: TxEip1559) -> Result<TxEnvelope, WalletError> {
        match self {
            Self::Key(key) => key.sign(tx),
            Self::AwsKms(key) => {
                let signature = key.sign(tx.signature_hash()).await?;
                Ok(tx.into_signed(signature).into())
            }
            Self::Remote(signer) => signer.sign(tx).await,
        }
    }
}

impl From<WalletKey> for Wallet {
    fn from(key: WalletKey) -> Self {
        Self::Key(key)
    }
}
