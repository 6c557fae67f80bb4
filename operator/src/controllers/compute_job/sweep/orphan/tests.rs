use hawser_attestation::{Attestor, AttestorKey, Digest, EvidenceRoot, MarketId};
use hawser_market::AttestorTail;
use jiff::Timestamp;
use serde_json::json;

use super::*;

fn id() -> JobId {
    "lease-7".into()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn known(status: JobStatus, used: u64, refused: Option<&str>) -> OrphanChainView {
    let job = Job {
        id: id(),
        status,
        attestor: Some(AttestorTail::of(Attestor::repeat_byte(9))),
        gpus: 2,
        price: 3600,
        duration_seconds: 100,
        start_deadline: Some(at(300)),
        started: Some(at(-50)),
        end: Some(at(50)),
        ending: false,
        refundable_from: Some(at(5000)),
        used: GpuSeconds(used),
        deposit: Units::from(200),
        paid: Units::from(used),
    };
    OrphanChainView::Known {
        job: Box::new(job),
        time: at(0),
        payment: Payment::Cumulative,
        refused: refused.map(str::to_owned),
    }
}

fn order_of_job() -> OrderRef {
    OrderRef::new(Some("customer-5"), Some("hash-6"))
}

fn orphan(chain: OrphanChainView) -> Orphan {
    let key = AttestorKey::from_slice(&[3; 32]).unwrap();
    let (signed, root) = (hawser_market::JobId(Digest::repeat_byte(7)), EvidenceRoot(Digest::ZERO));
    let voucher = SignedVoucher::sign(&key, MarketId::default(), signed, GpuSeconds(60), root).unwrap();
    let (voucher, order) = (Some(voucher), order_of_job());
    Orphan { deleted: true, has_finalizer: true, leads: true, is_terminated: true, voucher, order, chain }
}

#[test]
fn a_pod_without_a_job_ends_is_paid_for_closed_and_let_go() {
    let running = |used| orphan(known(JobStatus::Running, used, None));
    assert_eq!(next(&Orphan { deleted: false, ..running(0) }, &id()), Next::Delete);
    assert_eq!(next(&Orphan { is_terminated: false, ..running(0) }, &id()), Next::Wait);
    assert!(
        matches!(next(&running(0), &id()), Next::Ask(NetworkAction::Claim { voucher, .. }) if voucher.gpu_seconds == GpuSeconds(60))
    );
    let end = Next::Ask(NetworkAction::End {
        job: id(),
        order: order_of_job(),
        expect_used: GpuSeconds(60),
        reason: Reason::JobObjectGone.to_string(),
    });
    assert_eq!(next(&running(60), &id()), end);
    assert_eq!(next(&orphan(known(JobStatus::Closed, 60, None)), &id()), Next::Release(None));
    assert_eq!(next(&orphan(OrphanChainView::Unseen), &id()), Next::Wait, "the pod keeps it");
    assert_eq!(next(&orphan(OrphanChainView::None), &id()), Next::Release(None), "a local job");
}

#[test]
fn a_pod_that_its_settled_job_has_let_go_is_no_orphan_and_one_of_an_unsettled_job_is_held_again() {
    let let_go = |chain, deleted| Orphan { has_finalizer: false, deleted, ..orphan(chain) };
    let lost = || OrphanChainView::Lost("no DepinNetwork".to_owned());
    for (chain, expected) in [
        (known(JobStatus::Closed, 60, None), Next::Clear),
        // Paid less than was counted: its job has said so.
        (known(JobStatus::Closed, 20, Some("another attestor")), Next::Clear),
        (known(JobStatus::None, 0, None), Next::Clear),
        (OrphanChainView::None, Next::Clear),
        (lost(), Next::Clear),
        (OrphanChainView::Unseen, Next::Wait),
        (known(JobStatus::Open, 0, None), Next::Hold),
        (known(JobStatus::Running, 20, None), Next::Hold),
        (known(JobStatus::Ended, 60, None), Next::Hold),
    ] {
        assert_eq!(next(&let_go(chain.clone(), false), &id()), expected, "{chain:?}");
        assert_eq!(next(&let_go(chain.clone(), true), &id()), Next::Wait, "{chain:?}: it goes by itself");
        let held = Orphan { deleted: false, ..orphan(chain.clone()) };
        assert_eq!(next(&held, &id()), Next::Delete, "{chain:?}: its job has not let it go");
    }
}

#[test]
fn a_pod_of_another_member_than_the_leader_neither_claims_nor_closes_the_job_and_goes_with_a_word() {
    for chain in [known(JobStatus::Running, 0, None), known(JobStatus::Running, 60, None), OrphanChainView::Unseen] {
        let other = Orphan { leads: false, ..orphan(chain) };
        let next_of = |orphan: &Orphan| next(orphan, &id());
        assert_eq!(next_of(&Orphan { deleted: false, ..other.clone() }), Next::Delete);
        assert_eq!(next_of(&Orphan { is_terminated: false, ..other.clone() }), Next::Wait);
        let Next::Release(Some(lost)) = next_of(&other) else { panic!("{:?}", next_of(&other)) };
        assert!(lost.contains("60 GPU-seconds can't be claimed"), "{lost}");
        assert_eq!(next_of(&Orphan { voucher: None, ..other.clone() }), Next::Release(None));
        assert_eq!(next_of(&Orphan { deleted: false, has_finalizer: false, ..other }), Next::Clear);
    }
}

#[test]
fn a_loss_is_said_before_the_pod_goes() {
    let said = |orphan: &Orphan| match next(orphan, &id()) {
        Next::Release(Some(lost)) => lost,
        other => format!("{other:?}"),
    };
    assert!(
        said(&orphan(OrphanChainView::Lost("no DepinNetwork".to_owned()))).contains("60 GPU-seconds can't be claimed")
    );
    assert!(said(&orphan(known(JobStatus::Closed, 20, None))).contains("60 GPU-seconds 20 were paid"));
    let refused = || Some("another attestor");
    let end = next(&orphan(known(JobStatus::Running, 20, refused())), &id());
    assert!(matches!(end, Next::Ask(NetworkAction::End { expect_used: GpuSeconds(20), .. })), "{end:?}");
    assert!(said(&orphan(known(JobStatus::Closed, 20, refused()))).ends_with("another attestor"));
    let empty = Orphan { voucher: None, ..orphan(OrphanChainView::Lost("no DepinNetwork".to_owned())) };
    assert_eq!(next(&empty, &id()), Next::Release(None), "nothing to lose");
}

#[test]
fn whose_an_orphans_job_is_is_read_from_its_annotations() {
    let pod = |annotations: serde_json::Value| -> Pod {
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    };
    let said = pod(json!({CUSTOMER_ANNOTATION: "customer-5", ORDER_ANNOTATION: "hash-6"}));
    assert_eq!(order(&said), order_of_job());
    assert_eq!(order(&pod(json!({}))), OrderRef::default());
}

#[test]
fn an_orphans_job_is_known_by_its_annotation_and_in_a_pod_of_an_earlier_release_by_what_its_meter_signs() {
    let pod = |annotations: serde_json::Value| -> Pod {
        let variable = json!({"name": env::JOB_ID, "value": "0x07"});
        let spec = json!({"containers": [], "initContainers": [{"name": METER_CONTAINER, "env": [variable]}]});
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": spec})).unwrap()
    };
    for (annotations, expected) in [(json!({JOB_ID_ANNOTATION: "lease-7"}), "lease-7"), (json!({}), "0x07")] {
        let pod = pod(annotations);
        assert_eq!(signed_id(&pod), Some("0x07"));
        assert_eq!(job_id(&pod, signed_id(&pod).unwrap()).as_str(), expected);
    }
    assert_eq!(signed_id(&Pod::default()), None);
}

#[test]
fn the_voucher_of_an_orphan_is_claimed_with_its_jobs_end_where_its_network_pays_once() {
    let once = |status, used, refused| {
        let mut chain = known(status, used, refused);
        if let OrphanChainView::Known { payment, .. } = &mut chain {
            *payment = Payment::OnceAtTheEnd;
        }
        next(&orphan(chain), &id())
    };
    let settle = once(JobStatus::Running, 0, None);
    let Next::Ask(NetworkAction::Settle { voucher, order, .. }) = settle else { panic!("{settle:?}") };
    assert_eq!((voucher.gpu_seconds, order), (GpuSeconds(60), order_of_job()));
    let end = once(JobStatus::Running, 0, Some("another attestor"));
    assert!(matches!(end, Next::Ask(NetworkAction::End { expect_used: GpuSeconds(0), .. })), "{end:?}");
    assert_eq!(once(JobStatus::Closed, 60, None), Next::Release(None));
}

#[test]
fn an_annotation_that_names_another_job_than_the_one_that_meter_signs_for_is_not_gone_by() {
    let subject = |byte| Subject { market: MarketId::default(), id: hawser_market::JobId(Digest::repeat_byte(byte)) };
    let signed = subject(7).id.to_string();
    assert!(is_signed_for(&Ok(subject(7)), &signed));
    assert!(!is_signed_for(&Ok(subject(8)), &signed));
    assert!(!is_signed_for(&Err(NetworkError::Foreign("no job of it".to_owned())), &signed));
}
