//! What the tests have in common: one installation for all, and for each a testbed of its own: a chain with a market, a
//! `DepinNetwork`, a namespace with an offer, and some of the cluster's GPUs. So they run side by side.

use std::io::Write as _;
use std::time::Instant;

use alloy::primitives::U256;
use anyhow::{Context, Error, Result, anyhow};
use hawser_crds::GpuOfferSpec;
use hawser_e2e::chain::{Chain, Credits};
use hawser_e2e::cluster::client;
use hawser_e2e::customer::{Customer, JobSpec};
use hawser_e2e::fixture::Fixture;
use hawser_e2e::installation::Installation;
use hawser_e2e::order::Order;
use hawser_e2e::{explain, fixture, network, operator, wait};
use kube::Client;
use tokio::sync::{OnceCell, Semaphore};

use crate::node::Node;

/// The first test installs, the others find it done (or failed, and fail at once).
static INSTALLATION: OnceCell<Result<Installation, String>> = OnceCell::const_new();

/// GPUs of the local cluster. Who wants some waits until they are free: no offer has less than it says.
const GPUS: u32 = 14;
static FREE: Semaphore = Semaphore::const_new(GPUS as usize);

/// Name of each testbed's `GpuOffer`.
pub(crate) const OFFER: &str = "gpus";

/// One test's corner of the cluster.
pub(crate) struct Testbed {
    pub(crate) fixture: Fixture,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The market's id of the offer.
    pub(crate) offer: String,
}

impl Testbed {
    /// Runs `test` where an offer has `gpus` GPUs.
    pub(crate) async fn with_gpus(name: &str, gpus: u32, test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        Self::offering(name, gpus, |_| (), test).await
    }

    /// The same with any offer.
    pub(crate) async fn offering(
        name: &str,
        gpus: u32,
        change: impl FnOnce(&mut GpuOfferSpec),
        test: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        Self::on(Node::anvil, name, gpus, change, test).await
    }

    /// The same on any EVM node. An error says which testbed it was, and what stood in it.
    pub(crate) async fn on(
        node: impl AsyncFnOnce() -> Result<Node>,
        name: &str,
        gpus: u32,
        change: impl FnOnce(&mut GpuOfferSpec),
        test: impl AsyncFnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let installation = installation().await?;
        let came = Instant::now();
        // On a chain that testbeds have to share they share the operator's wallet too: one after the other.
        let _held = FREE.acquire_many(if operator::is_local() { gpus } else { GPUS }).await?;
        let begun = Instant::now();
        let place = Place { client: client().await?, name: format!("e2e-{name}") };
        let node = node().await?;
        let run = async {
            let change = |spec: &mut GpuOfferSpec| {
                spec.capacity.max = Some(gpus);
                change(spec);
            };
            let testbed = place.set(installation, node.deploy().await?, change).await?;
            test(&testbed).await?;
            place.clear().await
        };
        let told = Box::pin(run).await;
        let told = match told {
            Ok(()) => Ok(()),
            Err(error) => Err(place.leave(error).await),
        };
        // `cargo xtask test` reads it and tells the slowest: a print would be seen only where the test failed.
        let (took, waited) = (begun.elapsed().as_secs_f32(), (begun - came).as_secs_f32());
        _ = writeln!(std::io::stdout(), "took {took:.1} s after {waited:.1} s of waiting for GPUs: {name}");
        node.explained(told)
    }

    /// A job on `gpus` GPUs that runs a shell script and obeys SIGTERM.
    pub(crate) fn job_spec(&self, gpus: u16, seconds: u32, script: &str) -> JobSpec {
        JobSpec {
            offer: self.offer.clone(),
            gpus,
            seconds,
            image: self.fixture.environment.povray_image.clone(),
            command: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            args: vec![format!("trap 'exit 143' TERM; {script}")],
        }
    }

    /// Orders as the first customer.
    pub(crate) async fn order(&self, spec: &JobSpec) -> Result<Placed> {
        self.offers(spec.gpus).await?;
        let customer = Customer::first(&self.fixture);
        let id = customer.order(spec).await?;
        // What the deposit took out of the customer's credit is not in it any more.
        let before = self.credits().await?;
        Ok(Placed { order: Order::new(id, &self.namespace), before, deposit: id.deposit(spec.seconds) })
    }

    /// Waits until this many GPUs can be ordered: what an earlier order held is offered again a block or two after its end.
    pub(crate) async fn offers(&self, gpus: u16) -> Result<()> {
        wait::until("the offer has GPUs available", wait::SOON, async || {
            let available = self.fixture.chain.available(&self.offer).await?;
            Ok(if available >= gpus { Ok(()) } else { Err(format!("{available} of {gpus}")) })
        })
        .await
    }

    pub(crate) async fn credits(&self) -> Result<Credits> {
        self.fixture.chain.credits(&self.fixture.chain.actors.customer).await
    }
}

/// Where a testbed is set up: the name of its namespace and of its network.
struct Place {
    client: Client,
    name: String,
}

impl Place {
    async fn set(
        &self,
        installation: &Installation,
        chain: Chain,
        change: impl FnOnce(&mut GpuOfferSpec),
    ) -> Result<Testbed> {
        let fixture = installation.fixture(&self.client, &self.name, chain).await?;
        fixture.tenant(&self.client, &self.name).await?;
        let mut spec = fixture.offer_spec();
        change(&mut spec);
        let offer = fixture.publish(&self.client, &self.name, OFFER, spec).await?;
        let on_chain = offer.status.and_then(|status| status.on_chain).context("the offer does not stand on chain")?;
        Ok(Testbed { fixture, client: self.client.clone(), namespace: self.name.clone(), offer: on_chain.offer_id })
    }

    /// Nothing of it is left: what holds GPUs, or settles, is waited for.
    async fn clear(&self) -> Result<()> {
        fixture::remove_tenant(&self.client, &self.name).await?;
        network::remove(&self.client, &self.name).await
    }

    /// Explains what went wrong, and leaves without settling anything where the chain goes with the test.
    async fn leave(&self, error: Error) -> Error {
        let said = format!("{error:#}");
        let objects = explain::testbed(&self.client, &self.name, &self.name).await;
        let error = if said.contains(&explain::title(&self.name)) { error } else { error.context(objects) };
        let error = error.context(format!("testbed {}", self.name));
        if !operator::is_local() {
            return error;
        }
        match network::abandon(&self.client, &self.name, &self.name).await {
            Ok(()) => error,
            Err(left) => error.context(format!("what is left of it may hold GPUs: {left:#}")),
        }
    }
}

/// An order, and what was credited to each side once its deposit was taken (out of the customer's credit first).
pub(crate) struct Placed {
    pub(crate) order: Order,
    pub(crate) before: Credits,
    pub(crate) deposit: U256,
}

/// What the tests share, installed by the first of them.
pub(crate) async fn installation() -> Result<&'static Installation> {
    let install =
        async || Installation::install(&|step| println!("{step}")).await.map_err(|error| format!("{error:#}"));
    let installed = INSTALLATION.get_or_init(install).await;
    installed.as_ref().map_err(|error| anyhow!("the installation failed: {error}"))
}

/// Runs while the customer's container sleeps in the background, so that the shell hears SIGTERM at once.
pub(crate) fn sleep(seconds: u32) -> String {
    format!("sleep {seconds} & wait $!")
}
