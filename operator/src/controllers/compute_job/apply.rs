//! Does what was decided: pod, actions on chain, events.

use std::net::IpAddr;

use hawser_crds::GpuOffer;
use hawser_market::workload::Resources;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};

use super::decide::{Decision, PodStep, is_to_stop};
use super::ended::Outcome;
use super::manifests::{self, POD_FINALIZER, PodInput};
use super::memory::JobContext;
use super::observation::{JobObservation, PodRefused};
use super::policy;
use super::surround::{self, surround};
use super::voucher::Vouchers;
use crate::config::Config;
use crate::controllers::conditions::transitions;
use crate::controllers::gpu_offer::memory;
use crate::controllers::watch::name_of;
use crate::controllers::{Error, MANAGER, Shared, Tried, status_writer};
use crate::network::{NetworkAction, Subject};
use crate::objects::pod_state::PodState;
use crate::reasons::Reason;

/// Takes the steps.
pub(crate) async fn apply(context: &JobContext, seen: &JobObservation, decision: &Decision) -> Result<(), Error> {
    let stepped = match decision.pod {
        PodStep::Keep => Ok(()),
        PodStep::Create => create(context, seen).await,
        PodStep::Delete => delete(&context.shared.client, seen).await,
        PodStep::Release => release(&context.shared.client, seen).await,
    };
    let vouchers = Vouchers::of(seen);
    debug_assert_eq!(
        vouchers.claimable().not_yet,
        [""; 0],
        "a kind with several pods needs a way to claim for each first"
    );
    // Whatever is with the pod: what is owed is claimed, also where the rights in its namespace are gone.
    if let Some(network) = seen.job.spec.source.as_ref().and_then(|s| context.shared.networks.get(&s.network)) {
        for action in decision.actions.iter().filter(|action| grant(context, seen, action)) {
            network.request(action.clone());
        }
    }
    stepped
}

/// Strangers can cause any number of orders that are turned down: what that costs has a budget, from which this is taken.
/// Whether there was enough.
fn grant(context: &JobContext, seen: &JobObservation, action: &NetworkAction) -> bool {
    let (namespace, offer) = (seen.job.namespace().unwrap_or_default(), &seen.job.spec.offer_ref);
    match action {
        NetworkAction::Decline { job, .. } => {
            memory::grant_decline(&context.shared, &context.offers, &namespace, offer, job)
        }
        // Turned down and left to its deadline: the customer can close it too.
        NetworkAction::Refund { .. }
            if Outcome::stored(&seen.stored()).is_some_and(|outcome| outcome.is_declined()) =>
        {
            context.offers.grant_sweep(&namespace, offer)
        }
        _ => true,
    }
}

/// Says what is new: one event a condition, and one for a voucher that was refused.
pub(crate) async fn announce(shared: &Shared, seen: &JobObservation, decision: &Decision) {
    let about = seen.job.object_ref(&());
    let stored = seen.stored();
    shared.events.conditions(&about, &transitions(&stored.conditions, &decision.status.conditions)).await;
    if let (Some(after), Some(source)) = (seen.runs_after(), &seen.job.spec.source) {
        shared.metrics.order_runs(&source.network, after);
    }
    let (before, after) = (stored.usage.unwrap_or_default(), decision.status.usage.clone().unwrap_or_default());
    shared.metrics.vouchers(
        after.vouchers_accepted.saturating_sub(before.vouchers_accepted),
        after.vouchers_rejected.saturating_sub(before.vouchers_rejected),
    );
    if let Some(why) = after.last_rejection.filter(|why| before.last_rejection.as_ref() != Some(why)) {
        shared.events.emit(&about, true, &Reason::VoucherRefused, "Attest", &why).await;
    }
}

/// Makes the pods that are missing.
async fn create(context: &JobContext, seen: &JobObservation) -> Result<(), Error> {
    let shared = &context.shared;
    // Where its network is not there, nobody can tell yet what its meter is to vouch for.
    let (Some(offer), Some(subject)) = (&seen.offer, &seen.subject) else { return Ok(()) };
    // It was accepted, perhaps by an earlier release with other rules: what it gets is all that is asked here.
    let resources = match policy::resources(&seen.job.spec.workload, offer) {
        Ok(resources) => resources,
        Err(refused) => {
            context
                .memory
                .note_pod_refused(&name_of(&*seen.job), PodRefused { for_good: false, message: refused.message });
            return Ok(());
        }
    };
    let runtime_class = shared.around.runtime_class(offer);
    // The pod is told the address: a cluster's DNS may answer elsewhere than it seems, and is a way out for who may ask it.
    let address = surround::attestation_address(&shared.config).await;
    let pods = wanted(seen, (offer, subject), (&resources, runtime_class.as_deref()), (&shared.config, address))?;
    let made = make(&pods, offer, address, &pods_of(&shared.client, seen)?, shared).await;
    note_made(made, seen, context)
}

