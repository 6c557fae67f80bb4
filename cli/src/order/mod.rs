//! An order: what the file says, what the options say, and the public spec that goes on chain.

mod decimal;
mod file;
mod workload;

use alloy::primitives::{Address, B256, Bytes, keccak256};
use hawser_contracts::ComputeMarket;
use hawser_market::{OfferId, workload::Workload};

pub(crate) use decimal::DecimalText;

use crate::{args::OrderArgs, failure::Failure};

/// What is ordered, before the chain was asked anything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OrderDraft {
    pub(crate) offer: OfferId,
    pub(crate) gpus: u16,
    pub(crate) seconds: u32,
    /// Whole tokens per GPU-hour; without it, the offer's price as it stands.
    pub(crate) max_price: Option<DecimalText>,
    pub(crate) salt: B256,
    /// The salt was given: the order may have been sent before.
    pub(crate) may_be_sent: bool,
    pub(crate) workload: Workload,
}

impl OrderDraft {
    /// Reads the file and lets the options win over it.
    pub(crate) fn read(args: &OrderArgs) -> Result<Self, Failure> {
        let file = file::OrderFile::read(&args.file)?;
        let name = args.file.display();
        let missing = |field: &str, option: &str| {
            Failure::input(format!("the order {name} has no `{field}`: add it, or give {option}"))
        };
        let gpus = args.gpus.or(file.gpus).ok_or_else(|| missing("gpus", "--gpus N"))?;
        let seconds =
            args.seconds.or(file.seconds.map(|seconds| seconds.0)).ok_or_else(|| missing("seconds", "--seconds N"))?;
        if gpus == 0 {
            return Err(Failure::input(format!("the order {name}: `gpus` is 0, order at least 1")));
        }
        let workload = file
            .workload
            .for_gpus(gpus)
            .map_err(|problem| Failure::input(format!("the order {name}: workload.{problem}")))?;
        let max_price = args.max_price.clone().map(DecimalText).or(file.max_price);
        let offer = args.offer.or(file.offer).ok_or_else(|| missing("offer", "--offer ID (see `hawser offers`)"))?;
        let salt = match args.salt {
            Some(salt) => salt,
            None => B256::try_random()
                .map_err(|error| Failure::local(format!("the system gives no random numbers: {error}")))?,
        };
        Ok(Self { offer, gpus, seconds, max_price, salt, may_be_sent: args.salt.is_some(), workload })
    }

    /// The order as the market takes it, with its spec. It has no deadline: sent again with the same salt it is the same order,
    /// which the market refuses where it stands already.
    pub(crate) fn on_chain(&self, customer: Address, max_price: u128, spec: &[u8]) -> ComputeMarket::Order {
        ComputeMarket::Order {
            offerId: self.offer.0,
            customer,
            gpus: self.gpus,
            duration: self.seconds,
            maxPrice: max_price,
            deadline: u64::MAX,
            salt: self.salt.into(),
            specHash: keccak256(spec),
            specOffChain: false,
        }
    }

    /// The spec as it goes on chain: everybody can read it.
    pub(crate) fn spec(&self) -> Result<Bytes, Failure> {
        self.workload.to_spec().map(Bytes::from).map_err(|error| Failure::input(error.to_string()))
    }
}
