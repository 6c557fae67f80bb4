//! A network of a kind that only a newer operator knows, as it is after a rollback: the definitions stay those of the newer one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::{DepinNetwork, condition, definitions};
use hawser_e2e::{conditions, wait};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

#[tokio::test]
async fn a_network_of_a_kind_that_only_a_newer_operator_knows_says_what_this_one_knows_and_goes_when_deleted()
-> Result<()> {
    let testbed = Testbed::new().await?;
    let found = definitions().into_iter().find(|(_, definition)| definition.spec.names.kind == "DepinNetwork");
    let (_, mut newer) = found.context("no DepinNetwork")?;
    let schema = newer.spec.versions[0].schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
    let fields = schema.and_then(|schema| schema.properties.as_mut()).context("no schema")?;
    let spec = fields.get_mut("spec").context("no spec")?;
    (spec.x_kubernetes_validations, spec.x_kubernetes_preserve_unknown_fields) = (None, Some(true));
    testbed.define(&newer).await?;
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    let network = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "newer"},
        "spec": {"ocean": {"url": "http://127.0.0.1:9"}}
    });
    wait::until("the newer definition is served", START, async || {
        let made = networks.patch("newer", &PatchParams::apply("tests").force(), &Patch::Apply(&network)).await;
        Ok(made.map(drop))
    })
    .await?;

    testbed.pod("one").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    let message = wait::until("the network says that its kind is not known", START, async || {
        let said = networks.get("newer").await?.status.unwrap_or_default().conditions;
        let ready = said.iter().find(|c| c.type_ == condition::READY && c.reason == "UnknownNetworkKind");
        Ok(ready.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&said)))
    })
    .await
    .with_context(|| one.tail())?;
    ensure!(message.contains("it knows evm") && message.contains("upgrade the operator"), "{message}");
    networks.delete("newer", &DeleteParams::default()).await?;
    wait::gone(&networks, "newer", START).await.with_context(|| one.tail())?;
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}
