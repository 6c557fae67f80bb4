//! What an earlier process of the operator saw of a network and paid on it.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};
use hawser_crds::{self as crd, DepinNetworkStatus};
use hawser_market::{COIN_DECIMALS, OfferId, parse_units};

use super::{Block, Cursor};

/// Token units that left the market for the provider's payout address, by token.
pub type Withdrawn = BTreeMap<Address, U256>;

/// Where a network goes on from. Nothing: from its start block, with everything counted anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Up to here every order was taken over and every withdrawal counted.
    pub cursor: Option<Cursor>,
    /// But for what may be in these blocks: they are to be read once more.
    pub doubtful: BTreeSet<u64>,
    /// What was withdrawn up to there.
    pub withdrawn: Withdrawn,
    /// Gas that this wallet paid, in wei.
    pub gas_spent: U256,
    /// Offers and tokens whose logs are read from the first block on.
    pub known: Known,
}

/// What is known to be the provider's. Others are found as the logs of their posting are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Offers, also of earlier terms.
    pub offers: BTreeSet<OfferId>,
    /// Tokens that it is paid in.
    pub tokens: BTreeSet<Address>,
}

impl Checkpoint {
    /// Reads what was stored. A cursor that can't be read is none: orders that are seen again are harmless, and the
    /// withdrawals are counted again from the first.
    pub(crate) fn read(status: &DepinNetworkStatus, wallet: Address) -> Self {
        let cursor = status.cursor.as_ref().and_then(|stored| {
            let at = Cursor::try_from(stored).ok()?;
            let parse = |sum: &crd::Withdrawn| Some((sum.token.parse().ok()?, sum.units.parse().ok()?));
            Some((at, stored.withdrawn.iter().map(parse).collect::<Option<Withdrawn>>()?))
        });
        let doubtful = status.cursor.as_ref().filter(|_| cursor.is_some()).map(|stored| &stored.doubtful);
        let doubtful = doubtful.into_iter().flatten().copied().collect();
        let (cursor, withdrawn) = cursor.map_or_else(Default::default, |(at, sums)| (Some(at), sums));
        let paid = status.wallet.as_ref().filter(|stored| stored.address.parse() == Ok(wallet));
        let gas_spent = paid.and_then(|stored| parse_units(&stored.gas_spent, COIN_DECIMALS).ok());
        let earned = status.earnings.iter().filter_map(|earnings| earnings.token.parse().ok());
        let tokens = withdrawn.keys().copied().chain(earned).collect();
        let known = Known { offers: BTreeSet::new(), tokens };
        Self { cursor, doubtful, withdrawn, gas_spent: gas_spent.unwrap_or_default(), known }
    }
}

/// What [`Checkpoint::read`] reads back.
pub(crate) fn stored(at: Block, doubtful: &BTreeSet<u64>, withdrawn: &Withdrawn) -> crd::Cursor {
    let sum =
        |(token, units): (&Address, &U256)| crd::Withdrawn { token: token.to_checksum(None), units: units.to_string() };
    crd::Cursor {
        block: at.number,
        hash: at.hash.to_string(),
        doubtful: doubtful.iter().copied().collect(),
        withdrawn: withdrawn.iter().map(sum).collect(),
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use hawser_crds::WalletStatus;

    use super::*;

    const WALLET: Address = Address::repeat_byte(7);

    fn status() -> DepinNetworkStatus {
        let withdrawn =
            Withdrawn::from([(Address::repeat_byte(1), U256::MAX), (Address::repeat_byte(2), U256::from(5))]);
        let at = Block { number: 4, hash: B256::repeat_byte(4) };
        let wallet = WalletStatus {
            address: WALLET.to_checksum(None),
            balance: "1".to_owned(),
            gas_spent: "0.000000000000000003".to_owned(),
        };
        DepinNetworkStatus {
            cursor: Some(stored(at, &BTreeSet::from([1, 3]), &withdrawn)),
            wallet: Some(wallet),
            ..Default::default()
        }
    }

    #[test]
    fn what_was_stored_is_read_back() {
        let past = Checkpoint::read(&status(), WALLET);
        assert_eq!(past.cursor, Some(Cursor { number: 4, hash: Some(B256::repeat_byte(4)) }));
        assert_eq!(past.doubtful, BTreeSet::from([1, 3]));
        let sums: Vec<U256> = past.withdrawn.into_values().collect();
        assert_eq!((sums.as_slice(), past.gas_spent), (&[U256::MAX, U256::from(5)][..], U256::from(3)));
    }

    #[test]
    fn withdrawals_are_counted_anew_where_the_cursor_or_a_sum_can_not_be_read() {
        let mut unread = status();
        unread.cursor.as_mut().unwrap().hash = String::new();
        let mut strange = status();
        strange.cursor.as_mut().unwrap().withdrawn[1].units = "many".to_owned();
        for status in [unread, strange] {
            let past = Checkpoint::read(&status, WALLET);
            assert_eq!((past.cursor, past.doubtful.len(), past.withdrawn.len()), (None, 0, 0));
        }
    }

    #[test]
    fn another_wallet_has_paid_nothing_yet() {
        assert_eq!(Checkpoint::read(&status(), Address::ZERO).gas_spent, U256::ZERO);
    }
}
