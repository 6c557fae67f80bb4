//! A control plane, a chain, and a large cluster on them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, FixedBytes, keccak256};
use anyhow::{Context, Result};
use hawser_crds::condition::ATTESTED;
use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer, Phase, definitions};
use hawser_e2e::anvil::Anvil;
use hawser_e2e::chain::Chain;
use hawser_e2e::order::Order;
use hawser_e2e::{conditions, network, wait};
use hawser_local::Plane;
use hawser_market::OfferId;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::market::{Market, Placed};
use crate::objects::{self, Like, OFFERS, PRODUCTS, Pattern};
use crate::process::Operator;
use crate::store::Store;
use crate::{SYSTEM, Size, stored};

const NETWORK: &str = "market";
const SOON: Duration = Duration::from_mins(3);
/// How many looks at jobs there were; there is one job.
const LOOKS: &str = "hawser_reconciles_total{kind=\"ComputeJob\"}";

/// Every five minutes the API server compares its cache with all that etcd has (KEP-4988, from 1.34 on). With this much on two
/// cores it answers nobody meanwhile, for longer than a leader has to renew its lease.
const UNCHECKED: &str = "--feature-gates=DetectCacheInconsistency=false";

/// Everything that the operator works on.
pub(crate) struct Testbed {
    pub(crate) plane: Plane,
    pub(crate) client: Client,
    /// What was written, in bytes of JSON.
    pub(crate) bytes: u64,
    store: Store,
    market: Market,
    _anvil: Anvil,
}

impl Testbed {
    /// Built up with the help of the operator itself, which publishes the offers and shows how a job and its pod look.
    pub(crate) async fn new(size: Size, program: &Path, step: &impl Fn(&str)) -> Result<Self> {
        step("a control plane and a chain");
        let plane = tokio::task::spawn_blocking(|| Plane::start_with(&[UNCHECKED])).await??;
        let anvil = Anvil::start(IpAddr::V4(Ipv4Addr::LOCALHOST)).await?;
        let chain = Chain::deploy(anvil.rpc_url()).await?;
        let file = Kubeconfig::read_from(plane.kubeconfig("bench", plane.address())?)?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let store = Store::new(plane.etcd_url());
        foundations(&client, &chain).await?;
        let mut bytes = store.write((0..size.nodes).map(objects::node)).await?;

        step("the offers are published");
        let operator = Operator::start(program, &plane, None, "before")?;
        operator.leads().await?;
        network::install(&client, NETWORK, &chain).await?;
        let ids = publish(&client, &chain).await.with_context(|| operator.tail())?;
        let mut market = Market::new(chain, ids).await?;
        let first = market.order(1).await?;
        let pattern = pattern(&client, &market, &operator, &first).await.with_context(|| operator.tail())?;
        operator.stop().await?;

        step("orders are placed and started");
        let placed = market.order(size.live).await?;
        let started = market.start(&placed, attestor).await?;
        let (number, hash) = market.head().await?;
        let read = json!({"status": {"cursor": {"block": number, "hash": hash.to_string()}}});
        Api::<DepinNetwork>::all(client.clone())
            .patch_status(NETWORK, &PatchParams::default(), &Patch::Merge(&read))
            .await?;

        step("objects are written");
        bytes += store.write((0..size.others).map(|number| objects::pod(number, size.nodes))).await?;
        let live = placed.iter().zip(started).enumerate().flat_map(|(number, (placed, started))| {
            let (name, id) = (placed.name(), placed.id.to_string());
            let like = Like { number, offer: placed.offer, name: &name, id: &id };
            pattern.live(&like, started, &attestor(placed).to_checksum(None), size.nodes)
        });
        bytes += store.write(live).await?;
        let settled = (0..size.settled).map(|number| {
            let id = keccak256(format!("settled {number}"));
            let (name, id) = (format!("job-{}", alloy::hex::encode(&id[..8])), id.to_string());
            pattern.settled(&Like { number, offer: number % OFFERS, name: &name, id: &id })
        });
        bytes += store.write(settled).await?;

        step("the API server takes them in");
        taken_in(&client).await?;
        for (kind, list, under) in [("Node", "/api/v1/nodes", objects::NODES), ("Pod", "/api/v1/pods", objects::PODS)] {
            stored::in_protobuf(&client, &store, kind, list, under).await?;
        }
        taken_in(&client).await?;
        Ok(Self { plane, client, bytes, store, market, _anvil: anvil })
    }

    /// Places orders; their blocks are mined when this returns.
    pub(crate) async fn order(&mut self, count: usize) -> Result<Vec<Placed>> {
        self.market.order(count).await
    }

    /// How many jobs there are.
    pub(crate) async fn jobs(&self) -> Result<usize> {
        self.store.count(objects::JOBS).await
    }
}

/// Waits until the API server answers without delay what the newest state of each kind is: it hears of what was written from
/// etcd, and is behind.
async fn taken_in(client: &Client) -> Result<()> {
    let (nodes, pods, jobs) =
        (Api::<Node>::all(client.clone()), Api::<Pod>::all(client.clone()), Api::<ComputeJob>::all(client.clone()));
    let one = ListParams::default().limit(1);
    wait::until("the API server knows all that was written", SOON, async || {
        let asked = Instant::now();
        futures::try_join!(nodes.list_metadata(&one), pods.list_metadata(&one), jobs.list_metadata(&one))?;
        let took = asked.elapsed();
        Ok(if took < Duration::from_secs(1) { Ok(()) } else { Err(format!("it took {took:.1?}")) })
    })
    .await
}

