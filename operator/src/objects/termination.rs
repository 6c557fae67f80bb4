//! What a container leaves in its pod's status when it ends.

use hawser_attestation::TerminationMessage;
use k8s_openapi::api::core::v1::ContainerStatus;

/// What a container's ends left of meter's: the message with the newest voucher, whichever end it is of. Only where none
/// is meter's own, somebody else's, such as an error of the runtime that could not start it again.
pub(crate) fn left(container: &ContainerStatus) -> Option<String> {
    let states = [&container.state, &container.last_state];
    let messages = states.into_iter().flatten().filter_map(|state| state.terminated.as_ref()?.message.as_ref());
    let messages: Vec<&String> = messages.filter(|message| !message.trim().is_empty()).collect();
    let own = messages.iter().filter_map(|text| Some((TerminationMessage::parse(text).ok()?, *text)));
    let newest = own.max_by_key(|(message, _)| (message.sequence, message.last)).map(|(_, text)| text);
    newest.or(messages.first().copied()).cloned()
}

#[cfg(test)]
mod tests {
    use hawser_attestation::{AttestorKey, Digest, EvidenceRoot, MarketId, SignedVoucher};
    use hawser_market::{GpuSeconds, JobId};
    use serde_json::json;

    use super::*;

    fn message(sequence: u64, last: bool) -> String {
        let key = AttestorKey::from_bytes(&Digest::repeat_byte(1)).unwrap();
        let (job, root) = (JobId(Digest::repeat_byte(7)), EvidenceRoot(Digest::ZERO));
        let voucher = SignedVoucher::sign(&key, MarketId::default(), job, GpuSeconds(sequence), root).unwrap();
        let lines = Vec::new();
        TerminationMessage { attestor: key.address(), voucher, sequence, last, lines }.to_text().unwrap()
    }

    #[test]
    fn the_newest_voucher_of_a_containers_ends_is_found_whatever_stands_beside_it() {
        const ERROR: &str = "can't get final child's PID from pipe: EOF";
        let ended = |message: &str| json!({"terminated": {"exitCode": 128, "message": message}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}});
        let running = json!({"running": {}});
        let (old, new, last) = (message(3, false), message(4, false), message(4, true));
        for (state, last_state, found) in [
            (ended(&new), json!({}), Some(new.as_str())),
            (ended(ERROR), ended(&new), Some(&new)),
            (ended(" "), ended(&new), Some(&new)),
            (waiting.clone(), ended(&new), Some(&new)),
            (running, ended(&new), Some(&new)),
            (ended(&new), ended(&old), Some(&new)),
            (ended(&old), ended(&new), Some(&new)),
            (ended(&last), ended(&new), Some(&last)),
            (ended(ERROR), json!({}), Some(ERROR)),
            (waiting, json!({}), None),
        ] {
            let status = json!({"name": "meter", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": state, "lastState": last_state});
            assert_eq!(left(&serde_json::from_value(status).unwrap()).as_deref(), found, "{state} after {last_state}");
        }
    }
}
