use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::facts::{Claim, order_key};
use super::*;
use crate::network::{JobId, On, Units};
use crate::settlement::Unclaimed;

mod members;

fn name(text: &str) -> Name {
    ("t".to_owned(), text.to_owned())
}

fn gpu(product: &str, selector: Value) -> Sells {
    let gpu = json!({"product": product, "nodeSelector": selector});
    let price = json!({"perGpuHour": "1", "token": "0x"});
    let spec = serde_json::from_value(json!({"networkRef": "n", "gpu": gpu, "price": price}));
    Sells::from(&spec.unwrap())
}

/// Makes an object another one.
type Change = fn(&mut Value);

/// A node with eight cards; `change` makes it another.
fn node(inventory: &mut Inventory, change: impl FnOnce(&mut Value)) -> NodeFacts {
    let mut value = json!({
        "metadata": {"name": "n", "labels": {"nvidia.com/gpu.product": "h100", "pool": "a", "host": "x"}},
        "spec": {},
        "status": {
            "capacity": {"nvidia.com/gpu": "8", "cpu": "64"}, "allocatable": {"nvidia.com/gpu": "8", "cpu": "63"},
            "conditions": [{"type": "Ready", "status": "True"}]
        }
    });
    change(&mut value);
    NodeFacts::of(&serde_json::from_value(value).unwrap(), &mut inventory.words)
}

fn pod(inventory: &mut Inventory, change: impl FnOnce(&mut Value)) -> Option<PodFacts> {
    let mut value = json!({
        "metadata": {"name": "p", "namespace": "t"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]},
        "status": {"phase": "Running"}
    });
    change(&mut value);
    PodFacts::of(&serde_json::from_value(value).unwrap(), &mut inventory.words)
}

fn job(offer: &str, waiting: bool, gpus: u32) -> JobFacts {
    let claim = Some(Claim { waiting, block: 7, gpus, members: 1 });
    JobFacts { offer: offer.to_owned(), claim, ..JobFacts::default() }
}

/// Offers `all` of h100 nodes, `pool` of those of pool a, and `t4`; a node of pool a.
fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    inventory.set_offer(&name("all"), Some(&gpu("h100", json!({}))));
    inventory.set_offer(&name("pool"), Some(&gpu("h100", json!({"pool": "a"}))));
    inventory.set_offer(&name("t4"), Some(&gpu("t4", json!({}))));
    let facts = node(&mut inventory, |_| ());
    inventory.set_node("n", Some(facts));
    inventory
}

fn concerns(concerned: &Concerned) -> Vec<&str> {
    concerned.iter().map(|(_, name)| name.as_str()).collect()
}

#[test]
fn whether_claims_hand_out_a_nodes_gpus_too_concerns_the_offers_that_see_it() {
    let mut inventory = inventory();
    let sold = |inventory: &Inventory| inventory.capacity(&gpu("h100", json!({}))).healthy;
    assert_eq!(sold(&inventory), 8);
    assert_eq!(concerns(&inventory.set_claimable("n", true)), ["all", "pool"]);
    assert_eq!(sold(&inventory), 0);
    assert!(inventory.set_claimable("n", true).is_empty(), "no news");
    // The node is told of anew, and another one only after its slices.
    let again = node(&mut inventory, |_| ());
    assert!(inventory.set_node("n", Some(again)).is_empty());
    inventory.set_claimable("later", true);
    let later = node(&mut inventory, |_| ());
    inventory.set_node("later", Some(later));
    assert_eq!(sold(&inventory), 0);
    assert_eq!(concerns(&inventory.set_claimable("n", false)), ["all", "pool"]);
    assert_eq!(sold(&inventory), 8);
}

