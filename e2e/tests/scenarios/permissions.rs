use std::collections::HashSet;

use anyhow::{Result, ensure};
use hawser_e2e::cluster::{JOBS, SYSTEM, jobs};
use hawser_e2e::{audit, wait};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::process::Command;

use crate::testbed::{Testbed, sleep};

const ACCOUNT: &str = "system:serviceaccount:hawser-system:hawser-operator";
/// What a person who took over the operator's pod would try first.
const FORBIDDEN: [&[&str]; 14] = [
    // Where there is no offer, it starts nothing.
    &["create", "pods", "--namespace", "kube-system"],
    &["patch", "pods", "--namespace", "kube-system"],
    &["delete", "pods", "--namespace", "kube-system"],
    &["create", "pods", "--namespace", "hawser-system"],
    &["create", "configmaps", "--namespace", "kube-system"],
    &["create", "serviceaccounts", "--namespace", "default"],
    &["patch", "networkpolicies.networking.k8s.io", "--namespace", "default"],
    &["get", "secrets", "--namespace", "kube-system"],
    &["create", "pods", "--subresource", "exec", "--namespace", "kube-system"],
    &["create", "clusterrolebindings"],
    &["delete", "nodes"],
    &["patch", "nodes"],
    &["delete", "customresourcedefinitions"],
    &["impersonate", "users"],
];

/// What a run of a few minutes need not show, and when it is used.
const RARE: [(&str, &str); 9] = [
    // Server-side apply is a patch; where it makes the object, the API server asks for create too.
    ("create serviceaccounts", "by the first job of a namespace, in its apply"),
    ("create configmaps", "by the first job of a namespace, in its apply"),
    ("create networkpolicies.networking.k8s.io", "by each job, in its apply"),
    ("update secrets hawser-attestation-tls", "when the certificate is about to expire"),
    ("get computejobs.hawser.dev", "when an order comes twice, and when a cache may be behind"),
    ("delete serviceaccounts hawser-job", "when the last offer of a namespace goes"),
    ("delete configmaps hawser-attestation-ca", "when the last offer of a namespace goes"),
    ("delete computejobs.hawser.dev", "when a settled job was kept for jobRetentionSeconds"),
    ("patch events.events.k8s.io", "when the same event comes again within minutes"),
];

#[tokio::test]
async fn the_operators_account_may_not_do_what_an_intruder_would_try_first() -> Result<()> {
    Testbed::with_gpus("intruder", 1, async |testbed| {
        // That it may do these shows that the questions are asked about the right account.
        for question in [&["list", "nodes"][..], &["create", "pods", "--namespace", &testbed.namespace]] {
            let may = answer(question).await?;
            ensure!(may == "yes", "may the operator {question:?}? {may}");
        }
        for question in FORBIDDEN {
            let may = answer(question).await?;
            ensure!(may == "no", "may the operator {question:?}? {may}");
        }
        Ok(())
    })
    .await
}

/// `yes` or `no`, or whatever else kubectl says.
async fn answer(question: &[&str]) -> Result<String> {
    // Its exit status says no too, but also that it failed.
    let said = Command::new("kubectl").args(["auth", "can-i"]).args(question).args(["--as", ACCOUNT]).output().await?;
    let text = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    // It may give a reason after the word: `no - ...`.
    let [answer, trouble] = text;
    let word = answer.split_whitespace().next();
    Ok(word.map_or(trouble, ToOwned::to_owned))
}

#[tokio::test]
#[ignore = "not run here: it reads the API server's audit log"]
async fn the_operators_account_can_do_nothing_that_it_has_no_use_for() -> Result<()> {
    Testbed::with_gpus("permissions", 1, async |testbed| {
        everything_that_it_does(testbed).await?;
        let requests = audit::requests(ACCOUNT)?;
        // With a namespace go the rights in it.
        let alive = alive(&testbed.client).await?;
        let counts = |request: &&audit::Request| request.namespace().is_empty() || alive.contains(request.namespace());
        let forbidden: Vec<_> = requests.iter().filter(|request| request.was_forbidden()).filter(counts).collect();
        ensure!(forbidden.is_empty(), "the operator asked for what it may not: {forbidden:?}");
        let granted = audit::granted(&testbed.client, SYSTEM, "hawser-operator", JOBS).await?;
        let unused: Vec<_> = granted
            .iter()
            .filter(|permission| !requests.iter().any(|request| request.needs(permission)))
            .map(ToString::to_string)
            .filter(|permission| !RARE.iter().any(|(rare, _)| permission == rare))
            .collect();
        ensure!(unused.is_empty(), "the operator may, and never does: {}", unused.join(", "));
        Ok(())
    })
    .await
}

/// Namespaces that are not on their way out.
async fn alive(client: &Client) -> Result<HashSet<String>> {
    let all = Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await?;
    let stays = |namespace: &&Namespace| namespace.metadata.deletion_timestamp.is_none();
    Ok(all.iter().filter(stays).map(ResourceExt::name_any).collect())
}

/// An order to its end, and one that is deleted while it runs.
async fn everything_that_it_does(testbed: &Testbed) -> Result<()> {
    testbed.order(&testbed.job_spec(1, 60, &sleep(2))).await?.order.over(&testbed.client).await?;
    let cut = testbed.order(&testbed.job_spec(1, 120, &sleep(100))).await?;
    cut.order.running(&testbed.client).await?;
    let api = jobs(&testbed.client, &testbed.namespace);
    api.delete(&cut.order.name(), &DeleteParams::default()).await?;
    wait::gone(&api, &cut.order.name(), wait::SOON).await
}
