use anyhow::{Context, Result, ensure};
use hawser_crds::GpuOffer;
use hawser_e2e::cluster::jobs;
use hawser_e2e::customer::Customer;
use hawser_e2e::installation::Installation;
use hawser_e2e::{operator, wait};
use kube::api::{Api, DeleteParams};

use crate::lifecycle::{counts_on, settles_to_the_last_unit};
use crate::testbed::{OFFER, Testbed, installation, sleep};

#[tokio::test]
async fn charts_uninstalled_in_either_order_under_a_running_job_lose_nothing_and_let_go_once_they_are_back()
-> Result<()> {
    Testbed::with_gpus("uninstalled", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 900, &sleep(900))).await?;
        placed.order.running(&testbed.client).await?;
        placed.order.attested(&testbed.client).await?;
        let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        for releases in [["hawser-crds", "hawser"], ["hawser", "hawser-crds"]] {
            Installation::uninstall(&testbed.client, releases).await?;
            // What is sold stays on record, though nobody looks after it.
            offers.delete(OFFER, &DeleteParams::default()).await?;
            let waits = offers.get(OFFER).await?;
            ensure!(
                waits.metadata.deletion_timestamp.is_some(),
                "an offer with a running job went without its operator"
            );
            jobs(&testbed.client, &testbed.namespace).get(&placed.order.name()).await?;

            installation().await?.install_again(&testbed.client).await?;
            operator::leads(&testbed.client).await?;
            counts_on(testbed, &placed)
                .await
                .with_context(|| format!("{releases:?} were uninstalled, and are back"))?;
        }
        Customer::first(&testbed.fixture).hawser(&["end", &placed.order.id.to_string()]).await?;
        settles_to_the_last_unit(testbed, &placed).await?;
        wait::gone(&offers, OFFER, wait::SOON).await
    })
    .await
}
