//! Refusals for the sake of tokens, credit, the fee, and the rules for providers and the market's owner.

use alloy::{primitives::Address, sol};
use hawser_contracts::ComputeMarket::ComputeMarketErrors as Refusal;

use super::{Amounts, offer, seconds};

sol! {
    /// ERC-6093: what a token says that refuses a transfer.
    interface TokenRefusal {
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidSender(address sender);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InvalidApprover(address approver);
        error ERC20InvalidSpender(address spender);
    }
}

/// What credit, tokens and the fee may say.
pub(super) fn money(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::TransferMismatch(e) => format!(
            "the token {} moved {} where {} were asked for (a fee on transfer, or rebasing): the market can't take it, choose an offer in another token",
            e.token,
            amounts.in_tokens(e.received),
            amounts.in_tokens(e.expected)
        ),
        Refusal::SafeERC20FailedOperation(e) => format!(
            "the token {} refused the transfer: check your balance, and whether the token has blocked an address",
            e.token
        ),
        Refusal::NothingToWithdraw(e) => format!(
            "{} has no credit in the token {}, or the market has nothing left of it: there is nothing to withdraw until \
             something is refunded or earned",
            e.account, e.token
        ),
        Refusal::PayoutOnly(e) => format!(
            "{} is a provider, whose earnings go to its payout address {} only, not to {}: leave --to out",
            e.provider, e.payout, e.asked
        ),
        Refusal::FeeTooHigh(e) => {
            format!(
                "a fee of {} hundredths of a percent is above the market's cap of {}: choose a lower one",
                e.bps, e.limit
            )
        }
        Refusal::ZeroFeeSink(_) => {
            "a fee needs someone to receive it: name a sink that is not the zero address".to_owned()
        }
        Refusal::AccountIsTheMarket(_) => {
            "the market itself can't be owed anything: nobody could have it sent; name another account".to_owned()
        }
        Refusal::AmountTooHigh(e) => format!(
            "{} are more than the market takes at once: deposit at most {}",
            amounts.in_tokens(e.amount),
            amounts.in_tokens(e.limit)
        ),
        Refusal::AddressEmptyCode(e) => format!("there is no contract at {}: check the token's address", e.target),
        Refusal::FailedCall(_) => {
            "a call inside the market's failed without a reason: check that the token is a plain ERC-20".to_owned()
        }
        Refusal::ReentrancyGuardReentrantCall(_) => {
            "the token called the market back in the middle of a transfer, which is refused: use another token"
                .to_owned()
        }
        _ => return None,
    })
}

/// What providers and the market's owner may hear.
pub(super) fn provider(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::NotOperator(e) => format!(
            "{} is neither the provider {} nor its operator: use their key, or let the provider name another (`hawser provider set`)",
            e.caller, e.provider
        ),
        Refusal::UnknownProvider(e) => {
            format!(
                "{} is not registered as a provider yet: call `hawser provider set` with its cold key first",
                e.provider
            )
        }
        Refusal::ZeroPayout(_) => "earnings must go somewhere: name a payout address that is not zero".to_owned(),
        Refusal::TermsMismatch(e) => {
            format!("the offer {} exists with other terms: choose another salt for yours", offer(e.offerId))
        }
        Refusal::InvalidDurations(e) => format!(
            "durations from {} to {} seconds make no offer: the longest must be above 0, not below the shortest, and at most {}",
            e.minDuration, e.maxDuration, e.limit
        ),
        Refusal::WindowTooLong(e) => {
            format!("a window of {} seconds is longer than the market allows: choose at most {}", e.window, e.limit)
        }
        Refusal::WindowTooShort(e) => {
            format!(
                "a claim window of {} seconds is shorter than the market allows: choose at least {}",
                e.window, e.limit
            )
        }
        Refusal::PriceTooHigh(e) => format!(
            "a price of {} is more than the market can hold: choose at most {}",
            amounts.price(e.price),
            amounts.price(e.limit)
        ),
        Refusal::SunsetPassed(e) => {
            format!("the market takes no orders since {}, and that stands: go to another market", seconds(e.sunset))
        }
        Refusal::SunsetTooSoon(e) => {
            format!("offers could outlive a sunset at {}: choose {} or later", seconds(e.asked), seconds(e.earliest))
        }
        Refusal::SunsetTooLate(e) => {
            format!("a sunset at second {} is too far away: choose at most {}", e.asked, e.limit)
        }
        Refusal::OwnableUnauthorizedAccount(e) => {
            format!("{} is not the market's owner, who alone may do this: use the owner's key", e.account)
        }
        Refusal::OwnableInvalidOwner(e) => format!("{} can't own the market: name another account", e.owner),
        Refusal::InvalidShortString(_) | Refusal::StringTooLong(_) => {
            "the market was deployed with a name that it can't hold: deploy it again".to_owned()
        }
        _ => return None,
    })
}

pub(super) fn token_in_words(error: &TokenRefusal::TokenRefusalErrors, amounts: Amounts<'_>) -> String {
    use TokenRefusal::TokenRefusalErrors as E;
    let refused = |what: &str, address: Address| format!("the token refuses {address} as {what}: use another account");
    match error {
        E::ERC20InsufficientBalance(e) => format!(
            "{} has {} and needs {}: get tokens, or buy fewer seconds or GPUs",
            e.sender,
            amounts.in_tokens(e.balance),
            amounts.in_tokens(e.needed)
        ),
        E::ERC20InsufficientAllowance(e) => format!(
            "{} may take {} and needs {}: the allowance was used by something else in between, try again",
            e.spender,
            amounts.in_tokens(e.allowance),
            amounts.in_tokens(e.needed)
        ),
        E::ERC20InvalidSender(e) => refused("sender", e.sender),
        E::ERC20InvalidReceiver(e) => refused("receiver", e.receiver),
        E::ERC20InvalidApprover(e) => refused("approver", e.approver),
        E::ERC20InvalidSpender(e) => refused("spender", e.spender),
    }
}
