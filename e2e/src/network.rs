//! A `DepinNetwork`: made against a chain's market, changed, and taken away again.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use hawser_crds::{
    ComputeJob, Confirmations, DepinNetwork, DepinNetworkSpec, DepinNetworkStatus, EvmNetwork, Gas, GpuOffer,
    SecretKeyRef, Wallet, Withdraw, condition,
};

use crate::chain::Chain;
use crate::cluster::{SYSTEM, is_not_found, jobs};
use crate::explain::explained;
use crate::{conditions, wait};

/// The Secret with the operator's hot key.
pub(crate) const WALLET_SECRET: &str = "hawser-wallet";
/// Its key.
pub(crate) const WALLET_KEY: &str = "privateKey";
const READY_AFTER: Duration = wait::SOON;

/// Recreates the network `name` and waits until it is Ready.
///
/// # Errors
/// When an earlier one doesn't go, or this one is not Ready in time.
pub async fn install(client: &Client, name: &str, chain: &Chain) -> Result<()> {
    let networks = all(client);
    // That of an earlier run is on another market, which can't be changed.
    remove(client, name).await?;
    networks.create(&PostParams::default(), &DepinNetwork::new(name, spec(chain))).await?;
    ready(client, name).await
}

fn spec(chain: &Chain) -> DepinNetworkSpec {
    let key = SecretKeyRef { name: WALLET_SECRET.to_owned(), key: WALLET_KEY.to_owned() };
    DepinNetworkSpec {
        settlement: None,
        evm: Some(EvmNetwork {
            rpc_urls: vec![chain.rpc_url.clone()],
            rpc_urls_secret_ref: None,
            chain_id: chain.chain_id,
            market: chain.market.to_string(),
            provider: chain.actors.provider.address.to_string(),
            start_block: chain.start_block,
            genesis_hash: None,
            confirmations: Confirmations::Blocks(1),
            wallet: Wallet { secret_ref: Some(key), ..Wallet::default() },
            gas: Gas::default(),
            settlement: None,
        }),
    }
}

/// Changes how deep an order must lie, and waits until the network is Ready with that.
///
/// # Errors
/// When it is not Ready in time.
pub async fn confirm(client: &Client, name: &str, confirmations: Confirmations) -> Result<()> {
    change(client, name, json!({ "evm": { "confirmations": confirmations } })).await
}

/// Has the operator send earnings to the payout address, and waits until the network is Ready with that.
///
/// # Errors
/// When it is not Ready in time.
pub async fn withdraw(client: &Client, name: &str, policy: &Withdraw) -> Result<()> {
    change(client, name, json!({ "settlement": { "withdraw": policy } })).await
}

/// Has the operator reach the chain through this endpoint alone, and waits until the network is Ready with that.
///
/// # Errors
/// When it is not Ready in time.
pub async fn reach_through(client: &Client, name: &str, url: &str) -> Result<()> {
    change(client, name, json!({ "evm": { "rpcUrls": [url] } })).await
}

/// The network as it was [installed](install), whatever a test has changed of it.
///
/// # Errors
/// When it is not Ready in time.
pub async fn restore(client: &Client, name: &str, chain: &Chain) -> Result<()> {
    let evm = spec(chain).evm.context("a network of another kind")?;
    change(client, name, json!({ "evm": { "rpcUrls": evm.rpc_urls, "confirmations": evm.confirmations } })).await
}

async fn change(client: &Client, name: &str, spec: Value) -> Result<()> {
    let change = json!({ "spec": spec });
    all(client).patch(name, &PatchParams::default(), &Patch::Merge(&change)).await?;
    ready(client, name).await
}

/// Waits until the network's condition of this type has this reason, and gives its message.
///
/// # Errors
/// When it has not in time.
pub async fn says(client: &Client, name: &str, type_: &str, reason: &str) -> Result<String> {
    says_with(client, name, type_, reason, "").await
}

/// The same with `words` in its message.
///
/// # Errors
/// When it has not in time.
pub async fn says_with(client: &Client, name: &str, type_: &str, reason: &str, words: &str) -> Result<String> {
    let what = format!("DepinNetwork {name} says {type_} {reason} {words:?}");
    wait::until(&what, wait::SOON, async || {
        let conditions = status(client, name).await?.conditions;
        let said = conditions.iter().find(|c| c.type_ == type_ && c.reason == reason && c.message.contains(words));
        Ok(said.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&conditions)))
    })
    .await
}

async fn ready(client: &Client, name: &str) -> Result<()> {
    let ready = wait::until(&format!("DepinNetwork {name} is Ready"), READY_AFTER, async || {
        let network = all(client).get(name).await?;
        let generation = network.metadata.generation;
        let status = network.status.unwrap_or_default();
        let ready =
            status.observed_generation == generation && conditions::is_true(&status.conditions, condition::READY);
        Ok(if ready { Ok(()) } else { Err(conditions::text(&status.conditions)) })
    })
    .await;
    explained(client, SYSTEM, ready).await
}

/// What the operator last saw of the network.
///
/// # Errors
/// When there is no such network.
pub async fn status(client: &Client, name: &str) -> Result<DepinNetworkStatus> {
    Ok(all(client).get(name).await?.status.unwrap_or_default())
}

/// Asks for the network's deletion, and does not wait for it.
///
/// # Errors
/// When there is no such network.
pub async fn leave(client: &Client, name: &str) -> Result<()> {
    all(client).delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// Waits until a network that was asked to leave is gone.
///
/// # Errors
/// When something still needs it when the deadline passes.
pub async fn gone(client: &Client, name: &str) -> Result<()> {
    wait::gone(&all(client), name, wait::SOON).await
}

/// Deletes the network if it is there, and waits until it is gone.
///
/// # Errors
/// When something still needs it when the deadline passes.
pub async fn remove(client: &Client, name: &str) -> Result<()> {
    match leave(client, name).await {
        Err(error) if !error.downcast_ref().is_some_and(is_not_found) => return Err(error),
        _ => {}
    }
    gone(client, name).await
}

/// Deletes the network, and `namespace` with its offers and jobs, without what their finalizers are for: its chain is
/// about to be gone, on which nothing can be settled any more.
///
/// # Errors
/// When the API server refuses.
pub async fn abandon(client: &Client, name: &str, namespace: &str) -> Result<()> {
    let offers: Api<GpuOffer> = Api::namespaced(client.clone(), namespace);
    release_all(&offers).await?;
    release_all::<ComputeJob>(&jobs(client, namespace)).await?;
    release(&all(client), name).await?;
    // What is left of it is the cluster's to end. Its pods wait for nobody to read their vouchers.
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    release_all(&pods).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(namespace, &DeleteParams::default()).await {
        Err(error) if !is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn release_all<K>(api: &Api<K>) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    for object in api.list(&ListParams::default()).await? {
        release(api, &object.name_any()).await?;
    }
    Ok(())
}

/// Deleted first: the operator puts its finalizer back on what isn't leaving.
async fn release<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let none = json!({ "metadata": { "finalizers": null } });
    let deleted = api.delete(name, &DeleteParams::default()).await.map(drop);
    let released = match deleted {
        Ok(()) => api.patch(name, &PatchParams::default(), &Patch::Merge(&none)).await.map(drop),
        refused => refused,
    };
    match released {
        Err(error) if !is_not_found(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn all(client: &Client) -> Api<DepinNetwork> {
    Api::all(client.clone())
}
