//! The bucket that evidence lies in: written by the operator, readable by everybody.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use rusty_s3::actions::CreateBucket;
use rusty_s3::{Bucket, Credentials, Method, S3Action, UrlStyle, signing};
use serde_json::json;

use crate::environment::Environment;

/// Region that the test server claims to be in.
pub const REGION: &str = "us-east-1";
const VALID: Duration = Duration::from_mins(1);

/// Makes the bucket unless it is there, and lets anybody read its objects.
///
/// # Errors
/// When the S3 server doesn't answer or refuses.
pub async fn publish(environment: &Environment, name: &str) -> Result<()> {
    let endpoint = environment.s3_url.parse().with_context(|| format!("{} is no URL", environment.s3_url))?;
    let bucket = Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), REGION)?;
    let credentials = Credentials::new(environment.s3_access_key.clone(), environment.s3_secret_key.clone());
    let client = Client::new();

    let created = client.put(CreateBucket::new(&bucket, &credentials).sign(VALID)).send().await?.status();
    ensure!(
        created.is_success() || created == StatusCode::CONFLICT,
        "bucket {name} can't be made at {}: {created}",
        environment.s3_url
    );

    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{name}/*"),
        }],
    });
    let url = signing::sign(
        &jiff::Timestamp::now(),
        Method::Put,
        bucket.base_url().clone(),
        credentials.key(),
        credentials.secret(),
        None,
        REGION,
        VALID.as_secs(),
        [("policy", "")].into_iter(),
        std::iter::empty(),
    );
    let answer = client.put(url).body(policy.to_string()).send().await?;
    let status = answer.status();
    ensure!(status.is_success(), "bucket {name} can't be made public: {status} {}", answer.text().await?);
    Ok(())
}
