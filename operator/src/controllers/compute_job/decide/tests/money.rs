//! What the status says of a job's money, in the token's units and in whole tokens.

use super::*;

#[test]
fn a_jobs_money_stands_in_its_status_as_its_offers_and_its_networks_does() {
    use JobStatus::{Closed, Ended, Running};
    let text = |text: &str| Some(text.to_owned());
    // Vouched for: 20 GPU-seconds of a unit each. 200 are deposited, and a token has two decimals.
    let cases = [
        (Running, 0, true, [text("0"), text("20"), text("0"), text("0.2"), None]),
        (Running, 15, true, [text("15"), text("5"), text("0.15"), text("0.05"), None]),
        (Ended, 20, true, [text("20"), text("0"), text("0.2"), text("0"), None]),
        (Closed, 20, true, [text("20"), None, text("0.2"), None, text("180")]),
        (Running, 15, false, [text("15"), text("5"), None, None, None]),
    ];
    for (status, paid, readable, expected) in cases {
        let mut look = written_running();
        look.chain = known(Job { used: GpuSeconds(paid), paid: Units::from(paid), ..chain(status) });
        look.token = look.token.filter(|_| readable);
        let settlement = decide(&look).status.settlement.unwrap();
        let told = [settlement.paid, settlement.unclaimed, settlement.claimed, settlement.pending, settlement.refunded];
        assert_eq!(told, expected, "{status:?}, {paid} paid, the token can be read: {readable}");
    }
}

#[test]
fn an_order_that_does_not_pay_its_own_transactions_is_declined_before_it_starts_in_words_that_many_can_share() {
    let deposit: u64 = job().spec.source.unwrap().deposit.parse().unwrap();
    for (cost, declined) in [(0, false), (deposit, false), (deposit + 1, true)] {
        let mut look = seen(known(chain(JobStatus::Open)));
        look.order_cost = Units::from(cost);
        let decision = decide(&look);
        let words: Vec<&str> = decision
            .actions
            .iter()
            .filter_map(
                |action| if let NetworkAction::Decline { reason, .. } = action { Some(reason.as_str()) } else { None },
            )
            .collect();
        let expected: &[&str] = if declined {
            &["DepositTooSmall: the deposit does not pay the order's own transaction fees"]
        } else {
            &[]
        };
        assert_eq!(words, expected, "its transactions cost {cost}");
    }
}
