use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::{GpuOffer, condition, definitions};
use hawser_e2e::{conditions, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;

use crate::replica::Replica;
use crate::scene::{OFFERS, START, SYSTEM, Scene};

/// One more than the operator can read.
const RESERVE: u64 = 1 << 32;

#[tokio::test]
async fn an_offer_that_was_stored_under_older_definitions_and_can_not_be_read_says_so_and_goes_when_deleted()
-> Result<()> {
    let scene = Scene::new().await?;
    for (_, mut definition) in definitions() {
        if definition.spec.names.kind == "GpuOffer" {
            reserve(&mut definition)?.format = Some("int64".to_owned());
            scene.define(&definition).await?;
        }
    }
    let resource = ApiResource::erase::<GpuOffer>(&());
    let offers: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), OFFERS, &resource);
    let offer = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "older"},
        "spec": {
            "networkRef": "none",
            "gpu": {"product": "none"},
            "capacity": {"reserve": RESERVE},
            "price": {"perGpuHour": "1", "token": format!("0x{}", "11".repeat(20))},
        },
    });
    wait::until("the older definition is served", START, async || {
        let stored = offers.patch("older", &PatchParams::apply("tests").force(), &Patch::Apply(&offer)).await;
        Ok(stored.map(drop))
    })
    .await?;
    for (_, definition) in definitions() {
        scene.define(&definition).await?;
    }

    scene.pod("one").await?;
    let mut one = Replica::start(&scene.plane, SYSTEM, "one", scene.plane.address())?;
    one.says("leading", START).await?;
    let message = wait::until("the offer says that it can't be read", START, async || {
        let status = offers.get("older").await?.data["status"].clone();
        let said: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
        let unreadable = said.iter().find(|c| c.type_ == condition::READABLE && c.status == "False");
        Ok(unreadable.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&said)))
    })
    .await
    .with_context(|| one.tail())?;
    ensure!(message.contains(&RESERVE.to_string()), "the message does not name the value: {message}");
    ensure!(one.metric("hawser_unreadable_objects{kind=\"GpuOffer\"}").await? == "1");
    scene.work_is_done("readable", 1, START).await.with_context(|| one.tail())?;

    offers.delete("older", &DeleteParams::default()).await?;
    wait::gone(&offers, "older", START).await.with_context(|| one.tail())?;
    ensure!(one.metric("hawser_unreadable_objects{kind=\"GpuOffer\"}").await? == "0");
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

fn reserve(definition: &mut CustomResourceDefinition) -> Result<&mut JSONSchemaProps> {
    let schema = definition.spec.versions[0].schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
    let mut field = schema.context("no schema")?;
    for name in ["spec", "capacity", "reserve"] {
        field =
            field.properties.as_mut().and_then(|fields| fields.get_mut(name)).with_context(|| format!("no {name}"))?;
    }
    Ok(field)
}
