//! Why a wallet can't be opened, or does not sign.

use thiserror::Error;

/// Why a wallet can't be used, or doesn't sign. Never holds a key or a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalletError {
    /// Not hexadecimal, or not 32 bytes.
    #[error("the wallet's key is not 64 hexadecimal digits (with or without 0x)")]
    NotHex,
    /// Zero, or not below the order of secp256k1.
    #[error("the wallet's key is not a private key of secp256k1")]
    NotAKey,
    /// Not a keystore of version 3, or one that would take too much memory or time.
    #[error("the wallet's keystore can't be used: {0}")]
    Keystore(String),
    /// The keystore's checksum (MAC) says so.
    #[error("the password doesn't open the wallet's keystore")]
    WrongPassword,
    /// The key failed to sign.
    #[error("the wallet's key can't sign")]
    Signing,
    /// No answer, or a retryable error.
    #[error("{signer} is unavailable: {why}")]
    Unavailable {
        /// Who, without secrets.
        signer: String,
        /// What happened.
        why: String,
    },
    /// The signer says no.
    #[error("{signer} doesn't sign: {why}")]
    Refused {
        /// Who, without secrets.
        signer: String,
        /// The signer's words.
        why: String,
    },
    /// The signer answered with something that was not asked for. It is not used.
    #[error("{signer} returned an unexpected response: {why}")]
    Mismatch {
        /// Who, without secrets.
        signer: String,
        /// What differs.
        why: String,
    },
}
