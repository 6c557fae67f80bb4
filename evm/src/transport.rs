//! The layer under alloy's providers: each request goes to an endpoint of the pool.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use alloy::{
    providers::RootProvider,
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest},
    },
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::value::RawValue;
use tower::Service;

use crate::{
    budget::Class,
    endpoint::{Disposition, Endpoint},
    error::{Error, Unavailable},
    methods,
    pool::Inner,
};

/// Who is asked.
#[derive(Clone, Debug)]
enum Target {
    /// The endpoint in use; where that fails, the next one.
    Pool(Arc<Inner>),
    /// The endpoints that are not in use: the first that answers.
    Others(Arc<Inner>),
    /// This one, as long as it takes up to a limit.
    One(Arc<Endpoint>, Duration),
}

/// A transport as alloy understands it. What an endpoint answers with an error is a transport error that holds an
/// [`Error`]: alloy's own has no room for who said it.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    target: Target,
    /// None: by the request's method.
    class: Option<Class>,
}

impl Transport {
    pub(crate) const fn pool(inner: Arc<Inner>, class: Option<Class>) -> Self {
        Self { target: Target::Pool(inner), class }
    }

    pub(crate) const fn others(inner: Arc<Inner>, class: Class) -> Self {
        Self { target: Target::Others(inner), class: Some(class) }
    }

    pub(crate) const fn one(endpoint: Arc<Endpoint>, class: Class, timeout: Duration) -> Self {
        Self { target: Target::One(endpoint, timeout), class: Some(class) }
    }

    pub(crate) fn provider(self) -> RootProvider {
        RootProvider::new(RpcClient::new(self, false))
    }

    async fn ask(&self, request: &SerializedRequest) -> Result<Box<RawValue>, Error> {
        let class = self.class.unwrap_or_else(|| methods::class(request.method()));
        match &self.target {
            Target::Pool(inner) => inner.ask(class, request).await,
            Target::Others(inner) => inner.second_opinion(class, request).await,
            Target::One(endpoint, timeout) => ask_one(endpoint, class, *timeout, request).await,
        }
    }

    async fn answer(&self, request: SerializedRequest) -> Result<Response, TransportError> {
        let result = self.ask(&request).await.map_err(in_transport)?;
        Ok(Response { id: request.id().clone(), payload: ResponsePayload::Success(result) })
    }
}

/// One that limits our requests is asked again: it is slow, and not away.
async fn ask_one(
    endpoint: &Endpoint,
    class: Class,
    timeout: Duration,
    request: &SerializedRequest,
) -> Result<Box<RawValue>, Error> {
    let end = Instant::now() + timeout;
    loop {
        let trouble = match endpoint.ask(class, end, request).await {
            Ok(answer) => return Ok(answer),
            Err(Disposition::Answer(error)) => return Err(error),
            Err(Disposition::Limited(_)) if Instant::now() < end => continue,
            Err(Disposition::Trouble(trouble) | Disposition::Limited(trouble) | Disposition::Late(trouble)) => trouble,
        };
        return Err(Error::Unavailable(Unavailable::of(endpoint, trouble)));
    }
}

/// A batch of requests was to be sent.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("requests are not sent in batches: send them one by one, at the same time if need be")]
struct Batch;

fn in_transport(error: Error) -> TransportError {
    match error {
        Error::Unavailable(_) => TransportErrorKind::custom(error),
        // Another try would be answered the same.
        Error::Answer { .. } | Error::Malformed { .. } => TransportErrorKind::non_retryable(error),
    }
}

impl Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            match packet {
                RequestPacket::Single(request) => Ok(ResponsePacket::Single(this.answer(request).await?)),
                // Not every endpoint takes batches, and an error of one request in a batch has no room for its endpoint.
                RequestPacket::Batch(_) => Err(TransportErrorKind::non_retryable(Batch)),
            }
        })
    }
}
