//! Objects written straight into etcd: the API server would take some ten minutes for as many.

use anyhow::{Context, Result};
use futures::{TryStreamExt, stream};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// Objects in one transaction: etcd takes 128 operations and a mebibyte and a half.
const TOGETHER: usize = 60;
const SIDE_BY_SIDE: usize = 4;

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
    pub(crate) async fn write(&self, objects: impl Iterator<Item = Keyed>) -> Result<u64> {
        let mut bytes = 0;
        let mut transactions = Vec::new();
        let mut puts = Vec::new();
        for (key, object) in objects {
            let text = object.to_string();
            bytes += text.len() as u64;
            puts.push(json!({"requestPut": {"key": encoded(&key), "value": encoded(&text)}}));
            if puts.len() == TOGETHER {
                transactions.push(std::mem::take(&mut puts));
            }
            if transactions.len() == SIDE_BY_SIDE * 4 {
                self.send(std::mem::take(&mut transactions)).await?;
            }
        }
        transactions.push(puts);
        self.send(transactions).await?;
        Ok(bytes)
    }

    async fn send(&self, transactions: Vec<Vec<Value>>) -> Result<()> {
        stream::iter(transactions.into_iter().filter(|puts| !puts.is_empty()).map(Ok))
            .try_for_each_concurrent(SIDE_BY_SIDE, async |puts| {
                self.ask("txn", json!({"success": puts})).await.map(drop)
            })
            .await
    }

    /// How many objects there are under a key.
    pub(crate) async fn count(&self, under: &str) -> Result<usize> {
        let mut end = under.to_owned();
        // Behind everything that begins with it.
        let last = end.pop().context("no key")?;
        end.push(char::from_u32(u32::from(last) + 1).context("no key")?);
        let answer =
            self.ask("range", json!({"key": encoded(under), "rangeEnd": encoded(&end), "countOnly": true})).await?;
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

fn encoded(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}
