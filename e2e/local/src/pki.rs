//! One certificate authority for the cluster's life, and kubeconfigs made from it.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

use crate::{
    Layout,
    network::{API_SERVICE, NODE},
};

/// Where the API server is, from everywhere.
pub(crate) const API_URL: &str = "https://198.18.0.2:6443";

/// Files of the cluster's certificates and keys.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    directory: PathBuf,
    ca_pem: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Makes the authority and everything that is signed by it.
    pub(crate) fn create(layout: &Layout) -> Result<Self> {
        let directory = layout.pki();
        fs::create_dir_all(&directory).with_context(|| format!("{} can't be created", directory.display()))?;
        let (authority, ca_pem) = Authority::create()?;
        let pki = Self { directory, ca_pem };
        write_secret(&pki.file("ca.crt"), &pki.ca_pem)?;

        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let addresses = [IpAddr::from([127, 0, 0, 1]), NODE.into(), API_SERVICE.into()];
        let mut api = identity("kube-apiserver", None);
        api.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        api.subject_alt_names = addresses.map(SanType::IpAddress).to_vec();
        for name in names {
            api.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        pki.write_pair("kube-apiserver", &authority.sign(&api)?)?;
        pki.write_pair(
            "kube-apiserver-kubelet-client",
            &authority.client("kube-apiserver-kubelet-client", "system:masters")?,
        )?;

        let service_accounts = KeyPair::generate()?;
        write_secret(&pki.file("service-accounts.key"), &service_accounts.serialize_pem())?;
        write_secret(&pki.file("service-accounts.pub"), &service_accounts.public_key_pem())?;

        let node = format!("system:node:{}", crate::components::NODE_NAME);
        for (file, user, group) in [
            ("kube-controller-manager", "system:kube-controller-manager", ""),
            ("kube-scheduler", "system:kube-scheduler", ""),
            ("kube-proxy", "system:kube-proxy", "system:node-proxier"),
            ("kubelet", node.as_str(), "system:nodes"),
            ("coredns", "system:coredns", ""),
            ("netpol", "system:netpol", ""),
        ] {
            write_secret(&pki.kubeconfig(file), &pki.render_kubeconfig(&authority.client(user, group)?))?;
        }
        write_secret(
            &layout.kubeconfig(),
            &pki.render_kubeconfig(&authority.client("hawser-admin", "system:masters")?),
        )?;
        Ok(pki)
    }

    /// A certificate or key by its file name.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The kubeconfig of a component.
    pub(crate) fn kubeconfig(&self, component: &str) -> PathBuf {
        self.directory.join(format!("{component}.kubeconfig"))
    }

    fn write_pair(&self, name: &str, pair: &Pair) -> Result<()> {
        write_secret(&self.file(&format!("{name}.crt")), &pair.certificate)?;
        write_secret(&self.file(&format!("{name}.key")), &pair.key)
    }

    fn render_kubeconfig(&self, pair: &Pair) -> String {
        kubeconfig(&self.ca_pem, pair)
    }
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn create() -> Result<(Self, String)> {
        let mut params = identity("hawser-local", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok((Self { issuer: Issuer::new(params, key) }, certificate))
    }

    fn client(&self, user: &str, group: &str) -> Result<Pair> {
        let mut params = identity(user, Some(group).filter(|group| !group.is_empty()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn identity(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.use_authority_key_identifier_extension = true;
    params
}

/// JSON is YAML, so it serves every reader of kubeconfigs.
fn kubeconfig(ca_pem: &str, pair: &Pair) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "hawser-local", "cluster": {"server": API_URL, "certificate-authority-data": base64(ca_pem.as_bytes())}}],
        "users": [{"name": "user", "user": {
            "client-certificate-data": base64(pair.certificate.as_bytes()),
            "client-key-data": base64(pair.key.as_bytes()),
        }}],
        "contexts": [{"name": "hawser-local", "context": {"cluster": "hawser-local", "user": "user"}}],
        "current-context": "hawser-local",
    })
    .to_string()
}

fn write_secret(path: &Path, content: &str) -> Result<()> {
    let open = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    open.and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
        .with_context(|| format!("{} can't be written", path.display()))
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * position) & 63) as usize];
            text.push(if position <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc_4648_vectors() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn keys_can_be_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), dir.path());
        let pki = Pki::create(&layout).unwrap();
        for path in [pki.file("kube-apiserver.key"), layout.kubeconfig(), pki.kubeconfig("kubelet")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
