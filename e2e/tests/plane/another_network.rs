//! An order's life on a network that is no EVM chain: the controllers, the attestation service and the settlement are the
//! operator's own, in this process, and know nothing of it but what every network says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hawser_crds::{ComputeJob, ComputeJobStatus, DepinNetwork, Outcome, Phase, condition, definitions};
use hawser_e2e::{conditions, wait};
use hawser_operator::attestation::{self, Attestations, EvidenceStore, KubeTokenReviewer, TlsPem};
use hawser_operator::config::Config;
use hawser_operator::controllers::{Warm, run_with};
use hawser_operator::fence::Fence;
use hawser_operator::health::Health;
use hawser_operator::kubernetes::{Contact, Use, connect};
use hawser_operator::metrics::Metrics;
use hawser_operator::network::{ActionKey, Units};
use hawser_operator::tls;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admission::node;
use crate::lease_hub::LeaseHub;
use crate::lease_pod::LeasePod;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

/// Per GPU-hour; a token of the hub has two digits.
const PRICE: u128 = 7200;
/// What the customer leases.
const SECONDS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_lives_its_whole_life_on_a_network_that_is_no_evm_chain() -> Result<()> {
    let testbed = testbed().await?;
    let hub = LeaseHub::default();
    let operator = Operator::start(&testbed, &hub).await?;
    let lived = lives(&testbed, &hub, &operator.ca).await;
    operator.stop().await?;
    lived.with_context(|| hub.story())
}

async fn lives(testbed: &Testbed, hub: &LeaseHub, ca: &str) -> Result<()> {
    is_ready(testbed, true).await?;
    speaks_its_own_words(testbed, hub).await?;
    are_for_sale(testbed, hub, 2).await?;

    // One that nobody can start in time: the hub waits for seconds, whatever an EVM market would.
    let (patience, void) = (SignedDuration::from_secs(8), "lease/6#alpha");
    let paid_back = hub.order(void, (1, SECONDS), patience, &spec(1)).context("an offer")?;
    let given_up = over(testbed, "lease-6-alpha").await?;
    ensure!(given_up.reason.as_deref() == Some("NotStartedInTime"), "{given_up:?}");
    ensure!(hub.money() == (Units::ZERO, paid_back), "it was paid back: {:?}", hub.money());
    let asked = hub.asked_of(&void.into());
    ensure!(!asked.iter().any(|key| matches!(key, ActionKey::Start(_) | ActionKey::Settle(_))), "{asked:?}");

    are_for_sale(testbed, hub, 2).await?;
    let (job, name) = ("lease/7#alpha", "lease-7-alpha");
    let deposit = hub.order(job, (2, SECONDS), SignedDuration::from_secs(90), &spec(2)).context("an offer")?;
    let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), OFFERS);
    wait::until("its pod is made", START, async || {
        Ok(if pods.get_opt(name).await?.is_some() { Ok(()) } else { Err(said(testbed, name).await?) })
    })
    .await?;
    let pod = LeasePod::run(&testbed.client, OFFERS, name, "node", ca).await?;
    pod.begins().await?;
    pod.ends().await?;
    let status = over(testbed, name).await?;
    ensure!((status.outcome, status.phase) == (Some(Outcome::Completed), Phase::Succeeded), "{status:?}");

    let asked = hub.asked_of(&job.into());
    let expected = [ActionKey::Start(job.into()), ActionKey::Settle(job.into())];
    ensure!(asked == expected, "it is started once and paid by one claim at its end: {asked:?}");
    let used = status.usage.context("what it used")?.gpu_seconds;
    let (earned, refunded) = hub.money();
    ensure!(used > 0 && used <= 2 * u64::from(SECONDS), "{used} GPU-seconds");
    ensure!(earned == Units::from(PRICE * u128::from(used) / 3600), "{used} GPU-seconds at {PRICE} are not {earned}");
    ensure!(refunded == paid_back + deposit - earned, "what is not earned goes back: {earned}, {refunded}, {deposit}");
    let settlement = status.settlement.context("what was paid")?;
    ensure!(settlement.paid.as_deref() == Some(earned.to_string().as_str()), "{settlement:?}");
    Ok(())
}

/// Waits until the network is Ready, or is not; gives what its conditions say.
async fn is_ready(testbed: &Testbed, ready: bool) -> Result<Vec<Condition>> {
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    wait::until(if ready { "the network is Ready" } else { "the network is not Ready" }, START, async || {
        let said = networks.get("hub").await?.status.unwrap_or_default().conditions;
        Ok(if conditions::is_true(&said, condition::READY) == ready { Ok(said) } else { Err(conditions::text(&said)) })
    })
    .await
}

/// Its conditions say what it says itself, and name no field of another kind of network.
async fn speaks_its_own_words(testbed: &Testbed, hub: &LeaseHub) -> Result<()> {
    hub.shut(true);
    let said = conditions::text(&is_ready(testbed, false).await?);
    hub.shut(false);
    let own = "nobody answers at the counter: ask for its hours; running jobs go on meanwhile";
    ensure!(said.contains(own), "{said}");
    let all = format!("{said}; {}", conditions::text(&is_ready(testbed, true).await?));
    ensure!(!["spec.evm", "gas", " block", "chain 3"].iter().any(|word| all.contains(word)), "{all}");
    Ok(())
}

/// Waits until the hub has been told of so many GPUs.
async fn are_for_sale(testbed: &Testbed, hub: &LeaseHub, gpus: u16) -> Result<()> {
    wait::until(&format!("{gpus} GPUs are for sale"), wait::SOON, async || {
        let offer = testbed.offers().get("offer").await?.status.unwrap_or_default().conditions;
        let available = hub.available();
        Ok(if available == Some(gpus) { Ok(()) } else { Err(format!("{available:?}; {}", conditions::text(&offer))) })
    })
    .await
}

