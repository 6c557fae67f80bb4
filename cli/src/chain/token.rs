//! What is read of an ERC-20 token, and its permit (ERC-2612).

use alloy::{
    primitives::{Address, B256, Signature, U256},
    providers::RootProvider,
    signers::SignerSync,
    sol,
    sol_types::{Eip712Domain, SolStruct, eip712_domain},
};

use hawser_evm::{TokenMetadata, token_metadata};
use hawser_market::Token;

use super::{MarketClient, send};

use crate::failure::Failure;

/// A token may call itself whatever it likes, on every line. An address fits.
const LONGEST_SYMBOL: usize = 42;

sol! {
    #[sol(rpc)]
    interface Erc20 {
        function name() external view returns (string);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        // Some tokens return nothing here: what is returned is not looked at.
        function approve(address spender, uint256 value) external;
        function nonces(address owner) external view returns (uint256);
        function version() external view returns (string);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
    }

    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}

pub(super) use Erc20::Erc20Instance;

/// A signed ERC-2612 permit for the market.
pub(super) struct SignedPermit {
    pub(super) value: U256,
    pub(super) deadline: U256,
    pub(super) signature: Signature,
}

impl MarketClient {
    /// Name and decimals of a token, as the token says them.
    pub(crate) async fn token(&self, address: Address) -> Result<Token, Failure> {
        let metadata = token_metadata(&self.provider, address).await.map_err(|error| send::failure(error, None))?;
        let TokenMetadata { symbol, decimals } = metadata.ok_or_else(|| {
            Failure::input(format!(
                "the token {address} has no decimals: it is no ERC-20 token of this chain, check its address"
            ))
        })?;
        // One without a name is known by its address.
        let symbol = symbol.unwrap_or_else(|| address.to_string());
        let symbol: String = symbol.chars().take(LONGEST_SYMBOL).collect();
        Ok(Token { address, symbol: hawser_market::text::printable(&symbol), decimals })
    }

    /// The same where a token that says nothing of itself must not hide the others: its amounts stay whole units.
    pub(crate) async fn token_or_units(&self, address: Address) -> Result<Token, Failure> {
        match self.token(address).await {
            Err(Failure::Unreachable(why)) => Err(Failure::Unreachable(why)),
            Err(_) => Ok(Token { address, symbol: format!("units of {address}"), decimals: 0 }),
            Ok(token) => Ok(token),
        }
    }

    pub(super) fn erc20(&self, token: Address) -> Erc20Instance<RootProvider> {
        Erc20::new(token, self.provider.clone())
    }

    /// Signs a permit for the market where the token has that; `None` where it hasn't.
    pub(super) async fn permit(
        &self,
        token: Address,
        value: U256,
        deadline: u64,
    ) -> Result<Option<SignedPermit>, Failure> {
        let owner = self.me()?;
        let Some((domain, nonce)) = self.permit_domain(token, owner).await else { return Ok(None) };
        let deadline = U256::from(deadline);
        let permit = Permit { owner, spender: self.address(), value, nonce, deadline };
        let signature = self
            .key()?
            .sign_hash_sync(&permit.eip712_signing_hash(&domain))
            .map_err(|error| Failure::input(format!("the permit can't be signed: {error}")))?;
        Ok(Some(SignedPermit { value, deadline, signature }))
    }

    /// The token's EIP-712 domain, rebuilt here and compared with what the token says of itself: a signature over
    /// whatever 32 bytes a token returns could be one for another token.
    async fn permit_domain(&self, address: Address, owner: Address) -> Option<(Eip712Domain, U256)> {
        let token = self.erc20(address);
        let separator: B256 = token.DOMAIN_SEPARATOR().call().await.ok()?;
        let nonce = token.nonces(owner).call().await.ok()?;
        let name = token.name().call().await.ok()?;
        let version = token.version().call().await.unwrap_or_else(|_| "1".to_owned());
        let domain = eip712_domain! {
            name: name,
            version: version,
            chain_id: self.chain_id,
            verifying_contract: address,
        };
        (domain.separator() == separator).then_some((domain, nonce))
    }
}
