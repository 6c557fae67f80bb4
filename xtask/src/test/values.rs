//! The values of the chart `hawser`: what each of them renders, and what is refused, with which words.

#[cfg(test)]
mod page;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use hawser_local::output;

use super::charts::{KUBERNETES, NEEDED, conforms};
use super::summary::Summary;
use crate::workspace;

/// What is set, what is rendered with it, and what is not.
struct Case {
    name: &'static str,
    set: &'static [&'static str],
    has: &'static [&'static str],
    lacks: &'static [&'static str],
}

const RENDERED: [Case; 17] = [
    Case {
        name: "as it is",
        set: &[],
        has: &[
            "--attestation-listen=[::]:9443",
            "--evidence-url=file:///var/lib/hawser/evidence",
            "name: evidence\n          emptyDir: {}",
            "--health-listen=[::]:8080",
            "--log-format=json",
            "runAsUser: 65532",
            "readOnlyRootFilesystem: true",
            "revisionHistoryLimit: 10",
            "kind: ServiceAccount\nmetadata",
            "port: metrics\n            failureThreshold: 6\n            periodSeconds: 10\n            timeoutSeconds: 5",
            "port: metrics\n            periodSeconds: 2\n            timeoutSeconds: 2",
            "rbac.authorization.k8s.io/aggregate-to-view: \"true\"",
        ],
        lacks: &[
            "ipFamil",
            "kind: NetworkPolicy",
            "kind: PodDisruptionBudget",
            "kind: PrometheusRule",
            "kind: ServiceMonitor",
            "name: hawser-edit",
            "hawser-jobs-scc",
            "imagePullSecrets",
            "hostAliases",
        ],
    },
    Case {
        name: "values of a chart that did not know what is new",
        set: &[
            "strategy=null",
            "livenessProbe=null",
            "readinessProbe=null",
            "global=null",
            "serviceAccount.create=null",
        ],
        has: &["kind: ServiceAccount\nmetadata", "path: /readyz\n              port: metrics\n          resources:"],
        lacks: &["strategy:", "null"],
    },
    Case {
        name: "pods that are replaced and probed otherwise",
        set: &[
            "strategy.type=Recreate",
            "livenessProbe.failureThreshold=9",
            "readinessProbe.initialDelaySeconds=3",
            "hostAliases[0].ip=10.1.2.3",
            "hostAliases[0].hostnames={rpc.example.com}",
        ],
        has: &[
            "type: Recreate\n  selector:",
            "failureThreshold: 9",
            "initialDelaySeconds: 3",
            "- rpc.example.com\n          ip: 10.1.2.3",
        ],
        lacks: &["maxSurge"],
    },
    Case {
        name: "secrets to pull with, an account that is there, objects beside",
        set: &[
            "imagePullSecrets[0].name=own",
            "global.imagePullSecrets[0].name=everybodys",
            "serviceAccount.create=false",
            "serviceAccount.name=gpus",
            "extraObjects[0].apiVersion=v1",
            "extraObjects[0].kind=ConfigMap",
            "extraObjects[0].metadata.name=beside-{{ .Release.Name }}",
        ],
        has: &[
            "imagePullSecrets:\n        - name: own\n        - name: everybodys",
            "serviceAccountName: gpus",
            "kind: ServiceAccount\n    name: gpus",
            "name: beside-hawser",
        ],
        lacks: &["kind: ServiceAccount\nmetadata"],
    },
    Case {
        name: "labels of what is measured",
        set: &[
            "serviceMonitor.enabled=true",
            "serviceMonitor.relabelings[0].targetLabel=node",
            "serviceMonitor.metricRelabelings[0].action=drop",
            "networkPolicy.enabled=true",
            "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
        ],
        has: &["relabelings:\n        - targetLabel: node", "metricRelabelings:\n        - action: drop"],
        lacks: &[],
    },
    Case {
        name: "two replicas",
        set: &["replicas=2", "evidence.url=s3://bucket/evidence"],
        has: &[
            "replicas: 2",
            "kind: PodDisruptionBudget",
            "maxUnavailable: 1\n  selector:",
            "maxSurge: 1\n      maxUnavailable: 0",
            "topologyKey: kubernetes.io/hostname\n          whenUnsatisfiable: ScheduleAnyway",
        ],
        lacks: &["emptyDir"],
    },
    Case {
        name: "a proxy and a bundle of CAs",
        set: &[
            "extraEnv[0].name=HTTPS_PROXY",
            "extraEnv[0].value=http://proxy.example.com:3128",
            "extraEnv[1].name=SSL_CERT_FILE",
            "extraEnv[1].value=/etc/hawser-ca/ca.crt",
            "extraEnv[2].name=KEY",
            "extraEnv[2].valueFrom.secretKeyRef.name=s",
            "extraEnv[2].valueFrom.secretKeyRef.key=k",
            "extraVolumes[0].name=ca",
            "extraVolumes[0].configMap.name=company-ca",
            "extraVolumeMounts[0].name=ca",
            "extraVolumeMounts[0].mountPath=/etc/hawser-ca",
            "extraVolumeMounts[0].readOnly=true",
        ],
        has: &[
            "- name: HTTPS_PROXY\n              value: http://proxy.example.com:3128",
            "secretKeyRef:",
            "mountPath: /etc/hawser-ca",
            "name: company-ca",
            // The directory for evidence stays.
            "mountPath: /var/lib/hawser/evidence",
        ],
        lacks: &[],
    },
    Case {
        name: "evidence on a volume",
        set: &[
            "evidence.url=file:///data/evidence",
            "extraVolumes[0].name=data",
            "extraVolumes[0].persistentVolumeClaim.claimName=c",
            "extraVolumeMounts[0].name=data",
            "extraVolumeMounts[0].mountPath=/data",
        ],
        has: &["--evidence-url=file:///data/evidence", "claimName: c"],
        lacks: &["emptyDir"],
    },
    Case {
        name: "ids that the cluster chooses",
        set: &[
            "podSecurityContext.runAsUser=null",
            "podSecurityContext.runAsGroup=null",
            "podSecurityContext.fsGroup=null",
            "securityContext.readOnlyRootFilesystem=false",
        ],
        has: &["runAsNonRoot: true", "readOnlyRootFilesystem: false"],
        lacks: &["65532"],
    },
    Case {
        name: "both address families",
        set: &["service.ipFamilyPolicy=RequireDualStack", "service.ipFamilies={IPv6,IPv4}"],
        has: &["ipFamilyPolicy: RequireDualStack\n  ipFamilies:\n    - IPv6\n    - IPv4"],
        lacks: &[],
    },
    Case {
        name: "ranges of the cluster",
        set: &["clusterCidrs={10.1.2.3/8,fd00::/8,::1/128,1:2:3:4:5:6:7:8/64,1:2:3:4:5:6:7::/112}"],
        has: &["--cluster-cidrs=10.1.2.3/8,fd00::/8,::1/128,1:2:3:4:5:6:7:8/64,1:2:3:4:5:6:7::/112"],
        lacks: &[],
    },
    Case {
        name: "labels and annotations",
        set: &["commonLabels.team=gpu", "deploymentAnnotations.note=x", "revisionHistoryLimit=2", "logFormat=text"],
        has: &["team: gpu", "annotations:\n    note: x", "revisionHistoryLimit: 2", "--log-format=text"],
        lacks: &["matchLabels:\n      team"],
    },
    Case {
        name: "metrics for whom they are meant",
        set: &[
            "networkPolicy.enabled=true",
            "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring",
        ],
        has: &["kind: NetworkPolicy", "kubernetes.io/metadata.name: monitoring\n      ports:\n        - port: 8080"],
        lacks: &[],
    },
    Case {
        name: "metrics for nobody",
        set: &["networkPolicy.enabled=true"],
        has: &["kind: NetworkPolicy", "- port: 9443"],
        lacks: &["- port: 8080"],
    },
    Case {
        name: "OpenShift",
        set: &["jobNamespaces={gpu-jobs}", "jobSecurityContextConstraints=nonroot-v2"],
        has: &[
            "resources: [securitycontextconstraints]\n    resourceNames: [\"nonroot-v2\"]\n    verbs: [use]",
            "name: hawser-jobs-scc\nsubjects:\n  - kind: ServiceAccount\n    name: hawser-job\n    namespace: gpu-jobs",
        ],
        lacks: &[],
    },
    Case {
        name: "roles for people",
        set: &["aggregateClusterRoles.edit=true"],
        has: &["name: hawser-edit", "[create, update, patch, delete, deletecollection]"],
        lacks: &[],
    },
    Case {
        name: "monitoring",
        set: &["serviceMonitor.enabled=true", "prometheusRule.enabled=true", "prometheusRule.labels.release=p"],
        has: &["honorLabels: true", "kind: PrometheusRule", "release: p", "alert: HawserNoLeader"],
        lacks: &["tests:"],
    },
];

