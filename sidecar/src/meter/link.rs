//! One stream to the operator at a time, opened again for as long as the pod lives.

use std::{
    convert::Infallible,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use hawser_attestation::Knock;
use hawser_proto::attestation::{
    OperatorMessage, SidecarMessage, attestation_client::AttestationClient, operator_message,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tower::service_fn;

use super::dial::{Resolver, dial};

const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Small beside the 15 s after which another operator takes a dead one's lease: a customer's program waits for the word
/// that it may start. Where nobody serves, an attempt is a refused connection.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The pod ends: what the operator has not said by then is not waited for much longer.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// An operator whose machine is gone, or that stands still, closes no connection. Both together are less than its lease
/// lasts: when another one leads, meter knocks already.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// For two addresses, each with its own limit, and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);

/// Where the operator is.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    url: String,
    ca: PathBuf,
    /// As it was read last.
    certificate: Vec<u8>,
    resolver: Resolver,
}

impl Operator {
    /// Makes what every attempt needs: after the start there may be no thread for it.
    pub(crate) fn new(url: &str, ca: &Path) -> io::Result<Self> {
        let certificate = fs::read(ca).inspect_err(|error| tracing::warn!(ca = %ca.display(), %error, "no CA yet"));
        let certificate = certificate.unwrap_or_default();
        Ok(Self { url: url.to_owned(), ca: ca.to_owned(), certificate, resolver: Resolver::start()? })
    }

    /// Read again at each attempt: the CA may be renewed while the job runs. A few lines of a file in memory: this
    /// thread waits for nothing.
    fn certificate(&mut self) -> Result<Certificate, LinkError> {
        match fs::read(&self.ca) {
            Ok(read) => self.certificate = read,
            Err(error) if self.certificate.is_empty() => {
                return Err(LinkError::Ca { path: self.ca.clone(), error });
            }
            Err(_) => {}
        }
        Ok(Certificate::from_pem(&self.certificate))
    }
}

/// What happens on the link.
#[derive(Debug)]
pub(crate) enum Event {
    /// A stream is open: what is sent here goes to the operator. Dropping it ends the stream.
    Opened(mpsc::Sender<SidecarMessage>),
    Message(OperatorMessage),
    Closed,
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("CA certificate {path}: {error}")]
    Ca { path: PathBuf, error: std::io::Error },
    #[error("{}", causes(.0))]
    Transport(#[from] tonic::transport::Error),
    #[error("{0}")]
    Status(#[from] tonic::Status),
    #[error("the operator closed the stream")]
    Ended,
}

/// An error with what it came from: tonic's own words are "transport error" for a name that isn't found and for a port that
/// doesn't answer.
fn causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Runs until nobody listens to `events`. `ending` becomes true when the pod ends, `knock` is what announces meter.
pub(crate) async fn run(
    mut operator: Operator,
    events: mpsc::Sender<Event>,
    mut ending: watch::Receiver<bool>,
    knock: watch::Receiver<Option<Knock>>,
) {
    let mut wait = FIRST_WAIT;
    let mut plainly = false;
    while !events.is_closed() {
        let mut answered = false;
        let knock = knock.borrow().filter(|_| !plainly);
        let Err(error) = converse(&mut operator, knock, &events, &mut answered).await;
        // An operator of an older version does not know what a knock is.
        plainly = knock.is_some() && !answered;
        if events.send(Event::Closed).await.is_err() {
            return;
        }
        let longest = if *ending.borrow_and_update() { LAST_WAIT } else { LONGEST_WAIT };
        wait = if answered { FIRST_WAIT } else { (wait * 2).min(longest) };
        // All sidecars lose the operator at the same moment: they must not all come back at the same one.
        let pause = wait.mul_f64(rand::random_range(0.5..1.0));
        tracing::warn!(operator = operator.url, %error, again_in = ?pause, "no stream to the operator");
        // A pod that ends meanwhile asks at once.
        _ = tokio::time::timeout(pause, ending.changed()).await;
    }
}

async fn converse(
    operator: &mut Operator,
    knock: Option<Knock>,
    events: &mpsc::Sender<Event>,
    answered: &mut bool,
) -> Result<Infallible, LinkError> {
    let (sender, receiver) = mpsc::channel(128);
    let mut client = AttestationClient::new(connect(operator, knock).await?);
    let mut stream = client.attest(ReceiverStream::new(receiver)).await?.into_inner();
    if events.send(Event::Opened(sender)).await.is_err() {
        return Err(LinkError::Ended);
    }
    while let Some(message) = stream.message().await? {
        // A refusal after an Ack is no success: asked again at once, it would be refused again.
        match &message.message {
            Some(operator_message::Message::Ack(_)) => *answered = true,
            Some(operator_message::Message::Rejected(_)) => *answered = false,
            _ => {}
        }
        if events.send(Event::Message(message)).await.is_err() {
            break;
        }
    }
    Err(LinkError::Ended)
}

async fn connect(operator: &mut Operator, knock: Option<Knock>) -> Result<Channel, LinkError> {
    let endpoint = Endpoint::from_shared(operator.url.clone())?
        .tls_config(ClientTlsConfig::new().ca_certificate(operator.certificate()?))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let resolver = operator.resolver.clone();
    Ok(endpoint.connect_with_connector(service_fn(move |uri: Uri| dial(resolver.clone(), knock, uri))).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_operator_that_is_not_reached_is_told_with_the_cause() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Endpoint::from_shared(url).unwrap().connect().await.unwrap_err();
        let told = LinkError::from(error).to_string();
        assert!(told.starts_with("transport error: ") && told.contains("refused"), "{told}");
    }
}
