//! What an offer's canary pod found that it can connect to.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a pod could connect to: an offer's canary leaves it as its termination message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    /// The attestation service answered, as it must for every job. Where it did not, the rest shows nothing.
    pub attestation: bool,
    /// Pods and Services that answered to the end, though no job may reach them.
    #[serde(default)]
    pub cluster: Vec<SocketAddr>,
    /// What answered to the end on the pod's own node, though no job may reach it.
    #[serde(default)]
    pub node: Vec<SocketAddr>,
    /// What could not be reached, or no more once the pod was there for some seconds.
    #[serde(default)]
    pub held: Vec<SocketAddr>,
    /// Whether the node mounted what the canary's own image declares as `VOLUME`: such data is counted against no limit.
    /// None where the image declares none.
    #[serde(default)]
    pub image_volumes: Option<bool>,
}
