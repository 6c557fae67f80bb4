//! Names that a network gives. Whoever holds one compares it, keeps it and hands it back; only the network itself reads it.

use std::{fmt, sync::Arc};

/// A name and the network that gave it: two networks may give the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct On<T> {
    /// Name of the `DepinNetwork`.
    pub network: Arc<str>,
    /// As the network gave it.
    pub id: T,
}

impl<T> On<T> {
    /// A name of this network.
    pub fn new(network: &str, id: impl Into<T>) -> Self {
        Self { network: network.into(), id: id.into() }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// As the network writes it, and as objects hold it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.as_str().into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// Of an order and of the job that it becomes.
    JobId
}
name! {
    /// Of an offer with its terms: other terms are another offer.
    OfferId
}
name! {
    /// Of what offers are paid in.
    TokenId
}
name! {
    /// Of whoever acts on the network: a customer, a provider, a wallet.
    AccountId
}
name! {
    /// Of what was sent to the network.
    TransactionId
}
