//! The newest blocks' headers, as they were seen when each was the head: who needs one of them asks for nothing. Pure.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bloom, BloomInput};

use crate::network::evm::{Block, Head};

/// Headers that are kept.
const KEPT: usize = 64;
/// A bloom of which more bits are set than this says yes to nearly everything.
const FULL: u32 = 1024;

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) head: Head,
    pub(super) parent: B256,
    pub(super) bloom: Bloom,
}

/// Whether a block holds a log that concerns us, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    No,
    Perhaps,
    /// The header is not there, or its bloom is full.
    Unknown,
}

impl Header {
    /// Whether a log of the market with one of these topics may lie in the block.
    pub(super) fn hint(&self, market: Address, topics: &[B256]) -> Hint {
        if self.bloom.iter().map(|byte| byte.count_ones()).sum::<u32>() > FULL {
            return Hint::Unknown;
        }
        let holds = |raw: &[u8]| self.bloom.contains_input(BloomInput::Raw(raw));
        let ours = holds(market.as_slice()) && topics.iter().any(|topic| holds(topic.as_slice()));
        if ours { Hint::Perhaps } else { Hint::No }
    }

    /// Whether the bloom tells of the market's logs.
    pub(super) fn tells_of(&self, market: Address) -> bool {
        self.bloom.contains_input(BloomInput::Raw(market.as_slice()))
    }
}

/// By number.
#[derive(Debug, Default)]
pub(super) struct Headers(BTreeMap<u64, Header>);

