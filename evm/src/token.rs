//! What an ERC-20 token says of itself.

use alloy::{
    contract,
    primitives::{Address, Bytes},
    providers::{Provider, RootProvider},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};

use crate::error::Error;

#[allow(missing_debug_implementations, clippy::pedantic, reason = "generated")]
mod erc20 {
    alloy::sol! {
        #[sol(rpc)]
        interface Metadata {
            function decimals() external view returns (uint8);
            function symbol() external view returns (string);
        }
    }
}

use erc20::Metadata;

/// How a token's amounts are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMetadata {
    /// Digits after the point.
    pub decimals: u8,
    /// In the token's own words; none where it has none.
    pub symbol: Option<String>,
}

/// Reads a token at the newest block; none where there is no ERC-20 token at the address, whoever is asked.
///
/// # Errors
/// Where no endpoint says.
pub async fn token_metadata(provider: &RootProvider, token: Address) -> Result<Option<TokenMetadata>, Error> {
    let decimals = match Metadata::new(token, provider.clone()).decimals().call().await {
        Ok(decimals) => decimals,
        Err(contract::Error::TransportError(error)) => {
            let error = Error::from(error);
            return if is_from_contract(&error) { Ok(None) } else { Err(error) };
        }
        // It returns something else.
        Err(_) => return Ok(None),
    };
    Ok(Some(TokenMetadata { decimals, symbol: symbol(provider, token).await? }))
}

/// `symbol` is optional in ERC-20, and some early tokens give bytes32. An endpoint that is away says nothing of it.
async fn symbol(provider: &RootProvider, token: Address) -> Result<Option<String>, Error> {
    let call = TransactionRequest::default().to(token).input(Metadata::symbolCall {}.abi_encode().into());
    let output: Bytes = match provider.call(call).latest().await.map_err(Error::from) {
        Ok(output) => output,
        Err(error) if is_from_contract(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let symbol = Metadata::symbolCall::abi_decode_returns(&output).ok().or_else(|| short_symbol(&output));
    Ok(symbol.filter(|symbol| !symbol.is_empty()))
}

/// Text that fills a word with zeros.
fn short_symbol(output: &[u8]) -> Option<String> {
    let text: Vec<u8> = output.iter().copied().take_while(|byte| *byte != 0).collect();
    if output.len() == 32 { String::from_utf8(text).ok() } else { None }
}

/// Whether what was answered is the contract's own doing: it reverts.
fn is_from_contract(error: &Error) -> bool {
    match error {
        Error::Answer { code, message, revert, .. } => {
            revert.is_some() || *code == 3 || message.to_lowercase().contains("revert")
        }
        Error::Unavailable(_) | Error::Malformed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_of_an_early_token_fills_one_word() {
        let mut word = [0; 32];
        word[..3].copy_from_slice(b"MKR");
        assert_eq!(short_symbol(&word).as_deref(), Some("MKR"));
        for (output, why) in [(&[0xff; 32][..], "not text"), (&word[..31], "not a word"), (&[], "nothing")] {
            assert_eq!(short_symbol(output), None, "{why}");
        }
    }
}
