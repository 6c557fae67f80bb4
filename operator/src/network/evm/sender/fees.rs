//! What a transaction offers to pay (EIP-1559). Pure.

use crate::network::evm::WeiPerGas;

/// Fees of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    /// `maxFeePerGas`.
    pub(super) most: WeiPerGas,
    /// `maxPriorityFeePerGas`.
    pub(super) tip: WeiPerGas,
}

/// Most that a transaction may offer. The base fee is what the chain takes, whatever an endpoint says of it; a tip is paid
/// as it is offered, so an endpoint that asks for a large one could empty the wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) most: Option<WeiPerGas>,
    pub(super) tip: Option<WeiPerGas>,
}

impl Caps {
    fn most(self, wanted: WeiPerGas) -> WeiPerGas {
        self.most.map_or(wanted, |cap| wanted.min(cap))
    }

    fn tip(self, wanted: WeiPerGas) -> WeiPerGas {
        self.tip.map_or(wanted, |cap| wanted.min(cap))
    }
}

/// The chain asks for more than the network's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain's base fee of {base} is above spec.evm.gas.maxFeePerGasGwei ({cap}): sent when it falls")]
pub(super) struct AboveCap {
    base: WeiPerGas,
    cap: WeiPerGas,
}

/// Fees of a first try: room for the base fee to double, which takes at least six full blocks.
pub(super) fn first(base: WeiPerGas, tip: WeiPerGas, caps: Caps) -> Result<Fees, AboveCap> {
    let tip = caps.tip(tip);
    let most = caps.most(WeiPerGas(base.0.saturating_mul(2).saturating_add(tip.0)));
    match caps.most {
        Some(cap) if cap < base => Err(AboveCap { base, cap }),
        _ => Ok(Fees { most, tip: tip.min(most) }),
    }
}

/// Fees of a replacement: nodes take one only if both fees rise by at least 10 %. None where a cap forbids it.
pub(super) fn bump(earlier: Fees, fresh: Fees, caps: Caps) -> Option<Fees> {
    let least = Fees { most: tenth_more(earlier.most), tip: tenth_more(earlier.tip) };
    let most = caps.most(least.most.max(fresh.most));
    let tip = caps.tip(least.tip.max(fresh.tip)).min(most);
    (most >= least.most && tip >= least.tip).then_some(Fees { most, tip })
}

/// Fees of another first try after the pool found some too low. A pool that says no to a new transaction, and not to a
/// replacement, has a floor of its own, which may be far: fees rise faster than for a replacement.
pub(super) fn outbid(refused: Fees, fresh: Fees, caps: Caps) -> Option<Fees> {
    let half_more = |fee: WeiPerGas| WeiPerGas(fee.0.saturating_add(fee.0 / 2));
    let raised = Fees { most: half_more(refused.most), tip: half_more(refused.tip) };
    let wanted = Fees { most: raised.most.max(fresh.most), tip: raised.tip.max(fresh.tip) };
    bump(refused, wanted, caps)
}

fn tenth_more(fee: WeiPerGas) -> WeiPerGas {
    WeiPerGas(fee.0.saturating_add(fee.0.div_ceil(10)).max(fee.0.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fees(most: u128, tip: u128) -> Fees {
        Fees { most: WeiPerGas(most), tip: WeiPerGas(tip) }
    }

    fn caps(most: Option<u128>, tip: Option<u128>) -> Caps {
        Caps { most: most.map(WeiPerGas), tip: tip.map(WeiPerGas) }
    }

    #[test]
    fn a_first_try_leaves_room_and_keeps_the_cap() {
        let cases = [
            (100, 3, None, Ok(fees(203, 3))),
            (100, 3, Some(500), Ok(fees(203, 3))),
            (100, 3, Some(150), Ok(fees(150, 3))),
            (100, 300, Some(150), Ok(fees(150, 150))),
            (100, 3, Some(100), Ok(fees(100, 3))),
            (100, 3, Some(99), Err(AboveCap { base: WeiPerGas(100), cap: WeiPerGas(99) })),
            (u128::MAX, 3, None, Ok(fees(u128::MAX, 3))),
        ];
        for (base, tip, cap, expected) in cases {
            assert_eq!(first(WeiPerGas(base), WeiPerGas(tip), caps(cap, None)), expected, "{base} {tip} {cap:?}");
        }
    }

    #[test]
    fn a_replacement_rises_by_a_tenth_at_least_and_keeps_the_cap() {
        let cases = [
            (fees(200, 10), fees(100, 5), None, Some(fees(220, 11)), "a tenth"),
            (fees(201, 1), fees(100, 1), None, Some(fees(222, 2)), "rounded up"),
            (fees(200, 0), fees(100, 0), None, Some(fees(220, 1)), "a zero tip rises too"),
            (fees(200, 10), fees(500, 50), None, Some(fees(500, 50)), "what the chain asks, if that is more"),
            (fees(200, 10), fees(500, 5), Some(220), Some(fees(220, 11)), "the cap, if that is a tenth more"),
            (fees(200, 10), fees(500, 5), Some(219), None, "the cap forbids it"),
            (fees(10, 10), fees(10, 10), None, Some(fees(11, 11)), "the tip is never above the whole"),
        ];
        for (earlier, fresh, cap, expected, why) in cases {
            assert_eq!(bump(earlier, fresh, caps(cap, None)), expected, "{why}");
        }
    }

    #[test]
    fn a_tip_is_bounded_whatever_an_endpoint_asks_for() {
        assert_eq!(first(WeiPerGas(100), WeiPerGas(u128::MAX), caps(None, Some(7))), Ok(fees(207, 7)));
        assert_eq!(bump(fees(200, 5), fees(500, 900), caps(None, Some(7))), Some(fees(500, 7)));
        assert_eq!(bump(fees(200, 7), fees(500, 900), caps(None, Some(7))), None, "there is nothing left to raise");
    }

    #[test]
    fn a_floor_that_is_far_is_reached_within_a_few_tries() {
        let (mut offered, fresh, mut tries) = (fees(3_000_000_000, 1_000_000_000), fees(3_000_000_000, 1), 0);
        while offered.tip.0 < 3_000_000_000 {
            offered = outbid(offered, fresh, caps(None, None)).unwrap();
            tries += 1;
        }
        assert_eq!(tries, 3);
        assert_eq!(outbid(fees(100, 10), fresh, caps(Some(105), None)), None);
        assert_eq!(outbid(fees(100, 10), fees(100, 10), caps(Some(120), None)), Some(fees(120, 15)));
    }
}
