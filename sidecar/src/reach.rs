//! What a pod of an offer can connect to although its `NetworkPolicy` forbids it: the only proof that a cluster enforces
//! policies is a connection that was tried.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use clap::Args;
use hawser_attestation::Reach;
use hawser_proto::pod;

/// What the canary is given by its pod.
#[derive(Args)]
pub(crate) struct Config {
    /// Address of the attestation service, which every job may reach
    #[arg(long)]
    attestation: SocketAddr,
    /// Addresses in the cluster that surely answer and that no job may reach
    #[arg(long, value_delimiter = ',')]
    forbidden: Vec<SocketAddr>,
    /// Address of the pod's own node
    #[arg(long, env = pod::env::NODE_IP)]
    node: Option<IpAddr>,
    /// Port of kubelet there
    #[arg(long, default_value = "10250")]
    kubelet: u16,
    /// What the image declares as its volume
    #[arg(long, env = pod::env::IMAGE_VOLUME)]
    image_volume: Option<String>,
    /// Seconds for which an address must go on answering before that counts
    #[arg(long, default_value = "30")]
    seconds: u64,
    /// The container's termination message
    #[arg(long, env = pod::env::TERMINATION_LOG, default_value = pod::TERMINATION_LOG)]
    termination_log: PathBuf,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[error("can't write {path}: {error}")]
pub(crate) struct ReachError {
    path: PathBuf,
    error: io::Error,
}

/// A connection that takes longer is none.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two tries at one address.
const PAUSE: Duration = Duration::from_secs(1);
/// This many tries in a row must fail before an address counts as out of reach: one may fail by chance.
const MISSES: u32 = 2;

/// How addresses are tried.
#[derive(Clone, Copy, Debug)]
struct Pace {
    answer: Duration,
    pause: Duration,
    /// A policy may hold only some seconds after the pod has begun: what answers before that is no verdict.
    timeout: Duration,
}

pub(crate) fn run(config: &Config) -> Result<(), ReachError> {
    let pace = Pace { answer: ANSWER, pause: PAUSE, timeout: Duration::from_secs(config.seconds) };
    let reach = look(config, pace);
    tracing::info!(?reach, "what this pod can connect to");
    let written = serde_json::to_vec(&reach).map_err(io::Error::from);
    written
        .and_then(|text| fs::write(&config.termination_log, text))
        .map_err(|error| ReachError { path: config.termination_log.clone(), error })
}

fn look(config: &Config, pace: Pace) -> Reach {
    if !answers_at_last(config.attestation, pace) {
        return Reach::default();
    }
    let kubelet = config.node.map(|node| SocketAddr::new(node, config.kubelet));
    let tried = |addresses: &[SocketAddr]| -> Vec<(SocketAddr, bool)> {
        thread::scope(|scope| {
            let tries: Vec<_> = addresses
                .iter()
                .map(|address| (*address, scope.spawn(move || answers_to_the_end(*address, pace))))
                .collect();
            // A thread that broke has shown nothing against the policy, and nothing for it.
            tries.into_iter().filter_map(|(address, tried)| Some((address, tried.join().ok()?))).collect()
        })
    };
    let all: Vec<SocketAddr> = config.forbidden.iter().copied().chain(kubelet).collect();
    let mut reach = Reach { attestation: true, image_volumes: image_volumes(config), ..Reach::default() };
    for (address, answers) in tried(&all) {
        let list = match answers {
            false => &mut reach.held,
            true if Some(address) == kubelet => &mut reach.node,
            true => &mut reach.cluster,
        };
        list.push(address);
    }
    reach
}

/// Whether the node mounts volumes that images declare.
fn image_volumes(config: &Config) -> Option<bool> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(is_mounted(&mounts, config.image_volume.as_deref()?))
}

/// Whether something is mounted at a path, by what the kernel says of a process.
fn is_mounted(mounts: &str, path: &str) -> bool {
    mounts.lines().any(|mount| mount.split(' ').nth(4) == Some(path))
}

/// Whether something answers in time: a pod may have no way out in its first moments.
fn answers_at_last(address: SocketAddr, pace: Pace) -> bool {
    let end = Instant::now() + pace.timeout;
    loop {
        if answers(address, pace.answer) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(pace.pause);
    }
}

