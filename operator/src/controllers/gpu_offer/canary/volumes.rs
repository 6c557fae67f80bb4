//! Whether nodes mount what images declare as `VOLUME`. Such a volume is a folder of the container runtime's, which kubelet
//! counts nowhere: through it a job writes past its limit of storage, until the node's disk is full.

use std::collections::BTreeSet;

use hawser_attestation::Reach;
use hawser_crds::NetworkCheck;

use crate::controllers::conditions::ConditionStatus;
use crate::reasons::Reason;

/// Nodes that are named in the condition, at most.
const NAMED: usize = 32;
/// Nodes that are remembered, at most: a status has room for so much. Where more failed, they are found again once of these
/// some are mended.
const KEPT: usize = 256;
/// Nodes that a canary is asked to run on, at most: where the first is full, one of the others may have room.
const WANTED: usize = 8;

/// A check with what its canary found on a node. What was found on other nodes counts until a canary runs there again, or they
/// are not the offer's any more.
pub(crate) fn looked_for(
    check: NetworkCheck,
    stored: Option<&NetworkCheck>,
    reach: &Reach,
    node: Option<String>,
    nodes: &BTreeSet<String>,
) -> NetworkCheck {
    let before = stored.map(|stored| stored.volumes_mounted_on.as_slice()).unwrap_or_default();
    let mut mounted: BTreeSet<&String> = before.iter().filter(|name| nodes.contains(*name)).collect();
    let mut tried = stored.and_then(|stored| stored.volumes_tried_on.clone());
    if let (Some(mounts), Some(node)) = (reach.image_volumes, &node) {
        if mounts {
            mounted.insert(node);
        } else {
            mounted.remove(node);
        }
        tried = Some(node.clone());
    }
    let volumes_mounted_on = mounted.into_iter().take(KEPT).cloned().collect();
    NetworkCheck { volumes_tried_on: tried, volumes_mounted_on, ..check }
}

/// Where the next canary should run: on the nodes that failed, in turn, since only there it can be seen that one was mended.
/// After the last of them one canary goes where the scheduler likes: other nodes are looked at, too.
pub(crate) fn next(check: &NetworkCheck, nodes: &BTreeSet<String>) -> Vec<String> {
    let failed: BTreeSet<&String> = check.volumes_mounted_on.iter().filter(|name| nodes.contains(*name)).collect();
    let last = check.volumes_tried_on.as_ref().filter(|last| failed.contains(last));
    if last.is_some() && last == failed.last().copied() {
        return Vec::new();
    }
    let (before, after): (Vec<&String>, Vec<&String>) = failed.into_iter().partition(|name| Some(*name) <= last);
    after.into_iter().chain(before).take(WANTED).cloned().collect()
}

