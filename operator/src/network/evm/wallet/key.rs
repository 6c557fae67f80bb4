//! A key in this process' memory.

use std::fmt;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    primitives::Address,
    signers::{SignerSync, local::PrivateKeySigner},
};
use zeroize::Zeroizing;

use super::WalletError;

/// A secp256k1 private key. Its memory is overwritten when it is dropped, and it is never printed.
#[derive(Clone)]
pub struct WalletKey(pub(super) PrivateKeySigner);

impl WalletKey {
    /// Reads a key as a Secret holds it: 64 hexadecimal digits, perhaps with `0x` and white space around.
    pub fn from_hex(text: &[u8]) -> Result<Self, WalletError> {
        let digits = text.trim_ascii();
        let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
        let mut bytes = Zeroizing::new([0; 32]);
        alloy::hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| WalletError::NotHex)?;
        PrivateKeySigner::from_slice(bytes.as_ref()).map(Self).map_err(|_| WalletError::NotAKey)
    }

    /// Its address.
    pub const fn address(&self) -> Address {
        self.0.address()
    }

    pub(super) fn sign(&self, tx: TxEip1559) -> Result<TxEnvelope, WalletError> {
        let signature = self.0.sign_hash_sync(&tx.signature_hash()).map_err(|_| WalletError::Signing)?;
        Ok(tx.into_signed(signature).into())
    }
}

impl fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WalletKey({})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    #[test]
    fn a_key_is_read_with_and_without_prefix_and_white_space() {
        for text in [KEY.to_owned(), format!("0x{KEY}"), format!(" 0x{KEY}\n")] {
            let address = WalletKey::from_hex(text.as_bytes()).unwrap().address();
            assert_eq!(address.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let cases = [
            ("", WalletError::NotHex),
            ("0x12", WalletError::NotHex),
            (&KEY[1..], WalletError::NotHex),
            (&"zz".repeat(32), WalletError::NotHex),
            (&"00".repeat(32), WalletError::NotAKey),
            (&"ff".repeat(32), WalletError::NotAKey),
        ];
        for (text, error) in cases {
            assert_eq!(WalletKey::from_hex(text.as_bytes()).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_the_address_and_nothing_of_the_key() {
        let shown = format!("{:?}", WalletKey::from_hex(KEY.as_bytes()).unwrap());
        assert_eq!(shown, "WalletKey(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)");
    }
}
