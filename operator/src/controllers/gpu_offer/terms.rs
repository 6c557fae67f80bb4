//! What an offer is on chain: its identity, its price and its card.

use std::time::Duration;

use hawser_attestation::Tier;
use hawser_crds::{AttestationTier, GpuOffer, GpuOfferSpec};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use serde_json::json;

use crate::inventory::CARD_LABELS;
use crate::inventory::NodeFacts;
use crate::network::{Advice, NetworkError, OfferTerms, SpecError, TokenId};
use hawser_market::parse_units;
use hawser_market::workload::quantity::{self, Amount};

/// Identity of this cluster: uid of the namespace kube-system, which lives as long as the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterId(pub String);

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

impl From<SpecError> for OfferSpecError {
    fn from(error: SpecError) -> Self {
        Self { field: error.field, message: format!("{:?} is not {}", error.value, error.expected) }
    }
}

/// The offer's terms. Made from the cluster, the namespace and the name, so that deleting and making the same
/// `GpuOffer` again gives the same offer on chain. Whether they hold there is said by the network.
pub(crate) fn terms(offer: &GpuOffer, cluster: &ClusterId) -> OfferTerms {
    let spec = &offer.spec;
    OfferTerms {
        name: format!("{}/{}/{}", cluster.0, offer.namespace().unwrap_or_default(), offer.name_any()),
        product: spec.gpu.product.clone(),
        token: TokenId::from(&spec.price.token),
        start_window_seconds: spec.limits.start_window_seconds,
        claim_window_seconds: spec.limits.claim_window_seconds,
        min_seconds: spec.limits.min_seconds,
        max_seconds: spec.limits.max_seconds,
    }
}

/// Checks what an order may ask for: a quantity that can't be read would fail every order, after it was paid for.
pub(crate) fn limits(spec: &GpuOfferSpec) -> Result<(), OfferSpecError> {
    let limits = &spec.limits;
    for (field, value, example) in [
        ("spec.limits.cpuPerGpu", &limits.cpu_per_gpu, "4 or 500m"),
        ("spec.limits.memoryPerGpu", &limits.memory_per_gpu, "16Gi"),
        ("spec.limits.storagePerGpu", &limits.storage_per_gpu, "20Gi"),
    ] {
        let Quantity(text) = value;
        match quantity::parse(text) {
            Some(Amount(amount)) if amount > 0 => {}
            Some(_) => {
                let message = format!("{text:?} leaves a job nothing: write more than 0, such as {example}");
                return Err(OfferSpecError { field, message });
            }
            None => {
                let message = format!("{text:?} is not a quantity: write one such as {example}");
                return Err(OfferSpecError { field, message });
            }
        }
    }
    Ok(())
}

/// What an order needs to be started in time beside the time after which it is believed: as much again, and at most this.
const LONGEST_MARGIN: Duration = Duration::from_mins(1);

/// Refuses a start window that is over before an order is believed, or so soon after that nothing can be started.
pub(crate) fn start_window(spec: &GpuOfferSpec, lag: Option<Duration>, advice: &Advice) -> Result<(), OfferSpecError> {
    let window = u64::from(spec.limits.start_window_seconds);
    let least = lag.map_or(0, |lag| (lag + lag.min(LONGEST_MARGIN)).as_secs());
    if window >= least {
        return Ok(());
    }
    let lag = lag.unwrap_or_default().as_secs();
    // Steps of minutes, so that the words stay while what is measured varies.
    let least = least.div_ceil(60) * 60;
    let or = if advice.confirmation.is_empty() { String::new() } else { format!(", or {}", advice.confirmation) };
    let message = format!(
        "{window} s are too short: an order on DepinNetwork {} is believed up to {lag} s after it was placed, so set \
         startWindowSeconds to at least {least}{or}",
        spec.network_ref
    );
    Err(OfferSpecError { field: "spec.limits.startWindowSeconds", message })
}

/// A name that no token has: nothing can be sold for it.
pub(crate) fn not_a_token(error: &NetworkError) -> Option<OfferSpecError> {
    let NetworkError::NotAToken(_) = error else { return None };
    Some(OfferSpecError { field: "spec.price.token", message: format!("NotAToken: {error}") })
}

/// Price in the token's smallest unit.
pub(crate) fn price(spec: &GpuOfferSpec, decimals: u8) -> Result<u128, OfferSpecError> {
    let text = &spec.price.per_gpu_hour;
    let wrong = |message: String| OfferSpecError { field: "spec.price.perGpuHour", message };
    let units = parse_units(text, decimals).map_err(|error| wrong(error.to_string()))?;
    units.try_into().map_err(|_| wrong(format!("{text} is more than the market can hold")))
}

