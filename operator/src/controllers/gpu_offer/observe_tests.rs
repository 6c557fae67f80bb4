use super::*;
use crate::controllers::gpu_offer::decide::tests::{id, offer, read, seen, terms};
use crate::controllers::gpu_offer::dereference::{Missed, TermsSeen};

#[test]
fn earlier_terms_that_take_no_orders_for_long_are_not_looked_at_any_more_until_they_are_the_present_ones() {
    let (memory, [present, earlier]) = (OfferMemory::default(), [4, 9].map(|version| id(&terms(version))));
    let look = |present, missed: Vec<Missed>| {
        let mut seen = seen(read(|read| read.open = vec![earlier.clone()]));
        seen.terms_seen = TermsSeen { present, missed };
        note(&offer(), &mut seen, &memory);
        let OfferOnMarket::Read(read) = seen.market else { panic!("it was read") };
        let open = memory.peek("", "o", |offer| offer.open([earlier.clone()], &id(&terms(4))));
        (!read.open.is_empty(), !open.is_empty())
    };
    let missed = |on_its_way, head| vec![Missed { id: earlier.clone(), on_its_way, head, lapses_after: 20 }];
    for (head, on_its_way, open) in [(100, false, true), (300, true, true), (319, false, true), (320, false, false)] {
        assert_eq!(look(Some(present.clone()), missed(on_its_way, head)), (open, open), "at {head}");
    }
    // What the market can't be asked about now is not taken down.
    assert_eq!(look(None, missed(true, 900)), (true, false));
    assert_eq!(look(Some(earlier.clone()), Vec::new()), (true, true), "its owner went back to them");
}

#[test]
fn orders_of_an_offer_that_is_being_deleted_are_read_up_to_the_block_at_which_it_was_seen_to_take_none() {
    let memory = OfferMemory::default();
    let stake = Stake { seen: [4, 9].map(|version| id(&terms(version))).to_vec(), ..Stake::default() };
    let closed = |head, cursor| StakeRead::Closed { head, cursor };
    for (read, orders_read) in [
        (closed(10, 9), Some(false)),
        // The first's are read, the second is seen now.
        (closed(12, 10), Some(false)),
        (closed(13, 12), Some(true)),
        (StakeRead::Unknown("away".to_owned()), None),
        (closed(14, 12), Some(true)),
        // It takes orders again.
        (StakeRead::Open(Vec::new()), None),
        (closed(20, 19), Some(false)),
        (StakeRead::Never, None),
    ] {
        let standing = standing(&stake, read.clone(), &memory);
        let said = if let MarketStanding::Closed { orders_read } = standing { Some(orders_read) } else { None };
        assert_eq!(said, orders_read, "{read:?}");
    }
}
