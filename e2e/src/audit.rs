//! What an account may do, by its roles, and what it did, by the API server's audit log.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::{Api, Client};
use serde::Deserialize;

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// As RBAC writes it.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// With the subresource: `pods/status`.
    pub resource: String,
    /// Only the object with this name.
    pub name: Option<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

/// Everything that the roles named `role` grant, in the cluster and in `namespace`, and the cluster role `bound` where it
/// is bound.
///
/// # Errors
/// When one of the three roles is missing.
pub async fn granted(client: &Client, namespace: &str, role: &str, bound: &str) -> Result<Vec<Permission>> {
    let everywhere = Api::<ClusterRole>::all(client.clone()).get(role).await?;
    let there = Api::<ClusterRole>::all(client.clone()).get(bound).await?;
    let here = Api::<Role>::namespaced(client.clone(), namespace).get(role).await?;
    let rules = everywhere.rules.iter().chain(&there.rules).chain(&here.rules).flatten();
    let mut all: Vec<_> = rules.flat_map(of_rule).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

fn of_rule(rule: &PolicyRule) -> Vec<Permission> {
    let names = match rule.resource_names.as_deref() {
        None | Some([]) => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let mut all = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for name in &names {
                all.extend(rule.verbs.iter().map(|verb| Permission {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    all
}

/// A request as the audit log holds it (`audit.k8s.io/v1` Event).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
    api_group: String,
}

impl Request {
    /// It would be refused without this permission.
    pub fn needs(&self, permission: &Permission) -> bool {
        let Some(object) = &self.object_ref else { return false };
        self.verb == permission.verb
            && object.api_group == permission.group
            && object.path() == permission.resource
            && permission.name.as_ref().is_none_or(|name| *name == object.name)
    }

    /// RBAC refused it. The status code says less: whatever is made in a namespace that is going is answered 403 too.
    pub fn was_forbidden(&self) -> bool {
        self.annotations.get("authorization.k8s.io/decision").is_some_and(|decision| decision == "forbid")
    }
}

impl Request {
    /// Empty for what is in none.
    pub fn namespace(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| object.namespace.as_str())
    }
}

impl ObjectRef {
    fn path(&self) -> String {
        if self.subresource.is_empty() {
            return self.resource.clone();
        }
        format!("{}/{}", self.resource, self.subresource)
    }
}

/// Everything that `account` asked for since the cluster came up.
///
/// # Errors
/// When there is no audit log, or it can't be read.
pub fn requests(account: &str) -> Result<Vec<Request>> {
    let path = hawser_local::Layout::of_this_machine()?.audit_log();
    let text = std::fs::read_to_string(&path).with_context(|| format!("no audit log at {}", path.display()))?;
    let whole_lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut requests: Vec<Request> = whole_lines.map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
    requests.retain(|request| request.user.username == account);
    Ok(requests)
}
