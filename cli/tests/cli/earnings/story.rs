//! A provider's week: three jobs on two offers, four claims, two changes of the fee, one withdrawal.

use std::marker::PhantomData;

use alloy::{
    contract::{CallBuilder, CallDecoder},
    primitives::{Address, B256, U256},
    providers::DynProvider,
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{UsageClaimed, claimCall};
use hawser_market::{JobId, OfferId};

use crate::stage::Stage;

/// Who receives the fee on the stage.
pub(super) const SINK: Address = Address::repeat_byte(0xfe);

/// What a claim of one job says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) job: JobId,
    pub(super) gpu_seconds: U256,
    pub(super) paid: U256,
    pub(super) fee: U256,
}

pub(super) struct Story {
    pub(super) stage: Stage,
    /// What each line would have paid, had its job been claimed by itself.
    pub(super) lines: Vec<Line>,
    /// The transactions of the lines: one line, two lines, three lines in two claims.
    pub(super) receipts: [TransactionReceipt; 3],
}

impl Story {
    pub(super) async fn tell() -> Self {
        let mut stage = Stage::set().await;
        // A price at which neither what is paid nor the fee is a whole number of units.
        let offer = stage.offer.parse::<OfferId>().unwrap();
        let until = stage.now().await + 86_400;
        mined(stage.market.updateOffer(offer.0, 2_250_001, 8, until)).await;
        let other = stage.post(*stage.token.address(), 4).await;
        let [a, b] = [order(&stage, &stage.offer), order(&stage, &stage.offer)];
        let c = order(&stage, &other);
        for job in [a, b, c] {
            stage.start(job).await;
        }
        stage.pass(300).await;

        let mut lines = alone(&mut stage, &[(a, 7)]).await;
        let first = claim(&stage, &[(a, 7)]).await;
        mined(stage.market.setFee(250, SINK)).await;
        lines.extend(alone(&mut stage, &[(a, 120), (b, 33)]).await);
        let second = claim(&stage, &[(a, 120), (b, 33)]).await;
        mined(stage.market.withdraw(*stage.token.address(), stage.provider, U256::MAX)).await;
        mined(stage.market.setFee(37, SINK)).await;
        lines.extend(alone(&mut stage, &[(b, 77), (a, 201), (c, 11)]).await);
        let claims = [&[(b, 77), (a, 201)][..], &[(c, 11)]].map(|jobs| call(&stage, jobs).calldata().clone());
        let third = mined(stage.market.multicall(claims.to_vec())).await;
        Self { stage, lines, receipts: [first, second, third] }
    }

    pub(super) fn block(&self, claim: usize) -> u64 {
        self.receipts[claim].block_number.unwrap()
    }
}

type Claim<'a> = CallBuilder<&'a DynProvider, PhantomData<claimCall>>;

pub(super) fn call<'a>(stage: &'a Stage, jobs: &[(JobId, u64)]) -> Claim<'a> {
    let vouchers = jobs.iter().map(|(job, used)| stage.voucher(*job, *used, B256::repeat_byte(0xee))).collect();
    stage.market.claim(jobs[0].0.offer_id().0, vouchers, vec![])
}

pub(super) async fn claim(stage: &Stage, jobs: &[(JobId, u64)]) -> TransactionReceipt {
    mined(call(stage, jobs)).await
}

pub(super) fn order(stage: &Stage, offer: &str) -> JobId {
    let args = ["order", "-f", &stage.order_file(), "--offer", offer, "--max-price", "3", "-o", "json"];
    stage.hawser().run(&args).json()["jobId"].as_str().unwrap().parse().unwrap()
}

/// Claims each job by itself, notes what the market says of it, and undoes it all.
async fn alone(stage: &mut Stage, jobs: &[(JobId, u64)]) -> Vec<Line> {
    let before = stage.ask("evm_snapshot", serde_json::json!([])).await;
    let mut lines = Vec::new();
    for (job, used) in jobs {
        let receipt = claim(stage, &[(*job, *used)]).await;
        let claimed = UsageClaimed::decode_log(&receipt.logs()[0].inner).unwrap();
        lines.push(Line { job: *job, gpu_seconds: claimed.gpuSeconds, paid: claimed.paid, fee: claimed.fee });
    }
    stage.undo_to(before).await;
    lines
}

pub(super) async fn mined<D: CallDecoder>(call: CallBuilder<&DynProvider, D>) -> TransactionReceipt {
    let receipt = call.send().await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    receipt
}
