use anyhow::{Result, ensure};
use hawser_e2e::world::{SYSTEM, jobs};
use hawser_e2e::{audit, wait};
use kube::api::DeleteParams;
use tokio::process::Command;

use crate::scene::{Scene, sleep};

const ACCOUNT: &str = "system:serviceaccount:hawser-system:hawser-operator";
/// What a person who took over the operator's pod would try first.
const FORBIDDEN: [&[&str]; 7] = [
    &["get", "secrets", "--namespace", "kube-system"],
    &["create", "pods", "--subresource", "exec", "--namespace", "kube-system"],
    &["create", "clusterrolebindings"],
    &["delete", "nodes"],
    &["patch", "nodes"],
    &["delete", "customresourcedefinitions"],
    &["impersonate", "users"],
];

/// What a run of a few minutes need not show, and when it is used.
const RARE: [(&str, &str); 6] = [
    // Server-side apply is a patch; where it makes the object, the API server asks for create too.
    ("create serviceaccounts", "by the first job of a namespace, in its apply"),
    ("create configmaps", "by the first job of a namespace, in its apply"),
    ("create networkpolicies.networking.k8s.io", "by each job, in its apply"),
    ("update secrets hawser-attestation-tls", "when the certificate is about to expire"),
    ("delete computejobs.hawser.dev", "when a settled job was kept for jobRetentionSeconds"),
    ("patch events.events.k8s.io", "when the same event comes again within minutes"),
];

#[tokio::test]
async fn the_operators_account_may_not_do_what_an_intruder_would_try_first() -> Result<()> {
    Scene::with_gpus("intruder", 1, async |_| {
        // That it may list nodes shows that the question is asked about the right account.
        let may = answer(&["list", "nodes"]).await?;
        ensure!(may == "yes", "may the operator list nodes? {may}");
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
    Scene::with_gpus("permissions", 1, async |scene| {
        everything_that_it_does(scene).await?;
        let requests = audit::requests(ACCOUNT)?;
        let forbidden: Vec<_> = requests.iter().filter(|request| request.was_forbidden()).collect();
        ensure!(forbidden.is_empty(), "the operator asked for what it may not: {forbidden:?}");
        let granted = audit::granted(&scene.client, SYSTEM, "hawser-operator").await?;
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

/// An order to its end, and one that is deleted while it runs.
async fn everything_that_it_does(scene: &Scene) -> Result<()> {
    scene.order(&scene.wish(1, 60, &sleep(2))).await?.order.over(&scene.client).await?;
    let cut = scene.order(&scene.wish(1, 120, &sleep(100))).await?;
    cut.order.running(&scene.client).await?;
    let api = jobs(&scene.client, &scene.namespace);
    api.delete(&cut.order.name(), &DeleteParams::default()).await?;
    wait::until("the deleted ComputeJob is gone", wait::SOON, async || {
        let left = api.get_opt(&cut.order.name()).await?;
        Ok(left.map_or(Ok(()), |job| Err(format!("{:?}", job.status))))
    })
    .await
}
