//! Evidence behind a public URL. Whoever serves it may be the one who has something to hide: what is read has an end in time,
//! in bytes and in files.

use std::time::Duration;

use alloy::primitives::Address;
use hawser_attestation::{Reader, attestor_folder, evidence_file};
use reqwest::{Client, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::{Place, wrong};
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most files of one attestor: the operator fills each with 128 KiB, and no more than 2 GiB are read in all.
const MOST_FILES: u32 = 20_000;
const MOST_REDIRECTS: usize = 5;

/// Where files come from, and until when.
pub(crate) struct Web {
    client: Client,
    until: Instant,
    limit: Duration,
}

impl Web {
    pub(crate) fn new(limit: Duration) -> Result<Self, Failure> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::custom(within_origin))
            .build()
            .map_err(|error| Failure::Unreachable(format!("the HTTP client can't start: {error}")))?;
        Ok(Self { client, until: Instant::now() + limit, limit })
    }

    /// Reads the evidence of a place, of a job's attestors in the order in which the chain names them.
    pub(crate) async fn read(&self, place: &Place, attestors: &[Address], reader: &mut Reader) -> Result<(), Failure> {
        let read = async {
            match place {
                Place::OfJob(url) => {
                    for attestor in attestors {
                        // One that has no files is reported as missing.
                        self.files(&below(url, &attestor_folder(*attestor)), Some(*attestor), reader).await?;
                    }
                    Ok(())
                }
                Place::OfAttestor(url, attestor) => self.files(url, *attestor, reader).await,
                Place::Remote(url) => {
                    reader.part(None);
                    self.file(url, reader).await.map(|_| ())
                }
                Place::Card | Place::Local(_) => Ok(()),
            }
        };
        timeout_at(self.until, read).await.unwrap_or_else(|_| {
            Err(Failure::Unreachable(format!(
                "the evidence was not read within {} s, and not judged: try again, or give it longer (--timeout)",
                self.limit.as_secs()
            )))
        })
    }

    /// `000000.jsonl` and so on until there is none.
    async fn files(&self, base: &Url, of: Option<Address>, reader: &mut Reader) -> Result<(), Failure> {
        reader.part(of);
        for index in 0..MOST_FILES {
            if !self.file(&below(base, &evidence_file(index)), reader).await? {
                return Ok(());
            }
        }
        Err(Failure::refused(format!("the evidence is wrong: {base} has more than {MOST_FILES} files")))
    }

    /// Whether there was such a file. A tail that is held back can't deceive: what was claimed for it is then missing.
    async fn file(&self, url: &Url, reader: &mut Reader) -> Result<bool, Failure> {
        let broken = |error: reqwest::Error| {
            if error.is_redirect() {
                return Failure::refused(format!(
                    "{url} redirects to another server, or on and on, which is not followed: give the URL itself"
                ));
            }
            Failure::Unreachable(format!("{url} can't be read: {}", error.without_url()))
        };
        let mut response = self.client.get(url.clone()).send().await.map_err(broken)?;
        match response.status() {
            // A bucket that may not be listed answers 403 for what isn't there.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(false),
            StatusCode::OK => {}
            status => {
                return Err(Failure::Unreachable(format!("{url} answers with HTTP status {status}: try again later")));
            }
        }
        let mut empty = true;
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            empty &= piece.is_empty();
            reader.read(&piece).map_err(|error| wrong(&error))?;
        }
        if empty {
            return Err(Failure::refused(format!("the evidence is wrong: {url} is empty, no file of evidence is")));
        }
        reader.end_of_file().map_err(|error| wrong(&error))?;
        Ok(true)
    }
}

/// A server can't send a reader to another one, into a private network for instance.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= MOST_REDIRECTS {
        attempt.follow()
    } else {
        attempt.error("it leads to another server, or on and on")
    }
}

fn below(url: &Url, name: &str) -> Url {
    let mut url = url.clone();
    url.set_path(&format!("{}/{name}", url.path().trim_end_matches('/')));
    url
}
