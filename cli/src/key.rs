//! The customer's key: from a keystore file or the environment, never printed.

use std::{env, fs, path::Path};

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use serde::Deserialize;

use crate::{
    args::KeySource,
    chain::{Draft, Sender},
    failure::Failure,
};

const PRIVATE_KEY: &str = "HAWSER_PRIVATE_KEY";
const PASSWORD_FILE: &str = "HAWSER_PASSWORD_FILE";

/// The key that signs.
pub(crate) fn signer(source: &KeySource) -> Result<PrivateKeySigner, Failure> {
    match &source.keystore {
        Some(file) => from_keystore(file),
        None => from_environment()?.ok_or_else(|| {
            Failure::input(format!("no key: name a keystore file with --keystore, or set {PRIVATE_KEY}"))
        }),
    }
}

/// Who sends transactions.
pub(crate) fn sender(source: &KeySource) -> Result<Sender, Failure> {
    match source.calldata {
        Some(account) => Ok(Sender::Draft(Draft::of(account))),
        None => signer(source).map(Sender::Key),
    }
}

/// Whose transactions are sent, without the password where the keystore tells it.
pub(crate) fn address(source: &KeySource) -> Result<Address, Failure> {
    if let Some(account) = source.calldata {
        return Ok(account);
    }
    if let Some(address) = source.keystore.as_deref().and_then(address_in_keystore) {
        return Ok(address);
    }
    Ok(signer(source)?.address())
}

fn from_environment() -> Result<Option<PrivateKeySigner>, Failure> {
    match env::var(PRIVATE_KEY) {
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(not_a_key()),
        Ok(text) => parse(&text).map(Some),
    }
}

/// The error doesn't repeat the text: it may be a key with one digit too many.
fn parse(text: &str) -> Result<PrivateKeySigner, Failure> {
    let key: B256 = text.trim().parse().map_err(|_| not_a_key())?;
    PrivateKeySigner::from_bytes(&key).map_err(|_| not_a_key())
}

fn not_a_key() -> Failure {
    Failure::input(format!("{PRIVATE_KEY} holds no private key: expected 32 bytes as 64 hexadecimal digits"))
}

fn from_keystore(file: &Path) -> Result<PrivateKeySigner, Failure> {
    let name = file.display();
    if !file.is_file() {
        return Err(Failure::input(format!("the keystore {name} is not a file")));
    }
    let password = password(file)?;
    PrivateKeySigner::decrypt_keystore(file, password.as_bytes()).map_err(|error| {
        Failure::input(format!("the keystore {name} can't be opened ({error}): check the password and the file"))
    })
}

fn password(keystore: &Path) -> Result<String, Failure> {
    if let Some(file) = env::var_os(PASSWORD_FILE) {
        let text = fs::read_to_string(&file).map_err(|error| {
            Failure::input(format!("{PASSWORD_FILE} names {}, which can't be read: {error}", file.display()))
        })?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    rpassword::prompt_password(format!("Password of {}: ", keystore.display())).map_err(|error| {
        Failure::input(format!(
            "no terminal to ask for the password ({error}): set {PASSWORD_FILE} to a file that holds it"
        ))
    })
}

#[derive(Deserialize)]
struct KeystoreAddress {
    address: String,
}

fn address_in_keystore(file: &Path) -> Option<Address> {
    let text = fs::read_to_string(file).ok()?;
    serde_json::from_str::<KeystoreAddress>(&text).ok()?.address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_not_repeated_in_the_error() {
        for text in ["", "0x12", "dont-tell-anyone", &"f".repeat(64), &"0".repeat(64), &"1".repeat(65)] {
            let error = parse(text).unwrap_err().to_string();
            assert!(text.len() < 3 || !error.contains(text), "{error}");
        }
        assert!(parse(&format!("0x{}\n", "11".repeat(32))).is_ok());
        assert!(parse(&"11".repeat(32)).is_ok());
    }

    /// Key and password of the Web3 Secret Storage definition's test vector, with fewer rounds.
    const KEYSTORE: &str = include_str!("../tests/cli/keystore.json");

    #[test]
    fn a_keystore_tells_its_address_and_opens_with_its_password_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.json");
        fs::write(&file, KEYSTORE).unwrap();
        let address = address_in_keystore(&file).unwrap();
        let signer = PrivateKeySigner::decrypt_keystore(&file, "testpassword").unwrap();
        assert_eq!(signer.address(), address);
        assert!(PrivateKeySigner::decrypt_keystore(&file, "wrong").is_err());
    }
}
