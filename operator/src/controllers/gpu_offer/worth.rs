//! Whether an order pays its own gas. Pure.

use hawser_crds::GpuOfferSpec;

use crate::network::Units;

/// Gas of `startJobs`, `claim` and `endJobs` with one job each, about (docs/reference/gas.md), in claims' worth of gas, in
/// halves: batches cost a fourth of it, and the dearer case is assumed.
const CLAIMS_TWICE: u64 = 5;

/// What the gas of one order costs in token units, where that of a claim costs `claim` (zero: not known).
pub(crate) fn gas_of_order(claim: Units) -> Units {
    claim.saturating_mul(Units::from(CLAIMS_TWICE)) / Units::from(2)
}

/// Why an order is turned down for its deposit, the most that it can bring; none where it pays its gas, or that is not
/// known.
pub(crate) fn too_small(deposit: &str, claim: Units) -> Option<String> {
    let (deposit, gas): (Units, Units) = (deposit.parse().ok()?, gas_of_order(claim));
    (deposit < gas).then(|| {
        format!("the deposit of {deposit} token units does not pay for the gas of start, claim and end, which costs {gas} now")
    })
}

/// What the longest order for so many GPUs brings.
pub(crate) fn most(spec: &GpuOfferSpec, price: u128, gpus: u16) -> Units {
    let gpu_seconds = u64::from(spec.limits.max_seconds) * u64::from(gpus);
    hawser_market::paid(price, gpu_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_does_not_pay_its_gas_is_turned_down_where_the_exchange_is_known() {
        // A claim for 1.2 tokens of 6 decimals, all three for 3.
        let claim = Units::from(1_200_000);
        assert_eq!(gas_of_order(claim), Units::from(3_000_000));
        for (deposit, claim, refused) in [
            ("2999999", claim, true),
            ("3000000", claim, false),
            ("0", Units::ZERO, false),
            ("1", Units::ZERO, false),
            ("nonsense", claim, false),
        ] {
            assert_eq!(too_small(deposit, claim).is_some(), refused, "{deposit} {claim}");
        }
    }

    #[test]
    fn the_most_that_an_offer_brings_is_its_longest_order_for_all_gpus() {
        let spec: GpuOfferSpec = serde_json::from_value(serde_json::json!({
            "networkRef": "n", "gpu": {"product": "p"}, "limits": {"maxSeconds": 7200},
            "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
        }))
        .unwrap();
        assert_eq!(most(&spec, 5, 4), Units::from(40));
    }
}
