//! One job in the registry: what is expected of it, and what was attested for it.

use alloy::primitives::{Address, B256};
use hawser_proto::attestation::{Directive, OperatorMessage, operator_message};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    cards::DeadCard,
    directives::SentDirectives,
    evidence_writer::EvidenceWriter,
    expected::{Attested, ExpectedJob, Rejection},
    keys::Keys,
};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) expected: ExpectedJob,
    pub(super) attested: Option<Attested>,
    pub(super) writer: EvidenceWriter,
    pub(super) stream: Option<Stream>,
    pub(super) refused: Option<Rejection>,
    pub(super) since: Timestamp,
    /// Of each member's pod.
    pub(super) keys: Vec<Keys>,
    pub(super) dead: Vec<DeadCard>,
    /// Stays for as long as the job is known: a count that goes on holds the time in which the card was another job's.
    pub(super) card_shared: Option<Box<str>>,
    /// The termination message that was read last, of a meter that was started again since.
    pub(super) earlier_words: Option<B256>,
}

/// The open stream to a job's sidecar.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) attestor: Address,
    pub(super) sender: mpsc::Sender<OperatorMessage>,
    pub(super) sent: SentDirectives,
}

impl Stream {
    /// Tells the sidecar what it does not know yet; `false`: it does not listen.
    pub(super) fn send_directives(&mut self, expected: &ExpectedJob) -> bool {
        let due = self.sent.due(expected, self.attestor);
        due.into_iter().all(|directive| self.sender.try_send(message(directive)).is_ok())
    }
}

fn message(directive: Directive) -> OperatorMessage {
    OperatorMessage { message: Some(operator_message::Message::Directive(directive)) }
}

impl Entry {
    /// Whether that is news: another card is dead than before.
    pub(super) fn find_dead(&mut self, dead: Option<Vec<DeadCard>>) -> bool {
        let Some(dead) = dead else { return false };
        let news = dead.iter().any(|card| self.dead.iter().all(|had| had.uuid != card.uuid));
        self.dead = dead;
        news
    }

    /// After a restart: the job's status knows the attestor, its newest voucher and whose its card is; the market, which
    /// attestor is the right one.
    pub(super) fn recall(&mut self) {
        if self.card_shared.is_none() {
            self.card_shared = self.expected.card_shared.as_deref().map(Into::into);
        }
        let Some(started) = self.expected.started else { return };
        let voucher =
            self.expected.voucher.and_then(|voucher| Some((voucher.attestor(self.expected.market).ok()?, voucher)));
        let known = self.expected.attestor.into_iter().chain(voucher.map(|(signer, _)| signer));
        if self.attested.is_none() {
            self.attested = known.into_iter().find(|known| started.attestor.is(*known)).map(Attested::nothing_yet);
        }
        if let (Some(attested), Some((signer, voucher))) = (&mut self.attested, voucher) {
            attested.propose(signer, voucher);
        }
    }
}
