//! Where evidence lies in an evidence store.

use alloy::primitives::Address;
use hawser_market::JobId;

/// Where an attestor's evidence lies below the evidence store's root or public URL: `<job id>/<attestor>`, both `0x`
/// and lower-case hexadecimal digits.
pub fn evidence_prefix(job: JobId, attestor: Address) -> String {
    format!("{job}/{}", attestor_folder(attestor))
}

/// An attestor's folder below its job's.
pub fn attestor_folder(attestor: Address) -> String {
    format!("{attestor:#x}")
}

/// One file of it: `000000.jsonl`, then `000001.jsonl` and so on until there is none. Put one after the other they are
/// the attestor's evidence; the attestors' evidence in the order of their enrolment is the job's.
pub fn evidence_path(job: JobId, attestor: Address, index: u32) -> String {
    format!("{}/{}", evidence_prefix(job, attestor), evidence_file(index))
}

/// A file's name in its attestor's folder.
pub fn evidence_file(index: u32) -> String {
    format!("{index:06}.jsonl")
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    #[test]
    fn paths_are_lower_case_and_sort_by_age() {
        let path = evidence_path(JobId(B256::repeat_byte(0xAB)), Address::repeat_byte(0xCD), 12);
        assert_eq!(path, format!("0x{}/0x{}/000012.jsonl", "ab".repeat(32), "cd".repeat(20)));
    }
}
