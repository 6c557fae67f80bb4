//! From `spec.evm` and the Secrets that it names to what signs, and to the endpoints where these are secret too.

use std::borrow::Cow;

use hawser_crds::{AwsKms, EvmNetwork, Keystore, RpcUrlsRef, SecretKeyRef, Web3signer};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use zeroize::{Zeroize, Zeroizing};

use super::super::source::{Opening, refused};
use super::super::status::Startup;
use super::endpoints;
use crate::controllers::{Error, Tried};
use crate::network::evm::{
    AwsKeys, EvmSpec, KmsKey, KmsSpec, RemoteSigner, RpcHeaders, Wallet, WalletKey, address, http_url, prepare,
};
use crate::network::{SignerFault, SpecError};
use crate::reasons::Reason;

/// A value of a Secret; overwritten in memory when it is dropped.
type Value = Zeroizing<Vec<u8>>;

/// One of the four kinds of wallet, as it is written.
#[derive(Clone, Copy)]
enum WalletKind<'a> {
    Key(&'a SecretKeyRef),
    Keystore(&'a Keystore),
    AwsKms(&'a AwsKms),
    Web3signer(&'a Web3signer),
}

/// A wallet as it is written, with what its Secrets hold.
pub(crate) struct Source<'a> {
    evm: &'a EvmNetwork,
    kind: WalletKind<'a>,
    /// In the order of [`WalletKind::wanted`].
    secrets: Vec<Option<Value>>,
    /// Endpoints out of a Secret, and where they stand.
    urls: Option<(Value, String)>,
}

/// A key of a Secret.
struct Wanted<'a> {
    name: &'a str,
    key: &'a str,
    /// Without it there is no wallet.
    needed: bool,
}

impl<'a> WalletKind<'a> {
    fn of(wallet: &'a hawser_crds::Wallet) -> Result<Self, Startup> {
        match (&wallet.secret_ref, &wallet.keystore, &wallet.aws_kms, &wallet.web3signer) {
            (Some(key), None, None, None) => Ok(Self::Key(key)),
            (None, Some(keystore), None, None) => Ok(Self::Keystore(keystore)),
            (None, None, Some(kms), None) => Ok(Self::AwsKms(kms)),
            (None, None, None, Some(signer)) => Ok(Self::Web3signer(signer)),
            _ => Err(refused(
                Reason::InvalidSpec,
                "spec.evm.wallet needs exactly one of secretRef, keystore, awsKms and web3signer",
            )),
        }
    }

    fn wanted(self) -> Vec<Wanted<'a>> {
        match self {
            Self::Key(SecretKeyRef { name, key }) => vec![Wanted { name, key, needed: true }],
            Self::Keystore(Keystore { secret_ref: file, password_secret_ref: password }) => vec![
                Wanted { name: &file.name, key: &file.key, needed: true },
                Wanted { name: &password.name, key: &password.key, needed: true },
            ],
            Self::AwsKms(kms) => {
                let keys = [("AWS_ACCESS_KEY_ID", true), ("AWS_SECRET_ACCESS_KEY", true), ("AWS_SESSION_TOKEN", false)];
                let credentials = kms.credentials_secret_ref.as_ref();
                let of = |name| keys.map(|(key, needed)| Wanted { name, key, needed });
                credentials.into_iter().flat_map(|credentials| of(credentials.name.as_str())).collect()
            }
            Self::Web3signer(_) => Vec::new(),
        }
    }
}

/// Reads the Secrets that the wallet names; the inner error is for the status.
pub(crate) async fn read<'a>(
    evm: &'a EvmNetwork,
    client: &Client,
    namespace: &str,
) -> Result<Result<Source<'a>, Startup>, Error> {
    let kind = match WalletKind::of(&evm.wallet) {
        Ok(kind) => kind,
        Err(refused) => return Ok(Err(refused)),
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let urls = evm.rpc_urls_secret_ref.as_ref();
    let mut secrets = Vec::new();
    for wanted in kind.wanted().into_iter().chain(urls.map(urls_wanted)) {
        let secret = api.get_opt(wanted.name).await.tried(|| format!("Secret {namespace}/{}", wanted.name))?;
        match value(secret, namespace, &wanted) {
            Ok(value) => secrets.push(value),
            Err(message) => return Ok(Err(refused(Reason::SecretNotFound, message))),
        }
    }
    let urls = urls.and_then(|RpcUrlsRef { name, key }| {
        Some((secrets.pop().flatten()?, format!("Secret {namespace}/{name}, key {key:?}")))
    });
    Ok(Ok(Source { evm, kind, secrets, urls }))
}

