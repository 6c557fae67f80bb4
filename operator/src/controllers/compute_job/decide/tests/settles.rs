use super::*;

#[test]
fn a_program_that_ended_is_settled_with_its_last_voucher_once_that_is_written() {
    let mut look = written(written_running());
    look.pods = one(ended_pod(0));
    look.attested = vec![attested(Some(voucher(70)), true)];
    let first = decide(&look);
    assert_eq!((first.status.phase, reason(&first).as_str()), (Phase::Settling, "ProgramEnded"));
    assert!(is_true(&first.status.conditions, COMPLETE));
    assert_eq!((first.pod, first.actions), (PodStep::Keep, Vec::new()), "the voucher is not written yet");

    let mut look = written(look);
    let second = decide(&look);
    assert_eq!(second.pod, PodStep::Release);
    let [NetworkAction::Settle { voucher, order: of, .. }] = second.actions.as_slice() else {
        panic!("{:?}", second.actions)
    };
    assert_eq!((voucher.gpu_seconds, of), (GpuSeconds(70), &order()));

    look.pods = one(PodState { has_finalizer: false, ..ended_pod(0) });
    let claimed = known(Job { used: GpuSeconds(70), paid: Units::from(70), ..chain(JobStatus::Running) });
    let third = decide(&JobObservation { chain: claimed.clone(), ..look.clone() });
    assert_eq!(third.actions, second.actions, "a stranger may claim the last voucher, and hinders nothing");

    let refused = JobObservation { unsettleable: true, ..look.clone() };
    assert!(
        matches!(decide(&refused).actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(70))
    );
    let end = decide(&JobObservation { chain: claimed, ..refused }).actions;
    assert!(matches!(end.as_slice(), [NetworkAction::End { expect_used: GpuSeconds(70), .. }]), "{end:?}");

    look.chain = known(Job { used: GpuSeconds(70), paid: Units::from(70), ..chain(JobStatus::Closed) });
    let last = decide(&look);
    assert_eq!((last.actions, last.done, last.status.phase), (Vec::new(), true, Phase::Succeeded));
    let settlement = last.status.settlement.unwrap();
    assert_eq!((settlement.paid.as_deref(), settlement.refunded.as_deref()), (Some("70"), Some("130")));
}

#[test]
fn deleting_the_job_claims_what_is_owed_before_it_goes() {
    let mut look = written_running();
    let mut job = (*look.job).clone();
    job.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
    look.job = Arc::new(job);
    let first = decide(&look);
    assert_eq!((reason(&first).as_str(), first.done), ("Deleted", false));
    let mut look = written(look);
    assert_eq!(decide(&look).pod, PodStep::Delete);
    look.pods = one(PodState { deleted: Some(at(30)), running: false, meter_over: true, ..running_pod() });
    look.attested = vec![attested(Some(voucher(80)), true)];
    let look = written(look);
    let decision = decide(&look);
    assert_eq!((decision.pod, decision.done), (PodStep::Release, false));
    assert!(
        matches!(decision.actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(80))
    );
}

#[test]
fn a_restarted_operator_claims_the_voucher_of_the_status() {
    let mut look = written(written_running());
    let mut job = (*look.job).clone();
    let kept: VoucherRecord = record(&voucher(60), "0x");
    job.status.as_mut().unwrap().usage.get_or_insert_default().voucher = Some(kept);
    look.job = Arc::new(job);
    look.attested = Vec::new();
    look.pods = none();
    let decision = decide(&written(look));
    assert!(
        matches!(decision.actions.as_slice(), [NetworkAction::Claim { voucher, .. }] if voucher.gpu_seconds == GpuSeconds(60))
    );
}

#[test]
fn while_the_chain_cannot_be_seen_the_pod_of_an_ended_program_keeps_its_last_voucher() {
    let mut seen = written_running();
    seen.pods = one(ended_pod(0));
    seen.chain = ChainView::Unknown("no network yet".to_owned());
    let seen = written(written(seen));
    let decision = decide(&seen);
    assert_eq!(decision.pod, PodStep::Keep);
    assert!(decision.actions.is_empty() && !decision.done);
}

#[test]
fn a_job_that_is_paid_once_is_settled_however_it_ended_and_never_claimed_alone() {
    let once = |mut look: JobObservation| {
        look.policy.payment = Payment::OnceAtTheEnd;
        look
    };
    let mut running = once(written_running());
    running.attested = vec![attested(Some(voucher(100)), false)];
    running.policy.interval = Duration::from_secs(1);
    assert_eq!(decide(&running).actions, [], "a claim would close it");

    for unsettleable in [false, true] {
        let mut failed = once(JobObservation { unsettleable, ..written_running() });
        failed.pods = one(ended_pod(3));
        failed.attested = vec![attested(Some(voucher(70)), true)];
        assert_eq!(decide(&failed).actions, [], "its end and its voucher are written down first");
        let settled = decide(&written(failed)).actions;
        let [NetworkAction::Settle { voucher, .. }] = settled.as_slice() else { panic!("{settled:?}") };
        assert_eq!(voucher.gpu_seconds, GpuSeconds(70));
    }

    // Its last report never comes, and the claim window closes.
    let mut late = once(written_running());
    let end = Job {
        end: Some(at(-4000)),
        refundable_from: Some(at(10)),
        started: Some(at(-4100)),
        ..chain(JobStatus::Ended)
    };
    late.chain = known(end);
    let settled = decide(&written(late)).actions;
    assert!(matches!(settled.as_slice(), [NetworkAction::Settle { .. }]), "{settled:?}");
}
