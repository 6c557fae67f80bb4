//! The real sidecar, as processes with a pod's files and environment, against the real attestation service over TLS.
//! The cards are those of the NVML double.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

mod cards;
mod operator;
mod pod;

use hawser_attestation::{Nvml, Summary, TerminationMessage, verify};
use hawser_market::GpuSeconds;
use nvml_double_state::Gpu;

use crate::{
    cards::Driver,
    operator::{Operator, job, member},
    pod::{Pod, eventually},
};

fn verified(operator: &Operator, pod: &Pod) -> Summary {
    verify(&operator.evidence(pod.attestor())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_attested_from_probe_to_its_end() {
    let (driver, operator) = (Driver::new(), Operator::start());
    let mut pod = Pod::new(&operator, driver.view(&[3, 5]), driver.view(&[0, 1, 2, 3, 4, 5, 6, 7]));
    pod.probe().unwrap();
    pod.start_meter();
    eventually("the attestor enrols", || operator.attested().is_some()).await;
    assert_eq!(operator.attested().unwrap().gpu_uuids, driver.uuids(&[3, 5]));
    assert!(!pod.started(), "the customer's container must wait for the start on chain");

    operator.name_attestor(pod.attestor());
    eventually("the startup probe passes", || pod.started()).await;
    operator.begin();
    driver.change(|state| state.set_utilization(&Gpu::Index(5), 87));
    eventually("a sample of the changed card is readable while the job runs", || {
        operator.has_evidence(pod.attestor())
            && verified(&operator, &pod).gpu_samples.iter().any(|gpu| {
                gpu.uuid == driver.uuids(&[5])[0] && gpu.utilization_gpu_percent.is_some_and(|u| u.max == 87)
            })
    })
    .await;

    operator.end();
    eventually("the last report is there", || operator.attested().is_some_and(|a| a.finished)).await;
    assert!(pod.terminate().await.success());

    let summary = verified(&operator, &pod);
    let attested = operator.attested().unwrap();
    assert_eq!(summary.segments[0].nvml, Nvml::Visible);
    assert_eq!(summary.segments[0].gpu_uuids, driver.uuids(&[3, 5]));
    assert_eq!(summary.gpu_samples.len(), 2);
    assert_eq!((summary.gpu_seconds, operator.rejected()), (operator.used(), 0));
    let left = TerminationMessage::parse(&pod.termination_message()).unwrap();
    assert!(left.last);
    assert_eq!(Some(left.voucher), attested.voucher);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_meter_goes_on_where_it_was() {
    let (driver, operator) = (Driver::new(), Operator::start());
    let mut pod = Pod::running(&driver, &operator).await;
    let attestor = pod.attestor();
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    pod.kill().await;
    let before = operator.vouched();
    pod.start_meter();
    eventually("the same attestor goes on", || operator.vouched() > before).await;
    assert_eq!((pod.attestor(), operator.rejected()), (attestor, 0));
    assert!(pod.terminate().await.success());
    assert_eq!(verified(&operator, &pod).segments.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_ends_while_the_operator_is_away_leaves_its_voucher_and_evidence_behind() {
    let (driver, mut operator) = (Driver::new(), Operator::start());
    // A termination message holds one line of two GPUs: on a slow machine, too, only the last is to come after the operator's end.
    let mut pod = Pod::reporting_every(11, &driver, &operator);
    pod.probe().unwrap();
    pod.run(&operator).await;
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    operator.stop().await;
    assert!(pod.terminate().await.success());
    let text = pod.termination_message();
    operator.start_again();
    let voucher = operator.attestations.read_termination_message(&member(), &text).await.unwrap();
    assert_eq!(voucher.attestor(operator::market()), Ok(pod.attestor()));
    assert_eq!(verified(&operator, &pod).vouched(voucher.evidence_root), Some(voucher.gpu_seconds));
    assert!(verified(&operator, &pod).segments[0].finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_operator_loses_nothing() {
    let (driver, mut operator) = (Driver::new(), Operator::start());
    let mut pod = Pod::running(&driver, &operator).await;
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    operator.stop().await;
    operator.start_again();
    let before = operator.stored(pod.attestor());
    eventually("reports go on", || operator.stored(pod.attestor()) > before).await;
    assert!(pod.terminate().await.success());
    let summary = verified(&operator, &pod);
    assert!(summary.segments[0].finished);
    assert_eq!(operator.rejected(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cant_be_written_ends_neither_meter_nor_pay() {
    let (driver, operator) = (Driver::new(), Operator::start());
    let mut pod = Pod::running(&driver, &operator).await;
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    pod.refuse_journal();
    let before = operator.vouched();
    eventually("use is attested without a journal", || operator.vouched() > GpuSeconds(before.0 + 2)).await;
    assert!(pod.terminate().await.success());
    let left = TerminationMessage::parse(&pod.termination_message()).unwrap();
    assert!(left.last && left.voucher.gpu_seconds > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nvml_time_is_metered_and_the_evidence_says_so() {
    let operator = Operator::start();
    let mut pod = Pod::without_nvml(&operator);
    pod.probe().unwrap();
    pod.run(&operator).await;
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    assert!(pod.terminate().await.success());
    let summary = verified(&operator, &pod);
    assert_eq!((summary.segments[0].nvml, summary.gpu_samples.len()), (Nvml::NotVisible, 0));
}

#[test]
fn probe_refuses_another_number_of_cards_than_the_job_paid_for() {
    let driver = Driver::new();
    let pod = Pod::offline(driver.view(&[3, 5, 6]));
    let said = pod.probe().unwrap_err();
    assert!(said.contains("the job has 2 GPUs, but NVML shows 3 here"), "{said}");
    assert!(said.contains(&driver.uuids(&[6])[0]), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_fell_off_the_bus_is_said_in_the_evidence_and_its_time_does_not_count() {
    let (driver, operator) = (Driver::new(), Operator::start());
    let mut pod = Pod::running(&driver, &operator).await;
    eventually("use is attested", || operator.vouched() >= GpuSeconds(2)).await;
    driver.change(|state| state.lose(&Gpu::Index(5)));
    let dead = || operator.attestations.dead_cards(&job());
    eventually("the card is known to be dead", || !dead().is_empty()).await;
    assert_eq!(dead()[0].uuid, driver.uuids(&[5])[0]);
    let said = || verified(&operator, &pod).gpu_samples.iter().any(|gpu| gpu.errors > 0);
    eventually("the evidence says so", said).await;
    let before = operator.vouched();
    eventually("the other card counts on", || operator.vouched() > before).await;
    // The other one too: nothing counts from its last answer on.
    driver.change(|state| state.lose(&Gpu::Index(3)));
    eventually("both are known to be dead", || dead().len() == 2).await;
    let reports = async |more: usize| {
        let lines = operator.stored(pod.attestor());
        eventually("reports go on", || operator.stored(pod.attestor()) >= lines + more).await;
    };
    // Reports are five seconds behind: these still bring what was used up to the last answer.
    reports(6).await;
    let counted = operator.vouched();
    reports(4).await;
    assert_eq!(operator.vouched(), counted);
    assert!(pod.terminate().await.success());
    assert_eq!(operator.vouched(), counted, "nor does the last report");
    assert_eq!(operator.rejected(), 0);
}

/// A tenant in the pod can take every pid that is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn meter_needs_no_thread_that_it_does_not_have_from_its_start_on() {
    let (driver, mut operator) = (Driver::new(), Operator::start());
    // Longer than a pool of threads keeps an idle one: what is to be had only from a pool is gone by the next report.
    let mut pod = Pod::reporting_every(11, &driver, &operator);
    pod.probe().unwrap();
    pod.run(&operator).await;
    pod.take_every_pid();
    let before = pod.threads();
    eventually("a report is stored", || operator.stored(pod.attestor()) >= 2).await;
    operator.stop().await;
    operator.start_again();
    eventually("meter has reconnected", || {
        operator.attestations.stream_health(&job()).is_some_and(|heard| heard.connected)
    })
    .await;
    assert_eq!(pod.threads(), before);
    operator.end();
    eventually("the last report is there", || operator.attested().is_some_and(|a| a.finished)).await;
    assert_eq!(pod.threads(), before);
    assert!(pod.terminate().await.success());
}
