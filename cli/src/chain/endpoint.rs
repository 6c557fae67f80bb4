//! The connection to a node.

use std::time::Duration;

use alloy::{
    network::EthereumWallet,
    providers::{DynProvider, Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
    transports::http::reqwest::{Client, Url},
};

use crate::failure::Failure;

/// A node that doesn't answer for so long is as good as gone.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a receipt is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn connect(url: &str, signer: Option<&PrivateKeySigner>) -> Result<DynProvider, Failure> {
    let url: Url = url.parse().map_err(|error| {
        Failure::input(format!(
            "the RPC endpoint is not a URL ({error}): expected something like http://127.0.0.1:8545"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::input(format!(
            "the RPC endpoint begins with {}://: expected http:// or https://",
            url.scheme()
        )));
    }
    let client = Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| Failure::Unreachable(format!("the HTTP client can't start: {error}")))?;
    let provider = match signer {
        Some(signer) => {
            ProviderBuilder::new().wallet(EthereumWallet::from(signer.clone())).connect_reqwest(client, url).erased()
        }
        None => ProviderBuilder::new().connect_reqwest(client, url).erased(),
    };
    provider.client().set_poll_interval(POLL_INTERVAL);
    Ok(provider)
}