fn jobs(testbed: &Testbed) -> Api<ComputeJob> {
    Api::namespaced(testbed.client.clone(), OFFERS)
}

/// What stands in a job's status, for people.
async fn said(testbed: &Testbed, name: &str) -> Result<String> {
    let Some(job) = jobs(testbed).get_opt(name).await? else { return Ok("there is no ComputeJob".to_owned()) };
    let status = job.status.unwrap_or_default();
    Ok(format!("{:?}: {}", status.phase, conditions::text(&status.conditions)))
}

/// Waits until a job is settled.
async fn over(testbed: &Testbed, name: &str) -> Result<ComputeJobStatus> {
    wait::until(&format!("{name} is settled"), wait::SOON, async || {
        let status = jobs(testbed).get_opt(name).await?.and_then(|job| job.status).unwrap_or_default();
        if status.settled_at.is_some() { Ok(Ok(status)) } else { Ok(Err(said(testbed, name).await?)) }
    })
    .await
}

fn spec(gpus: u32) -> String {
    json!({"version": 1, "image": "none", "gpus": gpus}).to_string()
}

/// A node with two GPUs, an offer of them, and a network of a kind that this release's definitions do not have.
async fn testbed() -> Result<Testbed> {
    let testbed = Testbed::bare().await?;
    for (_, mut definition) in definitions() {
        if definition.name_any().starts_with("depinnetworks.") {
            for version in &mut definition.spec.versions {
                let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
                let spec = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("spec"));
                // It names the kinds that there are.
                spec.context("a schema of spec")?.x_kubernetes_validations = None;
            }
        }
        testbed.define(&definition).await?;
    }
    let class = json!({"metadata": {"name": "hawser-job"}, "value": -1000, "preemptionPolicy": "Never"});
    let classes: Api<PriorityClass> = Api::all(testbed.client.clone());
    classes.create(&PostParams::default(), &serde_json::from_value(class)?).await?;
    node(&testbed).await?;
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(testbed.client.clone());
    namespaces.patch(OFFERS, &PatchParams::default(), &Patch::Merge(&label)).await?;
    let network = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "hub"}, "spec": {},
    });
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    networks.patch("hub", &PatchParams::apply("tests").force(), &Patch::Apply(&network)).await?;
    let offer = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "offer"},
        "spec": {
            "networkRef": "hub",
            "gpu": {"product": "fine"},
            "price": {"perGpuHour": "72", "token": format!("0x{}", "11".repeat(20))},
            "limits": {"minSeconds": 10},
        },
    });
    testbed.offers().patch("offer", &PatchParams::apply("tests").force(), &Patch::Apply(&offer)).await?;
    Ok(testbed)
}

/// The operator in this process, which is alone and leads.
struct Operator {
    ca: String,
    cancel: CancellationToken,
    controllers: JoinHandle<Result<(), hawser_operator::controllers::StartError>>,
    service: JoinHandle<Result<(), attestation::ServeError>>,
    _evidence: tempfile::TempDir,
}

impl Operator {
    async fn start(testbed: &Testbed, hub: &LeaseHub) -> Result<Self> {
        let (fence, metrics, cancel) = (Fence::always(), Metrics::default(), CancellationToken::new());
        let contacts = [Contact::default(), Contact::default()];
        let work = Health::new(fence.clone(), contacts.clone()).work();
        let file = Kubeconfig::read_from(testbed.plane.kubeconfig("operator", testbed.plane.address())?)?;
        let kubernetes = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let [_, contact] = contacts;
        let client = connect(kubernetes, Use::work(fence.clone(), contact, metrics.server_calls()))?;
        let (evidence, listener) = (tempfile::tempdir()?, TcpListener::bind("127.0.0.1:0").await?);
        let (url, store) = (
            format!("https://localhost:{}", listener.local_addr()?.port()),
            format!("file://{}", evidence.path().display()),
        );
        let config = <Config as clap::Parser>::try_parse_from([
            "hawser-operator",
            "--namespace",
            SYSTEM,
            "--pod-name",
            "one",
            "--sidecar-image",
            "none",
            "--attestation-url",
            &url,
            "--evidence-url",
            &store,
        ])?;
        let certificates = tls::ensure(client.clone(), SYSTEM, &config.attestation_host()).await?;
        let attestations =
            Attestations::measured(EvidenceStore::open(&store, "")?.fenced(fence.clone()), metrics.attestation.clone());
        let tls = TlsPem { certificate: certificates.certificate, key: certificates.key };
        let reviewer = KubeTokenReviewer::new(client.clone());
        let service = attestation::serve_on(attestations.clone(), listener, tls, reviewer, cancel.clone());
        let warm = Warm::start(client, fence, work, &metrics, cancel.clone());
        let (ca, hub) = (certificates.ca, hub.clone());
        let kinds = Arc::new(move |network: &DepinNetwork| (network.name_any() == "hub").then(|| hub.prepared()));
        let controllers = run_with(warm, config, ca.clone(), attestations, metrics, kinds);
        let (controllers, service) = (tokio::spawn(controllers), tokio::spawn(service));
        Ok(Self { ca, cancel, controllers, service, _evidence: evidence })
    }

    async fn stop(self) -> Result<()> {
        self.cancel.cancel();
        match tokio::time::timeout(Duration::from_secs(30), self.controllers).await {
            Ok(ended) => ended??,
            Err(_) => bail!("the controllers do not stop"),
        }
        self.service.await??;
        Ok(())
    }
}
