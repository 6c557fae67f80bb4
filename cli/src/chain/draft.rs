//! Transactions that somebody else sends, such as a Safe: written down instead of signed.

use std::cell::RefCell;

use alloy::primitives::{Address, Bytes};
use serde_json::{Value, json};

/// Transactions of one account, in the order in which they have to be sent.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(super) account: Address,
    calls: RefCell<Vec<(Address, Bytes)>>,
}

impl Draft {
    /// Nothing yet.
    pub(crate) const fn of(account: Address) -> Self {
        Self { account, calls: RefCell::new(Vec::new()) }
    }

    pub(super) fn push(&self, to: Address, data: Bytes) {
        self.calls.borrow_mut().push((to, data));
    }

    /// A batch as Safe's Transaction Builder loads it (version 1.0 of its file).
    pub(super) fn batch(&self, chain_id: u64) -> Value {
        let calls = self.calls.borrow();
        let transactions = calls.iter().map(|(to, data)| {
            json!({"to": to.to_checksum(None), "value": "0", "data": data, "contractMethod": null, "contractInputsValues": null})
        });
        json!({
            "version": "1.0",
            "chainId": chain_id.to_string(),
            "createdAt": jiff::Timestamp::now().as_millisecond(),
            "meta": {
                "name": "hawser",
                "description": "to be executed in this order, all or none",
                "createdFromSafeAddress": self.account.to_checksum(None)
            },
            "transactions": transactions.collect::<Vec<_>>()
        })
    }
}
