//! What is said of the cards: NVML's word by way of the provider. Nothing here is proof, so nothing here is more than a
//! warning.

use alloy::primitives::{B256, keccak256};
use hawser_attestation::{FindingKind, GpuSummary, Nvml, Summary};

use hawser_market::text::gpu_class;

/// What is odd about the cards by themselves.
pub(super) fn warnings(evidence: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    for segment in &evidence.segments {
        if segment.nvml == Nvml::NotVisible {
            warnings.push(format!(
                "NVML was not visible to attestor {}: time was metered, nothing is known of the GPUs",
                segment.attestor
            ));
        }
        let strange = segment.gpu_uuids.iter().find(|uuid| !is_uuid(uuid));
        warnings.extend(strange.map(|uuid| {
            format!("attestor {} names a GPU {uuid:?}, which is no UUID that NVML gives", segment.attestor)
        }));
    }
    for gpu in &evidence.gpu_samples {
        let GpuSummary { uuid, errors, samples, .. } = gpu;
        if *errors > 0 {
            warnings.push(format!("NVML gave an error for GPU {uuid} in {errors} of {samples} samples"));
        } else if gpu.utilization_gpu_percent.is_some_and(|percent| percent.max == 0) {
            warnings.push(format!("GPU {uuid} was idle in all of its {samples} samples"));
        }
    }
    warnings.extend(super::judge::findings(evidence, |kind| {
        matches!(kind, FindingKind::Impossible | FindingKind::Renamed | FindingKind::Hurried)
    }));
    warnings
}

/// Cards that call themselves otherwise than what was sold.
pub(super) fn other_class(evidence: &Summary, class: B256) -> Vec<String> {
    let named = evidence.gpu_samples.iter().filter_map(|gpu| Some((gpu, gpu.name.as_deref()?)));
    named
        .filter(|(_, name)| !is_of_class(name, class))
        .map(|(gpu, name)| format!("GPU {} calls itself {name}, the offer sells {}", gpu.uuid, gpu_class(&class)))
        .collect()
}

/// A class is the product as the node's label has it: the name with dashes, perhaps with what it is a part of
/// (`-MIG-1g.10gb`), and its hash where it is long.
fn is_of_class(name: &str, class: B256) -> bool {
    let product = name.trim().replace(' ', "-");
    let padded = gpu_class(&class);
    let part = padded.strip_prefix(product.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    !product.is_empty() && (part || keccak256(&product) == class)
}

/// `GPU-` or `MIG-` and what identifies it.
fn is_uuid(uuid: &str) -> bool {
    let id = uuid.strip_prefix("GPU-").or_else(|| uuid.strip_prefix("MIG-"));
    id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_of_the_class_that_its_name_makes() {
        let short = B256::right_padding_from(b"NVIDIA-H100-80GB-HBM3");
        let part = B256::right_padding_from(b"NVIDIA-A100-MIG-1g.10gb");
        let long = keccak256("NVIDIA-GeForce-RTX-4090-Laptop-GPU");
        for (name, class, same) in [
            ("NVIDIA H100 80GB HBM3", short, true),
            ("NVIDIA H100", short, true),
            ("NVIDIA A100", part, true),
            ("NVIDIA GeForce RTX 4090 Laptop GPU", long, true),
            ("NVIDIA H1", short, false),
            ("NVIDIA GeForce GT 710", short, false),
            ("NVIDIA GeForce GT 710", long, false),
            ("", short, false),
        ] {
            assert_eq!(is_of_class(name, class), same, "{name}");
        }
    }

    #[test]
    fn a_uuid_is_one_that_nvml_gives() {
        for uuid in ["GPU-a", "MIG-6d8c3f5e-0f6a-5d0b-9c58-0a8e6f7d1c2b"] {
            assert!(is_uuid(uuid), "{uuid}");
        }
        for uuid in ["", "GPU-", "gpu-1", "\u{1f600}", "GPU-\u{1f600}", "GPU- 1"] {
            assert!(!is_uuid(uuid), "{uuid}");
        }
    }
}
