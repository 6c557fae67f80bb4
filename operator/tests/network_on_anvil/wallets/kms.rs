//! A key in KMS (a double of it).

use std::process::Stdio;

use alloy::signers::local::PrivateKeySigner;
use axum::http::StatusCode;
use hawser_operator::network::evm::{Action, AwsKeys, KmsKey, KmsSpec, Wallet, WalletError};
use zeroize::Zeroizing;

use super::{
    kms_double::{Kms, keys},
    posts_starts_and_claims, trouble, waits,
};
use crate::node::{Node, OPERATOR, assert_mined, signer, start_with};

async fn connect(spec: KmsSpec) -> Wallet {
    Wallet::AwsKms(KmsKey::connect(spec, Some(keys())).await.unwrap())
}

#[tokio::test]
async fn a_key_in_kms_posts_starts_and_claims() {
    let (node, kms) = (Node::start().await, Kms::start(signer(OPERATOR)).await);
    posts_starts_and_claims(&node, connect(kms.spec()).await).await;
    assert_eq!((kms.asked_for_key(), kms.signed()), (1, 3), "one signature for each transaction");
}

#[tokio::test]
async fn a_key_whose_address_is_known_is_not_asked_for_it_and_signs_only_as_that_address() {
    let (node, kms) = (Node::start().await, Kms::start(signer(OPERATOR)).await);
    connect(KmsSpec { address: Some(signer(OPERATOR).address()), ..kms.spec() }).await;
    assert_eq!(kms.asked_for_key(), 0);

    let (kms, wallet) = (Kms::start(PrivateKeySigner::random()).await, signer(OPERATOR).address());
    let (network, _stop) = start_with(node.spec(), connect(KmsSpec { address: Some(wallet), ..kms.spec() }).await);
    let action = Action::SetOffer(node.post());
    network.request(action.clone());
    waits(&node, &network, &action, &format!("the signature is not one of the key of {wallet}")).await;
    trouble(&node, &network, Some("SignerMismatch")).await;
    assert_eq!(node.nonce(wallet).await, 0);
}

#[tokio::test]
async fn kms_that_says_no_or_not_now_keeps_actions_waiting_until_it_signs() {
    let (node, kms) = (Node::start().await, Kms::start(signer(OPERATOR)).await);
    let (network, _stop) = start_with(node.spec(), connect(kms.spec()).await);
    let action = Action::SetOffer(node.post());
    let denied = (StatusCode::BAD_REQUEST, "AccessDeniedException");
    let throttled = (StatusCode::BAD_REQUEST, "ThrottlingException");
    let broken = (StatusCode::INTERNAL_SERVER_ERROR, "KMSInternalException");
    for ((status, kind), reason) in
        [(denied, "SignerRefused"), (throttled, "SignerUnavailable"), (broken, "SignerUnavailable")]
    {
        *kms.error.lock().unwrap() = Some((status, kind));
        network.request(action.clone());
        waits(&node, &network, &action, &format!("{kind} the double says {kind}")).await;
        trouble(&node, &network, Some(reason)).await;
    }
    *kms.error.lock().unwrap() = None;
    assert_mined(&node.until_mining(&network, &action.key()).await);
    trouble(&node, &network, None).await;
    assert_eq!(node.nonce(signer(OPERATOR).address()).await, 1, "sent once");
}

#[tokio::test]
async fn kms_that_cannot_be_reached_or_does_not_know_key_or_credentials_gives_no_wallet() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kms = Kms::start(signer(OPERATOR)).await;
    let of = |id: &str, secret: &str| {
        Some(AwsKeys { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()), token: None })
    };
    let nobody = KmsSpec { endpoint: "http://127.0.0.1:1".parse().unwrap(), ..kms.spec() };
    let other_key = KmsSpec { key_id: "alias/other".to_owned(), ..kms.spec() };
    let other_region = KmsSpec { region: "us-east-1".to_owned(), ..kms.spec() };
    for (spec, keys, refuses, words) in [
        (nobody, Some(keys()), false, "refused"),
        (other_key, Some(keys()), true, "NotFoundException"),
        (other_region, Some(keys()), true, "InvalidSignatureException"),
        (kms.spec(), of("AKIDEXAMPLE", "wrong-secret"), true, "InvalidSignatureException"),
        (kms.spec(), of("AKID\nEXAMPLE", "wrong-secret"), false, "white space"),
    ] {
        let error: WalletError = KmsKey::connect(spec, keys).await.unwrap_err();
        let said = error.to_string();
        let expected = match error {
            WalletError::Refused { .. } => refuses,
            WalletError::Unavailable { .. } => !refuses,
            _ => false,
        };
        assert!(expected && said.contains(words), "{said}");
        assert!(!said.contains("wrong-secret") && !said.contains("wJalr"), "{said}");
    }
}

/// Where no credentials are named, they are those of the pod: here from the endpoint that EKS and ECS give to containers,
/// with a session. In a process of its own, because the environment belongs to the process.
#[tokio::test]
async fn without_named_credentials_the_pods_own_are_used() {
    let kms = Kms::start(signer(OPERATOR)).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wallets::kms::in_a_pod", "--ignored", "--nocapture"])
        .env_clear()
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", kms.url))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token)
        .env("KMS_DOUBLE", &kms.url)
        .stdin(Stdio::null())
        .output();
    let output = child.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(kms.asked_for_key(), 1);
}

#[tokio::test]
#[ignore = "run by without_named_credentials_the_pods_own_are_used, with the environment of a pod"]
async fn in_a_pod() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = std::env::var("KMS_DOUBLE").expect("set by the test that runs this one").parse().unwrap();
    let (key_id, region) = (super::kms_double::KEY_ID.to_owned(), "eu-central-1".to_owned());
    let spec = KmsSpec { key_id, region, endpoint, address: None };
    let key = Wallet::AwsKms(KmsKey::connect(spec, None).await.unwrap());
    assert_eq!(key.address(), signer(OPERATOR).address());
}
