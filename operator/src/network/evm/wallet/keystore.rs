//! Web3 Secret Storage, version 3: a key encrypted with a password.
//!
//! <https://ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage>

use std::{io::Write, os::fd::AsRawFd};

use alloy::signers::local::{LocalSignerError, PrivateKeySigner};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{WalletError, WalletKey};

/// Longest file that is read, in bytes. Keystores have about 500, and a pipe takes this many at once everywhere.
const LONGEST: usize = 4096;
/// Most memory that scrypt may take (128 N r bytes). What wallets write takes this much or less.
const MOST_MEMORY: u64 = 256 << 20;
/// Most work that scrypt may take (N r p): four times what wallets write.
const MOST_WORK: u64 = 1 << 23;
/// Most rounds of PBKDF2: 38 times what the definition's example has.
const MOST_ROUNDS: u64 = 10_000_000;

impl WalletKey {
    /// Opens a keystore. Takes a second and up to 256 MiB, on a thread of its own.
    ///
    /// The key and the password are overwritten in memory; what the decryption derives from them is freed by the
    /// library without that.
    ///
    /// # Errors
    /// The file is no keystore of version 3 or asks for too much memory or work; the password is wrong; the key is none.
    pub async fn from_keystore(file: Zeroizing<Vec<u8>>, password: Zeroizing<Vec<u8>>) -> Result<Self, WalletError> {
        let opened = tokio::task::spawn_blocking(move || open(&file, without_line_end(&password))).await;
        opened.unwrap_or_else(|_| Err(WalletError::Keystore("its decryption stopped half way".to_owned())))
    }
}

fn open(file: &[u8], password: &[u8]) -> Result<WalletKey, WalletError> {
    check(file).map_err(WalletError::Keystore)?;
    match decrypt(file, password) {
        Ok(key) => Ok(WalletKey(key)),
        Err(LocalSignerError::EcdsaError(_)) => Err(WalletError::NotAKey),
        Err(error) if error.to_string() == "Mac Mismatch" => Err(WalletError::WrongPassword),
        // Its words may repeat what stands in the file.
        Err(_) => Err(WalletError::Keystore("it can't be decrypted: id or salt may be missing".to_owned())),
    }
}

/// The library wants a file's name. A pipe has one, and nothing is written to a disk.
fn decrypt(file: &[u8], password: &[u8]) -> Result<PrivateKeySigner, LocalSignerError> {
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(file)?;
    drop(writer);
    PrivateKeySigner::decrypt_keystore(format!("/dev/fd/{}", reader.as_raw_fd()), password)
}

fn without_line_end(password: &[u8]) -> &[u8] {
    let end = password.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &password[..end]
}

#[derive(Deserialize)]
struct File {
    version: u64,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// Parameters of scrypt (`n`, `r`, `p`) and of PBKDF2 (`c`, `prf`).
#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
    c: Option<u64>,
    prf: Option<String>,
}

/// Whether the file can be decrypted with bounded means. Its words repeat nothing of the file but names and numbers
/// where they belong: what stands there may be a bare key.
fn check(file: &[u8]) -> Result<(), String> {
    if file.len() > LONGEST {
        return Err(format!("it has {} bytes, and a keystore has at most {LONGEST}", file.len()));
    }
    let file: File = serde_json::from_slice(file).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        format!("it is not the JSON of a keystore of version 3 (what is wrong is at {place})")
    })?;
    if file.version != 3 {
        return Err(format!("its version is {}, and 3 is read", file.version));
    }
    let crypto = file.crypto;
    if crypto.cipher != "aes-128-ctr" {
        return Err("its cipher is not aes-128-ctr".to_owned());
    }
    for (field, digits, text) in [
        ("cipherparams.iv", 32, &crypto.cipherparams.iv),
        ("ciphertext", 64, &crypto.ciphertext),
        ("mac", 64, &crypto.mac),
    ] {
        if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("its {field} is not {digits} hexadecimal digits"));
        }
    }
    if crypto.kdfparams.dklen != 32 {
        return Err(format!("its dklen is {}, and 32 is read", crypto.kdfparams.dklen));
    }
    match crypto.kdf.as_str() {
        "scrypt" => check_scrypt(&crypto.kdfparams),
        "pbkdf2" => check_pbkdf2(&crypto.kdfparams),
        _ => Err("its kdf is neither scrypt nor pbkdf2".to_owned()),
    }
}

fn check_scrypt(params: &KdfParams) -> Result<(), String> {
    let (Some(n), Some(r), Some(p), None) = (params.n, params.r, params.p, params.c) else {
        return Err("scrypt needs n, r and p, and nothing of pbkdf2".to_owned());
    };
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 || u64::from(n.ilog2()) >= r.saturating_mul(16) {
        return Err(format!("n={n}, r={r}, p={p} are no parameters of scrypt (RFC 7914)"));
    }
    let memory = n.saturating_mul(r).saturating_mul(128);
    if memory > MOST_MEMORY || n.saturating_mul(r).saturating_mul(p) > MOST_WORK {
        let most = MOST_MEMORY >> 20;
        return Err(format!(
            "n={n}, r={r}, p={p} take more than {most} MiB, or too long: create it again with n=262144"
        ));
    }
    Ok(())
}