/// What customers read of the offer in the market's log: the provider's own words, what the labels of its first node say
/// of the cards, and where the evidence of its jobs lies. No longer than `longest` bytes.
pub(crate) fn card(
    offer: &GpuOffer,
    node: Option<&NodeFacts>,
    evidence_url: &str,
    longest: usize,
) -> Result<String, OfferSpecError> {
    let [driver, cuda, memory, family] = CARD_LABELS.map(|label| node.and_then(|node| node.label(label)).map(|l| &**l));
    let limits = &offer.spec.limits;
    let card = json!({
        "product": offer.spec.gpu.product,
        "driver": driver,
        "cuda": cuda,
        "memoryMiB": memory,
        "family": family,
        "cpuPerGpu": limits.cpu_per_gpu,
        "memoryPerGpu": limits.memory_per_gpu,
        "storagePerGpu": limits.storage_per_gpu,
        "gpusPerJob": limits.gpus_per_job,
        "images": offer.spec.images,
        "freePullSeconds": offer.spec.pull.free_seconds,
        "tier": tier(offer.spec.attestation.tier).as_str(),
        "evidence": evidence_url,
        "card": offer.spec.card,
    })
    .to_string();
    if card.len() > longest {
        let message = format!("the card has {} bytes, the market logs at most {longest}: shorten it", card.len());
        return Err(OfferSpecError { field: "spec.card", message });
    }
    Ok(card)
}

/// The word that stands in the evidence too, so that customers can compare the two.
const fn tier(tier: AttestationTier) -> Tier {
    match tier {
        AttestationTier::Metered => Tier::Metered,
    }
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
    use serde_json::Value;

    use super::*;
    use crate::inventory::Words;

    fn spec(price: &str) -> GpuOfferSpec {
        serde_json::from_value(json!({
            "networkRef": "n", "gpu": {"product": "p"},
            "price": {"perGpuHour": price, "token": "0x0000000000000000000000000000000000000001"}
        }))
        .unwrap()
    }

    #[test]
    fn a_price_is_read_in_whole_tokens() {
        assert_eq!(price(&spec("2.25"), 6), Ok(2_250_000));
        assert!(
            price(&spec("2.25"), 1).unwrap_err().to_string().starts_with("spec.price.perGpuHour: \"2.25\" has more")
        );
        assert!(price(&spec(&"9".repeat(40)), 0).unwrap_err().message.contains("more than the market can hold"));
    }

    #[test]
    fn a_limit_that_is_no_quantity_is_named_with_its_value_and_an_example() {
        assert_eq!(limits(&spec("1")), Ok(()));
        for (field, value, said) in [
            ("cpuPerGpu", "four", "spec.limits.cpuPerGpu: \"four\" is not a quantity: write one such as 4 or 500m"),
            ("memoryPerGpu", "", "spec.limits.memoryPerGpu: \"\" is not a quantity: write one such as 16Gi"),
            (
                "storagePerGpu",
                "0",
                "spec.limits.storagePerGpu: \"0\" leaves a job nothing: write more than 0, such as 20Gi",
            ),
        ] {
            let mut spec = serde_json::to_value(spec("1")).unwrap();
            spec["limits"][field] = value.into();
            let got = limits(&serde_json::from_value(spec).unwrap()).unwrap_err();
            assert_eq!(got.to_string(), said);
        }
    }

    #[test]
    fn a_start_window_that_is_over_before_an_order_is_believed_is_refused_with_what_to_set() {
        for (window, lag, least) in [
            (600, None, None),
            (600, Some(6), None),
            (10, Some(6), Some(60)),
            (600, Some(540), None),
            (600, Some(541), Some(660)),
            (600, Some(1200), Some(1260)),
            (1260, Some(1200), None),
        ] {
            for (confirmation, or) in [("", ""), ("believe sooner", ", or believe sooner")] {
                let mut spec = spec("1");
                spec.limits.start_window_seconds = window;
                let advice = Advice { confirmation, ..Advice::default() };
                let refusal = start_window(&spec, lag.map(Duration::from_secs), &advice);
                let expected = least.map(|least| format!("so set startWindowSeconds to at least {least}{or}"));
                match (refusal.err().map(|error| error.to_string()), expected) {
                    (None, None) => {}
                    (Some(said), Some(expected)) => assert!(said.ends_with(&expected), "{said}"),
                    other => panic!("{window} {lag:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn only_a_name_that_no_token_has_is_refused_for_good() {
        let refused = not_a_token(&NetworkError::NotAToken("0x07 is no token".to_owned())).unwrap().to_string();
        assert_eq!(refused, "spec.price.token: NotAToken: 0x07 is no token");
        assert_eq!(not_a_token(&NetworkError::Unavailable("away".to_owned())), None);
    }

    #[test]
    fn a_field_that_the_network_can_not_use_is_named_with_its_value_and_what_is_expected() {
        let expected = "an address: 0x and 40 hexadecimal digits";
        let refused = SpecError { field: "spec.price.token", value: "USD".to_owned(), expected };
        let said = OfferSpecError::from(refused).to_string();
        assert_eq!(said, format!("spec.price.token: \"USD\" is not {expected}"));
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
        let node = serde_json::from_value(json!({"metadata": {"name": "a", "labels":
            {"nvidia.com/gpu.product": "p", "nvidia.com/cuda.driver-version.full": "550.1"}}}))
        .unwrap();
        let node = NodeFacts::of(&node, &mut Words::default());
        let got: Value = serde_json::from_str(&card(&offer("eu"), Some(&node), "http://e", 4096).unwrap()).unwrap();
        assert_eq!(
            (&got["driver"], &got["card"]["region"], &got["evidence"], &got["tier"]),
            (&json!("550.1"), &json!("eu"), &json!("http://e"), &json!("metered"))
        );
        let refused = card(&offer(&"x".repeat(5000)), Some(&node), "", 4096).unwrap_err();
        assert!(refused.message.contains("the market logs at most 4096: shorten"), "{refused}");
    }
}
