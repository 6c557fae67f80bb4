//! The wire protocol between the sidecar and the operator, generated from
//! `proto/attestation.proto` (its comments are the reference).

/// `hawser.attestation.v1`
#[allow(clippy::pedantic, missing_debug_implementations, unreachable_pub, reason = "generated code")]
pub mod attestation {
    tonic::include_proto!("hawser.attestation.v1");
}
