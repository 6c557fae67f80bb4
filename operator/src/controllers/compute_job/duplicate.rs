//! One order is one job, of the offer that was ordered. Whoever writes another `ComputeJob` with its id by hand gets nothing:
//! pod, vouchers and the market's answers are found by that id, and two objects would take each other's.

use std::sync::Arc;

use hawser_crds::condition::{ACCEPTED, FAILED, SETTLED};
use hawser_crds::{ComputeJob, ComputeJobStatus, Outcome, Phase};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};

use super::dereference::retention;
use super::memory::JobContext;
use crate::controllers::conditions::{ConditionStatus, Conditions, transitions};
use crate::controllers::depin_network::ids_of;
use crate::controllers::packed::Packed;
use crate::controllers::watch::name_of;
use crate::controllers::{Error, Shared, status_writer};
use crate::inventory::SharedInventory;
use crate::network::{JobId, On};
use crate::objects::order_of;
use crate::reasons::Reason;

/// An order's job, by its id and by the name that the operator gives to its `ComputeJob`.
#[derive(Clone, Copy)]
struct OfOrder<'a> {
    order: &'a On<JobId>,
    /// Its network alone knows it: none while that is away.
    own_name: Option<&'a str>,
}

/// What another job is for this one's order, or another offer for it. While the network is away, only a job that was accepted
/// is told for the first: of two others nobody knows then which is the operator's own, and neither is begun.
pub(super) fn belongs(job: &ComputeJob, shared: &Shared) -> Option<String> {
    if is_accepted(job) {
        return None;
    }
    let order = &order_of(job.spec.source.as_ref()?);
    let network = shared.networks.get(&order.network);
    let own_name = network.as_ref().map(|network| network.resource_name(&order.id));
    let of = OfOrder { order, own_name: own_name.as_deref() };
    if let Some(first) = first(job, of, &shared.jobs.store, &shared.inventory) {
        return Some(format!("ComputeJob {}/{}", first.namespace().unwrap_or_default(), first.name_any()));
    }
    let network = network?;
    let offer = shared.offer(&job.namespace().unwrap_or_default(), &job.spec.offer_ref)?;
    let ordered = network.offer_of(&order.id)?;
    let is_its = ids_of(offer.0.as_ref().ok()?, &*network, &shared.cluster).contains(&ordered);
    (!is_its).then(|| format!("offer {ordered} and not to GpuOffer {}", job.spec.offer_ref))
}

/// The job to which the order of this one belongs, where that is another one. All jobs are gone through only where another
/// one may name the order: a burst of orders must not cost as many times what the cluster runs.
fn first(job: &ComputeJob, of: OfOrder<'_>, jobs: &Store<Packed>, inventory: &SharedInventory) -> Option<Arc<Packed>> {
    let is_before = |other: &Arc<Packed>| {
        other.is_of(of.order)
            && other.meta().uid != job.metadata.uid
            && other.job().0.is_ok_and(|other| is_of(&other, of.order) && comes_before(&other, job, of.own_name))
    };
    // The operator's own is found by its name, though it be settled and not be counted any more.
    let own = |name| jobs.get(&ObjectRef::new(name).within(&job.namespace().unwrap_or_default()));
    let own = of.own_name.and_then(own).filter(is_before);
    if own.is_some() || !inventory.read(|inventory| inventory.shares_order(&name_of(job), of.order)) {
        return own;
    }
    jobs.state().into_iter().find(is_before)
}

/// Says so in its status. Nothing is owed for it, so it is kept and deleted like any job that is settled.
pub(super) async fn refuse(
    api: &Api<ComputeJob>,
    job: &ComputeJob,
    whose: &str,
    context: &JobContext,
) -> Result<(), Error> {
    let next = refused(job, whose, Timestamp::now(), retention(&context.shared.config));
    let written = status_writer::write(api, job, job.status.as_ref(), &next).await?;
    context.memory.note_written(job, written);
    let stored = job.status.clone().unwrap_or_default();
    context.shared.events.conditions(&job.object_ref(&()), &transitions(&stored.conditions, &next.conditions)).await;
    Ok(())
}

fn is_accepted(job: &ComputeJob) -> bool {
    job.status.as_ref().is_some_and(|status| status.accepted_at.is_some())
}

fn is_of(job: &ComputeJob, order: &On<JobId>) -> bool {
    let outcome = job.status.as_ref().and_then(|status| status.outcome);
    job.spec.source.as_ref().is_some_and(|source| order_of(source) == *order) && outcome != Some(Outcome::Duplicate)
}

/// What runs goes on; then comes the job that the operator itself has written for the order, then the older one.
fn comes_before(other: &ComputeJob, job: &ComputeJob, own_name: Option<&str>) -> bool {
    let Some(own_name) = own_name else { return is_accepted(other) && !is_accepted(job) };
    let place = |job: &ComputeJob| {
        let created = job.metadata.creation_timestamp.as_ref().map(|at| at.0);
        (!is_accepted(job), job.name_any() != own_name, created, job.namespace(), job.name_any())
    };
    place(other) < place(job)
}

