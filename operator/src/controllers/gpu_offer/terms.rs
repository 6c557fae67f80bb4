//! What an offer is on chain: its identity, its price and its card.

use std::collections::BTreeMap;

use alloy::primitives::{B256, keccak256};
use hawser_crds::{GpuOffer, GpuOfferSpec};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde_json::json;

use super::capacity::matches;
use crate::network::{NetworkSpec, OfferTerms};

/// Identity of this cluster: uid of the namespace kube-system, which lives as long as the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId(pub String);

/// Longest card, in bytes: what the market logs.
const MAX_CARD: usize = 4096;
/// An offer says that it holds for a day, and says so again after half a day: so an operator that is gone for hours
/// doesn't lose its place, and one that is gone for good does not take orders for long.
const VALID_HOURS: i64 = 24;
const RENEW_HOURS: i64 = 12;

/// A field of a `GpuOffer` that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub(crate) struct OfferSpecError {
    pub field: &'static str,
    pub message: String,
}

/// The offer's terms. Made from the cluster, the namespace and the name, so that deleting and making the same
/// `GpuOffer` again gives the same offer on chain.
pub(crate) fn terms(
    offer: &GpuOffer,
    network: &NetworkSpec,
    cluster: &ClusterId,
) -> Result<OfferTerms, OfferSpecError> {
    let spec = &offer.spec;
    let token = spec.price.token.parse().map_err(|_| OfferSpecError {
        field: "spec.price.token",
        message: format!("{:?} is not an address: 0x and 40 hexadecimal digits", spec.price.token),
    })?;
    let name = format!("{}/{}/{}", cluster.0, offer.namespace().unwrap_or_default(), offer.name_any());
    Ok(OfferTerms {
        provider: network.provider,
        token,
        gpu_class: gpu_class(&spec.gpu.product),
        start_window_seconds: spec.limits.start_window_seconds,
        claim_window_seconds: spec.limits.claim_window_seconds,
        min_seconds: spec.limits.min_seconds,
        max_seconds: spec.limits.max_seconds,
        salt: keccak256(name),
    })
}

fn gpu_class(product: &str) -> B256 {
    match product.len() {
        0..=32 => B256::right_padding_from(product.as_bytes()),
        _ => keccak256(product),
    }
}

/// Price in the token's smallest unit.
pub(crate) fn price(spec: &GpuOfferSpec, decimals: u8) -> Result<u128, OfferSpecError> {
    let text = &spec.price.per_gpu_hour;
    let wrong = |message: String| OfferSpecError { field: "spec.price.perGpuHour", message };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let decimals = usize::from(decimals);
    if fraction.len() > decimals {
        return Err(wrong(format!("{text} has more decimals than the token, which has {decimals}")));
    }
    let digits = format!("{whole}{fraction:0<decimals$}");
    digits.parse().map_err(|_| wrong(format!("{text} is not a price of a token with {decimals} decimals")))
}

/// Whole tokens as a decimal number.
pub(crate) fn whole_tokens(units: alloy::primitives::U256, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{:0>width$}", units.to_string(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// What customers read of the offer in the chain's log: the provider's own words, what the nodes' labels say of the
/// cards, and where the evidence of its jobs lies.
pub(crate) fn card<'a>(
    offer: &GpuOffer,
    nodes: impl IntoIterator<Item = &'a Node>,
    evidence_url: &str,
) -> Result<String, OfferSpecError> {
    let labels: BTreeMap<String, String> = nodes
        .into_iter()
        .filter(|node| matches(&offer.spec.gpu, node))
        .min_by_key(|node| node.metadata.name.clone())
        .and_then(|node| node.metadata.labels.clone())
        .unwrap_or_default();
    let label = |name: &str| labels.get(&format!("nvidia.com/{name}"));
    let limits = &offer.spec.limits;
    let card = json!({
        "product": offer.spec.gpu.product,
        "driver": label("cuda.driver-version.full"),
        "cuda": label("cuda.runtime-version.full"),
        "memoryMiB": label("gpu.memory"),
        "family": label("gpu.family"),
        "cpuPerGpu": limits.cpu_per_gpu,
        "memoryPerGpu": limits.memory_per_gpu,
        "storagePerGpu": limits.storage_per_gpu,
        "freePullSeconds": offer.spec.pull.free_seconds,
        "evidence": evidence_url,
        "card": offer.spec.card,
    })
    .to_string();
    if card.len() > MAX_CARD {
        let message = format!("the card has {} bytes, the market logs at most {MAX_CARD}: shorten it", card.len());
        return Err(OfferSpecError { field: "spec.card", message });
    }
    Ok(card)
}