#[test]
fn an_order_that_two_jobs_name_is_told_from_one_that_a_single_job_names() {
    let (mut inventory, id) = (Inventory::default(), On::new("n", "0x07"));
    let of = |order: &On<JobId>| Some(JobFacts { order: Some(order_key(order)), ..job("all", true, 1) });
    let shares = |inventory: &Inventory, job: &str| inventory.shares_order(&name(job), &id);
    assert!(!shares(&inventory, "a"));
    inventory.set_job(&name("a"), of(&id));
    inventory.set_job(&name("c"), of(&On::new("n", "0x08")));
    inventory.set_job(&name("d"), of(&On::new("other network", "0x07")));
    assert!(!shares(&inventory, "a"), "it is alone");
    assert!(
        shares(&inventory, "new") && shares(&inventory, "c"),
        "of a job that is not counted yet, or names another order"
    );
    inventory.set_job(&name("b"), of(&id));
    assert!(shares(&inventory, "a") && shares(&inventory, "b"));
    inventory.set_job(&name("b"), Some(JobFacts { claim: None, ..of(&id).unwrap() }));
    assert!(shares(&inventory, "a"), "a change counts nobody twice");
    for name in ["b", "a", "c", "d"].map(name) {
        inventory.set_job(&name, None::<JobFacts>);
    }
    assert!(inventory.orders.is_empty());
}

#[test]
fn nodes_of_a_pool_share_their_labels_and_are_told_by_their_own() {
    let (mut inventory, own) = (Inventory::default(), "kubernetes.io/hostname");
    let [a, b] = ["a", "b"].map(|host| node(&mut inventory, |n| n["metadata"]["labels"][own] = json!(host)));
    let label = |node: &NodeFacts, key: &str| node.label(key).map(ToString::to_string);
    for (key, of_a, of_b) in [("pool", "a", "a"), (own, "a", "b"), ("host", "x", "x")] {
        assert_eq!((label(&a, key), label(&b, key)), (Some(of_a.to_owned()), Some(of_b.to_owned())), "{key}");
    }
    assert_eq!(label(&a, "none"), None);
    assert!(a.shares_labels(&b));
    drop((a, b));
    inventory.words.trim();
    assert!(inventory.words.is_empty());
}

#[test]
fn a_node_whose_kubelet_got_no_devices_for_a_jobs_pod_sells_nothing_until_that_pod_is_gone() {
    let mut inventory = inventory();
    let sells = gpu("h100", json!({}));
    let free = |inventory: &Inventory| (inventory.capacity(&sells).free(), inventory.capacity(&sells).healthy);
    let lost = "Allocate failed due to rpc error: code = Unknown desc = card lost, which is unexpected";
    let cpus = "Allocate failed due to not enough cpus available to satisfy request, which is unexpected";
    let ended = |inventory: &mut Inventory, owner: &str, reason: &str, message: &str| {
        pod(inventory, |pod| {
            pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "v", "kind": owner, "name": "j", "uid": "u"}]);
            pod["status"] = json!({"phase": "Failed", "reason": reason, "message": message});
        })
    };
    for (owner, reason, message) in [
        ("ComputeJob", "Evicted", lost),
        ("Job", "UnexpectedAdmissionError", lost),
        ("ComputeJob", "UnexpectedAdmissionError", cpus),
    ] {
        let other = ended(&mut inventory, owner, reason, message);
        inventory.set_pod(&name("other"), other);
        assert_eq!(free(&inventory), (8, 8), "{owner} {reason}");
    }
    for pod in ["a", "b"] {
        let refused = ended(&mut inventory, "ComputeJob", "UnexpectedAdmissionError", lost);
        let (concerned, _) = inventory.set_pod(&name(pod), refused);
        assert_eq!(concerns(&concerned), if pod == "a" { &["all", "pool"][..] } else { &[] });
        assert_eq!(free(&inventory), (0, 0));
    }
    // A heartbeat does not mend it.
    let facts = node(&mut inventory, |_| ());
    inventory.set_node("n", Some(facts));
    assert_eq!(free(&inventory), (0, 0));
    inventory.set_pod(&name("a"), None);
    assert_eq!(free(&inventory), (0, 0), "the other one is still there");
    let (concerned, _) = inventory.set_pod(&name("b"), None);
    assert_eq!((concerns(&concerned), free(&inventory)), (vec!["all", "pool"], (8, 8)));
    assert!(inventory.refused.is_empty());
}

