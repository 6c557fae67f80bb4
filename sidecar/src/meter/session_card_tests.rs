//! Cards that die or fall silent.

use super::*;

#[test]
fn a_card_that_dies_stops_counting_at_its_last_answer_and_the_others_go_on() {
    let mut session = running();
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    // Between 10 and 20 one of the two died: from 1 to 10 two counted, from 10 to 15 one.
    let effects = session.report(at(20), lives([Life::Answers, Life::Dead])).unwrap();
    assert_eq!(sent(&effects), [(2, 9 * 2 + 5)]);
    let body = session.termination_message().unwrap().lines.pop().unwrap().body;
    assert!(body.contains(&format!("\"stoppedAt\":\"{}\"", at(10))), "{body}");
    // Both are dead: nothing counts from their last answers on.
    assert_eq!(sent(&session.report(at(30), lives([Life::Dead, Life::Dead])).unwrap()), [(3, 9 * 2 + 10)]);
    assert_eq!(sent(&session.report(at(90), lives([Life::Dead, Life::Dead])).unwrap()), [(4, 9 * 2 + 10)]);
    // They are back.
    assert_eq!(reported(&mut session, 100), [(5, 9 * 2 + 10)]);
    assert_eq!(reported(&mut session, 110), [(6, 9 * 2 + 10 + 2 * 5)]);
}

#[test]
fn a_silent_driver_stops_the_count_after_a_minute_and_not_at_once() {
    let mut session = running();
    assert_eq!(reported(&mut session, 10), [(1, 8)]);
    let silent = || lives([Life::Silent, Life::Silent]);
    assert_eq!(sent(&session.report(at(20), silent()).unwrap()), [(2, 28)]);
    assert_eq!(sent(&session.report(at(69), silent()).unwrap()), [(3, 126)]);
    assert_eq!(sent(&session.report(at(75), silent()).unwrap()), [(4, 126)]);
    // It was alive all the time, as far as anybody knows, but nobody knows.
    assert_eq!(reported(&mut session, 200), [(5, 126)]);
}

#[test]
fn a_restarted_container_knows_which_cards_were_dead() {
    let mut before = running();
    reported(&mut before, 10);
    before.report(at(20), lives([Life::Answers, Life::Dead])).unwrap();
    let mut session = Session::new(job(), key(), before.restored().clone());
    assert_eq!(sent(&session.report(at(30), lives([Life::Answers, Life::Dead])).unwrap()), []);
    assert_eq!(session.termination_message().unwrap().voucher.gpu_seconds, GpuSeconds(9 * 2 + 15));
}

#[test]
fn a_pass_is_kept_until_another_is_given() {
    let mut session = waiting();
    assert_eq!(session.knock(), None);
    let given = |pass: &[u8]| operator_message::Message::Ack(Ack { next_sequence: 0, pass: pass.to_vec() });
    told(&mut session, given(&[5; 32]), 0);
    let knock = session.knock().unwrap();
    assert_eq!((knock.job, knock.attestor, knock.pass), (job().id, key().address(), Pass(B256::repeat_byte(5))));
    told(&mut session, ack(1), 1);
    told(&mut session, given(&[1, 2]), 1);
    assert_eq!(session.knock(), Some(knock));
    told(&mut session, given(&[6; 32]), 1);
    assert_eq!(session.knock().unwrap().pass, Pass(B256::repeat_byte(6)));
}
