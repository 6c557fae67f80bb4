//! The local cluster's own life: up, down, and up again after a crash; and the worlds that others of its kind live in. It
//! takes down the cluster that is up, so `cargo xtask test` runs it last.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hawser_local::{Cluster, Layout, World, leftovers};

fn layout() -> Layout {
    Layout::of_this_machine().unwrap()
}

/// A pod keeps shims, mounts, a network namespace and cgroups in use.
fn run_a_pod(cluster: &Cluster) {
    let endpoints = cluster.endpoints();
    let image = format!("{}/hawser/pause:1", endpoints.registry);
    let kubectl = |args: &[&str]| {
        let mut command = Command::new(endpoints.bin_dir.as_ref().unwrap().join("kubectl"));
        command.arg("--kubeconfig").arg(&endpoints.kubeconfig).args(args).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "kubectl {args:?}");
    };
    kubectl(&["run", "moored", "--image", &image, "--restart=Never"]);
    kubectl(&["wait", "--for=condition=Ready", "pod/moored", "--timeout=60s"]);
}

fn names_of_those_that_run() -> Vec<String> {
    Cluster::components().unwrap().into_iter().filter(|c| c.pid.is_some()).map(|c| c.name).collect()
}

/// Fails where something of the cluster outside is seen, and leaves what it can behind.
const STRANGER: &str = r#"set -ex
test ! -e /var/lib/hawser-local
test ! -e /var/lib/kubelet
test ! -e /run/netns
test -d /var/lib/dpkg
test "$(ls /sys/class/net)" = lo
test "$(iptables-save | wc -l)" = 0
if grep /var/lib/hawser-local /proc/self/mountinfo; then exit 1; fi
if grep hawser /proc/self/cgroup; then exit 1; fi
if grep -l kubelet /proc/[0-9]*/comm; then exit 1; fi
test -z "$(find /sys/fs/cgroup -name 'hawser*')"
ip netns add hawser-local
mkdir /var/lib/hawser-local /var/lib/kubelet
echo 7 >/proc/sys/kernel/panic
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if [ -e "$hierarchy/cgroup.procs" ]; then mkdir "$hierarchy/hawser-local"; fi
done
echo $$ >/sys/fs/cgroup/pids/hawser-local/cgroup.procs || echo $$ >/sys/fs/cgroup/hawser-local/cgroup.procs
setsid sleep 1000000 &
exit 7"#;

/// It needs the cluster only to have something that is not to be seen.
#[test]
#[ignore = "brings the local cluster up"]
fn a_world_has_nothing_of_the_cluster_outside_it_and_leaves_nothing_behind() {
    Cluster::up().unwrap();
    let panic = || fs::read_to_string("/proc/sys/kernel/panic").unwrap();
    let (all, before) = (names_of_those_that_run(), panic());
    let world = World::create(&layout(), "life-cycle").unwrap();
    let folder = world.folder().to_owned();
    let refused = World::create(&layout(), "life-cycle").unwrap_err();
    assert!(refused.to_string().contains("life-cycle is in use"), "{refused}");

    let said = world.command("/bin/sh".as_ref()).args(["-c", STRANGER]).output().unwrap();
    assert_eq!(said.status.code(), Some(7), "{}", String::from_utf8_lossy(&said.stderr));
    world.delete().unwrap();

    assert!(!folder.exists());
    assert_eq!(panic(), before);
    assert_eq!(names_of_those_that_run(), all);
    let find = Command::new("find").args(["/sys/fs/cgroup", "-name", "hawser-world-life-cycle"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&find.stdout), "");
}

/// One test, as there is one local cluster.
#[test]
#[ignore = "takes the local cluster down"]
fn the_cluster_comes_up_after_any_crash_and_leaves_nothing_behind() {
    Cluster::down().unwrap();
    assert_eq!(leftovers(&layout()).unwrap(), [""; 0]);

    // Down after a whole life, with a pod running.
    let cluster = Cluster::up().unwrap();
    let all = names_of_those_that_run();
    assert!(all.len() >= 11, "{all:?}");
    run_a_pod(&cluster);
    assert!(!leftovers(&layout()).unwrap().is_empty(), "nothing is seen of a cluster that runs");
    Cluster::down().unwrap();
    assert_eq!(leftovers(&layout()).unwrap(), [""; 0]);

    // Up when it is up already: the same processes.
    let cluster = Cluster::up().unwrap();
    let before = Cluster::components().unwrap();
    let asked = Instant::now();
    Cluster::up().unwrap();
    assert_eq!(Cluster::components().unwrap(), before);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

    // Up after some of it was killed, and its pid files were lost.
    run_a_pod(&cluster);
    for name in ["kubelet", "containerd", "etcd"] {
        cluster.supervisor().unwrap().kill(name).unwrap();
    }
    fs::remove_dir_all(layout().components()).unwrap();
    let cluster = Cluster::up().unwrap();
    assert_eq!(names_of_those_that_run(), all);

    // Stopped and started, the EVM node goes on with its chain.
    let supervisor = cluster.supervisor().unwrap();
    let block = |wanted: u64| {
        let cast = cluster.endpoints().bin_dir.as_ref().unwrap().join("cast");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let output =
                Command::new(&cast).args(["block-number", "--rpc-url", &cluster.endpoints().rpc_url]).output().unwrap();
            let number: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            if number >= wanted || Instant::now() > deadline {
                return number;
            }
        }
    };
    assert!(block(3) >= 3);
    supervisor.stop("anvil").unwrap();
    assert!(!names_of_those_that_run().contains(&"anvil".to_owned()));
    supervisor.start("anvil").unwrap();
    assert!(block(0) >= 3, "the chain began again");

    // Up after a crash of the way up itself: some directories, no processes.
    Cluster::down().unwrap();
    fs::create_dir_all(layout().logs()).unwrap();
    fs::create_dir_all("/run/netns").unwrap();
    fs::write("/run/netns/hawser-local", "").unwrap();
    Cluster::up().unwrap();
    assert_eq!(names_of_those_that_run(), all);

    Cluster::down().unwrap();
    assert_eq!(leftovers(&layout()).unwrap(), [""; 0]);
}
