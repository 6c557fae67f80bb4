//! Whether an order pays its own transactions. Pure.

use hawser_crds::GpuOfferSpec;

use crate::network::Units;

/// Why an order is turned down for its deposit, the most that it can bring; none where it pays what its transactions `cost`, or
/// that is not known (zero).
pub(crate) fn too_small(deposit: &str, cost: Units) -> Option<String> {
    let deposit: Units = deposit.parse().ok()?;
    (deposit < cost).then(|| {
        format!("the deposit of {deposit} token units does not pay the transaction fees of start, claim and end, which are {cost} now")
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
    fn an_order_that_does_not_pay_its_transactions_is_turned_down_where_it_is_known_what_they_cost() {
        for (deposit, cost, refused) in [
            ("2999999", 3_000_000, true),
            ("3000000", 3_000_000, false),
            ("0", 0, false),
            ("1", 0, false),
            ("nonsense", 3_000_000, false),
        ] {
            assert_eq!(too_small(deposit, Units::from(cost)).is_some(), refused, "{deposit} {cost}");
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
