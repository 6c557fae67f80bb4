//! Evidence behind a public URL.

use std::time::Duration;

use alloy::primitives::Address;
use hawser_attestation::MAX_EVIDENCE_BYTES;
use hawser_contracts::JobId;
use reqwest::{Client, StatusCode};

use super::Read;
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

pub(super) async fn read(url: &str) -> Result<Read, Failure> {
    let url = url.trim_end_matches('/');
    let client = client()?;
    let evidence = segments(&client, url).await?;
    if !evidence.is_empty() {
        return Ok(Read::Whole(evidence));
    }
    job_of(url).map(Read::OfJob).ok_or_else(|| {
        Failure::refused(format!(
            "there is no {url}/000000.jsonl: give the URL of the job's evidence, which ends in the job's id"
        ))
    })
}

pub(super) async fn read_attestors(url: &str, attestors: &[Address]) -> Result<Vec<u8>, Failure> {
    let client = client()?;
    let url = url.trim_end_matches('/');
    let mut evidence = Vec::new();
    for attestor in attestors {
        // As `hawser_attestation::evidence_prefix` has it. One that was named and never reported has no files: what was
        // claimed on evidence that is held back is found missing in the comparison with the chain.
        evidence.extend(segments(&client, &format!("{url}/{attestor:#x}")).await?);
    }
    if evidence.is_empty() {
        let named = attestors.len();
        return Err(Failure::refused(format!(
            "there is no evidence of any of the {named} attestors that the chain names: expected {url}/ATTESTOR/000000.jsonl"
        )));
    }
    Ok(evidence)
}

fn client() -> Result<Client, Failure> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(|error| Failure::Unreachable(format!("the HTTP client can't start: {error}")))
}

/// `000000.jsonl` and so on until there is none; empty where there is not one.
async fn segments(client: &Client, base: &str) -> Result<Vec<u8>, Failure> {
    let mut evidence = Vec::new();
    for index in 0_u32.. {
        if !append(client, &format!("{base}/{index:06}.jsonl"), &mut evidence).await? {
            break;
        }
    }
    Ok(evidence)
}

/// Whether there was such a file. A tail that is held back can't deceive: what was claimed for it is then missing.
async fn append(client: &Client, url: &str, evidence: &mut Vec<u8>) -> Result<bool, Failure> {
    let broken = |error: reqwest::Error| Failure::Unreachable(format!("{url} can't be read: {}", error.without_url()));
    let mut response = client.get(url).send().await.map_err(broken)?;
    match response.status() {
        // A bucket that may not be listed answers 403 for what isn't there.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(false),
        StatusCode::OK => {}
        status => {
            return Err(Failure::Unreachable(format!("{url} answers with HTTP status {status}: try again later")));
        }
    }
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if evidence.len() + chunk.len() > MAX_EVIDENCE_BYTES {
            return Err(Failure::refused(format!("{url}: the evidence is longer than {MAX_EVIDENCE_BYTES} bytes")));
        }
        evidence.extend_from_slice(&chunk);
    }
    Ok(true)
}

/// The job that a URL ends in.
fn job_of(url: &str) -> Option<JobId> {
    url.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_url_ends_in_its_id() {
        let id = JobId(alloy::primitives::B256::repeat_byte(3));
        assert_eq!(job_of(&format!("https://evidence.example.com/{id}")), Some(id));
        assert_eq!(job_of("https://evidence.example.com/other"), None);
    }
}
