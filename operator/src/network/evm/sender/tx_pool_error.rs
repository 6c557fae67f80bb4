//! What a node's transaction pool says to a raw transaction. The JSON-RPC codes are of no help: clients tell these apart by words only.

/// What an error of `eth_sendRawTransaction` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TxPoolError {
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
pub(super) fn read(message: &str) -> TxPoolError {
    const WORDS: [(TxPoolError, &[&str]); 4] = [
        (
            TxPoolError::Known,
            &["already known", "already imported", "alreadyknown", "known transaction", "existing tx with same hash"],
        ),
        (TxPoolError::NonceTaken, &["nonce too low", "nonce is too low", "oldnonce", "nonce_too_low"]),
        (
            TxPoolError::Underpriced,
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
        (TxPoolError::InsufficientFunds, &["insufficient funds", "insufficientfunds", "upfront cost exceeds"]),
    ];
    let message = message.to_lowercase();
    WORDS
        .into_iter()
        .find(|(_, words)| words.iter().any(|word| message.contains(word)))
        .map_or(TxPoolError::Other, |(answer, _)| answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_known_clients_are_understood() {
        let cases = [
            ("already known", TxPoolError::Known),
            ("transaction already imported", TxPoolError::Known),
            ("AlreadyKnown", TxPoolError::Known),
            ("nonce too low: next nonce 5, tx nonce 4", TxPoolError::NonceTaken),
            ("nonce too low", TxPoolError::NonceTaken),
            ("OldNonce", TxPoolError::NonceTaken),
            ("replacement transaction underpriced", TxPoolError::Underpriced),
            ("transaction underpriced: gas tip cap 1, minimum needed 2", TxPoolError::Underpriced),
            ("max fee per gas less than block base fee: address 0x, maxFeePerGas: 1", TxPoolError::Underpriced),
            ("INTERNAL_ERROR: could not replace existing tx", TxPoolError::Underpriced),
            ("existing tx with same hash", TxPoolError::Known),
            ("ReplacementNotAllowed", TxPoolError::Underpriced),
            ("Gas price below configured minimum gas price", TxPoolError::Underpriced),
            ("FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7", TxPoolError::Underpriced),
            ("FeeTooLowToCompete", TxPoolError::Underpriced),
            ("fee too low: underpriced", TxPoolError::Underpriced),
            (
                "transaction gas price below minimum: gas tip cap 0, minimum needed 25000000000",
                TxPoolError::Underpriced,
            ),
            ("max priority fee per gas too low", TxPoolError::Underpriced),
            ("insufficient funds for gas * price + value: balance 0", TxPoolError::InsufficientFunds),
            ("Insufficient funds for gas * price + value", TxPoolError::InsufficientFunds),
            ("Upfront cost exceeds account balance", TxPoolError::InsufficientFunds),
            ("txpool is full", TxPoolError::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(read(message), expected, "{message}");
        }
    }
}
