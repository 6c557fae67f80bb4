//! One job in the registry: what is expected of it, and what was attested for each of its members.

use hawser_attestation::{Attestor, Digest};
use hawser_proto::attestation::{Directive, OperatorMessage, operator_message};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    cards::DeadCard,
    directives::SentDirectives,
    evidence_writer::EvidenceWriter,
    expected::{Attested, ExpectedJob, ExpectedMeter, Rejection, StreamHealth},
    keys::Keys,
};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) expected: ExpectedJob,
    /// In the order in which they are expected: the first leads.
    pub(super) members: Vec<Member>,
    pub(super) refused: Option<Rejection>,
    pub(super) since: Timestamp,
    /// Stays for as long as the job is known: a count that goes on holds the time in which the card was another job's.
    pub(super) card_shared: Option<Box<str>>,
}

/// What is known of one member, by its pod's name: a pod that takes another's place goes on with it.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) pod: Box<str>,
    pub(super) attested: Option<Attested>,
    pub(super) writer: EvidenceWriter,
    pub(super) stream: Option<Stream>,
    /// Of its pod, and of one that took its place this moment.
    pub(super) keys: Vec<Keys>,
    pub(super) dead: Vec<DeadCard>,
    /// The termination message that was read last, of a meter that was started again since.
    pub(super) earlier_words: Option<Digest>,
}

/// The open stream to a member's sidecar.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) attestor: Attestor,
    pub(super) sender: mpsc::Sender<OperatorMessage>,
    pub(super) sent: SentDirectives,
}

impl Stream {
    /// Tells the sidecar what it does not know yet; `false`: it does not listen.
    pub(super) fn send_directives(&mut self, expected: &ExpectedMeter) -> bool {
        let due = self.sent.due(expected, self.attestor);
        due.into_iter().all(|directive| self.sender.try_send(message(directive)).is_ok())
    }
}

fn message(directive: Directive) -> OperatorMessage {
    OperatorMessage { message: Some(operator_message::Message::Directive(directive)) }
}

impl Member {
    /// What its attestor came to; `attestor` where none was known.
    pub(super) fn attested_or(&mut self, attestor: Attestor) -> &mut Attested {
        self.attested.get_or_insert_with(|| Attested::nothing_yet(&self.pod, attestor))
    }

    pub(super) fn attestor(&self) -> Option<Attestor> {
        self.attested.as_ref().map(|attested| attested.attestor)
    }

    /// Whether that is news: another card is dead than before.
    pub(super) fn find_dead(&mut self, dead: Option<Vec<DeadCard>>) -> bool {
        let Some(dead) = dead else { return false };
        let news = dead.iter().any(|card| self.dead.iter().all(|had| had.uuid != card.uuid));
        self.dead = dead;
        news
    }
}

impl Entry {
    pub(super) fn new(expected: ExpectedJob) -> Self {
        let (refused, card_shared, since) = (None, None, Timestamp::now());
        Self { expected, members: Vec::with_capacity(1), refused, since, card_shared }
    }

    pub(super) fn member(&self, pod: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.pod == *pod)
    }

    pub(super) fn member_mut(&mut self, pod: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| *member.pod == *pod)
    }

    /// What is expected of a member's meter now.
    pub(super) fn meter(&self, pod: &str) -> Option<ExpectedMeter> {
        self.expected.meter(pod, self.member(pod)?.attestor())
    }

    /// What is known of the job now. Tells its members' sidecars what they have to know of it.
    pub(super) fn expect(&mut self, expected: ExpectedJob) {
        self.expected = expected;
        let wanted = &self.expected.members;
        self.members.retain(|member| wanted.iter().any(|wanted| *wanted.pod == *member.pod));
        for (at, wanted) in wanted.iter().enumerate() {
            if self.members.get(at).is_none_or(|member| *member.pod != *wanted.pod) {
                let pod = wanted.pod.as_str().into();
                self.members.insert(at, Member { pod, ..Member::default() });
            }
        }
        self.recall();
        for member in &mut self.members {
            let Some(meter) = self.expected.meter(&member.pod, member.attestor()) else { continue };
            // A sidecar that does not read is cut off: it comes back and is told everything again.
            if member.stream.as_mut().is_some_and(|stream| !stream.send_directives(&meter)) {
                member.stream = None;
            }
        }
    }

    /// A member's sidecar proved itself; whether it is another one than before.
    pub(super) fn enrol(&mut self, pod: &str, gpu_uuids: &[String], mut stream: Stream) -> bool {
        let Some(member) = self.member_mut(pod) else { return false };
        let new = member.attestor() != Some(stream.attestor);
        let attested = member.attested_or(stream.attestor);
        if new {
            attested.finished = false;
        }
        attested.attestor = stream.attestor;
        attested.gpu_uuids = gpu_uuids.to_vec();
        let listens = self.meter(pod).is_some_and(|meter| stream.send_directives(&meter));
        if let Some(member) = self.member_mut(pod) {
            member.stream = listens.then_some(stream);
        }
        new
    }

    pub(super) fn health(&self) -> StreamHealth {
        let is_open = |stream: &Stream| !stream.sender.is_closed();
        let last_report = |member: &Member| member.attested.as_ref().and_then(|attested| attested.last_report);
        StreamHealth {
            since: self.since,
            connected: self.members.iter().all(|member| member.stream.as_ref().is_some_and(is_open)),
            // One that has not reported comes before all that have.
            last_report: self.members.iter().map(last_report).min().flatten(),
            rejection: self.refused.clone(),
            card_shared: self.card_shared.as_deref().map(str::to_owned),
        }
    }

    /// After a restart: the job's status knows the leader's attestor, its newest voucher and whose its card is; the market,
    /// which attestor is the right one. What other members used is known again from their evidence, once their meters are back.
    fn recall(&mut self) {
        if self.card_shared.is_none() {
            self.card_shared = self.expected.card_shared.as_deref().map(Into::into);
        }
        let (Some(started), Some(leader)) = (self.expected.started, self.members.first_mut()) else { return };
        let voucher = self.expected.voucher;
        let voucher = voucher.and_then(|voucher| Some((voucher.attestor(self.expected.market).ok()?, voucher)));
        let mut known = self.expected.attestor.into_iter().chain(voucher.map(|(signer, _)| signer));
        let known = leader.attestor().or_else(|| known.find(|known| started.attestor.is(*known)));
        let Some(attested) = known.map(|known| leader.attested_or(known)) else { return };
        if let Some((signer, voucher)) = voucher {
            attested.propose(signer, voucher);
        }
    }
}
