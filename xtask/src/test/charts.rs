//! The Helm charts: lint, and what they render through the API's own schemas.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use hawser_local::{Layout, helm, kubeconform, output};

use super::summary::Summary;
use super::{alerts, schemas, values};
use crate::workspace::{self, show};

/// Without a cluster helm can't know which version the charts will meet.
pub(super) const KUBERNETES: &str = "1.34.0";
const CHARTS: [(&str, &[&str]); 2] = [("hawser-crds", &[]), ("hawser", &NEEDED)];
/// What the chart has no default for.
pub(super) const NEEDED: [&str; 3] = [
    "--set=image.repository=example.com/operator",
    "--set=sidecar.image.repository=example.com/sidecar",
    "--set=evidence.ephemeral=true",
];

pub(crate) fn run(layout: &Layout, summary: &mut Summary) {
    let mut prepared = None;
    summary.check("helm and kubeconform", || {
        let schemas = tempfile::tempdir()?;
        schemas::write(layout, schemas.path())?;
        prepared = Some((helm(layout)?, kubeconform(layout)?, schemas));
        Ok(())
    });
    let Some((helm, kubeconform, schemas)) = prepared else { return };
    for (chart, values) in CHARTS {
        let path = workspace::root().join("charts").join(chart);
        let helm = || Command::new(&helm);
        summary.check(&format!("helm lint {chart}"), || {
            print!("{}", output(helm().args(["lint", "--strict"]).args(values).arg(&path))?);
            Ok(())
        });
        summary.check(&format!("helm template {chart} | kubeconform"), || {
            let rendered =
                output(helm().args(["template", chart, "--kube-version", KUBERNETES]).args(values).arg(&path))?;
            conforms(&mut Command::new(&kubeconform), &rendered, schemas.path())
        });
    }
    summary.check("helm template hawser is refused without images or a store of evidence", || {
        let chart = workspace::root().join("charts/hawser");
        let words: [&[&str]; 3] = [
            &["set image.reference"],
            &["set sidecar.image.reference"],
            &["evidence.url to s3://bucket/prefix", "evidence.ephemeral=true"],
        ];
        for (missing, words) in words.into_iter().enumerate() {
            let given = NEEDED.iter().enumerate().filter(|(number, _)| *number != missing).map(|(_, value)| value);
            let mut helm = Command::new(&helm);
            helm.args(["template", "hawser", "--kube-version", KUBERNETES]).args(given);
            let Err(refused) = output(helm.arg(&chart)) else { bail!("the chart goes without {}", NEEDED[missing]) };
            for word in words {
                ensure!(refused.to_string().contains(word), "{word:?} is not said: {refused}");
            }
        }
        Ok(())
    });
    summary.check("helm template hawser with two replicas and no store for both is refused", || {
        replicas_share_a_store(&mut Command::new(&helm))
    });
    values::run(&helm, &kubeconform, schemas.path(), summary);
    alerts::run(&helm, summary);
}

/// Evidence that lies in one pod's own folder is lost to the replica that takes over.
fn replicas_share_a_store(helm: &mut Command) -> Result<()> {
    let chart = workspace::root().join("charts/hawser");
    helm.args(["template", "hawser", "--kube-version", KUBERNETES, "--set=replicas=2"]).args(NEEDED).arg(&chart);
    match output(helm) {
        Ok(_) => bail!("two replicas are rendered that store evidence where only one of them looks"),
        Err(refused) => ensure!(refused.to_string().contains("evidence.url"), "{refused}"),
    }
    Ok(())
}

pub(super) fn conforms(kubeconform: &mut Command, rendered: &str, schemas: &std::path::Path) -> Result<()> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(file.path(), rendered)?;
    kubeconform.args(["-strict", "-summary", "-schema-location"]).arg(schemas.join(schemas::TEMPLATE));
    // Its findings are on stdout.
    show(kubeconform.arg(file.path()))
}
