//! Between the operator's opaque names and the chain's own: texts become ids, hashes and addresses here, and become texts
//! again. A text that the chain can't have given is refused by name.

use std::str::FromStr;

use alloy::primitives::{Address, B256, keccak256};
use hawser_attestation::SignedVoucher;
use hawser_market::{Job, JobId, Offer, OfferId, OfferTerms, OrderRef, ParseIdError, Token};

use super::{Action, ActionKey, Claim, EvmError, EvmOrder, EvmSpec, OfferPost};
use crate::network::{self, NetworkAction, NetworkError, SpecError};

pub(super) fn job_id(id: &network::JobId) -> Result<JobId, NetworkError> {
    own(id.as_str())
}

pub(super) fn offer_id(id: &network::OfferId) -> Result<OfferId, NetworkError> {
    own(id.as_str())
}

/// An id in the one spelling that this network gives: elsewhere ids are compared as texts.
fn own<T: FromStr<Err = ParseIdError> + ToString>(text: &str) -> Result<T, NetworkError> {
    let id: T = text.parse().map_err(|error: ParseIdError| NetworkError::Foreign(error.to_string()))?;
    let spelled = id.to_string();
    if spelled == text { Ok(id) } else { Err(NetworkError::Foreign(format!("{text:?} is not spelled {spelled:?}"))) }
}

pub(super) fn token(id: &network::TokenId) -> Result<Address, NetworkError> {
    let what = "the address of an ERC-20 token: 0x and 40 hexadecimal digits";
    id.as_str().parse().map_err(|_| NetworkError::NotAToken(format!("{:?} is not {what}", id.as_str())))
}

/// Objects of an earlier release have no hash of the order: the market then names that as the reason why it leaves them out.
pub(super) fn order_ref(order: &network::OrderRef) -> OrderRef {
    OrderRef {
        customer: order.customer.as_ref().and_then(|text| text.as_str().parse().ok()).unwrap_or_default(),
        hash: order.hash.as_ref().and_then(|text| text.parse().ok()).unwrap_or_default(),
    }
}

pub(super) fn action(action: NetworkAction, spec: &EvmSpec) -> Result<Action, NetworkError> {
    Ok(match action {
        NetworkAction::SetOffer(post) => Action::SetOffer(OfferPost {
            offer: offer_id(&post.offer)?,
            terms: terms(&post.terms, spec).map_err(|error| NetworkError::Foreign(error.to_string()))?,
            price: post.price,
            available: post.available,
            valid_until: post.valid_until,
            card: post.card,
        }),
        NetworkAction::UpdateOffer { offer, price, available, valid_until } => {
            Action::UpdateOffer { offer: offer_id(&offer)?, price, available, valid_until }
        }
        NetworkAction::Decline { job, order, reason } => {
            Action::Decline { job: job_id(&job)?, order: order_ref(&order), reason }
        }
        NetworkAction::Start { job, attestor } => Action::Start { job: job_id(&job)?, attestor },
        NetworkAction::Claim { job, voucher } => Action::Claim(claim(job_id(&job)?, &voucher)),
        NetworkAction::Settle { job, voucher, order } => {
            Action::Settle { claim: claim(job_id(&job)?, &voucher), order: order_ref(&order) }
        }
        NetworkAction::End { job, order, expect_used, reason } => {
            Action::End { job: job_id(&job)?, order: order_ref(&order), expect_used, reason }
        }
        NetworkAction::Refund { job, order } => Action::Refund { job: job_id(&job)?, order: order_ref(&order) },
        NetworkAction::Withdraw { token: id } => Action::Withdraw { provider: spec.provider, token: token(&id)? },
    })
}

fn claim(job: JobId, voucher: &SignedVoucher) -> Claim {
    Claim {
        job,
        gpu_seconds: voucher.gpu_seconds,
        evidence_root: voucher.evidence_root.0,
        signature: voucher.signature.into(),
    }
}

pub(super) fn key(key: &network::ActionKey) -> Result<ActionKey, NetworkError> {
    Ok(match key {
        network::ActionKey::Offer(id) => ActionKey::Offer(offer_id(id)?),
        network::ActionKey::Decline(id) => ActionKey::Decline(job_id(id)?),
        network::ActionKey::Start(id) => ActionKey::Start(job_id(id)?),
        network::ActionKey::Claim(id) => ActionKey::Claim(job_id(id)?),
        network::ActionKey::Settle(id) => ActionKey::Settle(job_id(id)?),
        network::ActionKey::End(id) => ActionKey::End(job_id(id)?),
        network::ActionKey::Refund(id) => ActionKey::Refund(job_id(id)?),
        network::ActionKey::Withdraw(id) => ActionKey::Withdraw(token(id)?),
    })
}

/// As the rest of the operator knows it.
pub(super) fn of_key(key: &ActionKey) -> network::ActionKey {
    match key {
        ActionKey::Offer(id) => network::ActionKey::Offer(of_offer(*id)),
        ActionKey::Decline(id) => network::ActionKey::Decline(of_job(*id)),
        ActionKey::Start(id) => network::ActionKey::Start(of_job(*id)),
        ActionKey::Claim(id) => network::ActionKey::Claim(of_job(*id)),
        ActionKey::Settle(id) => network::ActionKey::Settle(of_job(*id)),
        ActionKey::End(id) => network::ActionKey::End(of_job(*id)),
        ActionKey::Refund(id) => network::ActionKey::Refund(of_job(*id)),
        ActionKey::Withdraw(token) => network::ActionKey::Withdraw(of_token(*token)),
    }
}

