use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer, condition, definitions};
use hawser_e2e::{conditions, wait};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

/// One more than the operator can read.
const LARGE: u64 = 1 << 32;

#[tokio::test]
async fn an_offer_that_was_stored_under_older_definitions_and_can_not_be_read_says_so_and_goes_when_deleted()
-> Result<()> {
    let testbed = Testbed::new().await?;
    loosened(&testbed, "GpuOffer", &["capacity", "reserve"], |field| field.format = Some("int64".to_owned())).await?;
    let resource = ApiResource::erase::<GpuOffer>(&());
    let offers: Api<DynamicObject> = Api::namespaced_with(testbed.client.clone(), OFFERS, &resource);
    let offer = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "older"},
        "spec": {
            "networkRef": "none",
            "gpu": {"product": "none"},
            "capacity": {"reserve": LARGE},
            "price": {"perGpuHour": "1", "token": format!("0x{}", "11".repeat(20))},
        },
    });
    stored(&offers, &offer).await?;
    for (_, definition) in definitions() {
        testbed.define(&definition).await?;
    }

    testbed.pod("one").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    let message = is_unreadable(&offers, "older").await.with_context(|| one.tail())?;
    ensure!(message.contains(&LARGE.to_string()), "the message does not name the value: {message}");
    ensure!(one.metric("hawser_unreadable_objects{kind=\"GpuOffer\"}").await? == "1");
    testbed.work_is_done("readable", 1, START).await.with_context(|| one.tail())?;

    offers.delete("older", &DeleteParams::default()).await?;
    wait::gone(&offers, "older", START).await.with_context(|| one.tail())?;
    ensure!(one.metric("hawser_unreadable_objects{kind=\"GpuOffer\"}").await? == "0");
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

/// With the finalizers that an operator put there when it could read them.
#[tokio::test]
async fn a_job_and_a_network_that_can_not_be_read_say_so_and_go_when_deleted() -> Result<()> {
    let testbed = Testbed::new().await?;
    let large = |field: &mut JSONSchemaProps| (field.format, field.maximum) = (Some("int64".to_owned()), None);
    loosened(&testbed, "ComputeJob", &["workload", "gpus"], large).await?;
    loosened(&testbed, "DepinNetwork", &["evm", "settlement", "maxBatch"], large).await?;
    let job = json!({"offerRef": "none", "workload": {"image": "none", "gpus": LARGE}});
    let address = format!("0x{}", "11".repeat(20));
    let network = json!({"evm": {
        "rpcUrls": ["http://127.0.0.1:9"], "chainId": 1, "market": address, "provider": address,
        "wallet": {"secretRef": {"name": "none", "key": "none"}}, "settlement": {"maxBatch": LARGE},
    }});
    let client = || testbed.client.clone();
    let older = [
        (
            "ComputeJob",
            "settlement",
            job,
            Api::namespaced_with(client(), OFFERS, &ApiResource::erase::<ComputeJob>(&())),
        ),
        ("DepinNetwork", "network", network, Api::all_with(client(), &ApiResource::erase::<DepinNetwork>(&()))),
    ];
    for (kind, finalizer, spec, api) in &older {
        let metadata = json!({"name": "older", "finalizers": [format!("hawser.dev/{finalizer}")]});
        let object = json!({"apiVersion": "hawser.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        stored(api, &object).await?;
    }
    for (_, definition) in definitions() {
        testbed.define(&definition).await?;
    }

    testbed.pod("one").await?;
    let mut one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    for (kind, _, _, api) in &older {
        let metric = format!("hawser_unreadable_objects{{kind=\"{kind}\"}}");
        let message = is_unreadable(api, "older").await.with_context(|| one.tail())?;
        ensure!(message.contains(&LARGE.to_string()), "the message does not name the value: {message}");
        ensure!(one.metric(&metric).await? == "1", "{metric}");
        if *kind == "ComputeJob" {
            stays_known_whatever_its_phase_says(&testbed, api, &one).await?;
        }
        api.delete("older", &DeleteParams::default()).await?;
        wait::gone(api, "older", START).await.with_context(|| one.tail())?;
        // Of a job that the watch does not show any more the API server is asked now and then.
        wait::until("it is counted no more", START, async || {
            let known = one.metric(&metric).await?;
            Ok(if known == "0" { Ok(()) } else { Err(known) })
        })
        .await
        .with_context(|| one.tail())?;
    }
    one.stops(Duration::from_secs(10)).await?;
    Ok(())
}

/// Somebody writes a phase of settled jobs on it: it leaves what is watched, and is asked about.
async fn stays_known_whatever_its_phase_says(testbed: &Testbed, api: &Api<DynamicObject>, one: &Replica) -> Result<()> {
    let asked = || {
        let requests = testbed.plane.requests()?.into_iter();
        let asked = requests.filter(|it| it.user == one.name && it.verb == "get" && it.resource == "computejobs");
        Ok::<_, anyhow::Error>(asked.count())
    };
    let before = asked()?;
    let phase = json!({"status": {"phase": "Succeeded"}});
    api.patch_status("older", &PatchParams::default(), &Patch::Merge(&phase)).await?;
    // By the second time what the first answer said has been taken in.
    wait::until("the job is asked about twice", START, async || {
        let known = one.metric("hawser_unreadable_objects{kind=\"ComputeJob\"}").await?;
        ensure!(known == "1", "the job is forgotten though it is not settled");
        let times = asked()? - before;
        Ok(if times >= 2 { Ok(()) } else { Err(format!("{times} times")) })
    })
    .await
    .with_context(|| one.tail())
}

/// Stores what the older definition takes, once that is served.
async fn stored(api: &Api<DynamicObject>, object: &Value) -> Result<()> {
    wait::until("the older definition is served", START, async || {
        let stored = api.patch("older", &PatchParams::apply("tests").force(), &Patch::Apply(object)).await;
        Ok(stored.map(drop))
    })
    .await
}

/// Waits until it says so itself, and gives its words.
async fn is_unreadable(api: &Api<DynamicObject>, name: &str) -> Result<String> {
    wait::until("the object says that it can't be read", START, async || {
        let status = api.get(name).await?.data["status"].clone();
        let said: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
        let unreadable = said.iter().find(|c| c.type_ == condition::READABLE && c.status == "False");
        Ok(unreadable.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&said)))
    })
    .await
}

/// Installs the definition of a kind that takes more in a field of its spec than this operator reads.
async fn loosened(testbed: &Testbed, kind: &str, path: &[&str], loosen: impl Fn(&mut JSONSchemaProps)) -> Result<()> {
    let (_, mut definition) =
        definitions().into_iter().find(|(_, d)| d.spec.names.kind == kind).with_context(|| format!("no {kind}"))?;
    loosen(field(&mut definition, path)?);
    testbed.define(&definition).await
}

fn field<'a>(definition: &'a mut CustomResourceDefinition, path: &[&str]) -> Result<&'a mut JSONSchemaProps> {
    let schema = definition.spec.versions[0].schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
    let mut field = schema.context("no schema")?;
    for name in ["spec"].iter().chain(path) {
        let fields = field.properties.as_mut();
        field = fields.and_then(|fields| fields.get_mut(*name)).with_context(|| format!("no {name}"))?;
    }
    Ok(field)
}
