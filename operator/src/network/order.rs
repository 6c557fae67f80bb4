//! An order as a customer placed it.

use super::{AccountId, JobId, OfferId, TransactionId, Units};

/// Whose an order is, as `ComputeJob` and pod hold it: an action that ends a job needs it, also of a job whose object is lost.
/// Objects of an earlier release hold no hash: the network then names that as the reason why it refuses the action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderRef {
    /// Who placed and paid it.
    pub customer: Option<AccountId>,
    /// The network's hash of the order, or whatever it proves one by.
    pub hash: Option<String>,
}

impl OrderRef {
    /// As objects hold it.
    pub fn new(customer: Option<&str>, hash: Option<&str>) -> Self {
        Self { customer: customer.map(AccountId::from), hash: hash.map(ToOwned::to_owned) }
    }
}

/// An order that was placed and paid for, and that the network will not take back any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Name of the job that it becomes.
    pub job: JobId,
    /// Name of its `ComputeJob` in every cluster, a DNS label: the same order always has the same one, so seeing it twice is
    /// harmless.
    pub resource_name: String,
    /// The offer, one of this network's provider.
    pub offer: OfferId,
    /// Whose order it is.
    pub by: OrderRef,
    /// GPUs ordered.
    pub gpus: u16,
    /// Token units per GPU-hour at which it was ordered.
    pub price: u128,
    /// Seconds ordered.
    pub duration_seconds: u32,
    /// Token units that the network holds for it.
    pub deposit: Units,
    /// The public spec as the customer wrote it: hostile until parsed. None where it was not posted.
    pub spec: Option<Vec<u8>>,
    /// Height at which it stands: of two orders for the last GPU the lower one runs.
    pub height: u64,
    /// What placed it.
    pub tx: TransactionId,
}
