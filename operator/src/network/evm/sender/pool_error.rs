//! What a node's transaction pool says to a raw transaction. The JSON-RPC codes are of no help: clients tell these apart by words only.

/// What an error of `eth_sendRawTransaction` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolError {
    /// It is in the pool: as good as sent.
    Known,
    /// A transaction of this nonce was mined: somebody else sends from the wallet.
    NonceTaken,
    /// A transaction of this nonce is in the pool, with fees that are not a tenth lower; or the fees are too low for
    /// the pool at all.
    Underpriced,
    /// The wallet has too little.
    InsufficientFunds,
    /// Anything else. A client may have said in words of its own that the fees are too low.
    Other,
}

/// Reads the words of geth, reth, erigon, nethermind, besu and anvil.
pub(super) fn read(message: &str) -> PoolError {
    const WORDS: [(PoolError, &[&str]); 4] = [
        (
            PoolError::Known,
            &["already known", "already imported", "alreadyknown", "known transaction", "existing tx with same hash"],
        ),
        (PoolError::NonceTaken, &["nonce too low", "nonce is too low", "oldnonce", "nonce_too_low"]),
        (
            PoolError::Underpriced,
            &[
                "underpriced",
                "gas price not enough to bump",
                "feetoolow",
                "fee too low",
                "less than block base fee",
                "replacement fee too low",
                "could not replace existing tx",
                "replacementnotallowed",
                "replacement not allowed",
                "below configured minimum",
                "gas price below",
                "gas price too low",
                "gasprice too low",
                "max fee per gas too low",
                "priority fee too low",
                "priority fee per gas too low",
                "priority fee per gas below",
                "tip too low",
                "fee cap too low",
                "below the minimum",
                "less than the minimum",
                "minimum gas price",
                "minimum needed",
            ],
        ),
        (PoolError::InsufficientFunds, &["insufficient funds", "insufficientfunds", "upfront cost exceeds"]),
    ];
    let message = message.to_lowercase();
    WORDS
        .into_iter()
        .find(|(_, words)| words.iter().any(|word| message.contains(word)))
        .map_or(PoolError::Other, |(answer, _)| answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_known_clients_are_understood() {
        let cases = [
            ("already known", PoolError::Known),
            ("transaction already imported", PoolError::Known),
            ("AlreadyKnown", PoolError::Known),
            ("nonce too low: next nonce 5, tx nonce 4", PoolError::NonceTaken),
            ("nonce too low", PoolError::NonceTaken),
            ("OldNonce", PoolError::NonceTaken),
            ("replacement transaction underpriced", PoolError::Underpriced),
            ("transaction underpriced: gas tip cap 1, minimum needed 2", PoolError::Underpriced),
            ("max fee per gas less than block base fee: address 0x, maxFeePerGas: 1", PoolError::Underpriced),
            ("INTERNAL_ERROR: could not replace existing tx", PoolError::Underpriced),
            ("existing tx with same hash", PoolError::Known),
            ("ReplacementNotAllowed", PoolError::Underpriced),
            ("Gas price below configured minimum gas price", PoolError::Underpriced),
            ("FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7", PoolError::Underpriced),
            ("FeeTooLowToCompete", PoolError::Underpriced),
            ("fee too low: underpriced", PoolError::Underpriced),
            ("transaction gas price below minimum: gas tip cap 0, minimum needed 25000000000", PoolError::Underpriced),
            ("max priority fee per gas too low", PoolError::Underpriced),
            ("insufficient funds for gas * price + value: balance 0", PoolError::InsufficientFunds),
            ("Insufficient funds for gas * price + value", PoolError::InsufficientFunds),
            ("Upfront cost exceeds account balance", PoolError::InsufficientFunds),
            ("txpool is full", PoolError::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(read(message), expected, "{message}");
        }
    }
}
