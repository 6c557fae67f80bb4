//! Whether an order pays its own gas. Pure.

use alloy::primitives::U256;
use hawser_crds::GpuOfferSpec;

use crate::settlement::plan;

/// Gas of `startJobs`, `claim` and `endJobs` with one job each, about (docs/reference/gas.md), in claims' worth of gas, in
/// halves: batches cost a fourth of it, and the dearer case is assumed.
const CLAIMS_TWICE: u64 = 5;

/// What the gas of one order costs in token units, where that of a claim costs `claim` (zero: not known).
pub(crate) fn gas_of_order(claim: U256) -> U256 {
    claim.saturating_mul(U256::from(CLAIMS_TWICE)) / U256::from(2)
}

/// Why an order is turned down for its deposit, the most that it can bring; none where it pays its gas, or that is not
/// known.
pub(crate) fn too_small(deposit: &str, claim: U256) -> Option<String> {
    let (deposit, gas): (U256, U256) = (deposit.parse().ok()?, gas_of_order(claim));
    (deposit < gas).then(|| {
        format!("the deposit of {deposit} token units does not pay for the gas of start, claim and end, which costs {gas} now")
    })
}

/// What the longest order for so many GPUs brings.
pub(crate) fn most(spec: &GpuOfferSpec, price: u128, gpus: u16) -> U256 {
    let gpu_seconds = u64::from(spec.limits.max_seconds) * u64::from(gpus);
    U256::from(price).saturating_mul(U256::from(gpu_seconds)) / U256::from(3600)
}

/// What a claim's gas costs in token units, as the network's hint on the exchange has it; zero without one.
pub(crate) fn claim_cost(tokens_per_coin: Option<&str>, decimals: u8, base_fee: Option<u64>) -> U256 {
    let units = tokens_per_coin.and_then(|text| hawser_market::parse_units(text, decimals).ok()).unwrap_or_default();
    plan::gas_cost(units, crate::network::WeiPerGas(base_fee.unwrap_or_default().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_does_not_pay_its_gas_is_turned_down_where_the_exchange_is_known() {
        // 60,000 gas at 10 gwei are 600,000 gwei; at 2,000 tokens of 6 decimals a coin 1.2 tokens, for all three 3.
        let claim = claim_cost(Some("2000"), 6, Some(10_000_000_000));
        assert_eq!(gas_of_order(claim), U256::from(3_000_000));
        for (deposit, claim, refused) in [
            ("2999999", claim, true),
            ("3000000", claim, false),
            ("0", U256::ZERO, false),
            ("1", claim_cost(None, 6, Some(10_000_000_000)), false),
            ("1", claim_cost(Some("2000"), 6, None), false),
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
        assert_eq!(most(&spec, 5, 4), U256::from(40));
    }
}
