//! `status.conditions[].type`: every condition of every kind, in one place.

/// Everything that this object needs is there (all kinds).
pub const READY: &str = "Ready";

/// Only where it is not so: this operator can't read the object, as it is written by a newer one or against the schema
/// (all kinds).
pub const READABLE: &str = "Readable";

/// `DepinNetwork`: an RPC endpoint answers and its head moves.
pub const CONNECTED: &str = "Connected";
/// `DepinNetwork`: the endpoint's chain id, its genesis and the market's code are the expected ones.
pub const CHAIN_MATCHES: &str = "ChainMatches";
/// `DepinNetwork`: the wallet can pay for gas.
pub const WALLET_FUNDED: &str = "WalletFunded";
/// `DepinNetwork`: the market's orders are read and taken over.
pub const ORDERS_WATCHED: &str = "OrdersWatched";
/// `DepinNetwork`: whatever holds the wallet's key signs what it is asked to sign.
pub const SIGNER_AVAILABLE: &str = "SignerAvailable";
/// `DepinNetwork`: what is to be done on chain gets there.
pub const TRANSACTIONS_MOVING: &str = "TransactionsMoving";
/// `DepinNetwork`: this cluster's clock and the chain's agree.
pub const CLOCK_IN_SYNC: &str = "ClockInSync";
/// `DepinNetwork`: the evidence store takes what jobs attest.
pub const EVIDENCE_STORED: &str = "EvidenceStored";

/// `GpuOffer`: the offer is on chain as `status.onChain` says.
pub const PUBLISHED: &str = "Published";
/// `GpuOffer`: at least one healthy GPU is free to be offered.
pub const CAPACITY_AVAILABLE: &str = "CapacityAvailable";
/// `GpuOffer`: meter can sample the devices (`RuntimeClass` nvidia) or the evidence says that it can't.
pub const DEVICE_ISOLATION: &str = "DeviceIsolation";
/// `GpuOffer`: the namespace enforces Pod Security `restricted`.
pub const NAMESPACE_ISOLATED: &str = "NamespaceIsolated";
/// `GpuOffer`: a pod of the offer reached nothing that its `NetworkPolicy` forbids.
pub const NETWORK_ISOLATED: &str = "NetworkIsolated";
/// `GpuOffer`: no node was found that mounts what images declare as `VOLUME`, and so counts all that a job writes.
pub const STORAGE_BOUNDED: &str = "StorageBounded";

/// `ComputeJob`: the order passed the offer's policy.
pub const ACCEPTED: &str = "Accepted";
/// `ComputeJob`: the pod has a node and devices.
pub const SCHEDULED: &str = "Scheduled";
/// `ComputeJob`: `startJobs` is mined (for a local job: the attestor is enrolled).
pub const STARTED: &str = "Started";
/// `ComputeJob`: the customer's container runs.
pub const RUNNING: &str = "Running";
/// `ComputeJob`: a voucher of the enrolled attestor was accepted.
pub const ATTESTED: &str = "Attested";
/// `ComputeJob`: everything owed is claimed and the job is closed on chain.
pub const SETTLED: &str = "Settled";
/// `ComputeJob`: the customer's program ended well.
pub const COMPLETE: &str = "Complete";
/// `ComputeJob`: the job ended otherwise; the reason says why.
pub const FAILED: &str = "Failed";
