//! What was asked of the wallet and how far it has come. In memory only: after a restart the callers ask again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use alloy::primitives::B256;

use super::{Action, ActionKey, ActionState, Backlog};

/// The same action asked for again so soon after it was mined is an echo of an older look at the chain.
const ECHO: Duration = Duration::from_secs(30);
/// A refused action is tried again when it is asked for after so long; a caller woken by the refusal can't spin.
const RETRY: Duration = Duration::from_secs(10);
/// What came of an action is remembered for so long.
const MEMORY: Duration = Duration::from_mins(15);

#[derive(Debug)]
struct Entry {
    action: Action,
    state: ActionState,
    /// Asked for while another action of this key was on its way.
    next: Option<Action>,
    changed: Instant,
    /// When it was asked for, or came to wait again.
    asked: Instant,
}

impl Entry {
    const fn new(action: Action, now: Instant) -> Self {
        Self { action, state: ActionState::Queued { waiting: None }, next: None, changed: now, asked: now }
    }
}

#[derive(Debug, Default)]
pub(super) struct ActionQueue {
    entries: HashMap<ActionKey, Entry>,
    /// When an action last went on: was sent, mined, refused.
    moved: Option<Instant>,
}

impl ActionQueue {
    /// Takes a request; true where the sender has something new to do.
    pub(super) fn request(&mut self, action: Action, now: Instant) -> bool {
        let key = action.key();
        let Some(entry) = self.entries.get_mut(&key) else {
            self.entries.insert(key, Entry::new(action, now));
            return true;
        };
        let same = entry.action == action;
        match entry.state {
            ActionState::Queued { .. } => {
                entry.action = action;
                return !same;
            }
            ActionState::Sent { .. } => {
                entry.next = (!same).then_some(action);
                return false;
            }
            ActionState::Mined { .. } | ActionState::AlreadyDone { .. }
                if same && now.duration_since(entry.changed) < ECHO =>
            {
                return false;
            }
            ActionState::Refused { .. } if same && now.duration_since(entry.changed) < RETRY => return false,
            _ => {}
        }
        *entry = Entry::new(action, now);
        true
    }

    pub(super) fn state(&self, key: &ActionKey) -> Option<ActionState> {
        self.entries.get(key).map(|entry| entry.state.clone())
    }

    /// Actions that wait, in a steady order.
    pub(super) fn queued(&self) -> Vec<Action> {
        let mut actions: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.state, ActionState::Queued { .. }))
            .map(|(key, entry)| (*key, entry.action.clone()))
            .collect();
        actions.sort_by_key(|(key, _)| *key);
        actions.into_iter().map(|(_, action)| action).collect()
    }

    /// Sets an action's state; true where it changed. An action that was asked for meanwhile takes its place once it is over.
    pub(super) fn set(&mut self, action: &Action, state: ActionState, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&action.key()) else { return false };
        let sent = matches!(state, ActionState::Sent { .. });
        if entry.action != *action {
            // Asked for while this one was looked at: what came of that is of no use to it, unless it is on its way.
            if !sent {
                return false;
            }
            entry.next = Some(std::mem::replace(&mut entry.action, action.clone()));
        }
        if !sent && let Some(next) = entry.next.take() {
            *entry = Entry::new(next, now);
            self.moved = Some(now);
            return true;
        }
        let changed = entry.state != state;
        if changed {
            if !matches!(state, ActionState::Queued { .. }) {
                self.moved = Some(now);
            } else if !matches!(entry.state, ActionState::Queued { .. }) {
                entry.asked = now;
            }
            entry.state = state;
            entry.changed = now;
        }
        changed
    }

    /// When the oldest action that is on its way was first sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        let sent = self.entries.values().filter(|entry| matches!(entry.state, ActionState::Sent { .. }));
        sent.map(|entry| entry.changed).min()
    }

    /// What waits, and for how long.
    pub(super) fn backlog(&self, now: Instant) -> Backlog {
        let mut backlog = Backlog::default();
        let mut unsent: Option<Instant> = None;
        for entry in self.entries.values() {
            match &entry.state {
                ActionState::Queued { waiting } => {
                    backlog.queued += 1;
                    if unsent.is_none_or(|since| entry.asked < since) {
                        unsent = Some(entry.asked);
                        backlog.waiting.clone_from(waiting);
                    }
                }
                ActionState::Sent { .. } => backlog.sent += 1,
                ActionState::Mined { .. } | ActionState::AlreadyDone { .. } | ActionState::Refused { .. } => continue,
            }
            backlog.oldest = backlog.oldest.max(now.saturating_duration_since(entry.asked));
        }
        if let Some(since) = unsent {
            backlog.unsent = now.saturating_duration_since(self.moved.map_or(since, |moved| moved.max(since)));
        }
        backlog
    }

    /// Forgets what was over long ago.
    pub(super) fn forget(&mut self, now: Instant) {
        self.entries.retain(|_, entry| {
            matches!(entry.state, ActionState::Queued { .. } | ActionState::Sent { .. })
                || now.duration_since(entry.changed) < MEMORY
        });
    }
}