fn urls_wanted(reference: &RpcUrlsRef) -> Wanted<'_> {
    Wanted { name: &reference.name, key: &reference.key, needed: true }
}

/// The value out of its Secret; the Secret's other values are overwritten.
fn value(secret: Option<Secret>, namespace: &str, wanted: &Wanted<'_>) -> Result<Option<Value>, String> {
    let Wanted { name, key, needed } = wanted;
    let Some(secret) = secret else {
        return Err(format!(
            "there is no Secret {namespace}/{name}: kubectl -n {namespace} create secret generic {name} \
             --from-file={key}=FILE"
        ));
    };
    let mut data = secret.data.unwrap_or_default();
    let value = data.remove(*key).map(|bytes| Zeroizing::new(bytes.0));
    for bytes in data.values_mut() {
        bytes.0.zeroize();
    }
    match value {
        None if *needed => Err(format!("Secret {namespace}/{name} has no key {key:?}")),
        value => Ok(value),
    }
}

impl<'a> Source<'a> {
    /// What the Secrets hold, in the order in which they are named.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        let secrets = self.secrets.iter().map(|secret| secret.as_ref().map_or(&[][..], |secret| secret.as_slice()));
        secrets.chain(self.urls.iter().map(|(urls, _)| urls.as_slice()))
    }

    /// What opens its wallet, where the network can be made as it is written.
    pub(crate) fn opening(self) -> Result<Opening<'a>, Startup> {
        let (evm, rpc_headers) = self.evm()?;
        let spec = EvmSpec { rpc_headers, ..EvmSpec::try_from(&*evm)? };
        Ok(Box::pin(async move { Ok(prepare(spec, self.open().await?)) }))
    }

    /// The network as it is written, with its endpoints wherever they stand.
    fn evm(&self) -> Result<(Cow<'a, EvmNetwork>, RpcHeaders), Startup> {
        let (mut evm, mut headers) = (Cow::Borrowed(self.evm), RpcHeaders::new());
        if let Some((urls, place)) = &self.urls {
            if !evm.rpc_urls.is_empty() {
                return Err(refused(Reason::InvalidSpec, "spec.evm needs exactly one of rpcUrls and rpcUrlsSecretRef"));
            }
            (evm.to_mut().rpc_urls, headers) =
                endpoints::parse(urls, place).map_err(|why| refused(Reason::InvalidSpec, why))?;
        }
        Ok((evm, headers))
    }

    /// What signs. Asks KMS for the address where it is not written down; takes a second for a keystore.
    async fn open(mut self) -> Result<Wallet, Startup> {
        let opened = match self.kind {
            WalletKind::Key(_) => WalletKey::from_hex(&self.next()).map(Wallet::Key),
            WalletKind::Keystore(_) => {
                let (file, password) = (self.next(), self.next());
                WalletKey::from_keystore(file, password).await.map(Wallet::Key)
            }
            WalletKind::AwsKms(kms) => {
                let keys = kms.credentials_secret_ref.is_some().then(|| self.aws_keys());
                KmsKey::connect(kms_spec(kms)?, keys).await.map(Wallet::AwsKms)
            }
            WalletKind::Web3signer(signer) => {
                let url = http_url("spec.evm.wallet.web3signer.url", &signer.url)?;
                let address = address("spec.evm.wallet.web3signer.address", &signer.address)?;
                RemoteSigner::new(url, address).map(Wallet::Remote)
            }
        };
        opened.map_err(|error| refused(Reason::from(SignerFault::from(&error)), error.to_string()))
    }

    /// The first value that was not taken yet.
    fn next(&mut self) -> Value {
        if self.secrets.is_empty() { Value::default() } else { self.secrets.remove(0).unwrap_or_default() }
    }

    fn aws_keys(&mut self) -> AwsKeys {
        let (id, secret, token) = (self.next(), self.next(), self.next());
        let token = text(&token);
        AwsKeys { id: text(&id).to_string(), secret: text(&secret), token: (!token.is_empty()).then_some(token) }
    }
}

/// Without the line end that a file often has.
fn text(value: &Value) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(value.trim_ascii()).into_owned())
}

