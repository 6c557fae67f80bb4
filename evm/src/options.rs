//! Which endpoints a pool asks, what must be there, and how patient it is.

use std::{fmt, sync::Arc, time::Duration};

use alloy::primitives::{Address, B256};
use reqwest::{Url, header::HeaderMap};

use crate::{
    budget::{Class, Limits},
    label,
    recorder::{NoopRecorder, Recorder},
};

/// What a pool is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The preferred first; at least one.
    pub endpoints: Vec<EndpointOptions>,
    /// What each of them must serve.
    pub expected: Expected,
    /// How long is waited for what.
    pub profile: ClientProfile,
    /// Who counts the requests.
    pub recorder: Arc<dyn Recorder>,
}

impl Options {
    /// Requests that nobody counts.
    pub fn new(endpoints: Vec<EndpointOptions>, expected: Expected, profile: ClientProfile) -> Self {
        Self { endpoints, expected, profile, recorder: Arc::new(NoopRecorder) }
    }
}

/// An endpoint.
#[derive(Clone)]
pub struct EndpointOptions {
    /// Where it is.
    pub url: Url,
    /// What each request is sent with: what pays for it can stand here.
    pub headers: HeaderMap,
}

/// The rest of the URL, and the headers, can hold a key.
impl fmt::Debug for EndpointOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointOptions").field("url", &label(&self.url)).finish_non_exhaustive()
    }
}

/// What an endpoint must serve, else it is not used.
#[derive(Clone, Copy, Debug)]
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
    /// Of the genesis hash; none where it can't be said.
    pub genesis: Option<&'static str>,
    /// Of the contract.
    pub contract: &'static str,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct ClientProfile {
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    /// An answer that takes longer is asked of a second endpoint too.
    pub(crate) hedge_after: Duration,
    /// How long a request of each class waits for its turn.
    pub(crate) queue_timeout: [Duration; 3],
    /// How long an endpoint that limits our requests may take to be checked.
    pub(crate) check_timeout: Duration,
    pub(crate) limits: Limits,
    /// How often all endpoints are tried again, ever later, if what is wrong with them may pass. If 0, one more endpoint than
    /// there are is tried at once.
    pub(crate) retries: u32,
    /// Whether the only endpoint is asked again after it was waited for in vain.
    pub(crate) waits_again: bool,
}

impl ClientProfile {
    /// Of a program that follows a chain for months: a node that doesn't answer within seconds is as good as dead to a block
    /// time of seconds, and who asks comes again.
    pub const SERVICE: Self = Self {
        connect_timeout: Duration::from_secs(3),
        request_timeout: Duration::from_secs(10),
        // Usual answers take a tenth of it.
        hedge_after: Duration::from_millis(1500),
        queue_timeout: [Duration::from_mins(1), Duration::from_secs(30), Duration::from_secs(20)],
        check_timeout: Duration::from_secs(20),
        limits: Limits::SERVICE,
        retries: 0,
        waits_again: true,
    };
    /// Of a command that somebody waits for, and that has to begin again where a request fails: a blip is tried again.
    pub const COMMAND: Self = Self {
        connect_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(30),
        queue_timeout: [Duration::from_mins(5); 3],
        check_timeout: Duration::from_mins(5),
        limits: Limits::COMMAND,
        retries: 3,
        waits_again: false,
        ..Self::SERVICE
    };

    /// A request that is answered later is not waited for.
    #[must_use]
    pub const fn with_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout, ..self }
    }

    pub(crate) const fn queue_timeout(&self, class: Class) -> Duration {
        self.queue_timeout[class.place()]
    }
}
