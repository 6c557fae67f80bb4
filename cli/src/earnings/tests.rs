//! What programs and spreadsheets read, to the byte: a field's place is part of it.

use alloy::primitives::{Address, B256, FixedBytes, U256};
use hawser_market::{JobId, OfferId};

use super::*;
use crate::output::Printable;

fn token() -> Token {
    Token { address: Address::repeat_byte(0x70), symbol: "USDC".to_owned(), decimals: 6 }
}

fn claim(time: u64, gpu_seconds: u64, paid: u64, fee: u64) -> Claim {
    let offer_id = OfferId(FixedBytes::repeat_byte(0x0f));
    Claim {
        time,
        block: 7,
        offer_id,
        job_id: JobId::from_parts(offer_id, 2_250_000, 2, FixedBytes::repeat_byte(0x0b)).unwrap(),
        sum: Sum { gpu_seconds, paid: U256::from(paid), fee: U256::from(fee), net: U256::from(paid - fee) },
        token: token(),
        tx: B256::repeat_byte(0xaa),
        gas: U256::from(1_000_000_000_000_000_u64),
        gas_paid_by: Address::repeat_byte(0x05),
    }
}

fn statement() -> Statement {
    let claims = vec![claim(1_800_000_000, 7, 4375, 110), claim(1_800_000_060, 33, 20_625, 515)];
    let mut totals = Totals::new(Some(GroupBy::Job), [token()].iter());
    for claim in &claims {
        totals.add(claim);
    }
    totals.withdraw(&Withdrawal {
        time: 1_800_000_090,
        block: 8,
        amount: U256::from(20_000),
        token: token(),
        to: Address::ZERO,
        tx: B256::ZERO,
    });
    totals.per_token.values_mut().for_each(|total| total.close(U256::from(4375), true));
    let (groups, totals, gas) = totals.finish();
    Statement {
        provider: Address::repeat_byte(1),
        from_block: 0,
        to_block: 9,
        from_first_block: true,
        claims: Some(claims),
        groups,
        withdrawals: Vec::new(),
        totals,
        gas,
    }
}

const OFFER: &str = "0x0f0f0f0f0f0f0f0f";
const JOB: &str = "0x0f0f0f0f0f0f0f0f0000000000000022551000020b0b0b0b0b0b0b0b0b0b0b0b";
const TOKEN: &str = "0x7070707070707070707070707070707070707070";
const TX: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PAYER: &str = "0x0505050505050505050505050505050505050505";

#[test]
fn json_holds_these_fields_in_this_order() {
    let Statement { claims, groups, totals, .. } = statement();
    let token = format!(r#""token":{{"address":"{TOKEN}","symbol":"USDC","decimals":6}}"#);
    let claim = format!(
        r#"{{"time":1800000000,"block":7,"offerId":"{OFFER}","jobId":"{JOB}","gpuSeconds":7,"paid":"4375","fee":"110","net":"4265",{token},"tx":"{TX}","gas":"1000000000000000","gasPaidBy":"{PAYER}"}}"#
    );
    assert_eq!(serde_json::to_string(&claims.unwrap()[0]).unwrap(), claim);
    let group = format!(
        r#"[{{"offerId":"{OFFER}","jobId":"{JOB}",{token},"claims":2,"first":1800000000,"last":1800000060,"gpuSeconds":40,"paid":"25000","fee":"625","net":"24375","gas":"2000000000000000"}}]"#
    );
    assert_eq!(serde_json::to_string(&groups).unwrap(), group);
    let total = format!(
        r#"[{{{token},"claims":2,"gpuSeconds":40,"paid":"25000","fee":"625","net":"24375","withdrawn":"20000","credit":"4375","balanced":true}}]"#
    );
    assert_eq!(serde_json::to_string(&totals).unwrap(), total);
}

#[test]
fn csv_holds_these_fields_in_this_order() {
    let Statement { claims, groups, .. } = statement();
    let claim =
        format!("2027-01-15T08:00:00Z,7,{TX},{OFFER},{JOB},7,{TOKEN},USDC,0.004375,0.00011,0.004265,0.001,{PAYER}");
    assert_eq!(claims.unwrap()[0].csv(), claim);
    let group = format!(
        "offerId,jobId,token,symbol,claims,first,last,gpuSeconds,paid,fee,net,gas\n{OFFER},{JOB},{TOKEN},USDC,2,2027-01-15T08:00:00Z,2027-01-15T08:01:00Z,40,0.025,0.000625,0.024375,0.002"
    );
    assert_eq!(group_csv(&groups.unwrap()), group);
}

#[test]
fn the_table_holds_these_columns_in_this_order() {
    let statement = statement();
    let table = statement.table();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let expected = [
        "TIME OFFER JOB GPU-S PAID FEE NET GAS TRANSACTION",
        &format!("2027-01-15T08:00:00Z {OFFER} {JOB} 7 0.004375 USDC 0.00011 0.004265 0.001 {TX}"),
        &format!("2027-01-15T08:01:00Z {OFFER} {JOB} 33 0.020625 USDC 0.000515 0.02011 0.001 {TX}"),
        "",
        "OF CLAIMS FIRST LAST GPU-S PAID FEE NET GAS",
        &format!("{JOB} 2 2027-01-15T08:00:00Z 2027-01-15T08:01:00Z 40 0.025 USDC 0.000625 0.024375 0.002"),
        "",
        "TOKEN CLAIMS GPU-S CLAIMED FEE NET WITHDRAWN CREDIT",
        "USDC 2 40 0.025 0.000625 0.024375 0.02 0.004375",
        "",
        "GAS OF CLAIMS PAID BY",
        &format!("0.002 {PAYER}"),
    ];
    assert_eq!(rows, expected);
}
