//! A signer that answers `eth_signTransaction`: Web3signer in its mode eth1, Clef, a node's own accounts.

use std::fmt;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::Decodable2718,
    primitives::{Address, Bytes, TxKind, U64, U128, hex},
};
use hawser_evm::methods;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{WalletError, web};

/// A signer behind a URL. What it answers is checked, so it can withhold signatures and nothing else.
#[derive(Clone)]
pub struct RemoteSigner {
    http: Client,
    url: Url,
    address: Address,
    label: String,
}

impl RemoteSigner {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(url: Url, address: Address) -> Result<Self, WalletError> {
        let label = format!("the signer at {}", hawser_evm::label(&url));
        match web::client() {
            Ok(http) => Ok(Self { http, url, address, label }),
            Err(error) => Err(WalletError::Unavailable { signer: label, why: web::cause(&error) }),
        }
    }

    pub(super) const fn address(&self) -> Address {
        self.address
    }

    /// Has a transaction signed, and checks what comes back.
    ///
    /// # Errors
    /// Where the signer does not answer, refuses, or signs something else.
    pub async fn sign(&self, tx: TxEip1559) -> Result<TxEnvelope, WalletError> {
        let signer = || self.label.clone();
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": methods::SIGN_TRANSACTION, "params": [parameters(&tx, self.address)],
        });
        let (status, body) =
            self.ask(&request).await.map_err(|why| WalletError::Unavailable { signer: signer(), why })?;
        let raw = match read(status, &body) {
            SignerResponse::Raw(raw) => raw,
            SignerResponse::Later(why) => return Err(WalletError::Unavailable { signer: signer(), why }),
            SignerResponse::No(why) => return Err(WalletError::Refused { signer: signer(), why }),
            SignerResponse::Nonsense(why) => {
                return Err(WalletError::Mismatch { signer: signer(), why: why.to_owned() });
            }
        };
        check(&raw, &tx, self.address).map_err(|why| WalletError::Mismatch { signer: signer(), why })
    }

    async fn ask(&self, request: &Value) -> Result<(StatusCode, Vec<u8>), String> {
        let response = self.http.post(self.url.clone()).json(request).send().await.map_err(|e| web::cause(&e))?;
        Ok((response.status(), web::body(response).await?))
    }
}

impl fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSigner({}, {})", self.label, self.address)
    }
}