pub(super) fn of_job(id: JobId) -> network::JobId {
    id.to_string().into()
}

pub(super) fn of_offer(id: OfferId) -> network::OfferId {
    id.to_string().into()
}

pub(super) fn of_token(address: Address) -> network::TokenId {
    address.to_checksum(None).into()
}

impl From<Job> for network::Job {
    fn from(job: Job) -> Self {
        Self {
            id: of_job(job.id),
            status: job.status,
            attestor: job.attestor,
            gpus: job.id.gpus(),
            price: job.id.price(),
            duration_seconds: job.duration_seconds,
            start_deadline: job.start_deadline,
            started: job.started,
            end: job.end,
            ending: job.ending,
            refundable_from: job.refundable_from,
            used: job.used,
            deposit: job.deposit,
            paid: job.paid,
        }
    }
}

pub(super) fn offer(offer: &Offer) -> network::Offer {
    network::Offer {
        id: of_offer(offer.id),
        price: offer.price,
        available: offer.available,
        valid_until: offer.valid_until,
        settled: offer.settled,
        settled_amount: offer.settled_amount,
    }
}

pub(super) fn of_erc20(token: Token) -> network::Token {
    network::Token { id: of_token(token.address), symbol: token.symbol, decimals: token.decimals }
}

pub(super) fn order(order: EvmOrder) -> network::Order {
    network::Order {
        resource_name: order.job.resource_name(),
        offer: of_offer(order.offer),
        by: network::OrderRef {
            customer: Some(order.by.customer.to_checksum(None).into()),
            hash: Some(order.by.hash.to_string()),
        },
        gpus: order.job.gpus(),
        price: order.job.price(),
        duration_seconds: order.duration_seconds,
        deposit: order.deposit(),
        spec: order.spec.map(|text| text.to_vec()),
        height: order.block.number,
        tx: order.tx.to_string().into(),
        job: of_job(order.job),
    }
}

pub(super) fn error(error: EvmError) -> NetworkError {
    match error {
        EvmError::NotAToken(_) => NetworkError::NotAToken(error.to_string()),
        EvmError::Unavailable(_) | EvmError::Answer { .. } | EvmError::Malformed { .. } | EvmError::OtherMarket(_) => {
            NetworkError::Unavailable(error.to_string())
        }
    }
}

/// The market's terms of an offer.
pub(super) fn terms(terms: &network::OfferTerms, spec: &EvmSpec) -> Result<OfferTerms, SpecError> {
    let token = terms.token.as_str().parse().map_err(|_| SpecError {
        field: "spec.price.token",
        value: terms.token.to_string(),
        expected: "an address: 0x and 40 hexadecimal digits",
    })?;
    Ok(OfferTerms {
        provider: spec.provider,
        token,
        gpu_class: gpu_class(&terms.product),
        start_window_seconds: terms.start_window_seconds,
        claim_window_seconds: terms.claim_window_seconds,
        min_seconds: terms.min_seconds,
        max_seconds: terms.max_seconds,
        verifier: Address::ZERO,
        salt: keccak256(&terms.name),
    })
}

fn gpu_class(product: &str) -> B256 {
    match product.len() {
        0..=32 => B256::right_padding_from(product.as_bytes()),
        _ => keccak256(product),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_product_name_is_hashed_and_a_short_one_can_be_read() {
        assert_eq!(&gpu_class("NVIDIA-H100-80GB-HBM3")[..21], b"NVIDIA-H100-80GB-HBM3");
        let long = "NVIDIA-GeForce-RTX-4090-Laptop-GPU";
        assert_eq!(gpu_class(long), keccak256(long));
    }

    #[test]
    fn what_the_chain_can_not_have_given_is_refused_by_name() {
        let foreign = job_id(&"lease/7#alpha".into()).unwrap_err().to_string();
        assert!(foreign.starts_with("\"lease/7#alpha\" is not a job's id"), "{foreign}");
        assert!(offer_id(&"0x12".into()).is_err());
        let shouted = job_id(&format!("0x{}", "AB".repeat(32)).into()).unwrap_err().to_string();
        assert!(shouted.ends_with(&format!("is not spelled \"0x{}\"", "ab".repeat(32))), "{shouted}");
        assert!(matches!(token(&"USD".into()), Err(NetworkError::NotAToken(why)) if why.contains("\"USD\"")));
    }

    #[test]
    fn keys_come_back_as_they_were() {
        let job: network::JobId = format!("0x{}", "07".repeat(32)).into();
        for key in [
            network::ActionKey::Offer("0x0707070707070707".into()),
            network::ActionKey::Start(job.clone()),
            network::ActionKey::Settle(job),
            network::ActionKey::Withdraw(of_token(Address::repeat_byte(7))),
        ] {
            assert_eq!(of_key(&super::key(&key).unwrap()), key);
        }
    }

    #[test]
    fn whose_an_order_is_is_read_from_texts_and_nobodys_where_they_are_missing_or_nonsense() {
        let (customer, hash) = (format!("0x{}", "05".repeat(20)), format!("0x{}", "06".repeat(32)));
        let whole = OrderRef { customer: Address::repeat_byte(5), hash: B256::repeat_byte(6) };
        let read = |customer, hash| order_ref(&network::OrderRef::new(customer, hash));
        assert_eq!(read(Some(&*customer), Some(&*hash)), whole);
        assert_eq!(read(Some(&*customer), None), OrderRef { hash: B256::ZERO, ..whole });
        assert_eq!(read(None, Some("0x12")), OrderRef::default());
    }
}
