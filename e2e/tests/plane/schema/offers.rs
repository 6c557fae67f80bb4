use hawser_crds::GpuOffer;
use kube::api::ApiResource;
use serde_json::json;

use super::{Case, Change, Table};

const MADE: &[Case] = &[
    ("{}", None),
    (r#"{"gpu": {"product": ""}}"#, Some("spec.gpu.product in body should be at least 1 chars long")),
    (r#"{"price": {"perGpuHour": "2.25"}}"#, None),
    (r#"{"price": {"perGpuHour": "free"}}"#, Some("spec.price.perGpuHour in body should match")),
    (r#"{"price": {"token": "0x12"}}"#, Some("spec.price.token in body should match")),
    (r#"{"attestation": {"tier": "Metered", "intervalSeconds": 300}}"#, None),
    (
        r#"{"attestation": {"tier": "Proven"}}"#,
        Some(r#"spec.attestation.tier: Unsupported value: "Proven": supported values: "Metered""#),
    ),
    (r#"{"attestation": {"intervalSeconds": 301}}"#, Some("should be less than or equal to 300")),
    (r#"{"limits": {"minSeconds": 60, "maxSeconds": 60}}"#, None),
    (
        r#"{"limits": {"minSeconds": 61, "maxSeconds": 60}}"#,
        Some("limits.minSeconds is greater than limits.maxSeconds"),
    ),
    (r#"{"limits": {"startWindowSeconds": 64800, "claimWindowSeconds": 2592000}}"#, None),
    (
        r#"{"limits": {"startWindowSeconds": 64801}}"#,
        Some("limits.startWindowSeconds is longer than the market takes: write at most 64800 (18 hours)"),
    ),
    (
        r#"{"limits": {"claimWindowSeconds": 2592001}}"#,
        Some("limits.claimWindowSeconds is longer than the market takes: write at most 2592000 (thirty days)"),
    ),
    (r#"{"limits": {"claimWindowSeconds": 299}}"#, Some("should be greater than or equal to 300")),
    (r#"{"limits": {"memoryPerGpu": "1Gi", "cpuPerGpu": 2}}"#, None),
    (r#"{"limits": {"memoryPerGpu": "much"}}"#, Some("spec.limits.memoryPerGpu in body should match")),
    (r#"{"pull": {"freeSeconds": 600}}"#, None),
    (r#"{"pull": {"freeSeconds": 601}}"#, Some("pull.freeSeconds is greater than pull.timeoutSeconds")),
    (r#"{"isolation": {"egress": "None", "acceptReachable": ["Node"]}}"#, None),
    (r#"{"isolation": {"egress": "Some"}}"#, Some("spec.isolation.egress: Unsupported value")),
];

const CHANGED: &[Change] = &[
    ("{}", (r#"{"price": {"perGpuHour": "9"}, "suspend": true, "capacity": {"max": 3}}"#, None)),
    ("{}", (r#"{"networkRef": "other"}"#, Some("networkRef can't be changed: delete the offer and make a new one"))),
    (
        "{}",
        (
            r#"{"gpu": {"product": "other"}}"#,
            Some("gpu.product is part of the offer's identity on chain: make a new offer"),
        ),
    ),
    (
        "{}",
        (
            r#"{"price": {"token": "0x0000000000000000000000000000000000000009"}}"#,
            Some("price.token is part of the offer's identity on chain: make a new offer"),
        ),
    ),
];

pub(super) fn table() -> Table {
    let plain = json!({
        "networkRef": "n", "gpu": {"product": "p"},
        "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"},
    });
    let mut stored = plain.clone();
    super::merge(
        &mut stored,
        json!({
            "gpu": {"resourceName": "nvidia.com/gpu", "nodeSelector": {}},
            "capacity": {"reserve": 0},
            "limits": {
                "minSeconds": 60, "maxSeconds": 604_800, "cpuPerGpu": "4", "memoryPerGpu": "16Gi", "storagePerGpu": "20Gi",
                "startWindowSeconds": 600, "claimWindowSeconds": 86_400,
            },
            "images": {"allow": [], "deny": []},
            "isolation": {"egress": "Internet"},
            "attestation": {"tier": "Metered", "intervalSeconds": 10},
            "pull": {"freeSeconds": 60, "timeoutSeconds": 600},
            "card": {},
            "suspend": false,
        }),
    );
    Table {
        kind: ApiResource::erase::<GpuOffer>(&()),
        namespaced: true,
        plain,
        made: MADE,
        changed: CHANGED,
        stored,
        defaults: &[],
        status: json!({
            "conditions": [{"type": "Ready", "status": "True", "reason": "AllInUse", "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "gpus": {"total": 8, "healthy": 8, "inUse": 7, "offered": 1},
            "onChain": {"offerId": "0xid", "price": "1", "available": 1, "validUntil": 9},
        }),
        columns: [
            [
                &["NAME", "PRODUCT", "PRICE", "TOTAL", "IN USE", "OFFERED", "READY", "REASON"],
                &["plain", "p", "1", "8", "7", "1", "True", "AllInUse"],
            ],
            [
                &["NAME", "PRODUCT", "PRICE", "TOTAL", "IN USE", "OFFERED", "READY", "REASON", "OFFER ID"],
                &["plain", "p", "1", "8", "7", "1", "True", "AllInUse", "0xid"],
            ],
        ],
    }
}
