//! What is sold can be served: what an order would need is taken away, and no GPU is offered on the market until it is back.

use anyhow::{Context, Result, ensure};
use hawser_crds::{Confirmations, Finality, GpuOffer, condition};
use hawser_e2e::{cluster, network, wait};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::node::Node;
use crate::tenants::{available, change, run, says};
use crate::testbed::{OFFER, Testbed};

/// The class that this testbed's pods run under, and that nobody else needs.
const CLASS: &str = "e2e-served";
/// Wei per gas at which a wallet with [`LITTLE`] pays for a transaction or two.
const FEE: u128 = 20_000_000_000;
const LITTLE: u128 = 10_000_000_000_000_000;
const MUCH: u128 = 1_000_000_000_000_000_000_000;

#[tokio::test]
#[ignore = "not run here: it sets the balance of the operator's wallet"]
async fn while_anything_that_an_order_needs_is_missing_the_market_is_told_of_no_gpu_and_the_offer_says_why()
-> Result<()> {
    let classes: Api<RuntimeClass> = Api::all(cluster::client().await?);
    // An earlier run may have left it.
    _ = classes.delete(CLASS, &DeleteParams::default()).await;
    classes.create(&PostParams::default(), &class()?).await?;
    Testbed::on(
        Node::anvil,
        "served",
        1,
        |spec| spec.isolation.runtime_class_name = Some(CLASS.to_owned()),
        async |testbed| {
            without_the_label(testbed).await?;
            without_the_class(testbed, &classes).await?;
            without_coins(testbed).await?;
            with_a_window_that_is_over_before_an_order_is_believed(testbed).await
        },
    )
    .await?;
    classes.delete(CLASS, &DeleteParams::default()).await?;
    Ok(())
}

fn class() -> Result<RuntimeClass> {
    let class = json!({"metadata": {"name": CLASS}, "handler": "nvidia"});
    Ok(serde_json::from_value(class)?)
}

fn offers(testbed: &Testbed) -> Api<GpuOffer> {
    Api::namespaced(testbed.client.clone(), &testbed.namespace)
}

async fn without_the_label(testbed: &Testbed) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(Client::clone(&testbed.client));
    let unlabelled = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": null}}});
    namespaces.patch(&testbed.namespace, &PatchParams::default(), &Patch::Merge(&unlabelled)).await?;
    let told = says(&offers(testbed), condition::READY, "False", "NotRestricted").await?;
    available(testbed, 0).await?;
    let (_, command) = told.message.split_once("label it: ").context("there is no command")?;
    run(command).await?;
    available(testbed, 1).await
}

async fn without_the_class(testbed: &Testbed, classes: &Api<RuntimeClass>) -> Result<()> {
    classes.delete(CLASS, &DeleteParams::default()).await?;
    let told = says(&offers(testbed), condition::READY, "False", "RuntimeClassMissing").await?;
    ensure!(told.message.contains(CLASS), "{}", told.message);
    available(testbed, 0).await?;
    classes.create(&PostParams::default(), &class()?).await?;
    available(testbed, 1).await
}

/// The last of its coins go into telling the market that nothing is for sale.
async fn without_coins(testbed: &Testbed) -> Result<()> {
    let chain = &testbed.fixture.chain;
    chain.set_balance(&chain.actors.operator, LITTLE).await?;
    wait::until("no GPU is offered on the market", wait::SOON, async || {
        // It falls from block to block.
        chain.set_next_base_fee(FEE).await?;
        let told = chain.available(&testbed.offer).await?;
        Ok(if told == 0 { Ok(()) } else { Err(format!("{told}")) })
    })
    .await?;
    let told = says(&offers(testbed), condition::READY, "False", "NetworkNotReady").await?;
    ensure!(told.message.contains("top it up"), "{}", told.message);
    chain.set_balance(&chain.actors.operator, MUCH).await?;
    available(testbed, 1).await
}

/// Orders are believed when they are safe: on anvil 32 blocks later, which is a minute.
async fn with_a_window_that_is_over_before_an_order_is_believed(testbed: &Testbed) -> Result<()> {
    network::confirm(&testbed.client, testbed.fixture.network(), Confirmations::Tag(Finality::Safe)).await?;
    let offers = offers(testbed);
    change(&offers, json!({"limits": {"startWindowSeconds": 60}})).await?;
    let told = says(&offers, condition::READY, "False", "InvalidSpec").await?;
    ensure!(told.message.contains("spec.limits.startWindowSeconds"), "{}", told.message);
    available(testbed, 0).await?;
    let (_, least) =
        told.message.split_once("startWindowSeconds to at least ").context("it does not say what to set")?;
    let (least, _) = least.split_once(',').context("it does not say what to set")?;
    change(&offers, json!({"limits": {"startWindowSeconds": least.parse::<u32>()?}})).await?;
    wait::until("the offer is for sale again", wait::SOON, async || {
        let offer = offers.get(OFFER).await?.status.unwrap_or_default();
        let stands = offer.on_chain.context("it stands nowhere")?.offer_id;
        let told = testbed.fixture.chain.available(&stands).await.unwrap_or(0);
        Ok(if told == 1 { Ok(()) } else { Err(format!("{told} GPUs of {stands}")) })
    })
    .await?;
    // It would leave only when that is safe too.
    testbed.fixture.restore(&testbed.client).await
}
