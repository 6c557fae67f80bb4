//! What a transaction offers to pay (EIP-1559). Pure.

use crate::network::WeiPerGas;

/// Fees of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    /// `maxFeePerGas`.
    pub(super) most: WeiPerGas,
    /// `maxPriorityFeePerGas`.
    pub(super) tip: WeiPerGas,
}

/// The chain asks for more than the network's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain's base fee of {base} is above spec.evm.gas.maxFeePerGasGwei ({cap}): sent when it falls")]
pub(super) struct AboveCap {
    base: WeiPerGas,
    cap: WeiPerGas,
}

/// Fees of a first try: room for the base fee to double, which takes at least six full blocks.
pub(super) fn first(base: WeiPerGas, tip: WeiPerGas, cap: Option<WeiPerGas>) -> Result<Fees, AboveCap> {
    let wanted = WeiPerGas(base.0.saturating_mul(2).saturating_add(tip.0));
    let most = cap.map_or(wanted, |cap| wanted.min(cap));
    match cap {
        Some(cap) if cap < base => Err(AboveCap { base, cap }),
        _ => Ok(Fees { most, tip: tip.min(most) }),
    }
}

/// Fees of a replacement: nodes take one only if both fees rise by at least 10 %. None where the cap forbids it.
pub(super) fn bump(earlier: Fees, fresh: Fees, cap: Option<WeiPerGas>) -> Option<Fees> {
    let least = Fees { most: tenth_more(earlier.most), tip: tenth_more(earlier.tip) };
    let wanted = least.most.max(fresh.most);
    let most = cap.map_or(wanted, |cap| wanted.min(cap));
    let tip = least.tip.max(fresh.tip).min(most);
    (most >= least.most && tip >= least.tip).then_some(Fees { most, tip })
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
            assert_eq!(first(WeiPerGas(base), WeiPerGas(tip), cap.map(WeiPerGas)), expected, "{base} {tip} {cap:?}");
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
            assert_eq!(bump(earlier, fresh, cap.map(WeiPerGas)), expected, "{why}");
        }
    }
}
