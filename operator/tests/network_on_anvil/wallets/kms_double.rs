//! A double of AWS KMS: the two operations that the operator uses, with a real secp256k1 key. It is no KMS: it knows one
//! key, no policies and no grants. It takes only requests that are signed with its credentials.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use alloy::signers::{
    k256::{
        ecdsa::{Signature, signature::hazmat::PrehashSigner},
        elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
    },
    local::PrivateKeySigner,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use hawser_operator::network::evm::{AwsKeys, KmsSpec};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::wallets::sigv4;

pub const KEY_ID: &str = "alias/hawser";
const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "a-session";
const REGION: &str = "eu-central-1";
/// All of a public key's `SubjectPublicKeyInfo` before the point.
const SPKI: [u8; 23] = alloy::hex!("3056301006072a8648ce3d020106052b8104000a034200");

pub struct Kms {
    key: PrivateKeySigner,
    pub url: String,
    /// An error that it answers to `Sign` with.
    pub error: Mutex<Option<(StatusCode, &'static str)>>,
    signed: AtomicUsize,
    asked_for_key: AtomicUsize,
}

impl Kms {
    pub async fn start(key: PrivateKeySigner) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (signed, asked_for_key) = Default::default();
        let kms = Arc::new(Self { key, url, error: Mutex::default(), signed, asked_for_key });
        let app = Router::new().route("/", post(answer)).route("/credentials", get(credentials));
        let app = app.with_state(Arc::clone(&kms));
        tokio::spawn(async move { axum::serve(listener, app).await });
        kms
    }

    /// The key without its address.
    pub fn spec(&self) -> KmsSpec {
        let (key_id, region) = (KEY_ID.to_owned(), REGION.to_owned());
        KmsSpec { key_id, region, endpoint: self.url.parse().unwrap(), address: None }
    }

    pub fn signed(&self) -> usize {
        self.signed.load(Ordering::SeqCst)
    }

    pub fn asked_for_key(&self) -> usize {
        self.asked_for_key.load(Ordering::SeqCst)
    }

    /// In X9.62's DER, and every second time with the higher of the two values of s, as KMS may give it.
    fn sign(&self, digest: &[u8]) -> Vec<u8> {
        let low: Signature = self.key.credential().sign_prehash(digest).unwrap();
        if self.signed.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            let high = -*low.s().as_ref();
            return Signature::from_scalars(low.r().to_bytes(), high.to_repr()).unwrap().to_der().as_bytes().to_vec();
        }
        low.to_der().as_bytes().to_vec()
    }
}

pub fn keys() -> AwsKeys {
    AwsKeys { id: ACCESS_KEY.to_owned(), secret: Zeroizing::new(SECRET_KEY.to_owned()), token: None }
}

fn problem(status: StatusCode, kind: &str) -> (StatusCode, String) {
    (status, json!({"__type": kind, "message": format!("the double says {kind}")}).to_string())
}

async fn answer(State(kms): State<Arc<Kms>>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    if !is_signed(&headers, &body) {
        return problem(StatusCode::BAD_REQUEST, "InvalidSignatureException");
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    if request["KeyId"] != KEY_ID {
        return problem(StatusCode::BAD_REQUEST, "NotFoundException");
    }
    match headers["x-amz-target"].to_str().unwrap() {
        "TrentService.GetPublicKey" => {
            kms.asked_for_key.fetch_add(1, Ordering::SeqCst);
            let point = kms.key.credential().verifying_key().as_affine().to_encoded_point(false);
            let key = ByteString([&SPKI, point.as_bytes()].concat());
            (StatusCode::OK, json!({"KeySpec": "ECC_SECG_P256K1", "PublicKey": key}).to_string())
        }
        "TrentService.Sign" => {
            if let Some((status, kind)) = *kms.error.lock().unwrap() {
                return problem(status, kind);
            }
            assert_eq!(
                (&request["MessageType"], &request["SigningAlgorithm"]),
                (&json!("DIGEST"), &json!("ECDSA_SHA_256"))
            );
            let digest: ByteString = serde_json::from_value(request["Message"].clone()).unwrap();
            assert_eq!(digest.0.len(), 32);
            let signature = ByteString(kms.sign(&digest.0));
            (StatusCode::OK, json!({"KeyId": KEY_ID, "Signature": signature}).to_string())
        }
        _ => problem(StatusCode::BAD_REQUEST, "UnknownOperationException"),
    }
}

/// Whether the request carries the signature that AWS' rules give for these credentials, this region, this service and
/// about this time.
fn is_signed(headers: &HeaderMap, body: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let part = |name: &str| {
        let authorization = text("authorization").strip_prefix("AWS4-HMAC-SHA256 ")?;
        authorization.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(credential), Some(names), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return false;
    };
    let time = text("x-amz-date");
    let now = Timestamp::now().strftime("%Y%m%d").to_string();
    let Some(scope) = credential.strip_prefix(&format!("{ACCESS_KEY}/")) else { return false };
    let signed: Vec<_> = names.split(';').map(|name| (name, text(name))).collect();
    let must =
        ["host", "x-amz-date", "x-amz-target"].into_iter().all(|must| signed.iter().any(|(name, _)| *name == must));
    let token = headers.get("x-amz-security-token").is_none_or(|token| token == SESSION);
    must && token
        && scope == format!("{now}/{REGION}/kms/aws4_request")
        && signature == sigv4::signature("POST", &signed, body.as_bytes(), time, scope, SECRET_KEY)
}

/// What a container of ECS or EKS gets its credentials from.
async fn credentials(headers: HeaderMap) -> (StatusCode, String) {
    if headers.get("authorization").is_none_or(|token| token != "pod-token") {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let body = json!({
        "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION, "Expiration": "2100-01-01T00:00:00Z",
    });
    (StatusCode::OK, body.to_string())
}