/// The transaction as JSON-RPC writes it. `data` and not `input`: Web3signer reads that name only. It takes the chain's
/// id from its own command line and passes over ours.
fn parameters(tx: &TxEip1559, from: Address) -> Value {
    json!({
        "from": from,
        "to": tx.to.to(),
        "gas": U64::from(tx.gas_limit),
        "maxFeePerGas": U128::from(tx.max_fee_per_gas),
        "maxPriorityFeePerGas": U128::from(tx.max_priority_fee_per_gas),
        "value": tx.value,
        "nonce": U64::from(tx.nonce),
        "data": tx.input,
        "chainId": U64::from(tx.chain_id),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum SignerResponse {
    /// A raw signed transaction, if it is what was asked for.
    Raw(Bytes),
    /// It can't now.
    Later(String),
    /// It won't.
    No(String),
    /// Not JSON-RPC, or not a transaction.
    Nonsense(&'static str),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    result: Option<Value>,
    error: Option<Problem>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: i64,
    message: String,
}

/// Reads an answer: the result is the raw transaction in hex (Web3signer, Anvil) or an object that has it as `raw`
/// (Geth, Clef). Signers put errors of JSON-RPC under several statuses of HTTP.
fn read(status: StatusCode, body: &[u8]) -> SignerResponse {
    let reply: Reply = serde_json::from_slice(body).unwrap_or_default();
    if let Some(Problem { code, message }) = reply.error {
        let words = web::words(&format!("error {code}: {message}"));
        return if status.is_server_error() { SignerResponse::Later(words) } else { SignerResponse::No(words) };
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return SignerResponse::Later(format!("it answers {status}"));
    }
    if !status.is_success() {
        return SignerResponse::No(format!("it answers {status}"));
    }
    let Some(result) = reply.result else { return SignerResponse::Nonsense("the answer is not one of JSON-RPC") };
    let raw = result.get("raw").unwrap_or(&result).as_str();
    match raw.and_then(|raw| hex::decode(raw).ok()) {
        Some(raw) => SignerResponse::Raw(raw.into()),
        None => SignerResponse::Nonsense("the result is neither a raw transaction nor an object that has one as raw"),
    }
}

/// The transaction that came back, if it is in every field the one that was asked for, and signed by this address.
fn check(raw: &[u8], asked: &TxEip1559, address: Address) -> Result<TxEnvelope, String> {
    let signed = TxEnvelope::decode_2718_exact(raw).map_err(|_| "the result is not one encoded transaction")?;
    let TxEnvelope::Eip1559(inner) = &signed else {
        return Err(format!("the transaction is of the type {}, and not EIP-1559", signed.tx_type()));
    };
    let got = inner.tx();
    if let Some(difference) = difference(asked, got) {
        return Err(difference);
    }
    if inner.signature().normalize_s().is_some() {
        return Err("the signature has the higher of the two values of s, which chains refuse (EIP-2)".to_owned());
    }
    // Over what was asked, not over what came: were they not the same, no address would be right.
    let hash = asked.signature_hash();
    match inner.signature().recover_address_from_prehash(&hash) {
        Ok(by) if by == address => Ok(signed),
        Ok(by) => Err(format!("it is signed by {by}, and not by {address}")),
        Err(_) => Err("its signature is invalid".to_owned()),
    }
}

/// Whom a transaction calls, in words.
fn recipient(to: TxKind) -> String {
    to.to().map_or_else(|| "nobody (a new contract)".to_owned(), Address::to_string)
}

/// The first field in which they differ, in words.
fn difference(asked: &TxEip1559, got: &TxEip1559) -> Option<String> {
    let fields = [
        ("chainId", asked.chain_id.to_string(), got.chain_id.to_string()),
        ("nonce", asked.nonce.to_string(), got.nonce.to_string()),
        ("to", recipient(asked.to), recipient(got.to)),
        ("value", asked.value.to_string(), got.value.to_string()),
        ("gas", asked.gas_limit.to_string(), got.gas_limit.to_string()),
        ("maxFeePerGas", asked.max_fee_per_gas.to_string(), got.max_fee_per_gas.to_string()),
        ("maxPriorityFeePerGas", asked.max_priority_fee_per_gas.to_string(), got.max_priority_fee_per_gas.to_string()),
    ];
    if let Some((field, asked, got)) = fields.into_iter().find(|(_, asked, got)| asked != got) {
        return Some(format!("its {field} is {got}, and {asked} was asked for"));
    }
    if asked.input != got.input {
        return Some("its data is not what was asked for".to_owned());
    }
    if asked.access_list != got.access_list {
        return Some("its access list is not what was asked for".to_owned());
    }
    (asked != got).then(|| "it is not the transaction that was asked for".to_owned())
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::{Signed, TxEip2930},
        eips::{Encodable2718, eip2930::AccessListItem},
        primitives::{B256, Signature, U256},
        signers::{SignerSync, local::PrivateKeySigner},
    };

    use super::*;

    fn key() -> PrivateKeySigner {
        PrivateKeySigner::from_slice(&[7; 32]).unwrap()
    }

    fn tx() -> TxEip1559 {
        TxEip1559 {
            chain_id: 31337,
            nonce: 5,
            gas_limit: 100_000,
            max_fee_per_gas: 30,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(Address::repeat_byte(1)),
            input: Bytes::from_static(&[1, 2, 3]),
            ..TxEip1559::default()
        }
    }

    fn signed<T>(tx: T, key: &PrivateKeySigner) -> Vec<u8>
    where
        T: SignableTransaction<Signature>,
        TxEnvelope: From<Signed<T>>,
    {
        let signature = key.sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
    }

    #[test]
    fn the_transaction_that_was_asked_for_is_taken() {
        let taken = check(&signed(tx(), &key()), &tx(), key().address()).unwrap();
        assert_eq!(taken.encoded_2718(), signed(tx(), &key()));
    }

    #[test]
    fn a_transaction_that_differs_in_any_field_is_refused_and_the_field_is_named() {
        type Spoil = fn(&mut TxEip1559);
        let cases: [(Spoil, &str); 9] = [
            (|tx| tx.chain_id = 1, "its chainId is 1, and 31337 was asked for"),
            (|tx| tx.nonce = 6, "its nonce is 6, and 5 was asked for"),
            (|tx| tx.to = TxKind::Call(Address::repeat_byte(2)), "its to is 0x0202"),
            (|tx| tx.to = TxKind::Create, "its to is nobody (a new contract), and 0x0101"),
            (|tx| tx.value = U256::ONE, "its value is 1, and 0 was asked for"),
            (|tx| tx.gas_limit = 21_000, "its gas is 21000"),
            (|tx| tx.max_fee_per_gas = 31, "its maxFeePerGas is 31"),
            (|tx| tx.max_priority_fee_per_gas = 3, "its maxPriorityFeePerGas is 3"),
            (|tx| tx.input = Bytes::from_static(&[1, 2]), "its data is not"),
        ];
        for (spoil, words) in cases {
            let mut other = tx();
            spoil(&mut other);
            let said = check(&signed(other, &key()), &tx(), key().address()).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        let mut other = tx();
        other.access_list.0.push(AccessListItem { address: Address::ZERO, storage_keys: vec![B256::ZERO] });
        assert!(check(&signed(other, &key()), &tx(), key().address()).unwrap_err().contains("access list"));
    }

    #[test]
    fn what_is_signed_by_another_key_or_is_no_such_transaction_is_refused() {
        let stranger = PrivateKeySigner::from_slice(&[8; 32]).unwrap();
        let said = check(&signed(tx(), &stranger), &tx(), key().address()).unwrap_err();
        assert!(said.contains(&format!("signed by {}", stranger.address())), "{said}");

        let signature = key().sign_hash_sync(&tx().signature_hash()).unwrap();
        let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
        let high = Signature::new(signature.r(), order - signature.s(), !signature.v());
        let high = TxEnvelope::from(tx().into_signed(high)).encoded_2718();
        assert!(check(&high, &tx(), key().address()).unwrap_err().contains("EIP-2"));

        let longer = [signed(tx(), &key()), vec![0]].concat();
        for raw in [Vec::new(), vec![2], longer] {
            assert!(check(&raw, &tx(), key().address()).unwrap_err().contains("not one encoded transaction"));
        }
        let other_type = TxEip2930 { chain_id: 31337, nonce: 5, ..TxEip2930::default() };
        let said = check(&signed(other_type, &key()), &tx(), key().address()).unwrap_err();
        assert!(said.contains("and not EIP-1559"), "{said}");
    }

    #[test]
    fn both_shapes_of_an_answer_are_read_and_errors_are_told_apart() {
        let (ok, raw) = (StatusCode::OK, || SignerResponse::Raw(Bytes::from_static(&[2, 0xab])));
        let locked = r#"{"error":{"code":-32000,"message":"signing\nfrom not an unlocked account"}}"#;
        for (status, body, expected) in [
            (ok, r#"{"jsonrpc":"2.0","id":1,"result":"0x02ab"}"#, raw()),
            (ok, r#"{"id":1,"result":{"raw":"0x02ab","tx":{"nonce":"0x1"}}}"#, raw()),
            (ok, locked, SignerResponse::No("error -32000: signing from not an unlocked account".to_owned())),
            (
                StatusCode::BAD_REQUEST,
                locked,
                SignerResponse::No("error -32000: signing from not an unlocked account".to_owned()),
            ),
            (
                StatusCode::BAD_GATEWAY,
                locked,
                SignerResponse::Later("error -32000: signing from not an unlocked account".to_owned()),
            ),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "away",
                SignerResponse::Later("it answers 503 Service Unavailable".to_owned()),
            ),
            (StatusCode::FORBIDDEN, "", SignerResponse::No("it answers 403 Forbidden".to_owned())),
            (ok, "<html>", SignerResponse::Nonsense("the answer is not one of JSON-RPC")),
            (ok, r#"{"result":null}"#, SignerResponse::Nonsense("the answer is not one of JSON-RPC")),
            (
                ok,
                r#"{"result":{"tx":{}}}"#,
                SignerResponse::Nonsense("the result is neither a raw transaction nor an object that has one as raw"),
            ),
        ] {
            assert_eq!(read(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_transaction_is_asked_for_in_the_words_of_json_rpc() {
        let expected = json!({
            "from": "0x0202020202020202020202020202020202020202",
            "to": "0x0101010101010101010101010101010101010101",
            "gas": "0x186a0", "maxFeePerGas": "0x1e", "maxPriorityFeePerGas": "0x2", "value": "0x0",
            "nonce": "0x5", "data": "0x010203", "chainId": "0x7a69",
        });
        assert_eq!(parameters(&tx(), Address::repeat_byte(2)), expected);
    }

    #[test]
    fn the_urls_secrets_are_not_printed() {
        let url = "https://user:word@signer.example.org:9000/path?token=1".parse().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shown = format!("{:?}", RemoteSigner::new(url, Address::ZERO).unwrap());
        assert!(shown.contains("the signer at https://signer.example.org:9000,"), "{shown}");
    }
}
