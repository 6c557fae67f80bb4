//! A **test double** of NVIDIA's management library (NVML), `libnvidia-ml.so.1`.
//!
//! No card and no driver stands behind it. It answers the part of NVML's C interface that NVIDIA's
//! device plugin, GPU Feature Discovery, container toolkit and the crate `nvml-wrapper` ask for, out
//! of a file that `nvml-double-state` writes and that can be changed while programs run. So the
//! whole chain above the driver is NVIDIA's own code, on a machine without a GPU.
//!
//! As with the real library, a program sees only the cards whose `/dev/nvidiaN` it may open: that is
//! what keeps the other cards of a node out of a container.
//!
//! A function that is not here is either answered with `NVML_ERROR_NOT_SUPPORTED` ([`absent`]) or,
//! like in an older driver, does not exist.

#[macro_use]
mod abi;
mod absent;
mod events;
mod handle;
mod identity;
mod library;
mod readings;
mod system;
mod topology;
