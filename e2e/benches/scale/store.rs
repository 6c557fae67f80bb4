//! Objects written straight into etcd: the API server would take some ten minutes for as many.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// Writes that are under way at a time. Each has one object, as the API server's have: where two of a kind have one revision, the
/// check of its cache can fail, and from then on it reads the pages of that kind's lists from etcd.
pub(crate) const SIDE_BY_SIDE: usize = 8;

/// An object and the key under which the API server looks for it.
pub(crate) type Keyed = (String, Value);

/// etcd's JSON interface.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    url: String,
    http: reqwest::Client,
}

impl Store {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: reqwest::Client::new() }
    }

    /// Writes all of them; gives how many bytes they have together.
    pub(crate) async fn write(&self, objects: impl Iterator<Item = Keyed> + Send) -> Result<u64> {
        let puts = stream::iter(objects).map(async |(key, object)| {
            let text = object.to_string();
            self.put(&key, text.as_bytes()).await?;
            anyhow::Ok(text.len() as u64)
        });
        puts.buffer_unordered(SIDE_BY_SIDE).try_fold(0, async |sum, bytes| Ok(sum + bytes)).await
    }

    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        self.ask("put", json!({"key": encoded(key.as_bytes()), "value": encoded(value)})).await.map(drop)
    }

    /// How many objects there are under a key.
    pub(crate) async fn count(&self, under: &str) -> Result<usize> {
        let mut end = under.to_owned();
        // Behind everything that begins with it.
        let last = end.pop().context("no key")?;
        end.push(char::from_u32(u32::from(last) + 1).context("no key")?);
        let answer = self
            .ask(
                "range",
                json!({"key": encoded(under.as_bytes()), "rangeEnd": encoded(end.as_bytes()), "countOnly": true}),
            )
            .await?;
        let count = answer["count"].as_str().unwrap_or("0");
        count.parse().with_context(|| format!("etcd counts {count:?}"))
    }

    async fn ask(&self, what: &str, body: Value) -> Result<Value> {
        let answer = self.http.post(format!("{}/v3/kv/{what}", self.url)).json(&body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "etcd answers {what} with {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

fn encoded(bytes: &[u8]) -> Value {
    json!(ByteString(bytes.to_vec()))
}