/// Until when the offer holds: rounded to whole hours, so that asking twice asks for the same.
pub(crate) fn valid_until(now: Timestamp) -> Timestamp {
    let hour = now.as_second() / 3600;
    Timestamp::from_second((hour + VALID_HOURS) * 3600).unwrap_or(Timestamp::MAX)
}

/// Whether it is time to say again that the offer holds.
pub(crate) fn lapses_soon(valid_until: Timestamp, now: Timestamp) -> bool {
    valid_until.as_second() - now.as_second() < RENEW_HOURS * 3600
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use serde_json::Value;

    use super::*;

    fn spec(price: &str) -> GpuOfferSpec {
        serde_json::from_value(json!({
            "networkRef": "n", "gpu": {"product": "p"},
            "price": {"perGpuHour": price, "token": "0x0000000000000000000000000000000000000001"}
        }))
        .unwrap()
    }

    #[test]
    fn a_price_in_whole_tokens_becomes_units() {
        for (text, decimals, units) in [
            ("2.25", 6, 2_250_000),
            ("2", 0, 2),
            ("0.5", 18, 500_000_000_000_000_000),
            ("1.500", 1, 15),
            ("007", 2, 700),
        ] {
            assert_eq!(price(&spec(text), decimals), Ok(units), "{text}");
        }
        assert!(price(&spec("2.25"), 1).unwrap_err().message.contains("more decimals than the token"));
        assert!(price(&spec("x"), 1).is_err());
    }

    #[test]
    fn units_become_whole_tokens() {
        for (units, decimals, text) in
            [(2_250_000_u64, 6, "2.25"), (0, 6, "0"), (5, 6, "0.000005"), (7, 0, "7"), (70, 1, "7")]
        {
            assert_eq!(whole_tokens(U256::from(units), decimals), text);
        }
    }

    #[test]
    fn a_long_product_name_is_hashed_and_a_short_one_can_be_read() {
        assert_eq!(&gpu_class("NVIDIA-H100-80GB-HBM3")[..21], b"NVIDIA-H100-80GB-HBM3");
        let long = "NVIDIA-GeForce-RTX-4090-Laptop-GPU";
        assert_eq!(gpu_class(long), keccak256(long));
    }

    #[test]
    fn validity_is_the_same_within_an_hour_and_is_renewed_after_half_a_day() {
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(valid_until(at(3600)), valid_until(at(7199)));
        let until = valid_until(at(3600));
        assert!(!lapses_soon(until, at(3600)));
        assert!(lapses_soon(until, at(3600 * 14)));
    }

    #[test]
    fn a_card_that_is_too_long_is_refused() {
        let offer = |text: &str| -> GpuOffer {
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o"},
                "spec": {
                    "networkRef": "n", "gpu": {"product": "p"}, "card": {"region": text},
                    "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
                }
            }))
            .unwrap()
        };
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "a", "labels":
            {"nvidia.com/gpu.product": "p", "nvidia.com/cuda.driver-version.full": "550.1"}}}))
        .unwrap();
        let got: Value = serde_json::from_str(&card(&offer("eu"), [&node], "http://e").unwrap()).unwrap();
        assert_eq!(
            (&got["driver"], &got["card"]["region"], &got["evidence"]),
            (&json!("550.1"), &json!("eu"), &json!("http://e"))
        );
        assert!(card(&offer(&"x".repeat(5000)), [&node], "").unwrap_err().message.contains("shorten"));
    }
}