fn attestor(placed: &Placed) -> Address {
    Address::from_word(keccak256(placed.id.0))
}

/// What a chart and an administrator bring.
async fn foundations(client: &Client, chain: &Chain) -> Result<()> {
    let definitions_api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (name, definition) in definitions() {
        let tidied: Value = serde_yaml_ng::from_str(&hawser_crds::to_yaml(&definition)?)?;
        let name = definition.metadata.name.clone().unwrap_or(name.to_string());
        definitions_api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(&tidied)).await?;
        wait::until("the definition is established", SOON, async || {
            let status = definitions_api.get(&name).await?.status.unwrap_or_default();
            let established =
                status.conditions.into_iter().flatten().any(|c| c.type_ == "Established" && c.status == "True");
            Ok(if established { Ok(()) } else { Err("not yet") })
        })
        .await?;
    }
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let tenants = (0..OFFERS).map(objects::tenant);
    for name in tenants.chain((0..objects::TEAMS).map(objects::team)).chain([SYSTEM.to_owned()]) {
        create::<Namespace>(&Api::all(client.clone()), json!({"metadata": {"name": name, "labels": restricted}}))
            .await?;
    }
    let secret =
        json!({"metadata": {"name": "hawser-wallet"}, "stringData": {"privateKey": chain.actors.operator.key}});
    create::<Secret>(&Api::namespaced(client.clone(), SYSTEM), secret).await?;
    let class = json!({"metadata": {"name": "nvidia"}, "handler": "nvidia"});
    create::<RuntimeClass>(&Api::all(client.clone()), class).await?;
    let class = json!({"metadata": {"name": "hawser-job"}, "value": -1000, "preemptionPolicy": "Never"});
    create::<PriorityClass>(&Api::all(client.clone()), class).await
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// An offer in each tenant's namespace; gives their ids on chain.
async fn publish(client: &Client, chain: &Chain) -> Result<Vec<FixedBytes<8>>> {
    let mut ids = Vec::new();
    for number in 0..OFFERS {
        let offer = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "gpus"},
            "spec": {
                "networkRef": NETWORK,
                "gpu": {"product": objects::product(number % PRODUCTS)},
                "price": {"perGpuHour": "0.0036", "token": chain.token.to_string()},
                "limits": {"minSeconds": 10, "maxSeconds": 8 * 24 * 3600, "startWindowSeconds": 36_000},
            }
        });
        let offers: Api<GpuOffer> = Api::namespaced(client.clone(), &objects::tenant(number));
        offers.patch("gpus", &PatchParams::apply("bench").force(), &Patch::Apply(&offer)).await?;
    }
    for number in 0..OFFERS {
        let offers: Api<GpuOffer> = Api::namespaced(client.clone(), &objects::tenant(number));
        let id = wait::until("the offer is published", SOON, async || {
            let status = offers.get("gpus").await?.status.unwrap_or_default();
            let ready = hawser_e2e::conditions::is_true(&status.conditions, hawser_crds::condition::READY);
            let id = status.on_chain.map(|on_chain| on_chain.offer_id).filter(|_| ready);
            Ok(id.ok_or_else(|| hawser_e2e::conditions::text(&status.conditions)))
        })
        .await?;
        ids.push(id.parse::<OfferId>()?.0);
    }
    Ok(ids)
}

/// The first order, taken up by the operator, with kubelet's part played here.
async fn pattern(client: &Client, market: &Market, operator: &Operator, first: &[Placed]) -> Result<Pattern> {
    let placed = first.first().context("no order was placed")?;
    let namespace = objects::tenant(placed.offer);
    let order = Order::new(placed.id, &namespace);
    order
        .when(client, "is accepted", SOON, |job| job.status.as_ref().is_some_and(|s| s.phase == Phase::Starting))
        .await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let name = order.name();
    wait::until("the job has a pod", SOON, async || Ok(pods.get_opt(&name).await?.ok_or("none"))).await?;
    let started = market.start(first, attestor).await?[0];
    let target =
        json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": objects::node_of(placed.offer, 0)}});
    pods.create_subresource::<Value, Value>("binding", &name, &PostParams::default(), &target).await?;
    let status = json!({"status": objects::running(0)});
    pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&status)).await?;
    let jobs: Api<ComputeJob> = Api::namespaced(client.clone(), &namespace);
    order.when(client, "runs", SOON, |job| job.status.as_ref().is_some_and(|s| s.phase == Phase::Running)).await?;
    let mut before = (None, 0.0);
    // A meter that never comes is reported after two minutes.
    wait::until("its meter is missed, and it is looked at twice and nothing is written", 2 * SOON, async || {
        let (job, looks) = (jobs.get(&name).await?, operator.metric(LOOKS).await?);
        let version = job.resource_version();
        if version != before.0 {
            before = (version, looks);
        }
        let conditions = job.status.unwrap_or_default().conditions;
        let missed = conditions.iter().any(|c| c.type_ == ATTESTED && c.message.contains("no report since"));
        Ok(if missed && looks >= before.1 + 2.0 {
            Ok(())
        } else {
            Err(format!("{} looks since it was written, {}", looks - before.1, conditions::text(&conditions)))
        })
    })
    .await?;
    let job = serde_json::to_value(jobs.get(&name).await?)?;
    let pod = serde_json::to_value(pods.get(&name).await?)?;
    Ok(Pattern { job, pod, id: placed.id.to_string(), started })
}
