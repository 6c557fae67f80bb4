//! Paying for an order or a top-up: credit in the market first, then the token by permit or allowance.

use alloy::{
    primitives::{Address, Bytes, U256},
    providers::Provider,
};

use super::{
    MarketClient,
    send::{self, Mined},
};
use hawser_market::Token;

use crate::{failure::Failure, output::progress};

/// How long a permit is good for, in seconds of the chain's clock.
const PERMIT_SECONDS: u64 = 1200;

/// A call of the market that takes tokens from the caller.
pub(crate) struct Purchase<'a> {
    /// The call, ABI-encoded.
    pub(crate) call: Bytes,
    /// Token units that it takes.
    pub(crate) due: U256,
    pub(crate) token: &'a Token,
}

impl MarketClient {
    /// Makes the market able to take what is due, and sends the call.
    pub(crate) async fn purchase(&self, purchase: Purchase<'_>) -> Result<Mined, Failure> {
        let (token, due) = (purchase.token, purchase.due);
        let credit = self.credit(self.me()?, token.address).await?;
        let mined = self.pay(purchase, credit).await?;
        let from_credit = due.min(credit);
        if !from_credit.is_zero() {
            progress(format!("paid {} from credit in the market", token.show(from_credit)));
        }
        Ok(mined)
    }

    async fn pay(&self, purchase: Purchase<'_>, credit: U256) -> Result<Mined, Failure> {
        let Purchase { call, due, token } = purchase;
        let me = self.me()?;
        let short = due.saturating_sub(credit);
        if short.is_zero() {
            return self.send(self.address(), call, Some(token)).await;
        }
        self.check_balance(me, short, credit, token).await?;
        let erc20 = self.erc20(token.address);
        let allowance = erc20.allowance(me, self.address()).call().await;
        let allowance = allowance.map_err(|error| send::call_failure(error, Some(token)))?;
        if allowance >= short {
            return self.send(self.address(), call, Some(token)).await;
        }
        if let Some(draft) = self.draft() {
            self.check_with_market(call.clone(), token).await?;
            for (_, approval) in self.approvals(short, allowance, token) {
                draft.push(token.address, approval);
            }
            draft.push(self.address(), call);
            return Err(Failure::Drafted);
        }
        let deadline = self.now().await?.saturating_add(PERMIT_SECONDS);
        if let Some(permit) = self.permit(token.address, short, deadline).await? {
            let signature = permit.signature;
            let permit = self.contract().permit(
                token.address,
                permit.value,
                permit.deadline,
                27 + u8::from(signature.v()),
                signature.r().into(),
                signature.s().into(),
            );
            let both = self.contract().multicall(vec![permit.calldata().clone(), call]);
            return self.send(self.address(), both.calldata().clone(), Some(token)).await;
        }
        self.check_with_market(call.clone(), token).await?;
        self.approve(short, allowance, token).await?;
        self.send(self.address(), call, Some(token)).await
    }

    pub(crate) async fn check_balance(
        &self,
        me: Address,
        short: U256,
        credit: U256,
        token: &Token,
    ) -> Result<(), Failure> {
        let balance = self.erc20(token.address).balanceOf(me).call().await;
        let balance = balance.map_err(|error| send::call_failure(error, Some(token)))?;
        if balance >= short {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "{me} has {} and {} credit in the market; {} more are needed: get tokens, or buy fewer seconds or GPUs",
            token.show(balance),
            token.show(credit),
            token.show(short - balance)
        )))
    }

    /// Calls that allow exactly what is due: nothing is left over that a faulty market could take later. Some tokens refuse to
    /// change an allowance that is not zero.
    fn approvals(&self, short: U256, before: U256, token: &Token) -> impl Iterator<Item = (U256, Bytes)> {
        let erc20 = self.erc20(token.address);
        let values = (!before.is_zero()).then_some(U256::ZERO).into_iter().chain([short]);
        values.map(move |value| (value, erc20.approve(self.address(), value).calldata().clone()))
    }

    async fn approve(&self, short: U256, before: U256, token: &Token) -> Result<(), Failure> {
        for (value, approval) in self.approvals(short, before, token) {
            let mined = self.send(token.address, approval, Some(token)).await?.receipt;
            if !value.is_zero() {
                let tx = mined.transaction_hash;
                progress(format!("allowed the market to take {} (transaction {tx})", token.show(value)));
                self.wait_until_seen(mined.block_number.unwrap_or_default()).await?;
            }
        }
        Ok(())
    }

    /// An endpoint often stands for several nodes, and one of them may not know the block yet in which the allowance
    /// was given.
    async fn wait_until_seen(&self, block: u64) -> Result<(), Failure> {
        for _ in 0..60 {
            let head = self.provider.get_block_number().await.map_err(|error| send::failure(error, None))?;
            if head >= block {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        Err(Failure::Unreachable(format!("the node doesn't show block {block} after 30 s: try again")))
    }
}