pub(super) fn sent(tx: B256) -> ActionState {
    ActionState::Sent { tx }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use hawser_market::{JobId, OrderRef};

    use super::*;

    const TX: B256 = B256::repeat_byte(7);

    fn start(attestor: u8) -> Action {
        Action::Start { job: JobId(B256::repeat_byte(1)), attestor: Address::repeat_byte(attestor) }
    }

    fn queued() -> ActionState {
        ActionState::Queued { waiting: None }
    }

    fn mined() -> ActionState {
        ActionState::Mined { tx: TX, block: 5 }
    }

    fn refused() -> ActionState {
        ActionState::Refused { error: "no".into() }
    }

    #[test]
    fn asking_twice_before_sending_keeps_the_newer_action() {
        let (mut queue, now) = (ActionQueue::default(), Instant::now());
        assert!(queue.request(start(1), now));
        assert!(!queue.request(start(1), now));
        assert!(queue.request(start(2), now));
        assert_eq!(queue.queued(), [start(2)]);
    }

    #[test]
    fn an_action_asked_for_while_another_is_on_its_way_follows_it() {
        for end in [mined(), refused(), queued()] {
            let (mut queue, now) = (ActionQueue::default(), Instant::now());
            queue.request(start(1), now);
            queue.set(&start(1), sent(TX), now);
            assert!(!queue.request(start(1), now));
            assert!(!queue.request(start(2), now));
            assert_eq!(queue.queued(), []);
            assert!(queue.set(&start(1), end, now));
            assert_eq!(queue.queued(), [start(2)]);
        }
    }

    #[test]
    fn an_echo_is_ignored_and_a_later_request_is_not() {
        for (state, pause) in [(mined(), ECHO), (refused(), RETRY)] {
            let (mut queue, now) = (ActionQueue::default(), Instant::now());
            queue.request(start(1), now);
            queue.set(&start(1), state.clone(), now);
            assert!(!queue.request(start(1), now + pause / 2), "{state:?}");
            assert_eq!(queue.state(&start(1).key()), Some(state.clone()));
            assert!(queue.request(start(1), now + pause), "{state:?}");
            assert_eq!(queue.queued(), [start(1)]);
        }
    }

    #[test]
    fn another_action_of_the_key_is_taken_at_once_after_the_first_is_over() {
        for state in [mined(), refused()] {
            let (mut queue, now) = (ActionQueue::default(), Instant::now());
            queue.request(start(1), now);
            queue.set(&start(1), state, now);
            assert!(queue.request(start(2), now));
        }
    }

    #[test]
    fn an_action_replaced_while_it_was_looked_at_does_not_answer_for_the_newer_one() {
        for (state, newer_follows) in [(refused(), false), (queued(), false), (sent(TX), true)] {
            let (mut queue, now) = (ActionQueue::default(), Instant::now());
            queue.request(start(1), now);
            queue.request(start(2), now);
            assert_eq!(queue.set(&start(1), state, now), newer_follows);
            if newer_follows {
                assert_eq!(queue.queued(), []);
                queue.set(&start(1), mined(), now);
            }
            assert_eq!(queue.queued(), [start(2)]);
        }
    }

    #[test]
    fn only_what_is_over_is_forgotten() {
        for (state, kept) in [(mined(), false), (refused(), false), (sent(TX), true), (queued(), true)] {
            let (mut queue, now) = (ActionQueue::default(), Instant::now());
            queue.request(start(1), now);
            queue.set(&start(1), state.clone(), now);
            queue.forget(now + MEMORY);
            assert_eq!(queue.state(&start(1).key()).is_some(), kept, "{state:?}");
        }
    }

    #[test]
    fn what_waits_is_counted_from_when_it_was_asked_for_and_unsent_from_when_anything_went_on() {
        let (mut queue, t) = (ActionQueue::default(), Instant::now());
        let (s, end) =
            (Duration::from_secs, Action::Refund { job: JobId(B256::repeat_byte(2)), order: OrderRef::default() });
        assert_eq!(queue.backlog(t), Backlog::default());
        queue.request(start(1), t);
        queue.request(end.clone(), t + s(10));
        queue.set(&start(1), ActionState::Queued { waiting: Some("why".into()) }, t + s(20));
        let waits = queue.backlog(t + s(50));
        assert_eq!((waits.queued, waits.sent, waits.oldest, waits.unsent), (2, 0, s(50), s(50)));
        assert_eq!(waits.waiting.as_deref(), Some("why"));
        queue.set(&start(1), sent(TX), t + s(50));
        let waits = queue.backlog(t + s(60));
        assert_eq!((waits.queued, waits.sent, waits.oldest, waits.unsent), (1, 1, s(60), s(10)));
        assert_eq!(queue.oldest_sent(), Some(t + s(50)));
        queue.set(&end, mined(), t + s(70));
        assert_eq!(queue.backlog(t + s(90)).unsent, Duration::ZERO, "nothing waits to be sent");
    }
}
