//! What an offer says of its namespace: whether the cluster enforces the jobs' `NetworkPolicy`, and whether the operator may
//! write there.

use anyhow::{Context, Result, ensure};
use hawser_crds::{GpuOffer, GpuOfferStatus, condition};
use hawser_e2e::cluster::JOBS;
use hawser_e2e::{conditions, fixture, wait};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::testbed::{OFFER, Testbed};

#[tokio::test]
#[ignore = "not run here: a cluster of somebody else may not enforce NetworkPolicies"]
async fn an_offer_finds_out_whether_its_network_policy_is_enforced_and_sells_nothing_where_it_is_not() -> Result<()> {
    Testbed::with_gpus("canary", 1, async |testbed| {
        let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        let isolated = says(&offers, condition::NETWORK_ISOLATED, "True", "Enforced").await?;
        for tried in [":8080", "198.19.0.1:443", ":10250"] {
            ensure!(isolated.message.contains(tried), "{tried} was not tried: {}", isolated.message);
        }
        nothing_is_left_of_it(testbed).await?;

        // Policies add up: another one that allows everything undoes the offer's own.
        let policies: Api<NetworkPolicy> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        policies.create(&PostParams::default(), &everything_out()?).await?;
        change(&offers, json!({"isolation": {"egress": "None"}})).await?;
        let open = says(&offers, condition::NETWORK_ISOLATED, "False", "NotEnforced").await?;
        ensure!(open.message.contains(":8080"), "{}", open.message);
        let ready = says(&offers, condition::READY, "False", "NotEnforced").await?;
        ensure!(ready.message.contains("acceptReachable: [Cluster]"), "{}", ready.message);
        available(testbed, 0).await?;

        change(&offers, json!({"isolation": {"acceptReachable": ["Cluster", "Node"]}})).await?;
        available(testbed, 1).await?;

        policies.delete(&everything_out()?.name_any(), &DeleteParams::default()).await?;
        change(&offers, json!({"isolation": {"egress": "Internet", "acceptReachable": null}})).await?;
        says(&offers, condition::NETWORK_ISOLATED, "True", "Enforced").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_offer_where_the_operator_has_no_rights_says_which_command_grants_them() -> Result<()> {
    Testbed::with_gpus("rights", 1, async |testbed| {
        let other = format!("{}-elsewhere", testbed.namespace);
        testbed.fixture.tenant(&testbed.client, &other).await?;
        let bindings: Api<RoleBinding> = Api::namespaced(testbed.client.clone(), &other);
        bindings.delete(JOBS, &DeleteParams::default()).await?;

        let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &other);
        let mut spec = testbed.fixture.offer_spec();
        spec.capacity.max = Some(1);
        offers.create(&PostParams::default(), &GpuOffer::new(OFFER, spec)).await?;
        let denied = says(&offers, condition::READY, "False", "NoRights").await?;
        let status = status(&offers).await?;
        ensure!(status.on_chain.is_none(), "it was posted: {:?}", status.on_chain);

        let (_, command) = denied.message.split_once("jobs need that: ").context("there is no command")?;
        run(command).await?;
        wait::until("the offer is Ready", wait::SOON, async || {
            let told = self::status(&offers).await?.conditions;
            let ready = conditions::is_true(&told, condition::READY);
            Ok(if ready { Ok(()) } else { Err(conditions::text(&told)) })
        })
        .await?;
        fixture::remove_tenant(&testbed.client, &other).await
    })
    .await
}

pub(crate) async fn run(command: &str) -> Result<()> {
    let words: Vec<_> = command.split_whitespace().collect();
    let [program, arguments @ ..] = words.as_slice() else { anyhow::bail!("{command:?} is no command") };
    let said = Command::new(program).args(arguments).output().await?;
    ensure!(said.status.success(), "{command}: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

async fn status(offers: &Api<GpuOffer>) -> Result<GpuOfferStatus> {
    Ok(offers.get(OFFER).await?.status.unwrap_or_default())
}

/// Waits until the offer says so of its present spec.
pub(crate) async fn says(offers: &Api<GpuOffer>, kind: &str, word: &str, reason: &str) -> Result<Condition> {
    wait::until(&format!("{kind} is {word} with the reason {reason}"), wait::SOON, async || {
        let offer = offers.get(OFFER).await?;
        let told = offer.status.unwrap_or_default().conditions;
        let found = told.iter().find(|c| {
            c.type_ == kind
                && c.status == word
                && c.reason == reason
                && c.observed_generation == offer.metadata.generation
        });
        Ok(found.cloned().ok_or_else(|| conditions::text(&told)))
    })
    .await
}

pub(crate) async fn change(offers: &Api<GpuOffer>, spec: Value) -> Result<()> {
    offers.patch(OFFER, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await?;
    Ok(())
}

/// Waits until the market says that this many GPUs can be ordered.
pub(crate) async fn available(testbed: &Testbed, gpus: u16) -> Result<()> {
    wait::until(&format!("the market says that {gpus} GPUs are available"), wait::SOON, async || {
        let told = testbed.fixture.chain.available(&testbed.offer).await?;
        Ok(if told == gpus { Ok(()) } else { Err(format!("{told}")) })
    })
    .await
}

/// The offer's first canary has told something and is gone: for an hour it needs no room.
pub(crate) async fn canary_is_over(testbed: &Testbed) -> Result<()> {
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    wait::until("the canary has told what it reached", wait::SOON, async || {
        let told = status(&offers).await?.conditions;
        let known = told.iter().any(|c| c.type_ == condition::NETWORK_ISOLATED && c.status != "Unknown");
        Ok(if known { Ok(()) } else { Err(conditions::text(&told)) })
    })
    .await?;
    nothing_is_left_of_it(testbed).await
}

async fn nothing_is_left_of_it(testbed: &Testbed) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    wait::until("the canary is gone", wait::SOON, async || {
        let names: Vec<_> = pods.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
        Ok(if names.is_empty() { Ok(()) } else { Err(names.join(", ")) })
    })
    .await
}

fn everything_out() -> Result<NetworkPolicy> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "let-everything-out"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    }))?)
}
