//! A proxy and a bundle of CAs, as the chart's `extraEnv` sets them: what goes through the proxy, and what doesn't.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::TxEip1559;
use alloy::primitives::Address;
use hawser_crds::Confirmations;
use hawser_operator::kubernetes::{Contact, Use, connect};
use hawser_operator::metrics::ServerCalls;
use hawser_operator::network::evm::{
    AwsKeys, Checkpoint, EvmNetwork, EvmSpec, KmsKey, KmsSpec, RemoteSigner, RpcHeaders, StallLimit, Wallet, WalletKey,
};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Nobody has these names but the proxy.
const FAR: [&str; 4] = ["rpc.invalid", "s3.invalid", "kms.invalid", "signer.invalid"];
/// In `NO_PROXY`.
const NEAR: &str = "near.invalid";

#[tokio::test]
async fn rpc_both_signers_and_the_evidence_store_are_reached_through_a_proxy_and_by_its_ca_and_the_api_server_is_not() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (ca, tls) = authority();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, ca).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (proxy, (told, mut asked)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, tls.clone(), told.clone()));
        }
    });

    let _operator = Operator::start(proxy, &bundle);
    let (mut trusted, mut tunnels) = (BTreeSet::new(), BTreeSet::new());
    let all = async {
        while trusted.len() < FAR.len() {
            match asked.recv().await.unwrap() {
                Seen::Tunnel(host) => drop(tunnels.insert(host)),
                Seen::Request(host) => drop(trusted.insert(host)),
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), all).await;
    assert!(in_time.is_ok(), "tunnels to {tunnels:?}, trusted at {trusted:?}");
    let far: BTreeSet<String> = FAR.iter().map(|host| format!("{host}:443")).collect();
    assert_eq!((&tunnels, &trusted), (&far, &far), "nobody else is asked by way of the proxy");
}

/// What the proxy sees.
enum Seen {
    Tunnel(String),
    /// The server's certificate was taken.
    Request(String),
}

/// Opens a tunnel, and is what lies at its end.
async fn pass(mut stream: TcpStream, tls: TlsAcceptor, told: mpsc::UnboundedSender<Seen>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split_whitespace();
    let (method, host) = (words.next().unwrap(), words.next().unwrap().to_owned());
    let _ = told.send(Seen::Tunnel(if method == "CONNECT" { host.clone() } else { format!("{method} {host}") }));
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let Ok(mut inner) = tls.accept(stream).await else { return };
    if inner.read_u8().await.is_ok() {
        let _ = told.send(Seen::Request(host));
        let _ = inner.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let _ = inner.shutdown().await;
    }
}

/// A CA, in PEM, and a server that has a certificate of it.
fn authority() -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca.pem(), key).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = FAR.map(str::to_owned).to_vec();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (ca.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// [`asks_everybody`] in a process with an environment of its own.
struct Operator(Child);

impl Operator {
    fn start(proxy: SocketAddr, bundle: &std::path::Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "asks_everybody", "--ignored", "--nocapture"]);
        for name in ["HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        command.env("HTTPS_PROXY", format!("http://{proxy}")).env("NO_PROXY", NEAR).env("SSL_CERT_FILE", bundle);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "it runs until it is killed, in the environment that the test above gives it"]
async fn asks_everybody() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = kube::Config::new("https://kube.invalid".parse().unwrap());
    let server = connect(server, Use::election(Contact::default(), ServerCalls::default())).unwrap();
    assert!(server.apiserver_version().await.is_err(), "there is no such server, but for a proxy");

    let kms = KmsSpec {
        key_id: "k".to_owned(),
        region: "eu-central-1".to_owned(),
        endpoint: "https://kms.invalid".parse().unwrap(),
        address: None,
    };
    let keys = AwsKeys { id: "id".to_owned(), secret: Zeroizing::new("secret".to_owned()), token: None };
    tokio::spawn(KmsKey::connect(kms, Some(keys)));

    let signer = RemoteSigner::new("https://signer.invalid".parse().unwrap(), Address::ZERO).unwrap();
    tokio::spawn(async move { signer.sign(TxEip1559::default()).await.map(drop) });

    // As the evidence store opens it.
    let options = [
        ("aws_endpoint_url", "https://s3.invalid"),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", "id"),
        ("aws_secret_access_key", "secret"),
    ];
    let (store, prefix) = object_store::parse_url_opts(&"s3://bucket/x".parse().unwrap(), options).unwrap();
    tokio::spawn(async move { store.get(&Path::from(format!("{prefix}/y"))).await.map(drop) });

    let spec = EvmSpec {
        rpc_urls: [NEAR, "rpc.invalid"].map(|host| format!("https://{host}").parse().unwrap()).to_vec(),
        rpc_headers: RpcHeaders::new(),
        chain_id: 1,
        market: Address::ZERO,
        provider: Address::ZERO,
        start_block: 0,
        genesis: None,
        confirmations: Confirmations::Blocks(1),
        max_batch: 1,
        tokens_per_coin: None,
        max_fee: None,
        max_tip: None,
        stall: StallLimit::default(),
    };
    let wallet = Wallet::Key(WalletKey::from_hex(format!("0x{}1", "0".repeat(63)).as_bytes()).unwrap());
    let _network = EvmNetwork::start(spec, wallet, &Checkpoint::default(), CancellationToken::new()).unwrap();
    std::future::pending::<()>().await;
}
