//! What the tests have in common: one installation for all, a namespace and an offer for each.

use std::sync::Mutex;
use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result};
use hawser_crds::GpuOfferSpec;
use hawser_e2e::chain::Books;
use hawser_e2e::customer::{Customer, Wish};
use hawser_e2e::order::Order;
use hawser_e2e::wait;
use hawser_e2e::world::{World, client, sweep};
use kube::Client;
use kube::api::{Api, DeleteParams};

/// The first test installs, the others find it done (or failed, and fail at once).
static WORLD: Mutex<Option<Result<World, String>>> = Mutex::new(None);

/// Name of each scene's `GpuOffer`.
pub(crate) const OFFER: &str = "gpus";

/// One test's corner of the cluster.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The market's id of the offer.
    pub(crate) offer: String,
}

impl Scene {
    /// A namespace with an offer of `gpus` GPUs.
    pub(crate) async fn with_gpus(name: &str, gpus: u32) -> Result<Self> {
        Self::of(world().await?, name, gpus).await
    }

    /// The same on the market of any `world`.
    pub(crate) async fn of(world: World, name: &str, gpus: u32) -> Result<Self> {
        let mut spec = world.offer_spec();
        spec.capacity.max = Some(gpus);
        Self::offering(world, name, spec).await
    }

    /// The same with any offer.
    pub(crate) async fn offering(world: World, name: &str, spec: GpuOfferSpec) -> Result<Self> {
        let client = client().await?;
        // A test that failed left its troubles behind, and its job running.
        world.restore(&client).await?;
        sweep(&client).await?;
        let namespace = Self::namespace_of(name);
        world.tenant(&client, &namespace).await?;
        let offer = world.publish(&client, &namespace, OFFER, spec).await?;
        let on_chain = offer.status.and_then(|status| status.on_chain).context("the offer does not stand on chain")?;
        Ok(Self { world, client, namespace, offer: on_chain.offer_id })
    }

    /// The namespace of the scene called `name`.
    pub(crate) fn namespace_of(name: &str) -> String {
        format!("e2e-{name}")
    }

    /// A wish for `gpus` GPUs that runs a shell script and obeys SIGTERM.
    pub(crate) fn wish(&self, gpus: u16, seconds: u32, script: &str) -> Wish {
        Wish {
            offer: self.offer.clone(),
            gpus,
            seconds,
            image: self.world.environment.povray_image.clone(),
            command: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            args: vec![format!("trap 'exit 143' TERM; {script}")],
        }
    }

    /// Orders as the first customer.
    pub(crate) async fn order(&self, wish: &Wish) -> Result<Placed> {
        self.offers(wish.gpus).await?;
        let customer = Customer::first(&self.world);
        let id = customer.order(wish).await?;
        // What the deposit took out of the customer's credit is not on the books any more.
        let before = self.books().await?;
        Ok(Placed { order: Order::new(id, &self.namespace), before, deposit: id.deposit(wish.seconds) })
    }

    /// Waits until so many GPUs can be ordered: what an earlier order held is offered again a block or two after its end.
    pub(crate) async fn offers(&self, gpus: u16) -> Result<()> {
        wait::until("the offer has GPUs available", Duration::from_mins(1), async || {
            let available = self.world.chain.available(&self.offer).await?;
            Ok(if available >= gpus { Ok(()) } else { Err(format!("{available} of {gpus}")) })
        })
        .await
    }

    pub(crate) async fn books(&self) -> Result<Books> {
        self.world.chain.books(&self.world.chain.actors.customer).await
    }

    /// Ends the scene: its namespace goes, and with it its offer.
    pub(crate) async fn clear(self) -> Result<()> {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// An order, and what stood on the books once its deposit was taken (out of the customer's credit first).
pub(crate) struct Placed {
    pub(crate) order: Order,
    pub(crate) before: Books,
    pub(crate) deposit: U256,
}

/// What the tests share, installed by the first of them.
pub(crate) async fn world() -> Result<World> {
    let known = WORLD.lock().map_err(|_| anyhow::anyhow!("another test panicked while it installed"))?.clone();
    if let Some(known) = known {
        return known.map_err(|error| anyhow::anyhow!("the installation failed before: {error}"));
    }
    let installed = World::install(&|step| println!("{step}")).await;
    let kept = installed.as_ref().map(Clone::clone).map_err(|error| format!("{error:#}"));
    *WORLD.lock().map_err(|_| anyhow::anyhow!("another test panicked while it installed"))? = Some(kept);
    installed
}

/// Runs while the customer's container sleeps in the background, so that the shell hears SIGTERM at once.
pub(crate) fn sleep(seconds: u32) -> String {
    format!("sleep {seconds} & wait $!")
}
