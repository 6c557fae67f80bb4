//! One stream to the operator at a time, opened again for as long as the pod lives.

use std::{path::PathBuf, time::Duration};

use hawser_proto::attestation::{
    OperatorMessage, SidecarMessage, attestation_client::AttestationClient, operator_message,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Less than an operator needs to come back: a customer's program waits for the word that it may start.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The pod ends: what the operator has not said by then is not waited for much longer.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Where the operator is.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) url: String,
    /// Read at each attempt: the CA may be renewed while the job runs.
    pub(crate) ca: PathBuf,
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
    #[error("{0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("{0}")]
    Status(#[from] tonic::Status),
    #[error("the operator closed the stream")]
    Ended,
}

/// Runs until nobody listens to `events`. `ending` becomes true when the pod ends.
pub(crate) async fn run(operator: Operator, events: mpsc::Sender<Event>, mut ending: watch::Receiver<bool>) {
    let mut wait = FIRST_WAIT;
    while !events.is_closed() {
        let mut answered = false;
        let Err(error) = converse(&operator, &events, &mut answered).await;
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
    operator: &Operator,
    events: &mpsc::Sender<Event>,
    answered: &mut bool,
) -> Result<std::convert::Infallible, LinkError> {
    let (sender, receiver) = mpsc::channel(128);
    let mut client = AttestationClient::new(connect(operator).await?);
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

async fn connect(operator: &Operator) -> Result<Channel, LinkError> {
    let ca = tokio::fs::read(&operator.ca).await.map_err(|error| LinkError::Ca { path: operator.ca.clone(), error })?;
    let endpoint = Endpoint::from_shared(operator.url.clone())?
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)))?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    Ok(endpoint.connect().await?)
}