#[test]
fn a_change_of_a_node_concerns_the_offers_that_see_it() {
    let both = &["all", "pool"][..];
    let table: &[(&str, Change, &[&str])] = &[
        ("nothing", |_| (), &[]),
        ("a heartbeat", |n| n["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-01-01T00:00:00Z"), &[]),
        ("an annotation", |n| n["metadata"]["annotations"] = json!({"a": "b"}), &[]),
        ("a label that nobody reads", |n| n["metadata"]["labels"]["host"] = json!("y"), &[]),
        ("processors", |n| n["status"]["allocatable"]["cpu"] = json!("1"), &[]),
        ("a soft taint", |n| n["spec"]["taints"] = json!([{"key": "k", "effect": "PreferNoSchedule"}]), &[]),
        ("a taint", |n| n["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]), both),
        ("cordoned", |n| n["spec"]["unschedulable"] = json!(true), both),
        ("not ready", |n| n["status"]["conditions"][0]["status"] = json!("Unknown"), both),
        ("a card broke", |n| n["status"]["allocatable"]["nvidia.com/gpu"] = json!("7"), both),
        ("another driver", |n| n["metadata"]["labels"]["nvidia.com/cuda.driver-version.full"] = json!("9"), both),
        ("shared cards", |n| n["metadata"]["labels"]["nvidia.com/gpu.replicas"] = json!("4"), both),
        ("another pool", |n| n["metadata"]["labels"]["pool"] = json!("b"), &["pool"]),
        ("other cards", |n| n["metadata"]["labels"]["nvidia.com/gpu.product"] = json!("t4"), &["all", "pool", "t4"]),
    ];
    for (what, change, expected) in table {
        let mut inventory = inventory();
        let facts = node(&mut inventory, change);
        assert_eq!(concerns(&inventory.set_node("n", Some(facts))), *expected, "{what}");
    }
    let mut inventory = inventory();
    assert_eq!(concerns(&inventory.set_node("n", None)), both);
    assert_eq!(concerns(&inventory.set_node("n", None)), &[] as &[&str]);
}

#[test]
fn offers_see_why_a_node_has_nothing_for_them_and_which_taints_their_jobs_tolerate() {
    let mut inventory = inventory();
    let cordoned = node(&mut inventory, |n| n["spec"]["unschedulable"] = json!(true));
    inventory.set_node("n", Some(cordoned));
    let away = node(&mut inventory, |n| n["status"]["conditions"][0]["status"] = json!("Unknown"));
    assert_eq!(concerns(&inventory.set_node("n", Some(away))), ["all", "pool"], "what is said of it is another reason");
    let tainted = node(&mut inventory, |n| n["spec"]["taints"] = json!([{"key": "sku", "effect": "NoSchedule"}]));
    inventory.set_node("n", Some(tainted));
    let mut sells = gpu("h100", json!({}));
    assert_eq!(inventory.capacity(&sells).free(), 0);
    sells.tolerations.push(serde_json::from_value(json!({"key": "sku", "operator": "Exists"})).unwrap());
    assert_eq!(inventory.capacity(&sells).free(), 8);
    assert_eq!(concerns(&inventory.set_offer(&name("all"), Some(&sells))), ["all", "pool"]);
}

#[test]
fn a_change_of_a_pod_concerns_those_who_sell_what_it_holds() {
    let both = &["all", "pool"][..];
    let table: &[(&str, Change, &[&str])] = &[
        ("nothing", |_| (), &[]),
        ("an annotation", |p| p["metadata"]["annotations"] = json!({"leader": "9"}), &[]),
        ("a condition", |p| p["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]), &[]),
        ("over", |p| p["status"]["phase"] = json!("Succeeded"), both),
        ("on a node that nobody knows", |p| p["spec"]["nodeName"] = json!("m"), both),
    ];
    for (what, change, expected) in table {
        let mut inventory = inventory();
        let facts = pod(&mut inventory, |_| ());
        assert_eq!(concerns(&inventory.set_pod(&name("p"), facts).0), both);
        let facts = pod(&mut inventory, change);
        assert_eq!(concerns(&inventory.set_pod(&name("p"), facts).0), *expected, "{what}");
    }
    let mut inventory = inventory();
    for (what, change) in [
        ("no devices", (|p| p["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}})) as Change),
        ("hugepages", |p| p["spec"]["containers"][0]["resources"] = json!({"limits": {"hugepages-2Mi": "1"}})),
    ] {
        assert_eq!(pod(&mut inventory, change), None, "{what}");
    }
    // It wants devices, but holds none yet; or it holds others than those that are sold.
    for change in [(|p| p["spec"]["nodeName"] = Value::Null) as Change, |p| {
        p["spec"]["containers"][0]["resources"] = json!({"limits": {"amd.com/gpu": "1"}});
    }] {
        let facts = pod(&mut inventory, change);
        assert!(facts.is_some());
        assert_eq!(concerns(&inventory.set_pod(&name("q"), facts).0), &[] as &[&str]);
    }
}

#[test]
fn a_change_of_a_jobs_pod_concerns_the_job_and_its_offer_only_when_it_gets_a_node() {
    let owned = json!([{"apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "name": "p", "uid": "u"}]);
    let mut inventory = inventory();
    inventory.set_job(&name("p"), Some(job("all", false, 2)));
    let mut set = |change: &dyn Fn(&mut Value)| {
        let facts = pod(&mut inventory, |p| {
            p["metadata"]["ownerReferences"] = owned.clone();
            change(p);
        });
        inventory.set_pod(&name("p"), facts)
    };
    let none = Concerned::new();
    let own = || vec![name("p")];
    assert_eq!(set(&|p| p["spec"]["nodeName"] = Value::Null), (none.clone(), own()));
    let (offers, jobs) = set(&|_| ());
    assert_eq!((concerns(&offers), jobs), (vec!["all", "pool"], own()));
    assert_eq!(set(&|_| ()), (none.clone(), Vec::new()), "nothing has changed");
    assert_eq!(set(&|p| p["metadata"]["annotations"] = json!({"a": "b"})), (none.clone(), Vec::new()));
    let failing = json!([{"type": "DisruptionTarget", "status": "True", "reason": "R"}]);
    assert_eq!(set(&|p| p["status"]["conditions"] = failing.clone()), (none, own()));
}

#[test]
fn a_change_of_a_job_concerns_those_who_sell_the_same_gpus_where_its_claim_changes() {
    let rivals = &["all", "pool"][..];
    let owing = |units: u64| {
        let pending = Unclaimed { units: Units::from(units), lost_at: None };
        Some(JobFacts { pending, ..job("pool", false, 2) })
    };
    let over = Some(JobFacts { claim: None, ..job("pool", false, 2) });
    for (what, before, after, expected) in [
        ("a new job", None, Some(job("pool", true, 2)), rivals),
        ("as it was", Some(job("pool", true, 2)), Some(job("pool", true, 2)), &[]),
        ("accepted", Some(job("pool", true, 2)), Some(job("pool", false, 2)), rivals),
        ("over", Some(job("pool", false, 2)), over.clone(), rivals),
        ("settled", over, None, &["pool"]),
        ("something to claim", Some(job("pool", false, 2)), owing(1), &["pool"]),
        ("more to claim", owing(1), owing(2), &[]),
        ("of no offer", None, Some(job("gone", true, 2)), &["gone"]),
    ] {
        let mut inventory = inventory();
        inventory.set_job(&name("j"), before);
        assert_eq!(concerns(&inventory.set_job(&name("j"), after)), expected, "{what}");
    }
}

#[test]
fn a_job_that_can_not_be_read_keeps_its_offer() {
    let mut inventory = inventory();
    let meta = serde_json::from_value(json!({"name": "j", "labels": {"hawser.dev/offer": "all"}})).unwrap();
    assert_eq!(concerns(&inventory.set_job(&name("j"), Some(JobFacts::unreadable(&meta)))), ["all"]);
    assert_eq!((inventory.unsettled(&name("all")), inventory.active(&name("all"))), (1, 0));
    assert_eq!(inventory.known_unsettled(&name("all")), 0, "it is counted apart");
}

#[test]
fn claimants_are_the_offers_bound_jobs_together_and_who_else_waits_for_the_same_gpus() {
    let mut inventory = inventory();
    for (job_name, facts) in [
        ("bound-1", job("all", false, 2)),
        ("bound-2", job("all", false, 3)),
        ("waits", job("all", true, 1)),
        ("elsewhere", job("pool", false, 4)),
        ("other-cards", job("t4", false, 5)),
    ] {
        inventory.set_job(&name(job_name), Some(facts));
    }
    for bound in ["bound-1", "bound-2"] {
        let facts = pod(&mut inventory, |_| ());
        inventory.set_pod(&name(bound), facts);
    }
    let all = inventory.candidates(&name("all"), &gpu("h100", json!({})).gpu);
    let seen: Vec<_> = all.iter().map(|c| (c.priority.name.1.as_str(), c.gpus, c.bound, c.same_offer)).collect();
    assert_eq!(seen, [("", 5, true, true), ("elsewhere", 4, false, false), ("waits", 1, false, true)]);
    assert_eq!(inventory.active(&name("all")), 3);
    let left = inventory.capacity(&gpu("h100", json!({})));
    assert_eq!((left.total, left.in_use, left.free()), (8, 4, 4));
}

/// Everything that was counted, counted anew from what the objects are now.
fn recounted(inventory: &Inventory) -> Inventory {
    let mut anew = Inventory::default();
    for (job, facts) in &inventory.jobs {
        anew.set_job(job, Some(facts.clone()));
    }
    for (pod, facts) in &inventory.pods {
        anew.set_pod(pod, Some(facts.clone()));
    }
    for (node, facts) in &inventory.nodes {
        anew.set_node(node, Some(facts.clone()));
    }
    for (offer, gpu) in &inventory.offers {
        anew.set_offer(offer, Some(gpu));
    }
    anew
}

#[test]
fn after_any_changes_the_counts_are_what_a_recount_gives() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut inventory, names) = (Inventory::default(), ["a", "b", "c", "a-1"]);
        for step in 0..300 {
            let one = *names.choose(&mut random).unwrap();
            let other = *names.choose(&mut random).unwrap();
            let (gone, number) = (random.random_bool(0.2), random.random_range(0..5_u32));
            match random.random_range(0..4) {
                0 => {
                    let facts = node(&mut inventory, |n| {
                        n["metadata"]["labels"]["nvidia.com/gpu.product"] = json!(["h100", "t4"][number as usize % 2]);
                        n["metadata"]["labels"]["pool"] = json!(other);
                    });
                    inventory.set_node(one, (!gone).then_some(facts));
                }
                1 => {
                    let facts = pod(&mut inventory, |p| {
                        p["metadata"]["ownerReferences"] = if number == 4 {
                            json!([{"apiVersion": "v", "kind": "ComputeJob", "name": other, "uid": "u", "controller": true}])
                        } else {
                            json!([])
                        };
                        p["spec"]["nodeName"] = if number == 0 { Value::Null } else { json!(other) };
                        p["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!(number.to_string());
                        p["status"]["phase"] = json!(["Running", "Failed"][number as usize % 2]);
                    });
                    inventory.set_pod(&name(one), facts.filter(|_| !gone));
                }
                2 => {
                    let (waiting, block, members) = (number > 2, number.into(), 1 + number % 2);
                    let claim = (number > 0).then_some(Claim { waiting, block, gpus: number, members });
                    let facts = JobFacts { claim, ..job(other, true, 1) };
                    inventory.set_job(&name(one), (!gone).then_some(facts));
                }
                _ => {
                    let gpu = gpu(["h100", "t4"][number as usize % 2], json!({"pool": other}));
                    inventory.set_offer(&name(one), (!gone).then_some(&gpu));
                }
            }
            let anew = recounted(&inventory);
            assert_eq!(inventory.held, anew.held, "seed {seed}, step {step}");
            assert_eq!(inventory.lines, anew.lines, "seed {seed}, step {step}");
            assert_eq!(inventory.products, anew.products, "seed {seed}, step {step}");
            assert_eq!(inventory.sellers, anew.sellers, "seed {seed}, step {step}");
        }
    }
}
