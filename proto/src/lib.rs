//! What sidecar and operator agree on: the wire protocol, generated from `proto/attestation.proto` (its comments are the
//! reference), and the names in the pod.

pub mod pod;

/// `hawser.attestation.v1`
#[allow(clippy::pedantic, missing_debug_implementations, unreachable_pub, reason = "generated code")]
pub mod attestation {
    tonic::include_proto!("hawser.attestation.v1");
}