/// What is set, and a word of the refusal.
const REFUSED: [(&[&str], &str); 31] = [
    (&["strategy.type=Rolling"], "strategy.type"),
    (&["livenessProbe.httpGet.path=/x"], "httpGet"),
    (&["hostAliases[0].ip=10.1.2.3"], "hostnames"),
    (&["extraObjects[0].kind=ConfigMap"], "extraObjects"),
    (&["global.imagePullSecrets={x}"], "global.imagePullSecrets"),
    // Prometheus would find nothing, and no alert would ever fire.
    (&["serviceMonitor.enabled=true", "networkPolicy.enabled=true"], "networkPolicy.metricsFrom"),
    // What the operator would refuse at its start.
    (&["clusterCidrs=null"], "clusterCidrs is empty"),
    (&["clusterCidrs={10.0.0.0/8,0.0.0.0/0}"], "clusterCidrs: 0.0.0.0/0 is every address"),
    (&["clusterCidrs={::/0}"], "clusterCidrs: ::/0 is every address"),
    (&["clusterCidrs={999.1.1.1/9}"], "clusterCidrs: \"999.1.1.1/9\" is no address range"),
    (&["clusterCidrs={10.0.0.0/33}"], "\"10.0.0.0/33\" is no"),
    (&["clusterCidrs={10.0.0.1}"], "\"10.0.0.1\" is no"),
    (&["clusterCidrs={fd00::/129}"], "\"fd00::/129\" is no"),
    (&["clusterCidrs={fd00::1::/64}"], "\"fd00::1::/64\" is no"),
    (&["clusterCidrs={1:2:3:4:5:6:7/64}"], "\"1:2:3:4:5:6:7/64\" is no"),
    // An upgrade from a chart that did not know the value, with the values that were set then.
    (&["evidence.ephemeral=null"], "evidence.ephemeral=true"),
    (&["evidence.ephemeral=yes"], "ephemeral"),
    (&["evidence.url=file:///data"], "extraVolumeMounts"),
    (
        &["evidence.url=file:///database", "extraVolumeMounts[0].name=d", "extraVolumeMounts[0].mountPath=/data"],
        "extraVolumeMounts",
    ),
    (&["extraEnv[0].name=POD_NAME", "extraEnv[0].value=x"], "extraEnv"),
    (&["extraEnv[0].value=x"], "extraEnv"),
    (&["extraEnv.HTTPS_PROXY=x"], "extraEnv"),
    (&["extraVolumes[0].name=evidence"], "extraVolumes"),
    (&["extraVolumeMounts[0].name=x", "extraVolumeMounts[0].mountPath=data"], "mountPath"),
    (&["service.ipFamilyPolicy=Dual"], "ipFamilyPolicy"),
    (&["service.ipFamilies={IPv5}"], "ipFamilies"),
    (&["commonLabels.app\\.kubernetes\\.io/name=x"], "commonLabels"),
    (&["networkPolicy.metricsFrom[0].namespace=monitoring"], "metricsFrom"),
    (&["prometheusRule.disabled={NoLeader}"], "disabled"),
    (&["podSecurityContexts.runAsUser=1"], "podSecurityContexts"),
    (&["jobNamespaces={*}", "jobSecurityContextConstraints=nonroot-v2"], "add-scc-to-user nonroot-v2 -z hawser-job"),
];

