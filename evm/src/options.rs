//! Which endpoints a pool asks, what must be there, and how patient it is.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Address, B256};
use reqwest::{Url, header::HeaderMap};

use crate::recorder::{Nobody, Recorder};

/// What a pool is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The preferred first; at least one.
    pub endpoints: Vec<EndpointOptions>,
    /// What each of them must serve.
    pub expected: Expected,
    /// How long is waited for what.
    pub manner: Manner,
    /// Who counts the requests.
    pub recorder: Arc<dyn Recorder>,
}

impl Options {
    /// Requests that nobody counts.
    pub fn new(endpoints: Vec<EndpointOptions>, expected: Expected, manner: Manner) -> Self {
        Self { endpoints, expected, manner, recorder: Arc::new(Nobody) }
    }
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Where it is.
    pub url: Url,
    /// What each request is sent with: what pays for it can stand here.
    pub headers: HeaderMap,
}

/// What an endpoint must serve, else it is not used.
#[derive(Clone, Debug)]
pub struct Expected {
    /// EIP-155 chain id; none: that of the first endpoint that answers.
    pub chain_id: Option<u64>,
    /// Hash of block 0; none: that of the first endpoint that answers.
    pub genesis: Option<B256>,
    /// A contract that has to be there.
    pub contract: Address,
    /// What a person calls these.
    pub names: Names,
}

/// The fields or options in which a person says what is expected.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Of the chain id.
    pub chain_id: &'static str,
    /// Of the genesis hash.
    pub genesis: &'static str,
    /// Of the contract.
    pub contract: &'static str,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// An answer that takes longer is asked of a second endpoint too.
    pub(crate) hedge_after: Duration,
}

impl Manner {
    /// Of a program that follows a chain for months: a node that doesn't answer within seconds is as good as dead to a block
    /// time of seconds, and who asks comes again.
    pub const SERVICE: Self = Self {
        connect_timeout: Duration::from_secs(3),
        request_timeout: Duration::from_secs(10),
        // Usual answers take a tenth of it.
        hedge_after: Duration::from_millis(1500),
    };
}
