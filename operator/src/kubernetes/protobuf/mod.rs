//! Lists of all pods and of all nodes come in protobuf: the API server writes it in a fraction of the time that JSON takes, and
//! in a large cluster those lists are most of a start. What comes of a page here is small: its JSON with those fields alone that
//! [`messages`] names.

mod messages;
#[cfg(test)]
mod tests;

use std::io;

use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request};
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use prost::Message;
use serde::Serialize;
use tower::BoxError;
use tracing::warn;

use self::messages::{NodeList, PodList, Status, Typed, Unknown};
use super::{ApiResponse, Asked, JSON};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// A refusal of something before the API server itself may come as JSON.
const BOTH: HeaderValue = HeaderValue::from_static("application/vnd.kubernetes.protobuf, application/json;q=0.5");
/// Stands before each message that the API server sends.
const MAGIC: &[u8] = b"k8s\0";

/// Sends a request with `send`; what comes in protobuf is told in JSON.
pub(super) async fn exchange<F>(
    request: Request<Body>,
    send: impl Fn(Request<Body>) -> F,
) -> Result<ApiResponse, BoxError>
where
    F: Future<Output = Result<ApiResponse, BoxError>>,
{
    if !lists(&request) {
        return send(request).await;
    }
    let answer = send(copy(&request, BOTH)).await?;
    if !is_protobuf(&answer) {
        return Ok(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let json = match json(body.collect().await?.to_bytes()) {
        Ok(json) => json,
        // A string that is no UTF-8, which whoever made the object could put there: JSON has a sign in its place.
        Err(error) if parts.status.is_success() => {
            warn!(uri = %request.uri(), %error, "a list can't be read in protobuf: asking for JSON");
            return send(copy(&request, JSON)).await;
        }
        Err(error) => error.to_string().into_bytes(),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, JSON);
    Ok(ApiResponse::from_parts(parts, Full::from(json).map_err(Into::into).boxed_unsync()))
}

fn is_protobuf(answer: &ApiResponse) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PROTOBUF))
}

/// Whether all pods or all nodes are listed.
fn lists(request: &Request<Body>) -> bool {
    let Asked { method, path, watches, whole, .. } = Asked::of(request);
    method == Method::GET && matches!(path.as_str(), "/api/v1/pods" | "/api/v1/nodes") && whole && !watches
}

/// A request without a body, as it was but for what it accepts.
fn copy(request: &Request<Body>, accept: HeaderValue) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy.headers_mut().insert(ACCEPT, accept);
    copy
}

/// The same as the API server would say in JSON, of the fields that are read.
fn json(mut sent: Bytes) -> io::Result<Vec<u8>> {
    if !sent.starts_with(MAGIC) {
        return Err(io::Error::other("it does not begin as Kubernetes' messages do"));
    }
    sent.advance(MAGIC.len());
    // Whole pages: each form is let go as soon as there is the next.
    let Unknown { type_meta, raw } = Unknown::decode(sent)?;
    match type_meta.kind.as_str() {
        "PodList" => written(Typed { message: PodList::decode(raw)?, type_meta }),
        "NodeList" => written(Typed { message: NodeList::decode(raw)?, type_meta }),
        "Status" => written(Typed { message: Status::decode(raw)?, type_meta }),
        kind => Err(io::Error::other(format!("a {kind} was not asked for"))),
    }
}

fn written<T: Serialize>(message: Typed<T>) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&message)?)
}
