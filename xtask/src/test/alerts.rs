//! The chart's alerts, with Prometheus' own tools: they are rules, each fires and keeps still when it should, and each has a
//! runbook. What they ask for are metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hawser_local::{debian, output};
use serde::{Deserialize, Serialize};

use super::charts::{KUBERNETES, NEEDED};
use super::summary::Summary;
use crate::workspace::{self, show};

#[derive(Deserialize)]
struct Rendered {
    spec: Rules,
}

#[derive(Deserialize, Serialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize, Serialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize, Serialize)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    lasts: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    alert_rule_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    alertname: String,
    exp_alerts: Vec<serde_yaml_ng::Value>,
}

pub(crate) fn run(helm: &Path, summary: &mut Summary) {
    let mut rules = None;
    summary.check("alerts are rendered", || {
        rules = Some(rendered(helm, &[])?);
        Ok(())
    });
    let Some(rules) = rules else { return };
    summary.check("promtool check rules and test rules", || with_promtool(&rules));
    summary.check("each alert has tests, a severity, a runbook, and metrics that there are", || {
        let page = |path: &str| fs::read_to_string(workspace::root().join(path)).with_context(|| path.to_owned());
        let tests: Tests = serde_yaml_ng::from_str(&page("charts/hawser/tests/alerts.yaml")?)?;
        let (metrics, summary) = (page("docs/reference/metrics.md")?, page("docs/SUMMARY.md")?);
        let folder = workspace::root().join("docs/runbooks/alerts");
        let mut pages = BTreeSet::new();
        for entry in fs::read_dir(&folder)? {
            pages.insert(entry?.file_name().to_string_lossy().into_owned());
        }
        pages.remove("README.md");
        let faults = faults(&rules, &tests, &metrics, &summary, &pages);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    });
    summary.check("an alert that is not wanted is left out, and runbooks are where they are published", || {
        let more = [
            "--set=prometheusRule.disabled={HawserTwoLeaders}",
            "--set=prometheusRule.runbookUrl=https://docs.example.com/a/",
        ];
        let fewer = rendered(helm, &more)?;
        let urls: BTreeMap<_, _> =
            all(&fewer).map(|rule| (rule.alert.as_str(), rule.annotations["runbook_url"].as_str())).collect();
        ensure!(all(&rules).count() == urls.len() + 1 && !urls.contains_key("HawserTwoLeaders"), "{urls:?}");
        ensure!(urls["HawserNoLeader"] == "https://docs.example.com/a/HawserNoLeader.md", "{urls:?}");
        Ok(())
    });
}

fn rendered(helm: &Path, more: &[&str]) -> Result<Rules> {
    let mut helm = Command::new(helm);
    helm.args(["template", "hawser", "--kube-version", KUBERNETES, "--set=prometheusRule.enabled=true"]);
    helm.args(["--show-only", "templates/prometheusrule.yaml"]).args(NEEDED).args(more);
    let text = output(helm.arg(workspace::root().join("charts/hawser")))?;
    let rendered: Rendered = serde_yaml_ng::from_str(&text).context("the PrometheusRule is not one")?;
    Ok(rendered.spec)
}

fn with_promtool(rules: &Rules) -> Result<()> {
    let (promtool, folder) = (debian::promtool()?, tempfile::tempdir()?);
    // The names that the tests give them.
    fs::write(folder.path().join("rules.yaml"), serde_yaml_ng::to_string(rules)?)?;
    fs::copy(workspace::root().join("charts/hawser/tests/alerts.yaml"), folder.path().join("alerts.yaml"))?;
    let promtool = || {
        let mut command = Command::new(&promtool);
        command.current_dir(folder.path());
        command
    };
    show(promtool().args(["check", "rules", "rules.yaml"]))?;
    show(promtool().args(["test", "rules", "alerts.yaml"]))
}

fn all(rules: &Rules) -> impl Iterator<Item = &Rule> {
    rules.groups.iter().flat_map(|group| &group.rules)
}

