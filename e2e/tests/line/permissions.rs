use anyhow::{Result, ensure};
use hawser_e2e::run;

use crate::scene::Scene;

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

#[tokio::test]
async fn the_operators_account_can_do_nothing_that_it_has_no_use_for() -> Result<()> {
    let scene = Scene::with_gpus("permissions", 1).await?;
    let account = "system:serviceaccount:hawser-system:hawser-operator";
    for question in FORBIDDEN {
        let mut args = vec!["auth", "can-i"];
        args.extend(question);
        args.extend(["--as", account]);
        // kubectl says no on stdout and with its exit status.
        let answer = run::stdout("kubectl", &args).await;
        ensure!(answer.is_err(), "the operator may {question:?}");
    }
    let all = run::stdout("kubectl", &["auth", "can-i", "--list", "--as", account]).await?;
    ensure!(!all.contains("*.*"), "the operator may do everything:\n{all}");
    ensure!(all.contains("computejobs.hawser.dev"), "this is not the operator's account:\n{all}");
    scene.clear().await
}
