//! A secp256k1 key in AWS KMS: digests go there, signatures come back, the key never leaves.
//!
//! Operations: <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html> and `API_GetPublicKey`.

use std::{fmt, sync::Arc};

use alloy::{
    primitives::{Address, B256, Signature},
    signers::k256,
};
use k8s_openapi::ByteString;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::{
    WalletError,
    aws::{AwsKeys, Service},
};

/// A key in KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsSpec {
    /// Id, ARN, or alias with `alias/` before it.
    pub key_id: String,
    /// AWS region.
    pub region: String,
    /// Where KMS answers.
    pub endpoint: Url,
    /// The key's address, where it is known.
    pub address: Option<Address>,
}

/// A key in KMS whose address is known. Every signature is checked against it.
#[derive(Clone)]
pub struct KmsKey {
    service: Arc<Service>,
    key_id: String,
    label: String,
    address: Address,
}

/// Binary fields are base64 in AWS' JSON, as in Kubernetes'.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKey {
    key_spec: String,
    public_key: ByteString,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    signature: ByteString,
}

impl KmsKey {
    /// The key; asks for its public key where the address is not known. Without `keys` the credentials are those of the
    /// process: environment, web identity, container, instance.
    ///
    /// # Errors
    /// Only where the address has to be asked for: KMS can't be reached or refuses, or the key is not of secp256k1.
    pub async fn connect(spec: KmsSpec, keys: Option<AwsKeys>) -> Result<Self, WalletError> {
        let label = format!("AWS KMS key {} in {}", spec.key_id, spec.region);
        let service = Arc::new(Service::new("kms", spec.region, spec.endpoint, keys, label.clone())?);
        let address = if let Some(address) = spec.address {
            address
        } else {
            let request = json!({"KeyId": spec.key_id});
            let key: PublicKey = service.call("TrentService.GetPublicKey", &request).await?;
            address_of(&key).map_err(|why| WalletError::Refused { signer: label.clone(), why })?
        };
        Ok(Self { service, key_id: spec.key_id, label, address })
    }

    pub(super) const fn address(&self) -> Address {
        self.address
    }

    pub(super) async fn sign(&self, hash: B256) -> Result<Signature, WalletError> {
        let request = json!({
            "KeyId": self.key_id,
            "Message": ByteString(hash.to_vec()),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        });
        let signed: Signed = self.service.call("TrentService.Sign", &request).await?;
        signature(&signed.signature.0, hash, self.address)
            .map_err(|why| WalletError::Mismatch { signer: self.label.clone(), why })
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey").field("key_id", &self.key_id).field("address", &self.address).finish_non_exhaustive()
    }
}

/// All of a `SubjectPublicKeyInfo` (RFC 5480) that comes before the two coordinates of an uncompressed secp256k1 key.
const SPKI: [u8; 24] = [
    0x30, 0x56, // SEQUENCE of the rest
    0x30, 0x10, // SEQUENCE of the algorithm
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a, // secp256k1
    0x03, 0x42, 0x00, // BIT STRING
    0x04, // uncompressed
];

fn address_of(key: &PublicKey) -> Result<Address, String> {
    let spec = &key.key_spec;
    if spec != "ECC_SECG_P256K1" {
        return Err(format!("the key's spec is {spec:?}: make a key of the spec ECC_SECG_P256K1"));
    }
    let coordinates = key.public_key.0.strip_prefix(&SPKI).filter(|rest| rest.len() == 64);
    let coordinates = coordinates.ok_or("its public key is not one of secp256k1")?;
    Ok(Address::from_raw_public_key(coordinates))
}

