//! The table, and the lines for a spreadsheet.

use alloy::primitives::{B256, U256};

use super::story::Story;

const HEADER: &str = "time,block,tx,offerId,jobId,gpuSeconds,token,symbol,paid,fee,net,gas,gasPaidBy";

/// Fields of CSV text as RFC 4180 reads them.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            c => field.push(c),
        }
    }
    assert!(record.is_empty() && field.is_empty() && !quoted, "{text}");
    records
}

/// Whole tokens as units of this many decimals.
fn units(whole: &str, decimals: usize) -> U256 {
    let (whole, fraction) = whole.split_once('.').unwrap_or((whole, ""));
    format!("{whole}{fraction:0<decimals$}").parse().unwrap()
}

#[tokio::test]
async fn a_spreadsheet_has_one_line_per_claim_and_adds_up_like_the_chain() {
    let Story { stage, lines, receipts } = Story::tell().await;
    let provider = stage.provider.to_string();
    let ran = stage.stranger().run(&["earnings", "--provider", &provider, "--csv"]).ok();
    assert_eq!(ran.stdout.lines().next(), Some(HEADER));
    let records = records(&ran.stdout);
    assert_eq!(records.len(), 1 + lines.len(), "{}", ran.stdout);
    for (record, line) in records[1..].iter().zip(&lines) {
        assert_eq!(record.len(), 13, "{record:?}");
        assert!(record[0].ends_with('Z') && record[0].as_bytes()[10] == b'T', "{record:?}");
        assert_eq!((&record[4], &record[5]), (&line.job.to_string(), &line.gpu_seconds.to_string()));
        assert_eq!((units(&record[8], 6), units(&record[9], 6)), (line.paid, line.fee));
        assert_eq!(units(&record[10], 6), line.paid - line.fee);
    }
    let gas: U256 = records[1..].iter().map(|record| units(&record[11], 18)).sum();
    let cost =
        |receipt: &alloy::rpc::types::TransactionReceipt| u128::from(receipt.gas_used) * receipt.effective_gas_price;
    assert_eq!(gas, U256::from(receipts.iter().map(cost).sum::<u128>()));
    assert!(ran.stderr.contains("WITHDRAWN") && ran.stderr.contains("not claimed yet"), "{}", ran.stderr);

    let by_job = stage.stranger().run(&["earnings", "--provider", &provider, "--csv", "--by", "job"]).ok().stdout;
    assert_eq!(by_job.lines().count(), 4, "{by_job}");
    let both = ["earnings", "--provider", &provider, "--csv", "-o", "json"];
    stage.stranger().run(&both).failed(2, &["choose one"]);
}

#[tokio::test]
async fn the_table_shows_each_claim_and_what_it_all_adds_up_to() {
    let Story { stage, lines, receipts } = Story::tell().await;
    let provider = stage.provider.to_string();
    let table = stage.stranger().run(&["earnings", "--provider", &provider]).ok().stdout;
    let line = table.lines().find(|line| line.contains(&lines[2].job.to_string())).unwrap();
    for part in [&receipts[1].transaction_hash.to_string(), "0.020625 tUSD", &stage.offer] {
        assert!(line.contains(part), "{part} is missing:\n{table}");
    }
    for part in ["CLAIMED", "WITHDRAWN", "CREDIT", "GAS OF CLAIMS", "PAID BY"] {
        assert!(table.contains(part), "{part} is missing:\n{table}");
    }
    assert!(table.lines().all(|line| !line.ends_with(' ')), "{table}");
}

#[tokio::test]
async fn a_token_that_calls_itself_a_formula_is_text_in_a_field_of_its_own() {
    let Story { stage, .. } = Story::tell().await;
    // Where OpenZeppelin's ERC-20 keeps its symbol: a short text, and twice its length.
    for symbol in ["=1+1,\"\n;@x", "+HYPERLINK(A1)", "@SUM(1)", "-2+3", " =1"] {
        let mut word = B256::ZERO;
        word[..symbol.len()].copy_from_slice(symbol.as_bytes());
        word[31] = u8::try_from(symbol.len() * 2).unwrap();
        let slot = B256::with_last_byte(4);
        stage.ask("anvil_setStorageAt", serde_json::json!([stage.token.address(), slot, word])).await;
        assert_eq!(stage.token.symbol().call().await.unwrap(), symbol);
        let provider = stage.provider.to_string();
        for by in [&[][..], &["--by", "job"], &["--by", "token"]] {
            let args = [&["earnings", "--provider", &provider, "--csv"], by].concat();
            let text = stage.stranger().run(&args).ok().stdout;
            let records = records(&text);
            assert_eq!(records.len(), text.lines().count(), "{text}");
            for field in records.iter().flatten() {
                let harmless = !field.trim_start().starts_with(['=', '+', '-', '@']) && !field.contains(';');
                assert!(harmless, "{field:?} in:\n{text}");
            }
            assert!(records.iter().all(|record| record.len() == records[0].len()), "{text}");
        }
    }
}