impl Headers {
    /// A header that was just seen to be the newest: what was known of later blocks is not the chain's any more.
    pub(super) fn put(&mut self, header: &Header) {
        let number = header.head.block.number;
        self.0.split_off(&number);
        self.0.insert(number, *header);
        while self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// A header of a block before the newest, which was asked for by its number.
    pub(super) fn put_past(&mut self, header: &Header) {
        let number = header.head.block.number;
        if self.0.last_key_value().is_some_and(|(newest, _)| number < *newest) {
            self.0.insert(number, *header);
        }
    }

    /// Whether any of them tells of a log.
    pub(super) fn tell_anything(&self) -> bool {
        self.0.values().any(|header| header.bloom != Bloom::ZERO)
    }

    /// The header of a block on which the newest one rests, link by link.
    pub(super) fn standing(&self, number: u64) -> Option<&Header> {
        self.down_to(number, false)
    }

    /// The same where some blocks between may not have been seen: good for a hint.
    pub(super) fn likely(&self, number: u64) -> Option<&Header> {
        self.down_to(number, true)
    }

    /// The blocks around a number that none has: the one is the other one's parent.
    pub(super) fn around(&self, number: u64) -> Option<(Block, Block)> {
        let above = self.after(number)?;
        let below = self.with_hash(above.parent)?.head.block;
        (below.number < number).then_some((below, above.head.block))
    }

    /// The first block after a number that was seen, and on which the newest one rests.
    pub(super) fn after(&self, number: u64) -> Option<&Header> {
        let (after, _) = self.0.range(number.checked_add(1)?..).next()?;
        self.standing(*after)
    }

    /// A block that was seen.
    pub(super) fn with_hash(&self, hash: B256) -> Option<&Header> {
        self.0.values().rev().find(|header| header.head.block.hash == hash)
    }

    fn down_to(&self, number: u64, gaps: bool) -> Option<&Header> {
        let mut at = self.0.last_key_value()?.1;
        while at.head.block.number > number {
            let (_, before) = self.0.range(number..at.head.block.number).next_back()?;
            let next = before.head.block.number + 1 == at.head.block.number;
            // Numbers between the two may have no block.
            let rests = before.head.block.hash == at.parent || gaps && !next;
            at = rests.then_some(before)?;
        }
        (at.head.block.number == number).then_some(at)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use jiff::Timestamp;

    use super::*;

    pub(crate) fn header(number: u64, hash: u8, parent: u8) -> Header {
        let block = Block { number, hash: B256::repeat_byte(hash) };
        let head = Head { block, time: Timestamp::UNIX_EPOCH, seen: Instant::now(), base_fee: None, gas_limit: 1 };
        Header { head, parent: B256::repeat_byte(parent), bloom: Bloom::ZERO }
    }

    #[test]
    fn a_header_stands_where_the_newest_rests_on_it_without_a_gap() {
        let mut headers = Headers::default();
        for (number, hash, parent) in [(5, 5, 4), (6, 6, 5), (7, 7, 6)] {
            headers.put(&header(number, hash, parent));
        }
        let stands = |headers: &Headers, number| headers.standing(number).is_some();
        assert!(stands(&headers, 5) && stands(&headers, 7) && !stands(&headers, 4) && !stands(&headers, 8));
        headers.put(&header(9, 9, 8));
        assert!(stands(&headers, 9) && !stands(&headers, 7), "8 was not seen");
        let likely = |headers: &Headers, number| headers.likely(number).is_some();
        assert!(likely(&headers, 7) && likely(&headers, 5) && !likely(&headers, 8));
        headers.put_past(&header(8, 8, 7));
        headers.put_past(&header(10, 10, 9));
        assert!(stands(&headers, 7) && stands(&headers, 5) && !stands(&headers, 10), "8 was read afterwards");
        headers.put(&header(7, 77, 66));
        assert!(stands(&headers, 7) && !stands(&headers, 6) && !stands(&headers, 9), "a reorganisation");
        assert!(!likely(&headers, 6) && !likely(&headers, 5), "what it took back is not likely");
    }

    #[test]
    fn a_number_that_no_block_has_lies_between_a_block_and_its_parent() {
        let mut headers = Headers::default();
        // 7 and 8 have no block; 11 was not seen.
        for (number, hash, parent) in [(5, 5, 4), (6, 6, 5), (9, 9, 6), (10, 10, 9), (12, 12, 11), (13, 13, 12)] {
            headers.put(&header(number, hash, parent));
        }
        let around = |number| headers.around(number).map(|(below, above)| (below.number, above.number));
        assert_eq!([5, 6, 7, 8, 9, 11, 13].map(around), [None; 7], "nothing is known to rest on 10");
        headers.put_past(&header(11, 11, 10));
        let around = |number| headers.around(number).map(|(below, above)| (below.number, above.number));
        assert_eq!([7, 8].map(around), [Some((6, 9)); 2]);
        assert_eq!([4, 5, 6, 9, 10, 11, 13, 14].map(around), [None; 8]);
        assert!(headers.standing(6).is_some() && headers.standing(7).is_none(), "13 rests on 6");
        assert_eq!(headers.after(6).map(|header| header.head.block.number), Some(9));
    }

    #[test]
    fn only_the_newest_headers_are_kept() {
        let mut headers = Headers::default();
        (0..200_u8).for_each(|number| headers.put(&header(number.into(), number, number.wrapping_sub(1))));
        assert_eq!(headers.0.len(), KEPT);
        assert!(headers.standing(199).is_some() && headers.standing(200 - KEPT as u64).is_some());
    }

    #[test]
    fn a_bloom_tells_what_a_block_does_not_hold_and_a_full_one_tells_nothing() {
        let (market, topic) = (Address::repeat_byte(1), B256::repeat_byte(2));
        let mut header = header(1, 1, 0);
        assert_eq!(header.hint(market, &[topic]), Hint::No);
        header.bloom.accrue_raw_log(market, &[B256::repeat_byte(3)]);
        assert!(header.tells_of(market));
        assert_eq!(header.hint(market, &[topic]), Hint::No, "a log of somebody else");
        header.bloom.accrue_raw_log(market, &[B256::ZERO, topic]);
        assert_eq!(header.hint(market, &[topic]), Hint::Perhaps);
        assert_eq!(header.hint(Address::repeat_byte(9), &[topic]), Hint::No);
        header.bloom = Bloom::repeat_byte(0xff);
        assert_eq!(header.hint(market, &[topic]), Hint::Unknown);
    }
}