fn refused(job: &ComputeJob, whose: &str, now: Timestamp, keep: SignedDuration) -> ComputeJobStatus {
    let stored = job.status.clone().unwrap_or_default();
    let mut conditions = Conditions::from_stored(&stored.conditions, job.metadata.generation, now);
    let id = job.spec.source.as_ref().map(|source| source.job_id.as_str()).unwrap_or_default();
    let why = format!("order {id} belongs to {whose}: nothing is done for this one, delete it");
    conditions.set(ACCEPTED, ConditionStatus::False, &Reason::DuplicateOrder, &why);
    conditions.set(FAILED, ConditionStatus::True, &Reason::DuplicateOrder, &why);
    conditions.set(SETTLED, ConditionStatus::True, &Reason::DuplicateOrder, "nothing is owed for it");
    ComputeJobStatus {
        observed_generation: job.metadata.generation,
        phase: Phase::Declined,
        reason: Some(Reason::DuplicateOrder.to_string()),
        message: Some(why),
        outcome: Some(Outcome::Duplicate),
        kept_until: stored.kept_until.clone().or(now.checked_add(keep).ok().map(Time)),
        settled_at: stored.settled_at.clone().or(Some(Time(now))),
        conditions: conditions.into_list(),
        ..stored
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::controllers::conditions::find;

    const ID: &str = "lease-7";
    const OWN: &str = "job-7";

    fn job(namespace: &str, name: &str, created: &str, accepted: bool) -> ComputeJob {
        let status = if accepted { json!({"acceptedAt": "2026-01-01T00:00:00Z"}) } else { json!({}) };
        let address = format!("0x{}", "11".repeat(20));
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}"),
                "creationTimestamp": format!("2026-01-01T00:00:{created}Z")},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}, "source": {"network": "n",
                "jobId": ID, "customer": address, "seconds": 1, "deposit": "1", "price": "1", "block": 1}},
            "status": status
        }))
        .unwrap()
    }

    #[test]
    fn of_two_jobs_with_one_id_that_which_runs_comes_first_then_the_operators_own_then_the_older_one() {
        for (first, second) in [
            (job("a", "x", "09", true), job("a", OWN, "01", false)),
            (job("a", OWN, "09", false), job("a", "x", "01", false)),
            (job("b", "y", "01", false), job("a", "x", "09", false)),
            (job("a", "y", "01", false), job("b", "x", "01", false)),
            (job("a", "x", "01", false), job("a", "y", "01", false)),
        ] {
            let before = |own_name| (comes_before(&first, &second, own_name), comes_before(&second, &first, own_name));
            assert_eq!(before(Some(OWN)), (true, false), "{first:?} {second:?}");
            assert_eq!(before(None), (is_accepted(&first), false), "without its network: {first:?} {second:?}");
        }
    }

    #[test]
    fn the_first_of_two_jobs_is_found_wherever_it_is_and_though_it_be_settled() {
        let (jobs, mut writer) = reflector::store();
        let inventory = SharedInventory::default();
        let mut put = |job: &ComputeJob| {
            let packed = Packed::new(&DeserializeGuard(Ok(job.clone())));
            let facts = packed.facts.clone();
            writer.apply_watcher_event(&Event::Apply(packed));
            inventory.write(|inventory| inventory.set_job(&name_of(job), facts));
        };
        let mut over = job("b", OWN, "09", false);
        over.status = serde_json::from_value(json!({"settledAt": "2026-01-01T00:00:00Z"})).unwrap();
        let (running, late, beside) =
            (job("a", "x", "09", true), job("c", "y", "01", false), job("b", "z", "01", false));
        let of = OfOrder { order: &On::new("n", ID), own_name: Some(OWN) };
        let found =
            |job: &ComputeJob| first(job, of, &jobs, &inventory).map(|job| job.meta().namespace.clone().unwrap());
        put(&late);
        assert_eq!(found(&late), None, "it is alone");
        put(&running);
        assert_eq!(found(&late).as_deref(), Some("a"));
        put(&over);
        put(&beside);
        assert_eq!(found(&beside).as_deref(), Some("b"), "the settled one of the order's own name");
        assert_eq!(found(&running), None, "it is the first itself");
    }

    #[test]
    fn the_second_one_is_declined_and_owes_nothing_and_says_which_is_the_first() {
        let second = job("a", "y", "09", false);
        let status = refused(&second, "ComputeJob a/x", Timestamp::UNIX_EPOCH, SignedDuration::from_hours(1));
        assert_eq!(
            (status.phase, status.outcome, status.settled_at.is_some()),
            (Phase::Declined, Some(Outcome::Duplicate), true)
        );
        for (kind, expected) in [(ACCEPTED, "False"), (FAILED, "True"), (SETTLED, "True")] {
            assert_eq!(find(&status.conditions, kind).unwrap().status, expected, "{kind}");
        }
        let said = &find(&status.conditions, FAILED).unwrap().message;
        assert!(said.contains(ID) && said.contains("belongs to ComputeJob a/x"), "{said}");
        assert!(is_of(&second, &On::new("n", ID)) && !is_of(&second, &On::new("n", "lease-8")));
        assert!(
            !is_of(&ComputeJob { status: Some(status), ..second }, &On::new("n", ID)),
            "it never stands before another one"
        );
    }
}
