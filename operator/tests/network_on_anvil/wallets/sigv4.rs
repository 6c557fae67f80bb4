//! AWS' Signature Version 4, written once more from its description, to check what the operator sends.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use alloy::hex;
use sha2::{Digest, Sha256};

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    assert!(key.len() <= 64, "keys of more than a block are not needed here");
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(block, key)| *block ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// The signature of a request to the path `/` without a query. `headers`: those that are signed, in their order.
/// `scope`: `date/region/service/aws4_request`.
pub fn signature(method: &str, headers: &[(&str, &str)], body: &[u8], time: &str, scope: &str, secret: &str) -> String {
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}:{}", value.trim())).collect();
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    let canonical =
        format!("{method}\n/\n\n{}\n\n{}\n{}", lines.join("\n"), names.join(";"), hex::encode(Sha256::digest(body)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| hmac(&key, part.as_bytes()).to_vec());
    hex::encode(hmac(&key, to_sign.as_bytes()))
}

/// `get-vanilla` and `post-vanilla` of the published `aws-sig-v4-test-suite`.
#[test]
fn the_published_vectors_are_met() {
    let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
    let scope = "20150830/us-east-1/service/aws4_request";
    for (method, expected) in [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ] {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert_eq!(signature(method, &headers, b"", "20150830T123600Z", scope, secret), expected);
    }
}
