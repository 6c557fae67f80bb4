use hawser_crds::ComputeJob;
use kube::api::ApiResource;
use serde_json::json;

use super::{Case, Change, Table};

const SOURCE: &str = r#"{"source": {"network": "n", "jobId": "0x0707070707070707070707070707070707070707070707070707070707070707",
    "customer": "0x0000000000000000000000000000000000000001", "seconds": 60, "deposit": "100", "price": "1", "block": 7,
    "orderHash": "0x0808080808080808080808080808080808080808080808080808080808080808"}}"#;

/// As an operator wrote it that knew a market which kept customers itself.
const OLD_SOURCE: &str = r#"{"source": {"network": "n", "jobId": "0x0707070707070707070707070707070707070707070707070707070707070707",
    "customer": "0x0000000000000000000000000000000000000001", "seconds": 60, "deposit": "100", "price": "1", "block": 7}}"#;

const MADE: &[Case] = &[
    ("{}", None),
    (SOURCE, None),
    (OLD_SOURCE, None),
    (
        r#"{"source": {"network": "n", "jobId": "lease/7#alpha", "customer": "acme@hub-2", "seconds": 60, "deposit": "100",
            "price": "1", "block": 7}}"#,
        None,
    ),
    (
        r#"{"source": {"network": "n", "jobId": "two words", "customer": "0x0000000000000000000000000000000000000001",
            "seconds": 60, "deposit": "100", "price": "1", "block": 7}}"#,
        Some("spec.source.jobId in body should match"),
    ),
    (
        r#"{"source": {"network": "n", "jobId": "0x0707070707070707070707070707070707070707070707070707070707070707",
            "customer": "0x0000000000000000000000000000000000000001", "orderHash": "", "seconds": 60, "deposit": "100",
            "price": "1", "block": 7}}"#,
        Some("spec.source.orderHash in body should match"),
    ),
    (r#"{"offerRef": ""}"#, Some("spec.offerRef in body should be at least 1 chars long")),
    (r#"{"workload": {"kind": "Batch"}}"#, None),
    (
        r#"{"workload": {"kind": "Service"}}"#,
        Some(r#"spec.workload.kind: Unsupported value: "Service": supported values: "Batch""#),
    ),
    (r#"{"workload": {"gpus": 65536}}"#, Some("spec.workload.gpus in body should be less than or equal to 65535")),
    (r#"{"workload": {"env": [{"name": "A", "value": "b"}], "cpu": "2", "memory": "1Gi"}}"#, None),
    (
        r#"{"workload": {"env": [{"name": ""}]}}"#,
        Some("spec.workload.env[0].name in body should be at least 1 chars long"),
    ),
];

const CHANGED: &[Change] = &[
    ("{}", (r#"{"terminate": true}"#, None)),
    ("{}", (r#"{"workload": {"kind": "Batch"}}"#, None)),
    ("{}", (r#"{"offerRef": "other"}"#, Some("offerRef can't be changed: only spec.terminate can"))),
    ("{}", (r#"{"workload": {"gpus": 2}}"#, Some("workload can't be changed: only spec.terminate can"))),
    ("{}", (SOURCE, Some("spec.source can't be added or removed: only spec.terminate can be changed"))),
    (
        SOURCE,
        (r#"{"source": null}"#, Some("spec.source can't be added or removed: only spec.terminate can be changed")),
    ),
    (
        OLD_SOURCE,
        (
            r#"{"source": {"orderHash": "0x0808080808080808080808080808080808080808080808080808080808080808"}}"#,
            Some("source can't be changed: only spec.terminate can"),
        ),
    ),
    (SOURCE, (r#"{"source": {"deposit": "200"}}"#, Some("source can't be changed: only spec.terminate can"))),
];

pub(super) fn table() -> Table {
    let plain = json!({"offerRef": "o", "workload": {"image": "i", "gpus": 1}});
    Table {
        kind: ApiResource::erase::<ComputeJob>(&()),
        namespaced: true,
        plain,
        made: MADE,
        changed: CHANGED,
        stored: json!({"offerRef": "o", "workload": {"kind": "Batch", "image": "i", "gpus": 1}, "terminate": false}),
        defaults: &[(r#"{"workload": {"env": [{"name": "A"}]}}"#, "/workload/env/0/value", r#""""#)],
        status: json!({
            "phase": "Running", "reason": "Running", "node": "a", "usage": {"gpuSeconds": 45},
            "settlement": {"paid": "12", "claimed": "1.2", "pending": "0.3"},
        }),
        columns: [
            [
                &["NAME", "PHASE", "REASON", "GPUS", "GPU-SECONDS", "PAID"],
                &["plain", "Running", "Running", "1", "45", "12"],
            ],
            [
                &["NAME", "PHASE", "REASON", "GPUS", "GPU-SECONDS", "PAID", "CLAIMED", "PENDING", "NODE", "CUSTOMER"],
                &["plain", "Running", "Running", "1", "45", "12", "1.2", "0.3", "a"],
            ],
        ],
    }
}
