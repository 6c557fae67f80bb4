//! Jobs of two members: no kind of job has them yet, but their pods are counted.

use super::*;

#[test]
fn of_a_job_of_two_members_each_pod_concerns_it_and_what_has_no_node_still_waits() {
    let mut inventory = inventory();
    let two = Claim { waiting: false, block: 7, gpus: 2, members: 2 };
    inventory.set_job(&name("j"), Some(JobFacts { claim: Some(two), ..job("all", false, 2) }));
    let waits = |inventory: &Inventory| {
        let all = inventory.candidates(&name("all"), &gpu("h100", json!({})).gpu);
        all.iter().map(|c| (c.pods, c.all_gpus(), c.bound)).collect::<Vec<_>>()
    };
    assert_eq!(waits(&inventory), [(2, 4, false)]);
    let mut set = |pod_name: &str, expected: &[(u32, u32, bool)]| {
        let facts = pod(&mut inventory, |p| {
            let owner = json!({"apiVersion": "v", "kind": "ComputeJob", "name": "j", "uid": "u", "controller": true});
            p["metadata"]["ownerReferences"] = json!([owner]);
        });
        let (offers, jobs) = inventory.set_pod(&name(pod_name), facts);
        assert_eq!((concerns(&offers), jobs), (vec!["all", "pool"], vec![name("j")]), "{pod_name}");
        assert_eq!(waits(&inventory), expected, "{pod_name}");
    };
    set("j-1", &[(1, 2, true), (1, 2, false)]);
    set("j", &[(1, 4, true)]);
    assert_eq!(inventory.active(&name("all")), 1);
}
