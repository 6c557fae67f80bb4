//! A secp256k1 signature in the single form that the market accepts (EIP-2, EIP-2098).

use std::{fmt, str::FromStr};

use alloy::primitives::{Address, B256, Signature, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why bytes are not a signature that the market would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// Neither 65 nor 64 bytes.
    #[error("a signature has 65 bytes (r, s, v) or 64 (EIP-2098), this one has {0}")]
    Length(usize),
    /// The recovery byte is not 27 or 28.
    #[error("the last byte of a signature is 27 or 28, here it is {0}")]
    RecoveryByte(u8),
    /// `r` or `s` is not a number that a signature can have.
    #[error("r and s of a signature are at least 1 and below the curve's order")]
    OutOfRange,
    /// `s` is in the upper half of the curve's order: a second form of another signature.
    #[error("the signature's s is in the upper half of the curve's order (EIP-2): sign again")]
    HighS,
    /// Not `0x` and lower-case hexadecimal digits.
    #[error("a signature is written as 0x and lower-case hexadecimal digits")]
    Hex,
    /// No key could have made it.
    #[error("no key can have made this signature")]
    Recovery,
}

/// A secp256k1 signature in the one form that the market takes: low `s`, `v` 27 or 28.
///
/// One signature has one text here (`0x` and 130 lower-case digits), so that evidence can't be changed unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoucherSignature(Signature);

impl VoucherSignature {
    /// `r`, `s`, `v`.
    pub fn to_bytes(self) -> [u8; 65] {
        self.0.as_bytes()
    }

    /// EIP-2098: `r`, and `s` with `v` in its top bit, as `claim` takes it.
    pub fn to_compact(self) -> [u8; 64] {
        self.0.as_erc2098()
    }

    /// Reads 65 bytes `r`, `s`, `v`, or 64 bytes in EIP-2098's compact form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSignature> {
        let signature = match bytes.len() {
            65 if !matches!(bytes[64], 27 | 28) => {
                return Err(InvalidSignature::RecoveryByte(bytes[64]));
            }
            65 => Signature::from_bytes_and_parity(&bytes[..64], bytes[64] == 28),
            64 => Signature::from_erc2098(bytes),
            length => return Err(InvalidSignature::Length(length)),
        };
        Self::try_from(signature)
    }

    /// Address of the key that signed this hash.
    pub fn signer(self, hash: B256) -> Result<Address, InvalidSignature> {
        self.0.recover_address_from_prehash(&hash).map_err(|_| InvalidSignature::Recovery)
    }
}

impl TryFrom<Signature> for VoucherSignature {
    type Error = InvalidSignature;

    fn try_from(signature: Signature) -> Result<Self, InvalidSignature> {
        signature.to_k256().map_err(|_| InvalidSignature::OutOfRange)?;
        match signature.normalize_s() {
            Some(_) => Err(InvalidSignature::HighS),
            None => Ok(Self(signature)),
        }
    }
}

impl From<VoucherSignature> for Signature {
    fn from(signature: VoucherSignature) -> Self {
        signature.0
    }
}

impl fmt::Display for VoucherSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_prefixed(self.to_bytes()))
    }
}

impl FromStr for VoucherSignature {
    type Err = InvalidSignature;

    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        let bytes = hex::decode(text).map_err(|_| InvalidSignature::Hex)?;
        let signature = Self::from_bytes(&bytes)?;
        if bytes.len() == 65 && signature.to_string() != text {
            return Err(InvalidSignature::Hex);
        }
        Ok(signature)
    }
}

impl Serialize for VoucherSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VoucherSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
