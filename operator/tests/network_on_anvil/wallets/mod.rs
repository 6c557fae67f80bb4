//! Each kind of wallet, in a whole line of actions and with a signer that is away, says no or lies.

mod kms;
mod kms_double;
mod remote;
mod sigv4;

use alloy::signers::{k256::elliptic_curve::rand_core::OsRng, local::PrivateKeySigner};
use hawser_operator::network::evm::{Action, ActionState, EvmNetwork, GpuSeconds, Wallet, WalletError, WalletKey};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    lifecycle::{claim, open},
    node::{Node, OPERATOR, assert_mined, signer, start_with},
};

/// Posts an offer, starts a job and is paid for it: whatever the operator's wallet has to sign.
async fn posts_starts_and_claims(node: &Node, wallet: Wallet) {
    assert_eq!(wallet.address(), signer(OPERATOR).address());
    let (network, _stop) = start_with(node.spec(), wallet);
    let job = open(node, &network, 1).await;
    let attestor = PrivateKeySigner::random();
    assert_mined(&node.done(&network, Action::Start { job, attestor: attestor.address() }).await);
    node.rpc("evm_increaseTime", json!([60])).await;
    node.mine(1).await;
    assert_mined(&node.done(&network, Action::Claim(claim(&network, &attestor, job, 100))).await);
    assert_eq!(network.job(job).await.unwrap().used, GpuSeconds(100));
    assert_eq!(network.observed().borrow().signer_trouble, None);
}

/// Mines until an action waits with these words.
async fn waits(node: &Node, network: &EvmNetwork, action: &Action, words: &str) {
    node.until(&format!("it waits because {words}"), async || {
        node.mine(1).await;
        match network.action(&action.key())? {
            ActionState::Queued { waiting: Some(why) } => why.contains(words).then_some(()),
            ActionState::Queued { waiting: None } => None,
            other => panic!("it doesn't wait: {other:?}"),
        }
    })
    .await;
}

/// Mines until the trouble with the signer has this reason; none: until there is none.
/// The word for it, as conditions have it.
fn word(error: &WalletError) -> &'static str {
    match error {
        WalletError::Unavailable { .. } => "SignerUnavailable",
        WalletError::Refused { .. } => "SignerRefused",
        WalletError::Mismatch { .. } => "SignerMismatch",
        _ => "Invalid",
    }
}

async fn trouble(node: &Node, network: &EvmNetwork, reason: Option<&str>) {
    node.until(&format!("the signer's trouble is {reason:?}"), async || {
        node.mine(1).await;
        let observed = network.observed();
        let found = observed.borrow().signer_trouble.as_ref().map(word);
        (found == reason).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_out_of_an_encrypted_keystore_posts_starts_and_claims() {
    let node = Node::start().await;
    let folder = tempfile::tempdir().unwrap();
    let key = signer(OPERATOR).to_bytes();
    let password = "correct horse battery staple";
    PrivateKeySigner::encrypt_keystore(folder.path(), &mut OsRng, key, password, Some("keystore.json")).unwrap();
    let file = Zeroizing::new(std::fs::read(folder.path().join("keystore.json")).unwrap());
    let password = Zeroizing::new(format!("{password}\n").into_bytes());
    let key = WalletKey::from_keystore(file, password).await.unwrap();
    posts_starts_and_claims(&node, key.into()).await;
}
