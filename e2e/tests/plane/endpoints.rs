use anyhow::{Result, ensure};
use hawser_crds::DepinNetwork;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::testbed::Testbed;

#[tokio::test]
async fn a_network_names_its_endpoints_in_its_spec_or_in_a_secret_and_not_in_both() -> Result<()> {
    let testbed = Testbed::new().await?;
    let (plain, hidden) = (json!(["https://rpc.example.com"]), json!({"name": "rpc"}));
    for (name, urls, secret, taken) in [
        ("plain", &plain, &Value::Null, true),
        ("hidden", &Value::Null, &hidden, true),
        ("both", &plain, &hidden, false),
        ("neither", &Value::Null, &Value::Null, false),
    ] {
        let said = make(&testbed, name, urls, secret).await;
        ensure!(said.is_ok() == taken, "{name}: {said:?}");
        let refusal = said.err().map(|error| error.to_string()).unwrap_or_default();
        let words = "evm needs exactly one of rpcUrls and rpcUrlsSecretRef";
        ensure!(taken || refusal.contains(words), "{name} was refused in other words: {refusal}");
    }
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    let reference = networks.get("hidden").await?.spec.evm.and_then(|evm| evm.rpc_urls_secret_ref);
    ensure!(reference.as_ref().is_some_and(|reference| reference.key == "rpcUrls"), "{reference:?}");
    Ok(())
}

async fn make(testbed: &Testbed, name: &str, urls: &Value, secret: &Value) -> kube::Result<DepinNetwork> {
    let address = format!("0x{}", "11".repeat(20));
    let mut evm = json!({"chainId": 1, "market": address, "provider": address, "wallet": {"secretRef": {"name": "w"}}});
    for (field, value) in [("rpcUrls", urls), ("rpcUrlsSecretRef", secret)] {
        if !value.is_null() {
            evm[field] = value.clone();
        }
    }
    let body = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": name}, "spec": {"evm": evm}
    });
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    networks.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&body)).await
}