fn check_pbkdf2(params: &KdfParams) -> Result<(), String> {
    match (params.c, params.prf.as_deref()) {
        (Some(1..=MOST_ROUNDS), Some("hmac-sha256")) => Ok(()),
        _ => Err(format!("pbkdf2 needs c from 1 to {MOST_ROUNDS} and the prf hmac-sha256")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The key that the definition's test vectors hold, and their password.
    const KEY: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    const PASSWORD: &[u8] = b"testpassword";

    /// The example of web3.js (`eth.accounts.encrypt`), with what Geth writes too: N=2^18, r=8, p=1. Its password is
    /// `test!`. The definition's own vector for scrypt breaks RFC 7914 (N < 2^(16 r)).
    fn scrypt() -> Value {
        json!({
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": {"iv": "2885df2b63f7ef247d753c82fa20038a"},
                "ciphertext": "a1c25da3ecde4e6a24f3697251dd15d6208520efc84ad97397e906e6df24d251",
                "kdf": "scrypt",
                "kdfparams": {
                    "dklen": 32, "n": 262_144, "r": 8, "p": 1,
                    "salt": "4531b3c174cc3ff32a6a7a85d6761b410db674807b2d216d022318ceee50be10"
                },
                "mac": "b8b010fff37f9ae5559a352a185e86f9b9c1d7f7a9f1bd4e82a5dd35468fc7f6"
            },
            "id": "04e9bcbb-96fa-497b-94d1-14df4cd20af6",
            "version": 3
        })
    }

    /// The definition's test vector for PBKDF2, with a thousand rounds.
    fn pbkdf2() -> Value {
        serde_json::from_str(include_str!("../../../../../cli/tests/cli/keystore.json")).unwrap()
    }

    async fn opened(file: &[u8], password: &[u8]) -> Result<WalletKey, WalletError> {
        WalletKey::from_keystore(Zeroizing::new(file.to_vec()), Zeroizing::new(password.to_vec())).await
    }

    #[tokio::test]
    async fn published_keystores_open_with_their_password_with_or_without_a_line_end() {
        let address = WalletKey::from_hex(KEY.as_bytes()).unwrap().address();
        for password in ["testpassword", "testpassword\n", "testpassword\r\n"] {
            let key = opened(pbkdf2().to_string().as_bytes(), password.as_bytes()).await.unwrap();
            assert_eq!(key.address(), address, "{password:?}");
        }
        let key = opened(scrypt().to_string().as_bytes(), b"test!").await.unwrap();
        assert_eq!(key.address().to_string().to_lowercase(), "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_from_a_broken_file_and_repeated_nowhere() {
        let file = pbkdf2().to_string();
        for wrong in ["wrong", "", " testpassword", "testpassword\n\n x"] {
            let error = opened(file.as_bytes(), wrong.as_bytes()).await.unwrap_err();
            assert_eq!(error, WalletError::WrongPassword, "{wrong:?}");
        }
    }

    #[test]
    fn a_keystore_that_cannot_be_read_or_asks_for_too_much_is_refused_before_it_is_tried() {
        let cases: [(&str, Value, &str); 15] = [
            ("/version", json!(1), "its version is 1"),
            ("/crypto/cipher", json!("aes-256-gcm"), "cipher is not aes-128-ctr"),
            ("/crypto/cipherparams/iv", json!("83"), "iv is not 32 hexadecimal digits"),
            ("/crypto/ciphertext", json!("zz".repeat(32)), "ciphertext is not 64 hexadecimal digits"),
            ("/crypto/mac", json!(""), "mac is not 64"),
            ("/crypto/kdf", json!("argon2id"), "neither scrypt nor pbkdf2"),
            ("/crypto/kdf", json!("pbkdf2"), "pbkdf2 needs c"),
            ("/crypto/kdfparams/dklen", json!(16), "dklen is 16"),
            ("/crypto/kdfparams/n", json!(0), "no parameters of scrypt"),
            ("/crypto/kdfparams/n", json!(262_143), "no parameters of scrypt"),
            ("/crypto/kdfparams/n", json!(1_u64 << 40), "take more than 256 MiB"),
            ("/crypto/kdfparams/r", json!(u64::MAX), "take more than 256 MiB"),
            ("/crypto/kdfparams/p", json!(1 << 20), "or too long"),
            ("/crypto/kdfparams/r", json!(0), "no parameters of scrypt"),
            ("/crypto/kdfparams/r", json!(1), "no parameters of scrypt"),
        ];
        for (path, value, words) in cases {
            let mut file = scrypt();
            *file.pointer_mut(path).unwrap() = value;
            let said = check(file.to_string().as_bytes()).unwrap_err();
            assert!(said.contains(words), "{path}: {said}");
        }
        assert!(check(&[b' '; LONGEST + 1]).unwrap_err().contains("4097 bytes"));
        assert_eq!(check(scrypt().to_string().as_bytes()), Ok(()));
    }

    #[tokio::test]
    async fn a_bare_key_in_the_place_of_the_keystore_is_refused_and_not_repeated() {
        let mut no_id = pbkdf2();
        no_id["id"] = json!(KEY);
        for text in [KEY.to_owned(), format!("0x{KEY}"), format!("\"{KEY}\""), format!("{{\"version\":\"{KEY}\"}}")] {
            let error = opened(text.as_bytes(), PASSWORD).await.unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(matches!(error, WalletError::Keystore(_)) && !said.contains(&KEY[..8]), "{said}");
        }
        let error = opened(no_id.to_string().as_bytes(), PASSWORD).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&KEY[..8]), "{error}");
    }
}
