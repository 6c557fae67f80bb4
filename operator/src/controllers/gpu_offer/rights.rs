//! Whether this operator may write in an offer's namespace. It has rights for pods only where somebody has bound the chart's
//! `ClusterRole` to it, so that whoever took it over could start nothing elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::super::compute_job::SERVICE_ACCOUNT;
use crate::objects::CA_CONFIG_MAP;

/// The `ClusterRole` of the chart that is bound in namespaces with offers.
const ROLE: &str = "hawser-jobs";
/// What is granted is asked again after so long, what is denied somewhat sooner: somebody may be granting it.
const GRANTED: Duration = Duration::from_mins(5);
const DENIED: Duration = Duration::from_secs(9);
/// Of a namespace that nobody has asked about for so long, no offer is left.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// What jobs need in their namespace: verb, API group, resource, and the object's name where only that one is meant.
const NEEDED: [(&str, &str, &str, &str); 9] = [
    ("create", "", "pods", ""),
    ("patch", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "networking.k8s.io", "networkpolicies", ""),
    ("patch", "networking.k8s.io", "networkpolicies", ""),
    ("create", "", "serviceaccounts", ""),
    ("patch", "", "serviceaccounts", SERVICE_ACCOUNT),
    ("create", "", "configmaps", ""),
    ("patch", "", "configmaps", CA_CONFIG_MAP),
];

/// Something that this operator may not do though jobs need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// Verb and resource.
    pub what: String,
    pub namespace: String,
    /// The operator's user, as the API server calls it.
    pub account: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, namespace, account } = self;
        let whom = match account.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={account}"),
            None => format!("--user={account}"),
        };
        write!(
            f,
            "the operator may not {what} in namespace {namespace}, and jobs need that: kubectl -n {namespace} create \
             rolebinding {ROLE} --clusterrole={ROLE} {whom}"
        )
    }
}

/// What is known of this operator's rights, by namespace.
pub(crate) struct Rights {
    client: Client,
    known: Mutex<Known>,
}

type Known = HashMap<String, (Instant, Option<Denied>)>;

impl Rights {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// What is denied in a namespace, as it was known last. What was never asked is not denied.
    pub(crate) fn denied(&self, namespace: &str) -> Option<Denied> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(namespace).and_then(|(_, denied)| denied.clone())
    }

    /// Asks the API server, unless it said so a moment ago. What can't be asked now stays as it was known.
    pub(crate) async fn ask(&self, namespace: &str) {
        let is_known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(namespace).is_some_and(|(at, denied)| !is_due(denied.as_ref(), at.elapsed()))
        };
        if is_known {
            return;
        }
        match self.look(namespace).await {
            Ok(denied) => {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                learn(&mut known, namespace, denied, Instant::now());
            }
            Err(error) => tracing::warn!(namespace, %error, "the operator's own rights can't be asked for"),
        }
    }

    async fn look(&self, namespace: &str) -> Result<Option<Denied>, kube::Error> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let asked = NEEDED.map(|needed| {
            let (api, question) = (api.clone(), question(namespace, needed));
            async move { api.create(&PostParams::default(), &question).await }
        });
        let answers = try_join_all(asked).await?;
        let refused = NEEDED.iter().zip(answers).find(|(_, answer)| !answer.status.as_ref().is_some_and(|s| s.allowed));
        let Some(((verb, _, resource, name), _)) = refused else { return Ok(None) };
        let me: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let me = me.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
        let account = me.status.and_then(|status| status.user_info?.username).unwrap_or_default();
        let what = format!("{verb} {resource} {name}").trim_end().to_owned();
        Ok(Some(Denied { what, namespace: namespace.to_owned(), account }))
    }
}

fn learn(known: &mut Known, namespace: &str, denied: Option<Denied>, now: Instant) {
    known.retain(|_, (at, _)| now.saturating_duration_since(*at) < FORGOTTEN);
    known.insert(namespace.to_owned(), (now, denied));
}

fn is_due(denied: Option<&Denied>, age: Duration) -> bool {
    age >= if denied.is_some() { DENIED } else { GRANTED }
}

fn question(namespace: &str, (verb, group, resource, name): (&str, &str, &str, &str)) -> SelfSubjectAccessReview {
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(account: &str) -> Denied {
        Denied { what: "create pods".to_owned(), namespace: "gpu-jobs".to_owned(), account: account.to_owned() }
    }

    #[test]
    fn what_is_denied_is_told_with_the_command_that_grants_it() {
        let said = denied("system:serviceaccount:hawser:hawser-operator").to_string();
        assert!(said.contains("may not create pods in namespace gpu-jobs"), "{said}");
        let command = "kubectl -n gpu-jobs create rolebinding hawser-jobs --clusterrole=hawser-jobs \
                       --serviceaccount=hawser:hawser-operator";
        assert!(said.ends_with(command), "{said}");
        assert!(denied("admin").to_string().ends_with("--user=admin"));
    }

    #[test]
    fn what_is_denied_is_asked_again_soon_and_what_is_granted_after_minutes() {
        let (seconds, no) = (Duration::from_secs, denied("a"));
        for (denied, age, due) in [
            (None, seconds(299), false),
            (None, seconds(300), true),
            (Some(&no), seconds(8), false),
            (Some(&no), seconds(9), true),
        ] {
            assert_eq!(is_due(denied, age), due, "{denied:?} {age:?}");
        }
    }

    #[test]
    fn what_was_known_of_a_namespace_whose_offers_are_gone_is_forgotten() {
        let (mut known, t, minutes) = (Known::new(), Instant::now(), Duration::from_mins);
        for (namespace, after) in [("gone", 0), ("kept", 5), ("kept", 50), ("new", 60)] {
            learn(&mut known, namespace, Some(denied("a")), t + minutes(after));
        }
        let mut left: Vec<_> = known.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["kept", "new"]);
    }

    #[test]
    fn a_question_names_the_object_only_where_one_is_meant() {
        let named = question("n", ("patch", "", "configmaps", "ca")).spec.resource_attributes.unwrap();
        let any =
            question("n", ("create", "networking.k8s.io", "networkpolicies", "")).spec.resource_attributes.unwrap();
        assert_eq!((named.name.as_deref(), named.namespace.as_deref()), (Some("ca"), Some("n")));
        assert_eq!((any.name, any.group.as_deref()), (None, Some("networking.k8s.io")));
    }
}
