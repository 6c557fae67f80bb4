//! Labels of the metrics. Each has few values: names of kinds, networks, endpoints and offers, and words that stand in this
//! source. Never a job: jobs come and go without end, and each would be a series that stays.

use prometheus_client::encoding::EncodeLabelSet;

/// A resource's kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: &'static str,
}

/// A network's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NetworkName {
    pub(super) network: String,
}

/// What was done on chain, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActionLabels {
    pub(super) network: String,
    pub(super) action: &'static str,
    pub(super) result: &'static str,
}

/// A token of a network, by the network's name for it: symbols are whatever somebody has written, and two can say the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TokenLabels {
    pub(super) network: String,
    pub(super) token: String,
}

/// What people call a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TokenInfo {
    pub(super) network: String,
    pub(super) token: String,
    pub(super) symbol: String,
}

/// An offer, and the token that it is paid in, by the network's name for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfferLabels {
    pub(super) network: String,
    pub(super) namespace: String,
    pub(super) offer: String,
    pub(super) token: String,
}

/// An offer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfferName {
    pub(super) namespace: String,
    pub(super) offer: String,
}

/// GPUs of an offer in one state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct GpuLabels {
    pub(super) namespace: String,
    pub(super) offer: String,
    pub(super) state: &'static str,
}

/// A condition of a network or an offer. A network has no namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConditionLabels {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) condition: String,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PhaseLabel {
    pub(super) phase: &'static str,
}

/// Requests of one kind to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Verb {
    pub(super) verb: &'static str,
}

/// The same, and what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VerbOutcome {
    pub(super) verb: &'static str,
    pub(super) outcome: &'static str,
}

/// What is watched, as the API server's paths name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Watched {
    pub(super) resource: String,
}

/// An endpoint of a network: scheme, host and port, as the rest of the URL can hold a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointLabels {
    pub(super) network: String,
    pub(super) endpoint: String,
}

/// Requests to an endpoint, and what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RpcLabels {
    pub(super) network: String,
    pub(super) endpoint: String,
    pub(super) outcome: &'static str,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BuildLabels {
    pub(super) version: &'static str,
}