/// Whether an address goes on answering until the timeout.
fn answers_to_the_end(address: SocketAddr, pace: Pace) -> bool {
    let end = Instant::now() + pace.timeout;
    let mut tries = Tries::default();
    loop {
        if tries.are_over(answers(address, pace.answer)) {
            return false;
        }
        if Instant::now() >= end {
            return true;
        }
        thread::sleep(pace.pause);
    }
}

fn answers(address: SocketAddr, within: Duration) -> bool {
    TcpStream::connect_timeout(&address, within).is_ok()
}

/// Tries at one address so far.
#[derive(Debug, Default)]
struct Tries {
    missed: u32,
}

impl Tries {
    /// Takes the newest: true once the address counts as out of reach.
    fn are_over(&mut self, answered: bool) -> bool {
        self.missed = if answered { 0 } else { self.missed + 1 };
        self.missed >= MISSES
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const QUICK: Pace = Pace {
        answer: Duration::from_millis(200),
        pause: Duration::from_millis(20),
        timeout: Duration::from_millis(300),
    };

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address at which nobody listens, and that nobody else can take: the near end of a connection.
    fn silent() -> (TcpListener, TcpStream, SocketAddr) {
        let (far, address) = listener();
        let near = TcpStream::connect(address).unwrap();
        let address = near.local_addr().unwrap();
        (far, near, address)
    }

    fn config(attestation: SocketAddr, forbidden: &[SocketAddr], kubelet: SocketAddr) -> Config {
        Config {
            attestation,
            forbidden: forbidden.to_vec(),
            node: Some(kubelet.ip()),
            kubelet: kubelet.port(),
            image_volume: None,
            seconds: 0,
            termination_log: PathBuf::new(),
        }
    }

    #[test]
    fn an_address_is_out_of_reach_after_two_failures_in_a_row_however_often_it_answered_before() {
        for (tries, over) in [
            (&[false][..], false),
            (&[false, false], true),
            (&[true, true, true], false),
            (&[true, true, false, true], false),
            (&[false, true, false], false),
            (&[true, false, false], true),
        ] {
            let mut so_far = Tries::default();
            let last = tries.iter().map(|answered| so_far.are_over(*answered)).last();
            assert_eq!(last, Some(over), "{tries:?}");
        }
    }

    #[test]
    fn what_answers_to_the_end_is_told_by_where_it_is_and_what_does_not_is_held() {
        let ((_a, service), (_b, pod), (_c, kubelet)) = (listener(), listener(), listener());
        let (_far, _near, away) = silent();
        let reach = look(&config(service, &[pod, away], kubelet), QUICK);
        let expected =
            Reach { attestation: true, cluster: vec![pod], node: vec![kubelet], held: vec![away], image_volumes: None };
        assert_eq!(reach, expected);
    }

    #[test]
    fn a_volume_of_the_image_is_seen_by_its_mount() {
        let overlay = "594 534 0:88 / / ro,relatime - overlay overlay ro,lowerdir=/image-volume\n";
        let volume = "602 594 8:1 /var/lib/containerd/volumes/7f /image-volume rw,relatime - ext4 /dev/sda1 rw\n";
        for (mounts, mounted) in [
            (overlay.to_owned(), false),
            (format!("{overlay}{volume}"), true),
            (volume.replace(" /image-volume ", " /image-volume/b "), false),
            (String::new(), false),
        ] {
            assert_eq!(is_mounted(&mounts, "/image-volume"), mounted, "{mounts}");
        }
        let (_a, service) = listener();
        let declares = |image_volume: Option<&str>| Config {
            image_volume: image_volume.map(str::to_owned),
            ..config(service, &[], service)
        };
        assert_eq!(image_volumes(&declares(None)), None, "an image without one shows nothing");
        assert_eq!(image_volumes(&declares(Some("/nowhere/at/all"))), Some(false));
        assert_eq!(image_volumes(&declares(Some("/proc"))), Some(true));
    }

    #[test]
    fn an_address_that_stops_answering_is_held_though_it_answered_at_first() {
        let (early, address) = listener();
        let patient = Pace { timeout: Duration::from_mins(5), ..QUICK };
        let tried = thread::spawn(move || answers_to_the_end(address, patient));
        // It has answered: only then the policy holds.
        drop(early.accept().unwrap());
        drop(early);
        assert!(!tried.join().unwrap());
    }

    #[test]
    fn where_the_attestation_service_does_not_answer_nothing_is_shown() {
        let ((_far, _near, away), (_a, pod)) = (silent(), listener());
        assert_eq!(look(&config(away, &[pod], pod), QUICK), Reach::default());
    }
}
