//! Pods and nodes as the API server itself stores them, in protobuf. Every five minutes it reads all of etcd, to check its cache;
//! where they lay there as JSON, that would take it a minute.

use anyhow::{Result, ensure};
use axum::http::Request;
use axum::http::header::ACCEPT;
use futures::{AsyncReadExt, TryStreamExt, stream};
use kube::Client;
use prost::Message;

use crate::store::{SIDE_BY_SIDE, Store};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Stands before each message of Kubernetes.
const MAGIC: &[u8] = b"k8s\0";
const PAGE: u32 = 1000;

/// What stands around each object.
#[derive(Message)]
struct Unknown {
    #[prost(message, required, tag = "1")]
    type_meta: TypeMeta,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Message)]
struct List {
    #[prost(message, required, tag = "1")]
    metadata: ListMeta,
    /// Left as they are.
    #[prost(bytes = "vec", repeated, tag = "2")]
    items: Vec<Vec<u8>>,
}

#[derive(Message)]
struct ListMeta {
    #[prost(string, tag = "3")]
    next: String,
}

#[derive(Message)]
struct Object {
    #[prost(message, required, tag = "1")]
    metadata: ObjectMeta,
}

#[derive(Message)]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

/// Stores all objects of a kind again in protobuf, as a migration of the storage does. They are read before the first is written:
/// the API server keeps an old state for its pages for a minute alone.
pub(crate) async fn in_protobuf(client: &Client, store: &Store, kind: &str, list: &str, under: &str) -> Result<()> {
    let (mut objects, mut next) = (Vec::new(), String::new());
    loop {
        let page = page(client, &format!("{list}?limit={PAGE}&continue={next}")).await?;
        objects.extend(page.items);
        next = page.metadata.next;
        if next.is_empty() {
            break;
        }
    }
    let writes = stream::iter(objects.into_iter().map(anyhow::Ok));
    writes
        .try_for_each_concurrent(SIDE_BY_SIDE, async |raw| {
            let Object { metadata: ObjectMeta { name, namespace } } = Object::decode(raw.as_slice())?;
            let place = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
            let type_meta = TypeMeta { api_version: "v1".to_owned(), kind: kind.to_owned() };
            let object = [MAGIC, &Unknown { type_meta, raw }.encode_to_vec()].concat();
            store.put(&format!("{under}{place}"), &object).await
        })
        .await
}

async fn page(client: &Client, uri: &str) -> Result<List> {
    let request = Request::get(uri).header(ACCEPT, PROTOBUF).body(Vec::new())?;
    let mut answer = Vec::new();
    std::pin::pin!(client.request_stream(request).await?).read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(MAGIC), "{uri} was not answered in protobuf");
    Ok(List::decode(Unknown::decode(&answer[MAGIC.len()..])?.raw.as_slice())?)
}
