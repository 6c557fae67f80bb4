use std::sync::Mutex;

use axum::http::StatusCode;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::ObjectList;
use serde_json::Value;

use super::*;
use crate::controllers::lean::{Lean, ReadLean};
use crate::inventory::{JobPod, NodeFacts, PodFacts, Words};

/// What an API server (1.34, with the feature `ResourceHealthStatus`) sent in protobuf and in JSON of the same objects.
const PODS: (&[u8], &[u8]) = (include_bytes!("testdata/pods.pb"), include_bytes!("testdata/pods.json"));
/// The first of two pages.
const NODES: (&[u8], &[u8]) = (include_bytes!("testdata/nodes.pb"), include_bytes!("testdata/nodes.json"));
/// Its answer to a `continue` that is none.
const REFUSED: (&[u8], &[u8]) = (include_bytes!("testdata/refused.pb"), include_bytes!("testdata/refused.json"));

/// What is made of a list that came in protobuf, and of the same in JSON.
fn both<K: ReadLean + Clone, T>((sent, expected): (&'static [u8], &[u8]), of: impl Fn(&[K]) -> T) -> [(Value, T); 2] {
    [json(Bytes::from_static(sent)).unwrap(), expected.to_vec()].map(|json| {
        let list: ObjectList<Lean<K>> = serde_json::from_slice(&json).unwrap();
        let objects: Vec<_> = list.items.into_iter().map(|Lean(object)| object).collect();
        (serde_json::to_value((list.types, list.metadata)).unwrap(), of(&objects))
    })
}

#[test]
fn a_list_of_pods_says_in_protobuf_what_it_says_in_json() {
    let [told, expected] = both(PODS, |pods: &[Pod]| {
        pods.iter().map(|pod| PodFacts::of(pod, &mut Words::default()).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(told, expected);
}

#[test]
fn a_page_of_nodes_says_in_protobuf_what_it_says_in_json() {
    let [told, expected] = both(NODES, |nodes: &[Node]| {
        nodes.iter().map(|node| NodeFacts::of(node, &mut Words::default())).collect::<Vec<_>>()
    });
    assert_eq!(told, expected);
    assert!(told.0[1]["continue"].as_str().is_some_and(|next| !next.is_empty()), "{}", told.0);
}

#[test]
fn a_refusal_says_in_protobuf_what_it_says_in_json_but_for_details() {
    let told: Value = serde_json::from_slice(&json(Bytes::from_static(REFUSED.0)).unwrap()).unwrap();
    assert_eq!(told, serde_json::from_slice::<Value>(REFUSED.1).unwrap());
}

#[test]
fn the_testdata_has_everything_that_is_read_of_a_pod() {
    let [(_, pods), _] = both(PODS, |pods: &[Pod]| pods.iter().filter_map(JobPod::of).collect::<Vec<_>>());
    let [ref given_up, ref running] = pods[..] else { panic!("{pods:?}") };
    let (given_up, running) = (&given_up.state, &running.state);
    assert!(given_up.unschedulable.is_some() && given_up.disruption.is_some() && given_up.given_up.is_some());
    assert!(given_up.addresses.len() == 2 && given_up.unhealthy == ["GPU-1"] && given_up.meter_down.is_some());
    assert!(
        given_up.has_finalizer && given_up.is_finished && given_up.customer.ended.is_some() && given_up.node.is_some()
    );
    assert!(running.deleted.is_some() && running.grace.as_secs() == 45 && running.running && running.meter_ready);
}

/// A request, and the bytes that a server says to it in the form that it accepts: of `sent` in protobuf, else JSON.
async fn asked(request: Request<Body>, status: StatusCode, sent: &'static [u8]) -> (Vec<String>, Vec<u8>) {
    let accepted = Mutex::new(Vec::new());
    let answer = exchange(request, |request| {
        assert_eq!(request.headers()["x-kept"], "yes", "{request:?}");
        let accept = request.headers().get(ACCEPT).map_or("", |accept| accept.to_str().unwrap()).to_owned();
        let in_protobuf = accept.contains(PROTOBUF);
        let kind =
            if in_protobuf { HeaderValue::from_static("application/vnd.kubernetes.Protobuf; q=1") } else { JSON };
        let body = if in_protobuf { sent } else { b"{}" };
        accepted.lock().unwrap().push(accept);
        let body = Full::from(body).map_err(Into::into).boxed_unsync();
        let mut answer = ApiResponse::new(body);
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        async { Ok(answer) }
    })
    .await
    .unwrap();
    assert_eq!((answer.status(), &answer.headers()[CONTENT_TYPE]), (status, &JSON));
    let body = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
    (accepted.into_inner().unwrap(), body)
}

fn request(method: Method, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).header("x-kept", "yes").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn lists_of_all_pods_and_nodes_alone_are_asked_for_in_protobuf() {
    for (method, uri, in_protobuf) in [
        (Method::GET, "/api/v1/pods?limit=500", true),
        (Method::GET, "/api/v1/nodes?limit=500&continue=x", true),
        (Method::GET, "/api/v1/pods?watch=true", false),
        (Method::GET, "/api/v1/namespaces/t/pods", false),
        (Method::GET, "/api/v1/nodes/a", false),
        (Method::DELETE, "/api/v1/nodes", false),
    ] {
        let (accepted, body) = asked(request(method, uri), StatusCode::OK, PODS.0).await;
        let shown = if in_protobuf { BOTH.to_str().unwrap().to_owned() } else { String::new() };
        assert_eq!(accepted, [shown], "{uri}");
        assert_eq!(body == b"{}", !in_protobuf, "{uri}");
    }
    let mut metadata = request(Method::GET, "/api/v1/pods?limit=500");
    let as_metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    metadata.headers_mut().insert(ACCEPT, HeaderValue::from_static(as_metadata));
    assert_eq!(asked(metadata, StatusCode::OK, PODS.0).await.0, [as_metadata]);
}

#[tokio::test]
async fn a_page_that_can_not_be_read_in_protobuf_is_asked_for_in_json() {
    // What a tenant wrote, which protobuf brings as it is.
    let mut no_utf8 = PODS.0.to_vec();
    let at = no_utf8.windows(8).position(|text| text == b"Eviction").unwrap();
    no_utf8[at] = 0xff;
    for sent in [no_utf8, b"k8s\0nothing".to_vec(), b"nothing".to_vec()] {
        let sent: &[u8] = sent.leak();
        let (accepted, body) = asked(request(Method::GET, "/api/v1/pods"), StatusCode::OK, sent).await;
        assert_eq!((accepted.len(), accepted[1].as_str(), &body[..]), (2, "application/json", &b"{}"[..]));
        // Who is refused does not ask again at once.
        let (accepted, body) = asked(request(Method::GET, "/api/v1/pods"), StatusCode::TOO_MANY_REQUESTS, sent).await;
        assert!(accepted.len() == 1 && body != b"{}", "{accepted:?}");
    }
}

#[tokio::test]
async fn what_nobody_reads_of_a_pod_is_in_no_ones_way() {
    let mut no_utf8 = PODS.0.to_vec();
    let at = no_utf8.windows(14).position(|text| text == b"hawser.dev/sta").unwrap();
    no_utf8[at] = 0xff;
    let (accepted, _) = asked(request(Method::GET, "/api/v1/pods"), StatusCode::OK, no_utf8.leak()).await;
    assert_eq!(accepted.len(), 1, "an annotation was read");
}