/// `StorageBounded`: its word, its reason, its message.
pub(crate) fn verdict(check: Option<&NetworkCheck>) -> (ConditionStatus, Reason, String) {
    let Some((check, tried)) = check.and_then(|check| Some((check, check.volumes_tried_on.as_ref()?))) else {
        let message = "no pod of this offer has looked yet whether its node mounts volumes of images".to_owned();
        return (ConditionStatus::Unknown, Reason::NotTried, message);
    };
    if check.volumes_mounted_on.is_empty() {
        let message = format!("node {tried}, which was looked at last, mounts no volumes that images declare");
        return (ConditionStatus::True, Reason::NoImageVolumes, message);
    }
    let names: Vec<&str> = check.volumes_mounted_on.iter().take(NAMED).map(String::as_str).collect();
    let more = check.volumes_mounted_on.len() - names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more nodes") };
    let message = format!(
        "{}{more}: what an image declares as VOLUME is mounted from the node's disk, and what a job writes there is counted against \
         no limit. Set ignore_image_defined_volumes = true in containerd's configuration of the node, or take \
         image_volumes = bind out of CRI-O's",
        names.join(", ")
    );
    (ConditionStatus::False, Reason::ImageVolumes, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(stored: Option<&NetworkCheck>, node: &str, mounts: Option<bool>) -> NetworkCheck {
        let reach = Reach { attestation: true, image_volumes: mounts, ..Reach::default() };
        let nodes = ["a", "b", "c"].map(str::to_owned).into();
        looked_for(NetworkCheck::default(), stored, &reach, Some(node.to_owned()), &nodes)
    }

    fn says(check: Option<&NetworkCheck>) -> (ConditionStatus, Reason) {
        let (status, reason, _) = verdict(check);
        (status, reason)
    }

    #[test]
    fn a_node_that_mounts_volumes_of_images_is_named_until_a_canary_there_finds_none() {
        assert_eq!(says(None), (ConditionStatus::Unknown, Reason::NotTried));
        let old_image = found(None, "a", None);
        assert_eq!(
            says(Some(&old_image)),
            (ConditionStatus::Unknown, Reason::NotTried),
            "an image that declares no volume shows nothing"
        );
        let good = found(None, "a", Some(false));
        assert_eq!(says(Some(&good)), (ConditionStatus::True, Reason::NoImageVolumes));
        let bad = found(Some(&good), "b", Some(true));
        assert_eq!(says(Some(&bad)), (ConditionStatus::False, Reason::ImageVolumes));
        let (_, _, message) = verdict(Some(&bad));
        assert!(message.starts_with("b: ") && message.contains("ignore_image_defined_volumes"), "{message}");
        let other = found(Some(&bad), "a", Some(false));
        assert_eq!(other.volumes_mounted_on, ["b"], "another node's good result mends nothing there");
        assert_eq!(says(Some(&found(Some(&other), "b", Some(false)))), (ConditionStatus::True, Reason::NoImageVolumes));
    }

    #[test]
    fn canaries_go_to_the_nodes_that_failed_in_turn_and_then_once_anywhere() {
        let nodes = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        for (failed, last, wanted) in [
            (&[][..], Some("a"), &[][..]),
            (&[], None, &[]),
            (&["b", "d"], Some("c"), &["b", "d"]),
            (&["b", "d"], None, &["b", "d"]),
            (&["b", "d"], Some("b"), &["d", "b"]),
            (&["b", "d"], Some("d"), &[]),
            (&["b"], Some("b"), &[]),
            (&["b"], Some("e"), &["b"]),
            (&["b", "gone"], Some("c"), &["b"]),
        ] {
            let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            let check = NetworkCheck {
                volumes_mounted_on: texts(failed),
                volumes_tried_on: last.map(str::to_owned),
                ..NetworkCheck::default()
            };
            assert_eq!(next(&check, &nodes), texts(wanted), "{failed:?} {last:?}");
        }
    }

    #[test]
    fn all_nodes_that_failed_are_remembered_and_a_few_are_named() {
        let names: Vec<String> = (0..40).map(|number| format!("node-{number:02}")).collect();
        let stored = NetworkCheck { volumes_mounted_on: names.clone(), ..NetworkCheck::default() };
        let reach = Reach { attestation: true, image_volumes: Some(false), ..Reach::default() };
        let nodes = names.iter().cloned().collect();
        let check = looked_for(NetworkCheck::default(), Some(&stored), &reach, names.first().cloned(), &nodes);
        assert_eq!(check.volumes_mounted_on, names[1..]);
        let (_, _, message) = verdict(Some(&check));
        assert!(message.contains("node-32 and 7 more nodes: ") && !message.contains("node-33"), "{message}");
    }

    #[test]
    fn however_many_nodes_fail_no_more_are_remembered_than_a_status_has_room_for() {
        let names: BTreeSet<String> = (0..1000).map(|number| format!("node-{number:03}")).collect();
        let reach = Reach { attestation: true, image_volumes: Some(true), ..Reach::default() };
        let mut check = NetworkCheck::default();
        for node in names.iter().rev() {
            check = looked_for(NetworkCheck::default(), Some(&check), &reach, Some(node.clone()), &names);
            assert!(check.volumes_mounted_on.len() <= KEPT);
        }
        assert_eq!(check.volumes_mounted_on.len(), KEPT);
        assert!(!next(&check, &names).is_empty(), "they are tried again");
    }

    #[test]
    fn a_node_that_is_not_the_offers_any_more_is_not_named() {
        let gone = NetworkCheck { volumes_mounted_on: vec!["gone".to_owned()], ..NetworkCheck::default() };
        assert_eq!(found(Some(&gone), "c", Some(true)).volumes_mounted_on, ["c"]);
        assert!(found(Some(&gone), "c", Some(false)).volumes_mounted_on.is_empty());
    }
}
