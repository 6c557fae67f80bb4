//! Where evidence is, and of which job: what was typed decides, never what the evidence says of itself.

use std::path::PathBuf;

use alloy::primitives::Address;
use hawser_market::JobId;
use reqwest::Url;

/// Where the evidence of a job is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the offer's card says.
    Card,
    /// Folders of attestors below this URL, which ends in the job's id.
    OfJob(Url),
    /// The files 000000.jsonl ... below this URL; of this attestor where it ends in an address.
    OfAttestor(Url, Option<Address>),
    /// One file behind a URL.
    Remote(Url),
    /// A file or a folder of this machine.
    Local(PathBuf),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    /// None only where the chain is not asked.
    pub(crate) job: Option<JobId>,
}

/// Reads what was typed.
pub(crate) fn asked(text: &str, job: Option<JobId>, offline: bool) -> Result<Asked, String> {
    let (place, named) = place(text)?;
    if let (Some(asked), Some(named)) = (job, named)
        && asked != named
    {
        return Err(format!("{text} is of job {named}, --job says {asked}: leave one of them out"));
    }
    let job = job.or(named);
    match (&place, job, offline) {
        (Place::Card | Place::OfJob(_), _, true) => Err(
            "the evidence of a job is found by the chain, which names its attestors: leave --offline out, or give the \
                 folder of one attestor"
                .to_owned(),
        ),
        (_, None, false) => Err(format!(
            "of which job is {text}? Say it with --job JOB: evidence that names its job itself could be that of another"
        )),
        _ => Ok(Asked { place, job }),
    }
}

fn place(text: &str) -> Result<(Place, Option<JobId>), String> {
    if let Some(job) = job_id(text) {
        return Ok((Place::Card, Some(job)));
    }
    match text.split_once("://") {
        Some(("http" | "https", _)) => url(text),
        Some((scheme, _)) => {
            Err(format!("{scheme}:// can't be read: give a URL with http:// or https://, a path, or a job's id"))
        }
        None => {
            let path = PathBuf::from(text);
            let name = |path: &std::path::Path| path.file_name().and_then(|name| name.to_str()).and_then(job_id);
            let job = path.ancestors().take(3).find_map(name);
            Ok((Place::Local(path), job))
        }
    }
}

/// Job and attestor stand in lower case in a store, and most stores tell cases apart.
fn url(text: &str) -> Result<(Place, Option<JobId>), String> {
    let mut url: Url = text.parse().map_err(|error| format!("{text} is not a URL: {error}"))?;
    let path = url.path().trim_end_matches('/').to_owned();
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    for segment in segments.iter_mut().rev().take(3) {
        if job_id(segment).is_some() || attestor(segment).is_some() {
            segment.make_ascii_lowercase();
        }
    }
    url.set_path(&segments.join("/"));
    let last = |n: usize| segments.iter().rev().nth(n).map_or("", String::as_str);
    let job = (0..3).find_map(|n| job_id(last(n)));
    let place = if job_id(last(0)).is_some() {
        Place::OfJob(url)
    } else if std::path::Path::new(last(0)).extension().is_some_and(|extension| extension == "jsonl") {
        Place::Remote(url)
    } else {
        Place::OfAttestor(url, attestor(last(0)))
    };
    Ok((place, job))
}

fn job_id(text: &str) -> Option<JobId> {
    text.to_ascii_lowercase().parse().ok()
}

/// The attestor whose folder has this name.
pub(super) fn attestor(name: &str) -> Option<Address> {
    let digits = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X"))?;
    (digits.len() == 40).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    fn id(byte: u8) -> JobId {
        JobId(B256::repeat_byte(byte))
    }

    #[test]
    fn the_job_is_the_one_that_was_typed() {
        let attestor = Address::repeat_byte(0xcd);
        let base = "https://e.example.com/evidence";
        let job = id(0xab);
        for (text, option, expected) in [
            (job.to_string(), None, Place::Card),
            (format!("{base}/{job}"), None, Place::OfJob(format!("{base}/{job}").parse().unwrap())),
            (format!("{base}/{job}/"), Some(job), Place::OfJob(format!("{base}/{job}").parse().unwrap())),
            (
                format!("{base}/{}/{attestor}/", job.to_string().to_uppercase().replacen("0X", "0x", 1)),
                None,
                Place::OfAttestor(format!("{base}/{job}/{attestor:#x}").parse().unwrap(), Some(attestor)),
            ),
            (
                format!("{base}/{job}/{attestor:#x}/000000.jsonl"),
                None,
                Place::Remote(format!("{base}/{job}/{attestor:#x}/000000.jsonl").parse().unwrap()),
            ),
            (format!("{base}/x"), Some(job), Place::OfAttestor(format!("{base}/x").parse().unwrap(), None)),
            ("/tmp/e.jsonl".to_owned(), Some(job), Place::Local("/tmp/e.jsonl".into())),
            (format!("/tmp/{job}/{attestor}"), None, Place::Local(format!("/tmp/{job}/{attestor}").into())),
            (format!("./{job}"), None, Place::Local(format!("./{job}").into())),
        ] {
            assert_eq!(asked(&text, option, false), Ok(Asked { place: expected, job: Some(job) }), "{text}");
        }
    }

    #[test]
    fn what_names_no_job_or_two_is_refused() {
        let (url, bare) = (format!("https://e.example.com/{}", id(1)), id(1).to_string());
        for (text, job, offline, part) in [
            ("e.jsonl", None, false, "--job JOB"),
            ("https://e.example.com/x", None, false, "--job JOB"),
            (url.as_str(), Some(id(2)), false, "--job says 0x0202"),
            (bare.as_str(), Some(id(2)), false, "--job says 0x0202"),
            (url.as_str(), None, true, "leave --offline out"),
            (bare.as_str(), None, true, "leave --offline out"),
            ("ftp://x/y", None, true, "http:// or https://"),
            ("http://", None, true, "is not a URL"),
        ] {
            let problem = asked(text, job, offline).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
        assert_eq!(asked("e.jsonl", None, true).map(|asked| asked.job), Ok(None));
    }
}
