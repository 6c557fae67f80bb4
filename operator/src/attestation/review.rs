//! Whose pod a token is of: asked of the API server, a few at a time.

use std::future::Future;

use hawser_proto::pod::TOKEN_AUDIENCE;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};
use tokio::sync::Semaphore;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Who a pod-bound service-account token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// Namespace of the service account and of the pod.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// Name of the pod that the token is bound to.
    pub pod: String,
    /// `metadata.uid` of that pod.
    pub uid: String,
}

/// Why a token was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The API server says no: expired, forged, for another audience, its pod is gone.
    #[error("the API server does not accept the token: {0}")]
    Refused(String),
    /// A valid token, but not one that kubelet projected into a pod.
    #[error("the token of {0:?} is not bound to a pod: project it into the pod with audience {TOKEN_AUDIENCE:?}")]
    NotBound(String),
    /// The API server could not be asked.
    #[error("the API server can't review tokens now: {0}")]
    Unavailable(#[from] kube::Error),
}

/// Says who a token belongs to.
pub trait TokenReviewer: Send + Sync + 'static {
    /// Reviews one token.
    fn review(&self, token: &str) -> impl Future<Output = Result<Reviewed, ReviewError>> + Send;
}

/// Asks the API server (`TokenReview`): the only one who knows whether the token's pod still exists.
#[derive(Clone)]
pub struct KubeTokenReviewer(Client);

impl KubeTokenReviewer {
    /// Needs `create` on `tokenreviews.authentication.k8s.io`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl std::fmt::Debug for KubeTokenReviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeTokenReviewer")
    }
}

impl TokenReviewer for KubeTokenReviewer {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec { audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]), token: Some(token.to_owned()) },
            ..TokenReview::default()
        };
        let answer = Api::<TokenReview>::all(self.0.clone()).create(&PostParams::default(), &review).await?;
        read(answer.status.unwrap_or_default())
    }
}

/// Asks about a few tokens at once only: anybody who knows a job's id can make it ask.
pub(super) struct InTurn<R> {
    reviewer: R,
    turns: Semaphore,
}

/// Questions to the API server at once.
const TURNS: usize = 4;

impl<R> InTurn<R> {
    pub(super) fn new(reviewer: R) -> Self {
        Self { reviewer, turns: Semaphore::new(TURNS) }
    }
}

impl<R: TokenReviewer> TokenReviewer for InTurn<R> {
    async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        // Never closed, so there always is a turn.
        let _turn = self.turns.acquire().await;
        self.reviewer.review(token).await
    }
}

fn read(status: TokenReviewStatus) -> Result<Reviewed, ReviewError> {
    if status.authenticated != Some(true) {
        let why = status.error.filter(|e| !e.is_empty());
        return Err(ReviewError::Refused(why.unwrap_or_else(|| "no reason given".to_owned())));
    }
    // An API server that does not know audiences answers without one; its word is about another audience.
    if !status.audiences.unwrap_or_default().iter().any(|a| a == TOKEN_AUDIENCE) {
        return Err(ReviewError::Refused(format!("it is not for audience {TOKEN_AUDIENCE:?}")));
    }
    let user = status.user.unwrap_or_default();
    let username = user.username.unwrap_or_default();
    let extra = user.extra.unwrap_or_default();
    let claim = |key: &str| extra.get(key).and_then(|values| values.first()).cloned();
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match (account, claim(POD_NAME), claim(POD_UID)) {
        (Some((namespace, service_account)), Some(pod), Some(uid)) => {
            Ok(Reviewed { namespace: namespace.to_owned(), service_account: service_account.to_owned(), pod, uid })
        }
        _ => Err(ReviewError::NotBound(username)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    type Change = fn(&mut TokenReviewStatus);

    fn accepted() -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]),
            user: Some(UserInfo {
                username: Some("system:serviceaccount:tenants:hawser-job".to_owned()),
                extra: Some(BTreeMap::from([
                    (POD_NAME.to_owned(), vec!["job-1".to_owned()]),
                    (POD_UID.to_owned(), vec!["uid-1".to_owned()]),
                ])),
                ..UserInfo::default()
            }),
            error: None,
        }
    }

    #[test]
    fn a_pod_bound_token_names_its_pod() {
        let reviewed = read(accepted()).unwrap();
        assert_eq!((reviewed.namespace.as_str(), reviewed.service_account.as_str()), ("tenants", "hawser-job"));
        assert_eq!((reviewed.pod.as_str(), reviewed.uid.as_str()), ("job-1", "uid-1"));
    }

    #[test]
    fn a_token_for_another_audience_or_without_a_pod_is_refused() {
        let cases: [(&str, Change); 5] = [
            ("expired", |s| {
                s.authenticated = Some(false);
                s.error = Some("expired".to_owned());
            }),
            ("no reason given", |s| s.authenticated = None),
            ("not for audience", |s| s.audiences = None),
            ("not bound to a pod", |s| {
                s.user.as_mut().unwrap().extra = None;
            }),
            ("not bound to a pod", |s| {
                s.user.as_mut().unwrap().username = Some("system:admin".to_owned());
            }),
        ];
        for (expected, change) in cases {
            let mut status = accepted();
            change(&mut status);
            let error = read(status).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