/// The pods of the members that have none.
fn wanted(
    seen: &JobObservation,
    (offer, subject): (&GpuOffer, &Subject),
    (resources, runtime_class): (&Resources, Option<&str>),
    (config, address): (&Config, Option<IpAddr>),
) -> Result<Vec<Pod>, Error> {
    let url = config.attestation_url();
    let pod = |name| -> Result<Pod, Error> {
        let input = PodInput {
            name,
            network_job: &seen.id,
            job_id: subject.id.to_string(),
            chain_id: subject.market.chain_id,
            market: subject.market.address.to_checksum(None),
            sidecar_image: &config.sidecar_image,
            attestation_url: &url,
            runtime_class,
            resources,
        };
        let pod = manifests::pod(&seen.job, offer, &input)?;
        Ok(match address {
            Some(address) => manifests::with_host_alias(pod, &config.attestation_host(), address),
            None => pod,
        })
    };
    seen.pods.missing().map(pod).collect()
}

async fn make(
    pods: &[Pod],
    offer: &GpuOffer,
    address: Option<IpAddr>,
    api: &Api<Pod>,
    shared: &Shared,
) -> Result<(), Error> {
    // Before the pods: they never run without.
    surround(shared, offer, address).await?;
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    for pod in pods {
        match api.create(&params, pod).await {
            // An earlier look made it.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => {
                let namespace = pod.namespace().unwrap_or_default();
                other.map(drop).tried(|| format!("Pod {namespace}/{}", pod.name_any()))?;
            }
        }
    }
    Ok(())
}

/// Takes down what the API server said of the pods.
fn note_made(made: Result<(), Error>, seen: &JobObservation, context: &JobContext) -> Result<(), Error> {
    let namespace = seen.job.namespace().unwrap_or_default();
    let note = |refused| {
        memory::note_pod(&context.shared, &context.offers, &namespace, &seen.job.spec.offer_ref, refused);
    };
    match made.as_ref().err().map(refusal) {
        None => {
            note(false);
            context.memory.note_pod_taken(&name_of(&*seen.job));
        }
        // Said in the job's status, and asked again at the next look.
        Some(Some(refused)) => {
            if !refused.for_good {
                note(true);
            }
            context.memory.note_pod_refused(&name_of(&*seen.job), refused);
            return Ok(());
        }
        Some(None) => {}
    }
    made
}

/// The API server's word against the pod or what it needs: its own, a quota's, a webhook's, or that a webhook is away.
pub(super) fn refusal(error: &Error) -> Option<PodRefused> {
    let Error::Kubernetes { what, error } = error else { return None };
    let kube::Error::Api(status) = error.as_ref() else { return None };
    // A webhook may say otherwise tomorrow, with whatever code it says no.
    let webhook = status.message.contains("admission webhook") || status.message.contains("calling webhook");
    let for_good = matches!(status.code, 400 | 422) && !webhook && what.starts_with("Pod ");
    let message = if what.starts_with("Pod ") { status.message.clone() } else { format!("{what}: {}", status.message) };
    // 429 and 5xx of the API server itself are no word on the pod, but somebody has to know why it does not come.
    Some(PodRefused { for_good, message })
}

async fn delete(client: &Client, seen: &JobObservation) -> Result<(), Error> {
    let api = pods_of(client, seen)?;
    for pod in seen.pods.iter().filter(|pod| is_to_stop(pod)) {
        delete_one(&api, pod).await?;
    }
    Ok(())
}

async fn delete_one(api: &Api<Pod>, pod: &PodState) -> Result<(), Error> {
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&pod.name, &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(|_| ()).tried(|| format!("delete pod {}", pod.name)),
    }
}

async fn release(client: &Client, seen: &JobObservation) -> Result<(), Error> {
    let api = pods_of(client, seen)?;
    for state in seen.pods.iter().filter(|pod| pod.has_finalizer) {
        if let Some(pod) = api.get_opt(&state.name).await.tried(|| format!("pod {}", state.name))? {
            status_writer::set_finalizer(&api, &pod, POD_FINALIZER, false).await?;
        }
    }
    Ok(())
}

fn pods_of(client: &Client, seen: &JobObservation) -> Result<Api<Pod>, Error> {
    let namespace = seen.job.namespace().ok_or(Error::Unnamed("namespace"))?;
    Ok(Api::namespaced(client.clone(), &namespace))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn whoever_refuses_a_pod_is_quoted_and_only_the_api_servers_own_no_is_for_good() {
        let cases = [
            (422, "Pod t/job-1", "Pod \"job-1\" is invalid: spec.x: nonsense", true),
            (400, "Pod t/job-1", "admission webhook \"v.x\" denied the request: no", false),
            (403, "Pod t/job-1", "pods \"job-1\" is forbidden: exceeded quota: team", false),
            (403, "Pod t/job-1", "pods \"job-1\" is forbidden: minimum cpu usage per Container is 50m", false),
            (500, "Pod t/job-1", "Internal error occurred: failed calling webhook \"v.x\": connection refused", false),
            (422, "NetworkPolicy t/job-1", "must be a strict subset of `cidr`", false),
        ];
        for (code, what, message, for_good) in cases {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let error = Err::<(), _>(kube::Error::Api(status.boxed())).tried(|| what.to_owned()).unwrap_err();
            let refused = refusal(&error).unwrap();
            assert_eq!(refused.for_good, for_good, "{code} {message}");
            assert!(refused.message.contains(message), "{}", refused.message);
            assert_eq!(refused.message.starts_with("NetworkPolicy"), what.starts_with("NetworkPolicy"));
        }
        assert_eq!(refusal(&Error::Stopping), None);
    }
}