fn kms_spec(kms: &AwsKms) -> Result<KmsSpec, SpecError> {
    let domain = if kms.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let usual = format!("https://kms.{}.{domain}", kms.region);
    let endpoint = http_url("spec.evm.wallet.awsKms.endpoint", kms.endpoint.as_ref().unwrap_or(&usual))?;
    let known = kms.address.as_ref().map(|known| address("spec.evm.wallet.awsKms.address", known));
    Ok(KmsSpec { key_id: kms.key_id.clone(), region: kms.region.clone(), endpoint, address: known.transpose()? })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hawser_crds::DepinNetwork;
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::super::super::source::identity;
    use super::*;
    use crate::network::NetworkKind;

    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn network(wallet: serde_json::Value) -> DepinNetwork {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "n", "uid": "u"},
            "spec": {"evm": {
                "rpcUrls": ["http://a"], "chainId": 1, "market": ADDRESS, "provider": ADDRESS, "wallet": wallet
            }}
        }))
        .unwrap()
    }

    fn evm(resource: &DepinNetwork) -> &EvmNetwork {
        let NetworkKind::Evm(evm) = NetworkKind::of(&resource.spec).unwrap();
        evm
    }

    fn names(resource: &DepinNetwork) -> Vec<String> {
        let Ok(kind) = WalletKind::of(&evm(resource).wallet) else { return vec!["refused".to_owned()] };
        kind.wanted().iter().map(|wanted| format!("{}/{} {}", wanted.name, wanted.key, wanted.needed)).collect()
    }

    fn source<'a>(resource: &'a DepinNetwork, secrets: &[&str]) -> Source<'a> {
        let secrets = secrets.iter().map(|text| Some(Zeroizing::new(text.as_bytes().to_vec()))).collect();
        let evm = evm(resource);
        Source { evm, kind: WalletKind::of(&evm.wallet).ok().unwrap(), secrets, urls: None }
    }

    #[test]
    fn each_kind_names_the_keys_of_its_secrets_and_anything_but_one_kind_is_refused() {
        let keystore = json!({"secretRef": {"name": "k"}, "passwordSecretRef": {"name": "p"}});
        let kms = json!({"keyId": "alias/a", "region": "eu-central-1", "credentialsSecretRef": {"name": "c"}});
        for (wallet, expected) in [
            (json!({"secretRef": {"name": "w"}}), vec!["w/privateKey true"]),
            (json!({"keystore": keystore}), vec!["k/keystore.json true", "p/password true"]),
            (
                json!({"awsKms": kms}),
                vec!["c/AWS_ACCESS_KEY_ID true", "c/AWS_SECRET_ACCESS_KEY true", "c/AWS_SESSION_TOKEN false"],
            ),
            (json!({"awsKms": {"keyId": "alias/a", "region": "eu-central-1"}}), vec![]),
            (json!({"web3signer": {"url": "http://s", "address": ADDRESS}}), vec![]),
            (json!({}), vec!["refused"]),
            (json!({"secretRef": {"name": "w"}, "keystore": keystore}), vec!["refused"]),
        ] {
            assert_eq!(names(&network(wallet.clone())), expected, "{wallet}");
        }
    }

    #[test]
    fn a_secret_or_a_key_that_is_not_there_is_named_with_the_way_out() {
        let wanted = |key, needed| Wanted { name: "w", key, needed };
        let secret = || {
            let data = BTreeMap::from([("a".to_owned(), ByteString(b"x".to_vec()))]);
            Some(Secret { data: Some(data), ..Secret::default() })
        };
        let said = value(None, "ns", &wanted("a", true)).unwrap_err();
        assert!(said.ends_with("kubectl -n ns create secret generic w --from-file=a=FILE"), "{said}");
        assert_eq!(value(secret(), "ns", &wanted("b", true)).unwrap_err(), "Secret ns/w has no key \"b\"");
        assert_eq!(value(secret(), "ns", &wanted("b", false)), Ok(None));
        assert_eq!(value(secret(), "ns", &wanted("a", true)), Ok(Some(Zeroizing::new(b"x".to_vec()))));
    }

    #[test]
    fn another_spec_or_secret_makes_another_network_and_where_a_secret_ends_counts() {
        let keystore = json!({"keystore": {"secretRef": {"name": "k"}, "passwordSecretRef": {"name": "p"}}});
        let (one, other) = (network(keystore.clone()), network(json!({"secretRef": {"name": "w"}})));
        let of = |resource, secrets: &[&str]| identity(resource, source(resource, secrets).secrets());
        let identity = |secrets: &[&str]| of(&one, secrets);
        assert_eq!(identity(&["ab", "c"]), identity(&["ab", "c"]));
        assert_ne!(identity(&["ab", "c"]), identity(&["a", "bc"]));
        assert_ne!(identity(&["ab", "c"]), identity(&["ab", "d"]));
        assert_ne!(of(&one, &["ab", "c"]), of(&other, &["ab", "c"]));
    }

    #[test]
    fn endpoints_out_of_a_secret_are_the_networks_another_value_makes_another_network_and_none_is_shown() {
        let plain = network(json!({"secretRef": {"name": "w"}}));
        let mut hidden = plain.clone();
        hidden.spec.evm.as_mut().unwrap().rpc_urls.clear();
        let with = |resource, urls: &str| {
            let urls = (Zeroizing::new(urls.as_bytes().to_vec()), "Secret ns/rpc, key \"rpcUrls\"".to_owned());
            Source { urls: Some(urls), ..source(resource, &["k"]) }
        };
        let (evm, headers) = with(&hidden, "https://a/v2/key\nX-Key: verysecret\n").evm().unwrap();
        assert_eq!((evm.rpc_urls.as_slice(), headers.len()), (&["https://a/v2/key".to_owned()][..], 1));
        let (evm, headers) = source(&plain, &["k"]).evm().unwrap();
        assert_eq!((evm.rpc_urls.as_slice(), headers.len()), (&["http://a".to_owned()][..], 0));
        let identity = |urls| identity(&hidden, with(&hidden, urls).secrets());
        assert_eq!(identity("https://a"), identity("https://a"));
        assert_ne!(identity("https://a"), identity("https://b"));
        assert_ne!(identity("https://a\nX-Key: b"), identity("https://a\nX-Key: c"));
        for (resource, urls) in [(&hidden, "verysecret"), (&plain, "https://a/verysecret")] {
            let Err(Startup::Refused { reason, message }) = with(resource, urls).evm() else { panic!("{urls}") };
            assert_eq!(reason, Reason::InvalidSpec);
            assert!(!message.contains("verysecret"), "{message}");
        }
        let reference = RpcUrlsRef { name: "rpc".to_owned(), key: "rpcUrls".to_owned() };
        assert!(urls_wanted(&reference).needed);
    }

    #[tokio::test]
    async fn a_wallet_that_cannot_be_used_is_refused_with_a_reason_and_without_its_secret() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = "6f142508b4eea641e33cb2a0161221105086a84584c74245ca463a49effea3zz";
        let keystore = json!({"keystore": {"secretRef": {"name": "k"}, "passwordSecretRef": {"name": "p"}}});
        let kms = json!({"awsKms": {"keyId": "k", "region": "x", "endpoint": "ftp://kms"}});
        let signer = |url, address| json!({"web3signer": {"url": url, "address": address}});
        for (wallet, secrets, expected) in [
            (json!({"secretRef": {"name": "w"}}), vec![secret], Reason::InvalidKey),
            (keystore, vec![secret, secret], Reason::InvalidKeystore),
            (kms, vec![], Reason::InvalidSpec),
            (signer("ws://s", ADDRESS), vec![], Reason::InvalidSpec),
            (signer("http://s", "me"), vec![], Reason::InvalidSpec),
        ] {
            let resource = network(wallet);
            let Err(refusal) = source(&resource, &secrets).open().await else { panic!("{expected} is not refused") };
            assert_eq!(refusal.is_final(), expected != Reason::InvalidSpec, "{refusal:?}");
            let Startup::Refused { reason, message } = refusal else { panic!("{expected} runs") };
            assert_eq!(reason, expected);
            assert!(!message.contains(&secret[..8]), "{message}");
        }
    }

    #[test]
    fn kms_answers_at_its_regions_endpoint_or_at_the_one_that_is_written() {
        let endpoint = |kms| kms_spec(&serde_json::from_value(kms).unwrap()).unwrap().endpoint.to_string();
        assert_eq!(
            endpoint(json!({"keyId": "k", "region": "eu-central-1"})),
            "https://kms.eu-central-1.amazonaws.com/"
        );
        assert_eq!(endpoint(json!({"keyId": "k", "region": "cn-north-1"})), "https://kms.cn-north-1.amazonaws.com.cn/");
        assert_eq!(
            endpoint(json!({"keyId": "k", "region": "r", "endpoint": "http://127.0.0.1:1"})),
            "http://127.0.0.1:1/"
        );
    }

    #[test]
    fn credentials_are_read_without_line_ends() {
        let kms = json!({"awsKms": {"keyId": "k", "region": "r", "credentialsSecretRef": {"name": "c"}}});
        let resource = network(kms);
        let keys = source(&resource, &["ID\n", "secret\n", ""]).aws_keys();
        assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.token), ("ID", "secret", None));
    }
}
