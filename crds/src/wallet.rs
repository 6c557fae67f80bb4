//! Where a network's signatures come from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where the operator's signatures come from. Exactly one of the four must be set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.secretRef), has(self.keystore), has(self.awsKms), has(self.web3signer)].filter(set, set).size() == 1"
).message("wallet needs exactly one of secretRef, keystore, awsKms and web3signer"))]
pub struct Wallet {
    /// A Secret in the operator's namespace with the plain key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// A key encrypted with a password (Web3 Secret Storage, version 3), both in Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystore: Option<Keystore>,
    /// A key that never leaves AWS KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_kms: Option<AwsKms>,
    /// A remote signer that implements `eth_signTransaction`, such as Web3signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web3signer: Option<Web3signer>,
}

/// A key of a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: a 32-byte private key in hex.
    #[serde(default = "default_secret_key")]
    pub key: String,
}

fn default_secret_key() -> String {
    "privateKey".to_owned()
}

/// An encrypted key and its password.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keystore {
    /// The keystore file in a Secret in the operator's namespace.
    pub secret_ref: KeystoreRef,
    /// Its password in a Secret in the operator's namespace, the same or another one.
    pub password_secret_ref: PasswordRef,
}

/// A keystore file in a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeystoreRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: the keystore's JSON.
    #[serde(default = "default_keystore_key")]
    pub key: String,
}

fn default_keystore_key() -> String {
    "keystore.json".to_owned()
}

/// A password in a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret: the password. A trailing newline is ignored.
    #[serde(default = "default_password_key")]
    pub key: String,
}

fn default_password_key() -> String {
    "password".to_owned()
}

/// A key in AWS KMS with the key spec `ECC_SECG_P256K1` and the usage `SIGN_VERIFY`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsKms {
    /// Id or ARN of the key, or its alias with the prefix `alias/`.
    #[schemars(length(min = 1, max = 2048))]
    pub key_id: String,
    /// AWS region of the key, e.g. `eu-central-1`.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// Endpoint to use instead of the region's own, e.g. that of a VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^/?#]+/?$"), length(max = 512))]
    pub endpoint: Option<String>,
    /// The key's address. If unset, it is read from KMS at start (`kms:GetPublicKey`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: Option<String>,
    /// A Secret in the operator's namespace with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and optionally
    /// `AWS_SESSION_TOKEN`. If unset, the identity of the operator's pod is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsRef>,
}

/// Credentials in a Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A remote signer with a JSON-RPC interface.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Web3signer {
    /// URL of the signer (http or https).
    #[schemars(regex(pattern = r"^https?://[^ ]+$"), length(max = 2048))]
    pub url: String,
    /// Address of the key to sign with.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub address: String,
}
