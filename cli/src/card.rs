//! An offer's card: what its provider says of it. Never proof of anything, and whoever posts an offer can write what it
//! likes: each field is taken where it is what it should be.

use hawser_market::{
    JobId,
    text::printable,
    workload::{Images, Limits, Refusal, Workload, quantity::parse},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What of a card is understood.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Card {
    pub(crate) product: Option<String>,
    pub(crate) driver: Option<String>,
    #[serde(rename = "memoryMiB")]
    pub(crate) memory_mib: Option<String>,
    pub(crate) cpu_per_gpu: Option<String>,
    pub(crate) memory_per_gpu: Option<String>,
    pub(crate) storage_per_gpu: Option<String>,
    pub(crate) gpus_per_job: Option<u32>,
    pub(crate) images: Option<Images>,
    pub(crate) free_pull_seconds: Option<u64>,
    /// How far the evidence of the offer's jobs can be trusted.
    pub(crate) tier: Option<String>,
    /// Where the evidence of the offer's jobs lies.
    pub(crate) evidence: Option<String>,
}

impl Card {
    pub(crate) fn read(text: &str) -> Self {
        let card: Value = serde_json::from_str(text).unwrap_or_default();
        let said = |field: &str| card.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(printable);
        let quantity = |field: &str| said(field).filter(|quantity| parse(quantity).is_some());
        Self {
            product: said("product"),
            driver: said("driver"),
            memory_mib: said("memoryMiB"),
            cpu_per_gpu: quantity("cpuPerGpu"),
            memory_per_gpu: quantity("memoryPerGpu"),
            storage_per_gpu: quantity("storagePerGpu"),
            gpus_per_job: of_type(&card, "gpusPerJob"),
            images: of_type(&card, "images").map(printable_images),
            free_pull_seconds: of_type(&card, "freePullSeconds"),
            tier: said("tier"),
            evidence: said("evidence"),
        }
    }

    /// URL of the evidence of a job.
    pub(crate) fn evidence_of(&self, job: JobId) -> Option<String> {
        let base = self.evidence.as_deref()?.trim_end_matches('/');
        let is_url = base.starts_with("http://") || base.starts_with("https://");
        is_url.then(|| format!("{base}/{job}"))
    }

    /// Why the operator would decline an order, as far as the card tells.
    pub(crate) fn declines(&self, workload: &Workload) -> Option<Refusal> {
        let limits = Limits {
            gpus_per_job: self.gpus_per_job,
            cpu_per_gpu: self.cpu_per_gpu.as_deref(),
            memory_per_gpu: self.memory_per_gpu.as_deref(),
            storage_per_gpu: self.storage_per_gpu.as_deref(),
            images: self.images.as_ref(),
        };
        workload.check_against(&limits).err()
    }

    /// CPU, memory and storage of one GPU's share, on one line.
    pub(crate) fn share(&self) -> String {
        let part = |quantity: &Option<String>| quantity.clone().unwrap_or_else(|| "-".to_owned());
        [&self.cpu_per_gpu, &self.memory_per_gpu, &self.storage_per_gpu].map(part).join(" / ")
    }

    /// Whose images are taken.
    pub(crate) fn images_taken(&self) -> String {
        match &self.images {
            None => "-".to_owned(),
            Some(images) => {
                let only = if images.allow.is_empty() { "public".to_owned() } else { images.allow.join(", ") };
                if images.deny.is_empty() { only } else { format!("{only}; not {}", images.deny.join(", ")) }
            }
        }
    }
}

fn of_type<T: DeserializeOwned>(card: &Value, field: &str) -> Option<T> {
    T::deserialize(card.get(field)?).ok()
}

fn printable_images(images: Images) -> Images {
    let each = |list: Vec<String>| list.iter().map(|prefix| printable(prefix)).collect();
    Images { allow: each(images.allow), deny: each(images.deny) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn card() -> Value {
        json!({
            "product": "NVIDIA-H100", "driver": "580.65", "memoryMiB": "81559", "cpuPerGpu": "8", "memoryPerGpu": "64Gi",
            "storagePerGpu": "100Gi", "freePullSeconds": 60, "gpusPerJob": 4,
            "images": {"allow": ["ghcr.io/"], "deny": ["ghcr.io/evil/"]},
            "tier": "metered", "evidence": "https://e.example.com/evidence/", "card": {"region": "eu"}
        })
    }

    #[test]
    fn what_the_operator_would_decline_is_said_with_the_limit() {
        let card = Card::read(&card().to_string());
        let order = |workload: Value| {
            let mut order = json!({"image": "ghcr.io/a/b", "gpus": 2});
            order.as_object_mut().unwrap().extend(workload.as_object().unwrap().clone());
            card.declines(&serde_json::from_value(order).unwrap()).map(|refusal| refusal.to_string())
        };
        for fits in [json!({}), json!({"cpu": "16", "memory": "128Gi", "storage": "200Gi"}), json!({"gpus": 4})] {
            assert_eq!(order(fits.clone()), None, "{fits}");
        }
        for (workload, part) in [
            (json!({"gpus": 5}), "gpus: 5 asked for, the offer allows 4 a job"),
            (json!({"image": "docker.io/a"}), "takes images in ghcr.io/ only"),
            (json!({"image": "ghcr.io/evil/a"}), "refuses images in \"ghcr.io/evil/\""),
            (json!({"cpu": "16.5"}), "cpu: 16.5 asked for, the offer allows 16 for 2 GPUs"),
            (json!({"memory": "1000Gi"}), "memory: 1000Gi asked for, the offer allows 128Gi"),
            (json!({"storage": "201Gi"}), "storage: 201Gi asked for, the offer allows 200Gi"),
        ] {
            let why = order(workload.clone()).unwrap_or_default();
            assert!(why.contains(part), "{workload}: {why}");
        }
    }

    #[test]
    fn a_strange_card_says_what_can_be_understood() {
        for text in ["", "{}", "[]", "null", "free text", r#"{"memoryPerGpu":7,"images":"all","gpusPerJob":-1}"#] {
            assert_eq!(Card::read(text), Card::default(), "{text}");
        }
        let half = Card::read(r#"{"memoryPerGpu":"much","driver":"1\u001b[2J","evidence":"ftp://x"}"#);
        assert_eq!(half.driver.as_deref(), Some("1\u{fffd}[2J"));
        assert_eq!((&half.memory_per_gpu, half.evidence_of(JobId(alloy::primitives::B256::ZERO))), (&None, None));
    }

    #[test]
    fn evidence_lies_below_the_cards_url_and_is_of_its_tier() {
        let job = JobId(alloy::primitives::B256::repeat_byte(1));
        assert_eq!(Card::read(&card().to_string()).tier.as_deref(), Some("metered"));
        let url = Card::read(&card().to_string()).evidence_of(job);
        assert_eq!(url, Some(format!("https://e.example.com/evidence/{job}")));
    }
}
