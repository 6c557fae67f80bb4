//! What the operator has put into a namespace for its jobs, the account and the CA, goes with the last offer there.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::DeleteParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::around::Around;
use crate::controllers::Shared;
use crate::controllers::compute_job::SERVICE_ACCOUNT;
use crate::controllers::watch::name_of;
use crate::controllers::work::Name;
use crate::objects::CA_CONFIG_MAP;

/// Who may still need it.
#[derive(Clone, Debug, Default)]
struct Left {
    /// Offers that stay.
    offers: Vec<Name>,
    /// Namespaces of jobs that are not settled, and of jobs' pods in which something runs.
    jobs: Vec<String>,
}

/// Whether nobody needs it once `offer` is gone.
fn needs_nothing((namespace, name): &Name, left: &Left) -> bool {
    let other = |(its, offer): &Name| its == namespace && offer != name;
    !left.offers.iter().any(other) && !left.jobs.contains(namespace)
}

/// Deletes it where the offer that goes was the last. Nothing rests on it: what can't be deleted stays, and is told. What comes to
/// be needed again is made again before it is.
pub(super) async fn tidy(offer: &Name, around: &Around, shared: &Shared) {
    let namespace = &offer.0;
    // With a namespace it goes anyway; and where nothing may be written, nothing was.
    if around.going || around.denied.is_some() {
        return;
    }
    let offers = shared.offers.store.state();
    // Of several that go at the same time each would leave it to the others.
    let stay = offers.iter().filter(|offer| offer.meta().deletion_timestamp.is_none());
    let mut left = Left {
        offers: stay.map(|offer| name_of(&**offer)).collect(),
        jobs: shared.jobs.store.state().iter().filter_map(|job| job.namespace()).collect(),
    };
    left.jobs.extend(shared.inventory.read(|inventory| {
        let running = inventory.job_pods().filter(|(_, pod)| !pod.state.is_finished);
        running.map(|((namespace, _), _)| namespace.clone()).collect::<Vec<_>>()
    }));
    if needs_nothing(offer, &left) {
        remove::<ServiceAccount>(&shared.client, namespace, SERVICE_ACCOUNT).await;
        remove::<ConfigMap>(&shared.client, namespace, CA_CONFIG_MAP).await;
    }
}

async fn remove<K>(client: &Client, namespace: &str, name: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => warn!(namespace, name, %error, "{} stays though no offer is left that needs it", K::kind(&())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_goes_with_the_last_offer_of_its_namespace_and_with_no_other() {
        let name = |(namespace, name): &(&str, &str)| ((*namespace).to_owned(), (*name).to_owned());
        for (offers, jobs, goes) in [
            (&[("t", "o")][..], &[][..], true),
            (&[], &[], true),
            (&[("t", "o"), ("other", "o"), ("other", "p")], &["other"], true),
            (&[("t", "o"), ("t", "p")], &[], false),
            (&[("t", "o")], &["t"], false),
        ] {
            let jobs: Vec<String> = jobs.iter().map(|namespace: &&str| (*namespace).to_owned()).collect();
            let left = Left { offers: offers.iter().map(name).collect(), jobs };
            assert_eq!(needs_nothing(&name(&("t", "o")), &left), goes, "{left:?}");
        }
    }
}