/// From DER (X9.62) to what EVM chains take: the lower of the two values of s (EIP-2), and the parity with which the
/// known address is recovered.
fn signature(der: &[u8], hash: B256, address: Address) -> Result<Signature, String> {
    let parsed = k256::ecdsa::Signature::from_der(der).map_err(|_| "the signature is not DER of r and s")?;
    [false, true]
        .into_iter()
        .map(|parity| Signature::from_signature_and_parity(parsed, parity).normalized_s())
        .find(|signature| signature.recover_address_from_prehash(&hash).is_ok_and(|found| found == address))
        .ok_or_else(|| format!("the signature is not one of the key of {address}"))
}

#[cfg(test)]
mod tests {
    use alloy::signers::local::PrivateKeySigner;
    use k256::{
        ecdsa::signature::hazmat::PrehashSigner,
        elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
    };

    use super::*;

    fn key() -> PrivateKeySigner {
        PrivateKeySigner::from_slice(&[7; 32]).unwrap()
    }

    fn public_key(spec: &str, bytes: Vec<u8>) -> PublicKey {
        PublicKey { key_spec: spec.to_owned(), public_key: ByteString(bytes) }
    }

    fn spki() -> Vec<u8> {
        let point = key().credential().verifying_key().as_affine().to_encoded_point(false);
        [&SPKI[..23], point.as_bytes()].concat()
    }

    /// The same signature with the other s, as KMS may give it.
    fn high(signature: k256::ecdsa::Signature) -> k256::ecdsa::Signature {
        let s = -*signature.s().as_ref();
        k256::ecdsa::Signature::from_scalars(signature.r().to_bytes(), s.to_repr()).unwrap()
    }

    #[test]
    fn the_address_is_read_from_the_public_key_and_only_from_one_of_secp256k1() {
        assert_eq!(spki().len(), 88);
        assert_eq!(address_of(&public_key("ECC_SECG_P256K1", spki())), Ok(key().address()));
        let mut other_curve = spki();
        other_curve[19] = 0x23;
        for (spec, bytes, words) in [
            ("ECC_NIST_P256", spki(), "make a key of the spec ECC_SECG_P256K1"),
            ("ECC_SECG_P256K1", spki()[..87].to_vec(), "not one of secp256k1"),
            ("ECC_SECG_P256K1", [spki(), vec![0]].concat(), "not one of secp256k1"),
            ("ECC_SECG_P256K1", Vec::new(), "not one of secp256k1"),
            ("ECC_SECG_P256K1", other_curve, "not one of secp256k1"),
        ] {
            let said = address_of(&public_key(spec, bytes)).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_signature_with_either_s_becomes_the_one_that_chains_take() {
        let mut parities = [false; 2];
        for number in 0..32_u8 {
            let hash = B256::repeat_byte(number);
            let low: k256::ecdsa::Signature = key().credential().sign_prehash(hash.as_slice()).unwrap();
            for der in [low.to_der(), high(low).to_der()] {
                let found = signature(der.as_bytes(), hash, key().address()).unwrap();
                assert!(found.normalize_s().is_none(), "s is the lower one");
                assert_eq!(found.recover_address_from_prehash(&hash).unwrap(), key().address());
                parities[usize::from(found.v())] = true;
            }
        }
        assert_eq!(parities, [true; 2], "both parities were met");
    }

    #[test]
    fn what_is_no_signature_of_the_key_is_refused() {
        let hash = B256::repeat_byte(1);
        let good: k256::ecdsa::Signature = key().credential().sign_prehash(hash.as_slice()).unwrap();
        let der = good.to_der().as_bytes().to_vec();
        for (der, hash, address, words) in [
            (Vec::new(), hash, key().address(), "not DER"),
            (der[..der.len() - 1].to_vec(), hash, key().address(), "not DER"),
            ([der.clone(), vec![0]].concat(), hash, key().address(), "not DER"),
            (good.to_bytes().to_vec(), hash, key().address(), "not DER"),
            (der.clone(), B256::repeat_byte(2), key().address(), "not one of the key"),
            (der, hash, Address::repeat_byte(1), "not one of the key"),
        ] {
            let said = signature(&der, hash, address).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
