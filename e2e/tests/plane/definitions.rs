use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::definitions;
use hawser_e2e::wait;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::replica::Replica;
use crate::testbed::{START, SYSTEM, Testbed};

#[tokio::test]
async fn an_operator_that_is_newer_than_its_definitions_says_so_and_waits() -> Result<()> {
    let testbed = Testbed::bare().await?;
    testbed.pod("one").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.not_ready("CustomResourceDefinition computejobs.hawser.dev is not installed", START).await?;

    for (_, mut definition) in definitions() {
        if definition.name_any().starts_with("gpuoffers.") {
            let schema =
                definition.spec.versions[0].schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            let fields = schema.and_then(|schema| schema.properties.as_mut()).context("no schema")?;
            let status = fields.get_mut("status").and_then(|status| status.properties.as_mut()).context("no status")?;
            ensure!(status.remove("observedGeneration").is_some(), "the field has another name");
        }
        testbed.define(&definition).await?;
    }
    let old = "CustomResourceDefinition gpuoffers.hawser.dev is older than this operator, it lacks \
               .status.observedGeneration: upgrade the chart hawser-crds";
    one.not_ready(old, START).await?;
    ensure!(one.metric("hawser_definitions_outdated").await? == "1");
    ensure!(one.metric("hawser_leading").await? == "0");
    wait::until("an event on its pod says so", START, async || {
        let events = Api::<Event>::namespaced(testbed.client.clone(), SYSTEM).list(&ListParams::default()).await?;
        let told = events.iter().any(|event| event.note.as_ref().is_some_and(|note| note.contains(old)));
        Ok(if told { Ok(()) } else { Err(format!("{} events", events.items.len())) })
    })
    .await?;

    for (_, definition) in definitions() {
        testbed.define(&definition).await?;
    }
    one.says("leading", START).await?;
    testbed.work_is_done("offer", 1, START).await.with_context(|| one.tail())?;
    ensure!(one.metric("hawser_definitions_outdated").await? == "0");
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}