/// What is missing or too much.
fn faults(rules: &Rules, tests: &Tests, metrics: &str, summary: &str, pages: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let names: BTreeSet<&str> = all(rules).map(|rule| rule.alert.as_str()).collect();
    let expected: Vec<_> = tests.tests.iter().flat_map(|test| &test.alert_rule_test).collect();
    for rule in all(rules) {
        let name = &rule.alert;
        let mut fault = |what: &str| faults.push(format!("{name}: {what}"));
        let tested = |fires: bool| expected.iter().any(|e| e.alertname == *name && e.exp_alerts.is_empty() != fires);
        if !tested(true) {
            fault("no test has it fire");
        }
        if !tested(false) {
            fault("no test has it keep still");
        }
        if !matches!(rule.labels.get("severity").map(String::as_str), Some("critical" | "warning")) {
            fault("its severity is neither critical nor warning");
        }
        if ["summary", "description", "runbook_url"].iter().any(|wanted| !rule.annotations.contains_key(*wanted)) {
            fault("summary, description or runbook_url is missing");
        }
        if !pages.contains(&format!("{name}.md")) {
            fault("it has no page in docs/runbooks/alerts");
        }
        if !summary.contains(&format!("(runbooks/alerts/{name}.md)")) {
            fault("docs/SUMMARY.md does not lead to its page");
        }
        for metric in metrics_in(&rule.expr).filter(|metric| !metrics.contains(&format!("| `{metric}` |"))) {
            fault(&format!("there is no metric {metric}"));
        }
    }
    let is_known = |page: &&String| page.strip_suffix(".md").is_some_and(|name| names.contains(name));
    faults.extend(pages.iter().filter(|page| !is_known(page)).map(|page| format!("{page} is about no alert")));
    let of_none = expected.iter().filter(|e| !names.contains(e.alertname.as_str()));
    faults.extend(of_none.map(|e| format!("a test is about {}, which is no alert", e.alertname)));
    faults
}

/// The metrics that an expression asks for; of a histogram's series the histogram.
fn metrics_in(expr: &str) -> impl Iterator<Item = &str> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("hawser_")).map(|word| word.strip_suffix("_bucket").unwrap_or(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_alert_lacks_is_named() {
        let rule = |name: &str, severity: &str, expr: &str| Rule {
            alert: name.to_owned(),
            expr: expr.to_owned(),
            lasts: "1m".to_owned(),
            labels: [("severity".to_owned(), severity.to_owned())].into(),
            annotations: ["summary", "description", "runbook_url"].map(|key| (key.to_owned(), String::new())).into(),
        };
        let tests: Tests = serde_yaml_ng::from_str(
            "tests:\n\
             - alert_rule_test: [{alertname: A, exp_alerts: [{}]}]\n\
             - alert_rule_test: [{alertname: A, exp_alerts: []}, {alertname: B, exp_alerts: [{}]}, {alertname: D, exp_alerts: []}]\n",
        )
        .unwrap();
        let metrics = "| `hawser_a` | gauge |\n| `hawser_b_seconds` | histogram |";
        let summary = "(runbooks/alerts/A.md) (runbooks/alerts/B.md)";
        let pages = ["A.md", "B.md", "Old.md"].map(str::to_owned).into();
        let rules = vec![
            rule("A", "critical", "sum(hawser_a) > rate(hawser_b_seconds_bucket[5m])"),
            rule("B", "warning", "hawser_a > 1"),
            rule("C", "loud", "hawser_c > 1"),
        ];
        let rules = Rules { groups: vec![Group { name: "g".to_owned(), rules }] };
        assert_eq!(
            faults(&rules, &tests, metrics, summary, &pages),
            [
                "B: no test has it keep still",
                "C: no test has it fire",
                "C: no test has it keep still",
                "C: its severity is neither critical nor warning",
                "C: it has no page in docs/runbooks/alerts",
                "C: docs/SUMMARY.md does not lead to its page",
                "C: there is no metric hawser_c",
                "Old.md is about no alert",
                "a test is about D, which is no alert",
            ]
        );
    }
}
