//! Everything can be deleted: what names a network that is not there, and what is needed on one that will never answer.

use anyhow::{Context, Result, ensure};
use hawser_crds::{DepinNetwork, GpuOffer, condition};
use hawser_e2e::{conditions, wait};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

#[tokio::test]
async fn an_offer_whose_network_does_not_exist_says_which_there_are_and_goes_when_deleted() -> Result<()> {
    let testbed = Testbed::new().await?;
    testbed.price("mistyped", 1).await?;
    testbed.pod("one").await?;
    let one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    let offers = testbed.offers();
    wait::until("the offer says that there is no such network", START, async || {
        let said = offers.get("mistyped").await?.status.unwrap_or_default().conditions;
        let missing = said.iter().any(|c| c.type_ == condition::READY && c.reason == "NoNetwork");
        Ok(if missing { Ok(()) } else { Err(conditions::text(&said)) })
    })
    .await
    .with_context(|| one.tail())?;
    offers.delete("mistyped", &DeleteParams::default()).await?;
    wait::gone(&offers, "mistyped", START).await.with_context(|| one.tail())
}

#[tokio::test]
async fn a_network_that_never_answers_again_stays_for_an_offer_on_it_until_it_is_given_up_by_annotation() -> Result<()>
{
    let testbed = Testbed::new().await?;
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    networks.create(&PostParams::default(), &network(&testbed).await?).await?;
    posted(&testbed).await?;
    testbed.pod("one").await?;
    let one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    wait::until("the network is held by a finalizer", START, async || {
        let held = networks.get("none").await?.metadata.finalizers.is_some();
        Ok(if held { Ok(()) } else { Err("it has none") })
    })
    .await
    .with_context(|| one.tail())?;

    networks.delete("none", &DeleteParams::default()).await?;
    let needed = wait::until("the network says what it stays for", START, async || {
        let said = networks.get("none").await?.status.unwrap_or_default().conditions;
        let leaving = said.iter().find(|c| c.type_ == condition::READY && c.reason == "Leaving");
        Ok(leaving.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&said)))
    })
    .await
    .with_context(|| one.tail())?;
    ensure!(needed.contains(&format!("{OFFERS}/posted")), "{needed}");
    let abandon = json!({"metadata": {"annotations": {"hawser.dev/abandon": "true"}}});
    networks.patch("none", &PatchParams::default(), &Patch::Merge(&abandon)).await?;
    wait::gone(&networks, "none", START).await.with_context(|| one.tail())?;

    let events: Api<Event> = Api::all(testbed.client.clone());
    wait::until("what was given up is reported", START, async || {
        let told = events.list(&ListParams::default()).await?.items;
        let abandoned = told.iter().any(|event| event.reason.as_deref() == Some("Abandoned"));
        Ok(if abandoned { Ok(()) } else { Err(format!("{} events", told.len())) })
    })
    .await
}

/// One that nobody answers for.
async fn network(testbed: &Testbed) -> Result<DepinNetwork> {
    let secrets: Api<Secret> = Api::namespaced(testbed.client.clone(), SYSTEM);
    let key = json!({"metadata": {"name": "wallet"}, "stringData": {"privateKey": format!("0x{}", "01".repeat(32))}});
    secrets.create(&PostParams::default(), &serde_json::from_value(key)?).await?;
    let address = format!("0x{}", "11".repeat(20));
    Ok(serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "none"},
        "spec": {"evm": {
            "rpcUrls": ["http://127.0.0.1:9"], "chainId": 1, "market": address, "provider": address,
            "wallet": {"secretRef": {"name": "wallet", "key": "privateKey"}},
        }},
    }))?)
}

/// An offer on it that an earlier operator has posted.
async fn posted(testbed: &Testbed) -> Result<()> {
    testbed.price("posted", 1).await?;
    let offers: Api<GpuOffer> = testbed.offers();
    let finalizer = json!({"metadata": {"finalizers": ["hawser.dev/offer"]}});
    offers.patch("posted", &PatchParams::default(), &Patch::Merge(&finalizer)).await?;
    let on_chain = json!({"status": {"conditions": [], "onChain": {
        "offerId": format!("0x{}", "33".repeat(12)), "price": "1", "available": 1, "validUntil": 4_000_000_000_u64,
    }}});
    offers.patch_status("posted", &PatchParams::default(), &Patch::Merge(&on_chain)).await?;
    Ok(())
}
