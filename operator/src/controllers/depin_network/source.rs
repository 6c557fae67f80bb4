//! What a network is made from, whatever its kind: its spec, and what the Secrets hold that this names.

use futures::future::BoxFuture;
use hawser_attestation::{Digest, digest};
use hawser_crds::DepinNetwork;
use kube::{Client, ResourceExt};

use super::evm;
use super::status::Startup;
use crate::controllers::Error;
use crate::network::{NetworkKind, OtherKinds, Prepared, SpecError, UnknownKind};
use crate::reasons::Reason;

/// What a network is made from, as it was read.
pub(super) enum Source<'a> {
    Evm(evm::Source<'a>),
    /// Of a kind that whoever started the controllers knows.
    Other(Prepared),
}

/// Opens the wallet; may ask whoever signs, and takes a second for a keystore.
pub(super) type Opening<'a> = BoxFuture<'a, Result<Prepared, Startup>>;

/// Reads it with its Secrets; the inner error is for the status.
pub(super) async fn read<'a>(
    resource: &'a DepinNetwork,
    other_kinds: &OtherKinds,
    (client, namespace): (&Client, &str),
) -> Result<Result<Source<'a>, Startup>, Error> {
    match NetworkKind::of(&resource.spec) {
        Ok(NetworkKind::Evm(spec)) => Ok(evm::read(spec, client, namespace).await?.map(Source::Evm)),
        Err(unknown) => Ok(other_kinds(resource).map(Source::Other).ok_or_else(|| unknown.into())),
    }
}

impl<'a> Source<'a> {
    /// Tells apart what a network was made from. A hash, so that no secret is kept a second time.
    pub(super) fn identity(&self, resource: &DepinNetwork) -> Digest {
        match self {
            Self::Evm(source) => identity(resource, source.secrets()),
            Self::Other(_) => identity(resource, std::iter::empty()),
        }
    }

    /// What opens its wallet, where the network can be made as it is written.
    pub(super) fn opening(self) -> Result<Opening<'a>, Startup> {
        match self {
            Self::Evm(source) => source.opening(),
            Self::Other(prepared) => Ok(Box::pin(std::future::ready(Ok(prepared)))),
        }
    }
}

/// Each part is hashed by itself: where one ends counts.
pub(super) fn identity<'a>(resource: &DepinNetwork, secrets: impl Iterator<Item = &'a [u8]>) -> Digest {
    let spec = serde_json::to_vec(&resource.spec).unwrap_or_default();
    let uid = resource.uid().unwrap_or_default();
    let own = [digest(uid), digest(spec)];
    let parts: Vec<u8> = own.into_iter().chain(secrets.map(digest)).flat_map(|hash| hash.0).collect();
    digest(parts)
}

/// That it can't be started, and why.
pub(super) fn refused(reason: Reason, message: impl Into<String>) -> Startup {
    Startup::Refused { reason, message: message.into() }
}

impl From<SpecError> for Startup {
    fn from(error: SpecError) -> Self {
        refused(Reason::InvalidSpec, error.to_string())
    }
}

impl From<UnknownKind> for Startup {
    fn from(error: UnknownKind) -> Self {
        refused(Reason::UnknownNetworkKind, error.to_string())
    }
}