pub(crate) fn run(helm: &Path, kubeconform: &Path, schemas: &Path, summary: &mut Summary) {
    for Case { name, set, has, lacks } in RENDERED {
        summary.check(&format!("helm template hawser: {name}"), || {
            let rendered = template(helm, set)?;
            for wanted in has {
                ensure!(rendered.contains(wanted), "{wanted:?} is not rendered: {rendered}");
            }
            for unwanted in lacks {
                ensure!(!rendered.contains(unwanted), "{unwanted:?} is rendered: {rendered}");
            }
            let mut kubeconform = Command::new(kubeconform);
            // Kinds of the Prometheus operator: their schemas come with it.
            conforms(kubeconform.args(["-skip", "ServiceMonitor,PrometheusRule"]), &rendered, schemas)
        });
    }
    summary.check("helm template hawser refuses values that make no sense, and names them", || {
        for (set, word) in REFUSED {
            let Err(refused) = template(helm, set) else { bail!("{set:?} is taken") };
            ensure!(refused.to_string().contains(word), "{set:?} is refused without the word {word:?}: {refused}");
        }
        Ok(())
    });
}

fn template(helm: &Path, set: &[&str]) -> Result<String> {
    let mut helm = Command::new(helm);
    helm.args(["template", "hawser", "--kube-version", KUBERNETES]).args(NEEDED);
    helm.args(set.iter().map(|set| format!("--set={set}")));
    output(helm.arg(workspace::root().join("charts/hawser")))
}
